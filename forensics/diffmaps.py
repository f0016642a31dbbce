"""The maps of one pod identifier at two moments, on two nodes or of two replicas: entry by entry, packet by packet."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from forensics.admissible import multiset
from forensics.entrydiff import CAUSES, slot_texts
from forensics.fold import OVER_TIME, Pods, fold, line_text, row
from forensics.intent import ASSUMED_VERSION, DIRECTIONS
from forensics.partition import texts
from forensics.podstate import RULE_MAPS
from forensics.semantics import TIERS, Compared, Side, compare_sides
from forensics.sides import slots_of
from formats.address import canonical, cidr_of_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forensics.admissible import Slots
    from forensics.case import Node
    from forensics.podstate import MapState, PodState
    from forensics.ruleset import Value

#: Where no pod state was dumped on either side: policies are applied in the namespace tier, none in the cluster's.
_APPLIED: Mapping[int, int] = {0: 0, 1: 1}
_SIDES = ("after", "before")


class Seen(NamedTuple):
    """A pod identifier on its node."""

    node: Node
    pod: PodState

    @property
    def version(self) -> str:
        """The agent's version, the usual one where it is not known."""
        return self.node.agent_version or ASSUMED_VERSION

    @property
    def own(self) -> str | None:
        """The node's own entry."""
        return canonical(self.node.node_ip) if self.node.node_ip else None


