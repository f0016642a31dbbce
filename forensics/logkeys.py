"""The keys a namespace map should hold by the agent's own log, for when the policies are not in the input.

Before each write the agent logs every CIDR of the map's new content (`Updating Map with IP Key`), then the ID of the
map it writes, then how many entries it changed. The last such burst of a pod identifier and direction is what the agent
meant to be in the map, wherever the bytes went: v1.3.0 names the namespace map and writes the cluster map. The node's
own entry is in no burst. Before v1.2.4 excepts are logged apart, a /0 rule is not logged, and there are no counts.

Source: ComputeMapEntriesFromEndpointRules (pkg/fwruleprocessor/fw_rule_processor.go), updateEbpfMap
(pkg/ebpf/bpf_client.go) and BulkRefresh (pkg/ebpf/bpf_mem_map.go) at v1.2.3, v1.2.4, v1.3.7 and v1.4.1.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from forensics.policy_net import key_text, parse, text_of, with_mask
from forensics.versions import at_least, between
from formats.log_time import utc_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forensics.context import Context
    from forensics.logstory import Evaluation, MapWrite
    from forensics.policy_rules import Direction

_CATCH_ALL = {4: "0.0.0.0/0", 6: "::/0"}
#: A write so shortly before the log's end may be younger than the dump: the collector runs for about a minute.
COLLECTING_NS = 60 * 1_000_000_000


class Unknown(NamedTuple):
    """Why the log does not tell, in words."""

    why: str


class LogKeys(NamedTuple):
    """The intended keys of one namespace map. `texts` is {canonical CIDR: as logged}, without the node's own entry.

    `defects` names keys the agent itself left out by a known defect; `young` are keys whose last change may be younger
    than the dump, either way; `unlogged` are keys of which the log says nothing; `slots` are values where logged.
    """

    write: MapWrite
    texts: Mapping[str, str]
    slots: Mapping[str, tuple[tuple[int, int, int], ...]]
    defects: Mapping[str, str]
    young: frozenset[str]
    unlogged: frozenset[str]


def log_keys(context: Context, direction: Direction) -> LogKeys | Unknown:
    """What the agent log says of the namespace map of a direction; Unknown with the reason where it does not tell."""
    story, ids = context.node.story, _ids(context, direction)
    if not story.events:
        return Unknown("no agent log is in the input")
    if not ids:
        return Unknown(f"the input does not say which map ID {direction}_map has")
    name = f"{direction}_map"
    mine = [w for map_id in ids for w in story.writes_to.get(map_id, ()) if w.said == name and not w.cluster_rules]
    if not mine:
        return Unknown(f"the agent log shows no write of {name}")
    mine.sort(key=lambda write: write.row)
    last, earlier = mine[-1], mine[-2] if len(mine) > 1 else None
    if earlier is not None and bisect_right(story.starts, earlier.row) < len(story.starts):
        earlier = None  # what the agent remembers of a map does not outlive it, and IDs do not outlive the node's boot
    reason = _unfinished(context, last) or _overtaken(context, last, direction, ids)
    if reason is None and earlier is not None:
        reason = _miscounted(_keys(context, earlier), _keys(context, last), earlier, last)
    if reason is not None:
        return Unknown(reason)
    return _told(context, last, earlier, direction)


def _ids(context: Context, direction: Direction) -> set[int]:
    """The IDs of both tiers' maps: what v1.3.0 means for one goes to the other."""
    names = (f"{direction}_map", f"cp_{direction}_map")
    states = [state for name in names if (state := context.pod.maps.get(name)) is not None]
    return {state.map_id for state in states if state.map_id is not None}


def _unfinished(context: Context, write: MapWrite) -> str | None:
    at = write.begin.get("ts")
    if _counts(context) and write.result is None:
        return f"the last write ({at}) has no result: it failed, or its line is not in the log"
    if write.failed:
        return f"the last write ({at}) failed"
    texts = [*write.cidrs, *write.excepts]
    unread = [text for text in texts if parse(with_mask(text, context.intent.family)) is None]
    if unread:
        return f"the log's {unread[0]} is no CIDR"
    if write.updated is not None and write.updated > len(_keys(context, write)) + 1:
        return f"the last write ({at}) changed more entries than the log lists: lines are missing"
    return None


def _overtaken(context: Context, write: MapWrite, direction: Direction, ids: set[int]) -> str | None:
    """A restart, a write of unclear content or another evaluation of the policies since the last clear write."""
    story = context.node.story
    start = bisect_right(story.starts, write.row)
    if start < len(story.starts):
        when = story.events[story.starts[start]].get("ts")
        return f"the agent restarted ({when}) and has not written {direction}_map since"
    for torn in story.torn:
        if torn.row > write.row and _may_be(torn, write, ids):
            return f"lines of several writes are mixed in the log ({torn.begin.get('ts')})"
    before, after = _evaluation(context, write.row), _evaluation(context, len(story.events))
    if before is None or after is None or after is before:
        return None
    counts = before.rules.get(direction), after.rules.get(direction)
    if None not in counts and counts[0] != counts[1]:
        return f"the agent has counted {counts[1]} {direction} rules since its last write, {counts[0]} before it"
    return None


