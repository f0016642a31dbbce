"""Intent against kernel for one pod identifier and direction: entry by entry, and packet by packet.

The entry diff asks whether the agent of that version may have left the maps so; the packet diff asks whether the
kernel does what the policies ask, all of it, slot limit or not. Every packet difference is charged to the entries in
its way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from forensics import collect
from forensics.entrydiff import CHANGED, EXTRA, MISSING, entry_differences
from forensics.fold import AGAINST_POLICY, row
from forensics.keydiff import changed_after_dump
from forensics.partition import texts
from forensics.policy import expected_map
from forensics.semantics import TIERS, Side, compare_sides
from forensics.sides import asked, dumped, own_entry, pod_states, slots_of
from forensics.tierjudge import judge_cluster, judge_namespace
from forensics.versions import between
from formats.address import cidr_of_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forensics.context import Context
    from forensics.entrydiff import EntryDifference
    from forensics.finding import Missing
    from forensics.fold import Pods
    from forensics.keydiff import KeyDiff
    from forensics.podstate import MapState
    from forensics.policy import ExpectedMap
    from forensics.policy_rules import Direction
    from forensics.semantics import Compared, Difference

_SIDES = ("kernel", "policy")
#: Stands in where the node's address is not known; its own entry is then no expectation.
_NO_NODE = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - an address that no packet has, never one to listen on


class NotComparable(NamedTuple):
    """Why nothing can be compared, and what has to be collected."""

    why: str
    missing: tuple[Missing, ...]


@dataclass(frozen=True)
class Comparison:
    """One direction of one pod identifier. `left` of a difference is the kernel, `right` what the policies ask.

    `assumptions` says what stands in for what the case does not hold.
    """

    direction: Direction
    family: int
    entries: list[EntryDifference]
    kernel: Side
    policy: Side
    compared: Compared
    assumptions: list[str]

    @property
    def differences(self) -> list[Difference]:
        """Every packet class that the kernel treats differently from the policies."""
        return self.compared.differences

    @property
    def deviations(self) -> list[EntryDifference]:
        """Entries that the agent of that version cannot have left so."""
        return [each for each in self.entries if not each.admissible]

    @property
    def shortfalls(self) -> list[EntryDifference]:
        """Entries as the agent leaves them, other than what the policies ask."""
        return [each for each in self.entries if each.admissible]

    def charged(self, tier: str, cidrs: Iterable[str]) -> list[Difference]:
        """The packet differences that some entries of a tier have a part in; their CIDRs stand in `causes`."""
        mine = set(cidrs)

        def named(where: str, key: bytes) -> str | None:
            cidr = cidr_of_key(key)
            return cidr if where == tier and cidr in mine else None

        found = compare_sides(self.kernel, self.policy, self.family, named, state_cause=None)
        return [each for each in found.differences if each.causes]

    def as_json(self, pods: Pods) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "direction": self.direction,
            "entries": [each.as_json() for each in self.entries],
            "traffic": [row(each, AGAINST_POLICY, _SIDES, pods) for each in self.differences],
            "undecided": texts(self.compared.undecided, self.family),
            "pod_state": {
                name: {str(key): value for key, value in sorted(side.pod_state.items())}
                for name, side in zip(_SIDES, (self.kernel, self.policy), strict=True)
            },
            "assumptions": self.assumptions,
        }


def compare(context: Context, direction: Direction) -> Comparison | NotComparable:
    """Compare both tiers of a direction, as far as dumps and policies are at hand."""
    names = _names(direction)
    states = {tier: context.dumped(name) for tier, name in names.items()}
    if not any(states.values()):
        return NotComparable(f"no dump of {names['namespace']}", (collect.map_dump(context, names["namespace"]),))
    if not context.intent.known.yes:
        return NotComparable(context.intent.known.why, (collect.POLICIES,))
    variants = [_Work(context, direction, states, *maps) for maps in _expectations(context, direction)]
    return min(variants, key=lambda work: len(work.entries)).comparison()


def _names(direction: Direction) -> dict[str, str]:
    return {"namespace": f"{direction}_map", "cluster": f"cp_{direction}_map"}


def _expectations(context: Context, direction: Direction) -> Iterable[tuple[ExpectedMap, ExpectedMap, str | None]]:
    """What the version writes and what is asked; one pair for each namespace that shares the identifier."""
    intent, node = context.intent, context.node
    actual, ideal = intent.expected(direction), intent.expected(direction, ideal=True)
    spaces = ideal.namespace.contested
    if not spaces:
        yield actual, ideal, None
        return
    for space in spaces:
        mine = [item for item in node.policy_objects if _namespace(item) in (space, None)]
        made = [
            expected_map(
                mine,
                node.node_ip or _NO_NODE[intent.family],
                context.pod.identifier,
                direction,
                intent.version,
                intent.family,
                ideal=each,
            )
            for each in (False, True)
        ]
        others = ", ".join(each for each in spaces if each != space)
        note = f"pods of namespace {others} share this identifier: compared with the policies of {space} only"
        yield made[0], made[1], note


def _namespace(item: dict[str, Any]) -> str | None:
    meta = item.get("metadata")
    found = meta.get("namespace") if isinstance(meta, dict) else None
    return found if isinstance(found, str) else None


class _Work:
    """One comparison in the making."""

    def __init__(
        self,
        context: Context,
        direction: Direction,
        states: dict[str, MapState | None],
        actual: ExpectedMap,
        ideal: ExpectedMap,
        note: str | None,
    ) -> None:
        self._context, self._direction, self._states = context, direction, states
        self._actual, self._ideal = actual, ideal
        self._notes = [note]
        self._late = changed_after_dump(context)
        self._strays = {tier: _misplaced(context, tier, state) for tier, state in states.items()}
        self._present = {tier: None if state is None else slots_of(state) for tier, state in states.items()}
        self.entries = [each for tier in TIERS for each in self._entries(tier)]

    def comparison(self) -> Comparison:
        context, names = self._context, _names(self._direction)
        wanted, found = {}, {}
        for tier in TIERS:
            state = self._states[tier]
            present, strays = self._present[tier], self._strays[tier]
            wanted[tier], first = asked(context, tier, self._ideal.tier(tier), present, strays)
            found[tier], second = dumped(context, tier, state, wanted[tier], names[tier])
            self._notes += [first, second]
        kernel_state, policy_state, last = pod_states(context, self._direction)
        version, family = context.intent.version, context.intent.family
        kernel = Side(version, found["namespace"], found["cluster"], kernel_state)
        policy = Side(version, wanted["namespace"], wanted["cluster"], policy_state)
        causes = {(each.tier, each.cidr): each.cause or "unexplained" for each in self.entries}
        felt: set[tuple[str, str]] = set()

        def cause(tier: str, key: bytes) -> str | None:
            place = tier, cidr_of_key(key) or key.hex()
            felt.add(place)
            return causes.get(place)

        compared = compare_sides(kernel, policy, family, cause)
        # What a version does by design and no packet can tell is no difference.
        entries = [e for e in self.entries if e.cause != "version" or (e.tier, e.cidr) in felt]
        notes = [note for note in (*self._notes, last) if note]
        return Comparison(self._direction, family, entries, kernel, policy, compared, notes)

    def _entries(self, tier: str) -> Iterable[EntryDifference]:
        state, present = self._states[tier], self._present[tier]
        unknown = tier == "cluster" and not self._context.intent.cluster_known.yes
        if state is None or present is None or unknown:
            return
        for each in entry_differences(
            tier,
            self._actual.tier(tier),
            self._ideal.tier(tier),
            present,
            whole=state.whole,
            node=own_entry(self._context),
        ):
            yield self._explained(each) if each.cause is None else each

    def _explained(self, found: EntryDifference) -> EntryDifference:
        """With the cause that lies in the surroundings: the other tier, the log, the policies' age."""
        other = "cluster" if found.tier == "namespace" else "namespace"
        if found.cidr in self._strays[found.tier]:
            return found.because("other-tier")
        if self._by_drift(found):
            return found.because("drift")
        if found.kind == MISSING and found.cidr in self._strays[other]:
            return found.because("other-tier")
        if found.tier == "cluster":
            return found
        if found.kind != MISSING and self._left_over():
            return found.because("left-over", admissible=True)
        return found.because(self._of_namespace_map(found))

    def _by_drift(self, found: EntryDifference) -> bool:
        if not self._late or self._key_diff is None or found.tier == "cluster" or found.kind == CHANGED:
            return self._late
        return found.cidr in self._young

    def _of_namespace_map(self, found: EntryDifference) -> str | None:
        if self._key_diff is None:
            return None
        if found.kind == MISSING and found.cidr in self._lost:
            return "catch-all-lost"
        return "stale" if self._key_diff.frozen else None

    @cached_property
    def _key_diff(self) -> KeyDiff | None:
        state = self._states["namespace"]
        return None if state is None else self._context.key_diff(state)

    @cached_property
    def _young(self) -> set[str]:
        """Keys that only a policy newer than the dump explains."""
        diff = self._key_diff
        if diff is None:
            return set()
        return {each.cidr for each in diff.missing if each.drift} | {e.entry.cidr for e in diff.stale if e.drift}

    @cached_property
    def _lost(self) -> set[str]:
        """The catch-all, where the agent forgot it."""
        diff = self._key_diff
        return set() if diff is None else {each.cidr for each in diff.missing if each.defect == "KB-114"}

    def _left_over(self) -> bool:
        """v1.2.0 to v1.2.7 leave a map as it was when the last policy goes; the pod state alone decides then."""
        state = self._context.pod.state_of(self._direction)
        governed = state is None or state.get(0) in (1, 2)
        return (
            between(self._context.intent.version, "v1.2.0", "v1.2.7") and governed and not self._context.intent.selected
        )


def _misplaced(context: Context, tier: str, state: MapState | None) -> set[str]:
    if state is None:
        return set()
    judged = judge_cluster(context, state) if tier == "cluster" else judge_namespace(context, state)
    return {each.entry.cidr for each in judged.misplaced}


__all__ = ["CHANGED", "EXTRA", "MISSING", "Comparison", "NotComparable", "compare"]
