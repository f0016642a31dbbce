"""Why the captured maps do not give the answer that a flow line has, or give it only by an entry out of its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.datapath_batch import REASON_CODES
from forensics.flow_answers import packets
from forensics.flow_times import NO_TIME
from forensics.pod_names import identifiers

if TYPE_CHECKING:
    from forensics.captured import Captured
    from forensics.context import Context
    from forensics.flow_answers import Answered
    from forensics.flow_rows import FlowRows
    from forensics.replay_past import Past

Array = np.ndarray[Any, Any]

CORRUPTION = "corruption"
CHANGED = "maps-changed-since"
CONNTRACK = "conntrack"
HALF = "dump-not-whole"
NO_STATE = "pod-state-not-dumped"
UNKNOWN = "unknown"
#: Reason -> what it means, worst first.
REASONS = {
    CORRUPTION: "an entry that was written for the other tier decided",
    UNKNOWN: "neither the log nor the maps say why",
    CHANGED: "the maps were written after this line",
    CONNTRACK: "the flow is tracked by now: a later packet of it was let through",
    HALF: "the dump of the map does not show every entry",
    NO_STATE: "the pod state was not dumped and the answer depends on it",
}
#: The log lines of one packet and of one write come from different goroutines; so far they may be out of order.
_SKEW_NS = 1_000_000_000
#: Reasons of the program that the pod state has no say in, from v1.3.0 on: an entry that covers the peer decides.
_BY_ENTRY = ("admin-deny", "admin-allow", "namespace-allow", "namespace-reserved", "namespace-no-slot")


def reasons(context: Context, captured: Captured, flows: FlowRows, listed: Answered, past: Past) -> Array:
    """The reason of each listed line, as its place in REASONS."""
    last = last_change(context, captured.direction)
    time, count = listed.side.utc_ns, len(listed)
    changed = (time != NO_TIME) & (time <= last + _SKEW_NS) if last is not None else np.zeros(count, bool)
    maps = [state for name in captured.maps if (state := context.dumped(name)) is not None]
    half = any(not state.whole or not state.all_known for state in maps)
    stateless = np.zeros(count, bool)
    if captured.state is None and captured.generation.pod_state_keys:
        error = flows.vocabularies["tier"].find(["ERROR"])
        stateless = _by_state(captured, listed) | np.isin(listed.side.tier, error)
    tried = {
        CORRUPTION: listed.misplaced & listed.explained,
        CHANGED: changed | _settled_later(listed, past),
        CONNTRACK: _tracked(captured, flows, listed),
        HALF: np.full(count, half),
        NO_STATE: stateless,
    }
    order = list(REASONS)
    return np.select(list(tried.values()), [order.index(name) for name in tried], order.index(UNKNOWN))


def last_change(context: Context, direction: str) -> int | None:
    """Time of the last logged change of the identifier's maps, pod states or programs of a direction, ns UTC."""
    pod, changes = context.pod, context.neighbours.changes
    ids = [state.map_id for state in pod.maps.values() if state.map_id is not None and state.direction == direction]
    places = [identifiers(ref.name, ref.namespace) for ref in pod.pods]
    names = {pod.identifier, *(name for pair in places for name in pair)}
    times = [changes.by_map.get(number) for number in ids] + [changes.by_identifier.get(name) for name in names]
    return max((time for time in times if time is not None), default=None)


def _by_state(captured: Captured, listed: Answered) -> Array:
    """Whether the pod state has a say in the answer."""
    if not captured.generation.tiers:
        return np.ones(len(listed), bool)
    return ~np.isin(listed.reason, [REASON_CODES[name] for name in _BY_ENTRY])


def _settled_later(listed: Answered, past: Past) -> Array:
    """Whether a later line of the same ends, protocol and port is as the maps say: then they changed in between."""
    latest = past.last_settled(listed.side)
    later: Array = (latest != NO_TIME) & (listed.side.utc_ns != NO_TIME) & (latest > listed.side.utc_ns)
    return later


def _tracked(captured: Captured, flows: FlowRows, listed: Answered) -> Array:
    """Whether the captured conntrack map holds the flow of a denied line."""
    tracked = np.zeros(len(listed), bool)
    rows = np.flatnonzero(~listed.side.allowed)
    if captured.tracks and len(rows):
        tracked[rows] = captured.tracked_flows(packets(flows, listed.side.rows(rows), captured.family, 0))
    return tracked
