"""The keys of a namespace map beside those the policies ask for: which are missing, which are stale, and since what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forensics.tierjudge import judge_cluster, judge_namespace
from forensics.versions import between
from formats.address import canonical
from formats.log_time import utc_ns

if TYPE_CHECKING:
    from forensics.context import Context
    from forensics.logstory import MapWrite
    from forensics.podstate import Entry, MapState
    from forensics.policy import ExpectedEntry
    from forensics.policy_rules import Direction

_CHANGED = "networking.k8s.aws/last-change-trigger-time"


@dataclass(slots=True)
class MissingKey:
    """A CIDR that the policies ask for and the map lacks. `defect` names the version's defect that leaves it out."""

    cidr: str
    expected: ExpectedEntry
    defect: str | None
    in_other_tier: bool
    drift: bool


@dataclass(slots=True)
class StaleKey:
    """An entry that no policy at hand explains."""

    entry: Entry
    drift: bool


@dataclass(slots=True)
class KeyDiff:
    """One namespace map's difference in keys. `frozen` says that its updates go to the cluster map (KB-101)."""

    state: MapState
    missing: list[MissingKey] = field(default_factory=list)
    stale: list[StaleKey] = field(default_factory=list)
    frozen: bool = False
    #: why missing keys cannot be told; None when they can
    partial: str | None = None
    #: the yardstick is the agent's log, not the policies (forensics.logdiff): this write of it
    by_log: bool = False
    write: MapWrite | None = None
    #: why the log does not tell either; None when it does
    unknown: str | None = None
    #: the content that the log asks for, {tier: {key: value}}; None where the policies are the yardstick
    wanted: dict[str, dict[bytes, bytes]] | None = None
    #: missing keys whose rules the log does not show: in `wanted` they allow everything
    unvalued: frozenset[str] = frozenset()


def key_diff(context: Context, state: MapState) -> KeyDiff:
    """Compare one dumped namespace map with the policies; only called when they are known (Intent.known)."""
    direction: Direction = "egress" if state.direction == "egress" else "ingress"
    diff = begun(context, state)
    present = state.cidrs
    late, intended = changed_after_dump(context), _intended(context, direction)
    cluster = context.dumped(f"cp_{direction}_map")
    elsewhere = cluster.cidrs if cluster is not None else set()
    _missing(context, direction, diff, present, elsewhere, (late, intended))
    _stale(context, direction, diff, (late, intended))
    return diff


def begun(context: Context, state: MapState) -> KeyDiff:
    """What a difference says whatever it is measured by: whether the map is frozen, whether its dump shows all."""
    diff = KeyDiff(state)
    cluster = context.dumped(f"cp_{state.direction}_map")
    if cluster is not None:
        hit = bool(judge_cluster(context, cluster).misplaced) or bool(context.misdirected(cluster))
        diff.frozen = hit and still_frozen(context)
    if not state.whole:
        hidden = state.view.dump.hidden if state.view else 0
        diff.partial = f"{hidden} entries are not shown" if hidden else "the dump does not say that it is complete"
    return diff


def still_frozen(context: Context) -> bool:
    """Whether the running agent is the one that writes elsewhere (KB-101); a later one writes this map again."""
    version = context.node.agent_version
    return version is None or between(version, "v1.3.0", "v1.3.0")


def _missing(
    context: Context,
    direction: Direction,
    diff: KeyDiff,
    present: set[str],
    elsewhere: set[str],
    drift: tuple[bool, set[str] | None],
) -> None:
    if diff.partial is not None or not context.intent.selected:
        return
    late, intended = drift
    ideal = context.intent.expected(direction, ideal=True).namespace.entries
    actual = context.intent.expected(direction).namespace
    for cidr in ideal:
        if cidr in present or cidr == ideal.node or ideal[cidr].admissible.optional:
            continue
        entry = ideal[cidr]
        defect = None if cidr in actual.entries else _defect_of(context, entry)
        if entry.kind == "catch-all" and direction == "egress" and _node_only(context, present) and not diff.frozen:
            version = context.node.agent_version
            defect = "KB-114" if version and between(version, "v1.3.0", "v1.4.0") else defect
        young = late and (intended is None or cidr not in intended)
        diff.missing.append(MissingKey(cidr, entry, defect, cidr in elsewhere, young))


