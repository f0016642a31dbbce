"""When maps, pod states and conntrack entries were last changed, by the agent's log: what a replay has to know."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forensics.pod_names import identifiers

if TYPE_CHECKING:
    from forensics.logstory import LogStory

#: Events that name an identifier or a pod and come with a change of its maps, pod states or programs.
_BY_IDENTIFIER = ("default-state", "no-active-policies")
_BY_POD = ("attach", "enforce-request")
_SWEEP = "conntrack-cleanup-delete"
_FLOW = ("src", "sport", "dst", "dport")


@dataclass(slots=True)
class LogChanges:
    """Times in ns UTC: of the last change by map ID, and by pod identifier; `swept` are the flows that the agent
    deleted from conntrack, as (src, sport, dst, dport, first time).
    """

    by_map: dict[int, int] = field(default_factory=dict)
    by_identifier: dict[str, int] = field(default_factory=dict)
    swept: list[tuple[Any, ...]] = field(default_factory=list)


def changes_of(story: LogStory) -> LogChanges:
    """One pass over a node's log story. A write that says it changed nothing does not count."""
    out = LogChanges()
    for write in story.writes:
        changed = write.updated != 0 or write.deleted not in (0, None)
        if write.map_id is not None and write.write is not None and write.write.utc_ns is not None and changed:
            out.by_map[write.map_id] = max(write.write.utc_ns, out.by_map.get(write.map_id, 0))
    flows: dict[tuple[Any, ...], int] = {}
    for event in story.events.named(_SWEEP, *_BY_IDENTIFIER, *_BY_POD):
        name, time = event.name, event.utc_ns
        if time is None:
            continue
        if name == _SWEEP:
            flow = tuple(event.get(part) for part in _FLOW)
            flows[flow] = min(time, flows.get(flow, time))
        elif name in _BY_IDENTIFIER:
            _note(out, str(event.get("pod_identifier")), time)
        elif name in _BY_POD:
            for identifier in identifiers(str(event.get("pod")), str(event.get("namespace"))):
                _note(out, identifier, time)
    out.swept = [(*flow, time) for flow, time in flows.items()]
    return out


def _note(out: LogChanges, identifier: str, time: int) -> None:
    out.by_identifier[identifier] = max(time, out.by_identifier.get(identifier, 0))