@dataclass(frozen=True)
class MapChange:
    """What became of one map. `counts` are the entries before and after, None without a dump; `reordered` counts
    entries with the same slots in other bytes."""

    name: str
    counts: tuple[int | None, ...]
    added: dict[str, Slots | None]
    removed: dict[str, Slots | None]
    changed: dict[str, tuple[Slots, Slots]]
    reordered: int

    @property
    def same(self) -> bool:
        """Whether the rules of both are the same (their bytes may not be)."""
        return not (self.added or self.removed or self.changed)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; in changed entries `lost` and `gained` are slots, after against before."""
        return {
            "map": self.name,
            "entries_before": self.counts[0],
            "entries_after": self.counts[1],
            "added": [{"cidr": cidr, "slots": _shown(slots)} for cidr, slots in sorted(self.added.items())],
            "removed": [{"cidr": cidr, "slots": _shown(slots)} for cidr, slots in sorted(self.removed.items())],
            "changed": [
                {"cidr": cidr, "lost": slot_texts(lost), "gained": slot_texts(gained)}
                for cidr, (lost, gained) in sorted(self.changed.items())
            ],
            "reordered": self.reordered,
        }


def pod_diff(before: Seen, after: Seen) -> dict[str, Any]:
    """Everything that differs between two states of a pod identifier, as plain JSON values."""
    directions = [_direction(before, after, direction) for direction in DIRECTIONS]
    maps = [change for name in RULE_MAPS if (change := map_change(before.pod, after.pod, name)) is not None]
    policies = set(before.pod.policies), set(after.pod.policies)
    return {
        "before": {"node": before.node.id, "pod_identifier": before.pod.identifier},
        "after": {"node": after.node.id, "pod_identifier": after.pod.identifier},
        "same": all(change.same for change in maps)
        and not any(each["traffic"] or each["pod_state"] for each in directions),
        "maps": [change.as_json() for change in maps if not change.same],
        "reordered": sum(change.reordered for change in maps),
        "directions": [each for each in directions if each["traffic"] or each["pod_state"] or each["notes"]],
        "policies": {"appeared": sorted(policies[1] - policies[0]), "vanished": sorted(policies[0] - policies[1])},
    }


def map_change(before: PodState, after: PodState, name: str) -> MapChange | None:
    """One map before and after; None where it was dumped on neither side. An entry that a cut dump may hide is none."""
    states = before.dumped(name), after.dumped(name)
    if states[0] is None and states[1] is None:
        return None
    counts = tuple(None if state is None else len(state.entries) for state in states)
    if states[0] is None or states[1] is None:
        return MapChange(name, counts, {}, {}, {}, 0)
    old, new = slots_of(states[0]), slots_of(states[1])
    bytes_before, bytes_after = _bytes(states[0]), _bytes(states[1])
    changed: dict[str, tuple[Slots, Slots]] = {}
    reordered = 0
    for cidr in old.keys() & new.keys():
        mine, theirs = old[cidr], new[cidr]
        if mine is None or theirs is None:
            continue
        was, now = Counter(multiset(mine)), Counter(multiset(theirs))
        if was != now:
            changed[cidr] = tuple(sorted((was - now).elements())), tuple(sorted((now - was).elements()))
        elif bytes_before.get(cidr) != bytes_after.get(cidr):
            reordered += 1
    added = {cidr: new[cidr] for cidr in new.keys() - old.keys()} if states[0].whole else {}
    removed = {cidr: old[cidr] for cidr in old.keys() - new.keys()} if states[1].whole else {}
    return MapChange(name, counts, added, removed, changed, reordered)


def _bytes(state: MapState) -> dict[str, bytes]:
    return {entry.cidr: value for entry in state.entries if (value := state.value(entry.row)) is not None}


def _direction(before: Seen, after: Seen, direction: str) -> dict[str, Any]:
    sides, notes = _sides(before, after, direction)
    old, new = sides
    own = {before.own, after.own} if before.own != after.own else set()

    def cause(_tier: str, key: bytes) -> str | None:
        return "node-entry" if cidr_of_key(key) in own else None

    family = after.node.family or before.node.family or 4
    dumped = any(seen.pod.dumped(f"{direction}_map") for seen in (before, after))
    compared = compare_sides(new, old, family, cause) if dumped else Compared([], (), 0, 0)
    pods = Pods([*before.node.known_pods, *after.node.known_pods])
    lines = fold(compared.differences, OVER_TIME)
    states = [seen.pod.state_of(direction) for seen in (before, after)]
    moved = {
        str(key): [None if state is None else state.get(key) for state in states]
        for key in sorted({*(states[0] or {}), *(states[1] or {})})
        if None not in states and (states[0] or {}).get(key) != (states[1] or {}).get(key)
    }
    return {
        "direction": direction,
        "pod_state": moved,
        "traffic": [row(each, OVER_TIME, _SIDES, pods) for each in compared.differences],
        "lines": [
            {
                "kind": line.kind,
                "text": line_text(line, pods),
                "why": [CAUSES[each].title if each in CAUSES else each for each in line.causes],
            }
            for line in lines
        ],
        "undecided": texts(compared.undecided, family),
        "notes": notes,
    }


def _sides(before: Seen, after: Seen, direction: str) -> tuple[tuple[Side, Side], list[str]]:
    """Both as sides. What one of them does not show is taken from the other, and said."""
    notes: list[str] = []
    maps: list[tuple[dict[bytes, Value | None], dict[bytes, Value | None]]] = []
    for tier in TIERS:
        name = f"{'cp_' if tier == 'cluster' else ''}{direction}_map"
        states = before.pod.dumped(name), after.pod.dumped(name)
        mine, theirs = (None if state is None else _entries(state) for state in states)
        if (mine is None) != (theirs is None):
            notes.append(f"{name} was dumped {'before' if theirs is None else 'after'} only: it is not compared")
        left, right = mine or theirs or {}, theirs or mine or {}
        if mine is not None and theirs is not None:
            left, right = mine, theirs
        if states[0] is not None and not states[0].whole:
            left = _with_hidden(left, right)
        if states[1] is not None and not states[1].whole:
            right = _with_hidden(right, left)
        maps.append((left, right))
    states_of = before.pod.state_of(direction), after.pod.state_of(direction)
    known = states_of[0] or states_of[1]
    old, new = states_of[0] or known or _APPLIED, states_of[1] or known or _APPLIED
    (namespace_old, namespace_new), (cluster_old, cluster_new) = maps
    return (
        Side(before.version, namespace_old, cluster_old, old),
        Side(after.version, namespace_new, cluster_new, new),
    ), notes


def _entries(state: MapState) -> dict[bytes, Value | None]:
    values = state.as_dict()
    return {entry.key: values.get(entry.key) for entry in state.entries}


def _with_hidden(shown: dict[bytes, Value | None], other: dict[bytes, Value | None]) -> dict[bytes, Value | None]:
    """With the keys of the other side that this one may hide: there, and of no known value."""
    cidrs = {cidr_of_key(key) for key in shown}
    return {**shown, **{key: None for key in other if cidr_of_key(key) not in cidrs}}


def _shown(slots: Slots | None) -> list[str] | None:
    return None if slots is None else slot_texts(multiset(slots))