def _node_only(context: Context, present: set[str]) -> bool:
    """Whether the node's own entry is all there is: what KB-114 leaves; an empty map was never written."""
    node = canonical(context.node.node_ip) if context.node.node_ip else None
    return len(present) == 1 and (node is None or present == {node})


def _defect_of(context: Context, entry: ExpectedEntry) -> str | None:
    version = context.intent.version
    node = canonical(context.node.node_ip or "") or ""
    if any(text.split("/")[0] == node.split("/")[0] for text in entry.texts):
        return "KB-111"
    by_text = ":" in entry.cidr and any("::" not in text for text in entry.texts)
    return "KB-601" if by_text and between(version, "v1.1.4", "v1.3.1") else None


def _stale(context: Context, direction: Direction, diff: KeyDiff, drift: tuple[bool, set[str] | None]) -> None:
    late, intended = drift
    intent = context.intent
    asked = [intent.expected(direction, ideal=ideal).namespace.entries.keys() for ideal in (False, True)]
    claimed = {item.entry.cidr for item in judge_namespace(context, diff.state).misplaced}
    node = canonical(context.node.node_ip or "")
    for row, cidr in enumerate(diff.state.texts):
        if cidr in asked[0] or cidr in asked[1] or cidr in claimed or cidr == node:
            continue
        young = late and (intended is None or cidr in intended)
        diff.stale.append(StaleKey(diff.state.entry(row), young))


def changed_after_dump(context: Context) -> bool:
    """Whether a policy of the identifier was written after the last sign of life in the bundle."""
    seen = _last_sign(context)
    if seen is None:
        return False
    names = {f"{e.namespace}/{e.name}" for policy in context.intent.policies for e in policy.endpoints}
    for item in context.node.objects:
        if item.name in names:
            changed = utc_ns(_change_time(item.object) or "")
            if changed is not None and changed > seen:
                return True
    return False


def _last_sign(context: Context) -> int | None:
    """The latest time in ns that the node's logs or its archive's headers bear; loose files' own times say nothing."""
    until = context.node.observed_until
    logged = utc_ns(until) if until else None
    packed = [artifact.modified * 1_000_000_000 for artifact in context.node.group.own if artifact.modified]
    return max([*packed, *([logged] if logged is not None else [])], default=None)


def _change_time(item: dict[str, Any]) -> str | None:
    meta = item.get("metadata") if isinstance(item.get("metadata"), dict) else {}
    assert isinstance(meta, dict)
    notes = meta.get("annotations")
    if isinstance(notes, dict) and isinstance(notes.get(_CHANGED), str):
        return str(notes[_CHANGED])
    times = [
        str(each["time"]) for each in meta.get("managedFields") or [] if isinstance(each, dict) and each.get("time")
    ]
    return max(times) if times else None


def _intended(context: Context, direction: Direction) -> set[str] | None:
    """The CIDRs of the last logged write that was meant for this map; None when the log has none."""
    last = last_write(context, direction)
    return {text for cidr in last.cidrs if (text := canonical(cidr))} if last else None


def last_write(context: Context, direction: Direction) -> MapWrite | None:
    """The last logged write that was meant for the namespace map of a direction, wherever it went."""
    ids = {
        state.map_id
        for name in (f"{direction}_map", f"cp_{direction}_map")
        if (state := context.pod.maps.get(name)) is not None and state.map_id is not None
    }
    mine = [w for w in context.node.story.writes if w.said == f"{direction}_map" and w.map_id in ids]
    return mine[-1] if mine else None
