"""Intent against kernel for one pod identifier and direction: entry by entry, and packet by packet.

The entry diff asks whether the agent of that version may have left the maps so; the packet diff asks whether the
kernel does what the policies ask, all of it, slot limit or not. Every packet difference is charged to the entries in
its way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from forensics.alike import alike
from forensics.comparable import NotComparable, obstacle, tier_known
from forensics.entrydiff import CHANGED, EXTRA, MISSING, entry_differences, extra_entries
from forensics.keydiff import changed_after_dump
from forensics.policy import expected_map
from forensics.semantics import TIERS, Compared, Side, compare_sides
from forensics.sides import asked, asked_note, dumped, dumped_note, own_entry, pod_states, slots_of
from forensics.tierjudge import judge_cluster, judge_namespace
from forensics.versions import between
from formats.address import cidr_of_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from forensics.context import Context
    from forensics.entrydiff import EntryDifference
    from forensics.keydiff import KeyDiff
    from forensics.podstate import MapState
    from forensics.policy import ExpectedMap
    from forensics.policy_rules import Direction
    from forensics.semantics import Difference

#: Stands in where the node's address is not known; its own entry is then no expectation.
_NO_NODE = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - an address that no packet has, never one to listen on


@dataclass(frozen=True)
class Comparison:
    """One direction of one pod identifier. `left` of a difference is the kernel, `right` what the policies ask.

    `pod_states` are the kernel's and the policies'. `assumptions` says what stands in for what the case does not hold.
    """

    direction: Direction
    family: int
    entries: list[EntryDifference]
    pod_states: tuple[dict[int, int], dict[int, int]]
    compared: Compared
    assumptions: list[str]
    make_sides: Callable[[], tuple[Side, Side]] = field(repr=False)

    @cached_property
    def sides(self) -> tuple[Side, Side]:
        """The kernel's maps, and the policies'."""
        return self.make_sides()

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

    @property
    def same(self) -> bool:
        """Whether no entry and no packet differs, and every packet could be judged."""
        return not (self.entries or self.differences or self.compared.undecided)

    def charged(self, tier: str, cidrs: Iterable[str]) -> list[Difference]:
        """The packet differences that some entries of a tier have a part in; their CIDRs stand in `causes`."""
        mine = set(cidrs)

        def named(where: str, key: bytes) -> str | None:
            cidr = cidr_of_key(key)
            return cidr if where == tier and cidr in mine else None

        found = compare_sides(*self.sides, self.family, named, state_cause=None)
        return [each for each in found.differences if each.causes]


def compare(context: Context, direction: Direction) -> Comparison | NotComparable:
    """Compare both tiers of a direction, as far as dumps and policies are at hand."""
    hindered = obstacle(context, direction)
    if hindered is not None:
        return hindered
    names = _names(direction)
    states = {tier: context.dumped(name) for tier, name in names.items()}
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
        kernel_state, policy_state, assumed = pod_states(context, self._direction)
        notes = list(self._notes)
        for tier in TIERS:
            notes.append(asked_note(context, tier, self._present[tier], self._strays[tier]))
            notes.append(dumped_note(context, tier, self._states[tier], names[tier], self._ideal.tier(tier)))
        said = [note for note in (*notes, assumed) if note]
        entries, states = self.entries, (kernel_state, policy_state)
        if not entries and kernel_state == policy_state and self._alike:
            compared = Compared([], (), 0, 0)
        else:
            entries, compared = self._packets(*self._sides(*states))
        return Comparison(
            self._direction,
            context.intent.family,
            entries,
            states,
            compared,
            said,
            lambda: self._sides(*states),
        )

    @property
    def _alike(self) -> bool:
        context = self._context
        return all(
            alike(context, tier, self._states[tier], self._present[tier], self._ideal.tier(tier), self._strays[tier])
            for tier in TIERS
        )

    def _sides(self, kernel_state: dict[int, int], policy_state: dict[int, int]) -> tuple[Side, Side]:
        context, version = self._context, self._context.intent.version
        wanted, found = {}, {}
        for tier in TIERS:
            present, strays = self._present[tier], self._strays[tier]
            wanted[tier] = asked(context, tier, self._ideal.tier(tier), present, strays)
            found[tier] = dumped(self._states[tier], wanted[tier])
        return (
            Side(version, found["namespace"], found["cluster"], kernel_state),
            Side(version, wanted["namespace"], wanted["cluster"], policy_state),
        )

    def _packets(self, kernel: Side, policy: Side) -> tuple[list[EntryDifference], Compared]:
        """The entries' differences that count, and every packet's."""
        causes = {(each.tier, each.cidr): each.cause or "unexplained" for each in self.entries}
        felt: set[tuple[str, str]] = set()

        def cause(tier: str, key: bytes) -> str | None:
            place = tier, cidr_of_key(key) or key.hex()
            felt.add(place)
            return causes.get(place)

        compared = compare_sides(kernel, policy, self._context.intent.family, cause)
        # What a version does by design and no packet can tell is no difference.
        return [e for e in self.entries if e.cause != "version" or (e.tier, e.cidr) in felt], compared

    def _entries(self, tier: str) -> Iterable[EntryDifference]:
        state, present = self._states[tier], self._present[tier]
        if state is None or present is None:
            return
        if not tier_known(self._context, tier).yes:
            yield from extra_entries(tier, present, self._strays[tier], "other-tier")
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