def _evaluation(context: Context, row: int) -> Evaluation | None:
    """The last time before a place in the log that the identifier's rules were worked out."""
    found = context.node.story.evaluations.get(context.pod.identifier, [])
    at = bisect_right(found, row, key=lambda evaluation: evaluation.row)
    return found[at - 1] if at else None


def _may_be(torn: MapWrite, write: MapWrite, ids: set[int]) -> bool:
    if torn.said != write.said or torn.cluster_rules:
        return False
    return torn.map_id in ids or torn.begin.get("prog_fd") in (None, write.begin.get("prog_fd"))


def _miscounted(before: Mapping[str, str], after: Mapping[str, str], earlier: MapWrite, last: MapWrite) -> str | None:
    """The counts of a write against the two lists: fewer changes than the lists differ by means mixed or lost lines."""
    if last.updated is None or last.deleted is None or earlier.result is None:
        return None
    added, removed = len(after.keys() - before.keys()), len(before.keys() - after.keys())
    if last.updated < added or last.deleted < removed:
        return f"the counts of the last write ({last.begin.get('ts')}) do not fit the CIDRs that are logged for it"
    return None


def _told(context: Context, last: MapWrite, earlier: MapWrite | None, direction: Direction) -> LogKeys | Unknown:
    family, texts = context.intent.family, _keys(context, last)
    defects: dict[str, str] = {}
    for text in last.skipped:
        net = parse(with_mask(text, family))
        if net is not None and net.family == family:
            texts[text_of(net)], defects[text_of(net)] = text, "KB-601"
    if not last.cidrs and not last.excepts and not last.skipped and _forgotten(context, last, direction):
        if not _forgets_catch_all(context, direction):
            return Unknown("the last write has no rule, and the log shows neither isolation nor a catch-all")
        texts[_CATCH_ALL[family]], defects[_CATCH_ALL[family]] = _CATCH_ALL[family], "KB-114"
    unlogged = set() if _counts(context) else {_CATCH_ALL[family]}
    return LogKeys(last, texts, _slots(context, last), defects, _young(context, last, earlier), frozenset(unlogged))


def _counts(context: Context) -> bool:
    return at_least(context.intent.version, "v1.2.4")


def _keys(context: Context, write: MapWrite) -> dict[str, str]:
    """{canonical CIDR: as logged}; a key that the kernel does not take is left out, as the kernel does."""
    family, out = context.intent.family, {}
    for text in [*write.cidrs, *write.excepts]:
        net = parse(with_mask(text, family))
        key = key_text(net, family) if net is not None else None
        if key is not None:
            out[key] = text
    return out


def _slots(context: Context, write: MapWrite) -> dict[str, tuple[tuple[int, int, int], ...]]:
    """Values by key, where the log shows them and no two texts meet on the key."""
    family = context.intent.family
    out: dict[str, tuple[tuple[int, int, int], ...]] = {}
    for text, slots in write.slots.items() if _counts(context) else ():
        net = parse(with_mask(text, family))
        key = key_text(net, family) if net is not None else None
        if key is not None:
            out[key] = tuple(slots)
    return out


def _forgotten(context: Context, write: MapWrite, direction: Direction) -> bool:
    """Whether rules were counted as none without a word of isolation or a catch-all, while policies are in force."""
    worked_out = _evaluation(context, write.row)
    if worked_out is None or not worked_out.policies or worked_out.rules.get(direction) != 0:
        return False
    return direction not in worked_out.denied | worked_out.opened


def _forgets_catch_all(context: Context, direction: Direction) -> bool:
    version = context.node.agent_version
    return direction == "egress" and version is not None and between(version, "v1.3.0", "v1.4.0")


def _young(context: Context, last: MapWrite, earlier: MapWrite | None) -> frozenset[str]:
    """Keys that a write at the very end of the log changed in the map itself: the dump may be older than that."""
    state = context.pod.maps.get(last.said)
    story, at = context.node.story, last.write.utc_ns if last.write else None
    end = utc_ns(story.last_ts) if story.last_ts else story.last_ns
    if earlier is None or state is None or state.map_id != last.map_id or end is None or at is None:
        return frozenset()
    if end - at > COLLECTING_NS:
        return frozenset()
    return frozenset(_keys(context, earlier).keys() ^ _keys(context, last).keys())
