"""What a map entry may hold when the agent's own choice is random: a set of outcomes, not one value.

Slots are tuples of numbers: (protocol, start_port, end_port) in the namespace tier, (protocol, raw_priority,
start_port, end_port) in the cluster tier. A multiset of slots is a sorted tuple of them without zero slots.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

Slot = tuple[int, ...]
Slots = tuple[Slot, ...]
#: How an absent entry is written among the outcomes of an entry that may be absent.
ABSENT: Slots = ()


def multiset(slots: Iterable[Slot]) -> Slots:
    """Slots as a multiset: sorted, zero slots left out."""
    return tuple(sorted(slot for slot in slots if any(slot)))


class Outcome(NamedTuple):
    """One way the value may come out: the fixed slots always, and of the pool what the limit leaves room for.

    `free` widens it: any part of the pool, of any size. It stands where so many rules meet on one key that their
    orders cannot be listed.
    """

    fixed: Slots
    pool: Slots
    free: bool = False

    @property
    def slots(self) -> Slots:
        """Everything this outcome would write if there were room."""
        return tuple(sorted(self.fixed + self.pool))


class Admissible:
    """The outcomes of one entry. `limit` is the slots a value has, None for no limit; `optional` admits absence."""

    __slots__ = ("limit", "optional", "outcomes")

    def __init__(self, outcomes: Iterable[Outcome], limit: int | None, *, optional: bool = False) -> None:
        """Outcomes are put in one order, so that equal sets compare equal however they were found."""
        self.outcomes = tuple(sorted(set(outcomes)))
        self.limit = limit
        self.optional = optional

    def __eq__(self, other: object) -> bool:
        """Equal outcomes under an equal limit."""
        if not isinstance(other, Admissible):
            return NotImplemented
        return (self.outcomes, self.limit, self.optional) == (other.outcomes, other.limit, other.optional)

    def __hash__(self) -> int:
        """Agrees with equality."""
        return hash((self.outcomes, self.limit, self.optional))

    def __repr__(self) -> str:
        """For people who debug."""
        return f"Admissible({self.outcomes!r}, limit={self.limit}, optional={self.optional})"

    @property
    def wanted(self) -> Slots:
        """Every slot that some outcome asks for, as often as the outcome that asks most."""
        if len(self.outcomes) == 1:
            return self.outcomes[0].slots
        most: Counter[Slot] = Counter()
        for outcome in self.outcomes:
            most |= Counter(outcome.slots)
        return tuple(sorted(most.elements()))

    @property
    def overflow(self) -> bool:
        """Whether some outcome has more slots than the value holds, so that the survivors are random."""
        return any(self._overflows(outcome) for outcome in self.outcomes)

    @property
    def certain(self) -> bool:
        """Whether there is exactly one value this entry can have."""
        return len(self.outcomes) == 1 and not self.optional and not self._open(self.outcomes[0])

    def admits(self, observed: Iterable[Slot] | None) -> bool:
        """Whether the agent may have written these slots; None asks about an absent entry."""
        if observed is None:
            return self.optional
        slots = multiset(observed)
        if slots == ABSENT and self.optional:
            return True
        return any(self._admits(outcome, slots) for outcome in self.outcomes)

    def frozen(self) -> frozenset[Slots]:
        """The multisets that are admissible, as the contract of expected_entries has them.

        A plain frozenset where they can be listed. Where they cannot (more slots than room) an AdmissibleSet: it
        holds the whole wanted list, and `in` answers for every multiset. An optional entry adds ABSENT.
        """
        listed = {outcome.slots for outcome in self.outcomes} | ({ABSENT} if self.optional else set())
        if any(self._open(outcome) for outcome in self.outcomes):
            return AdmissibleSet(listed, self)
        return frozenset(listed)

    def _overflows(self, outcome: Outcome) -> bool:
        return self.limit is not None and len(outcome.fixed) + len(outcome.pool) > self.limit

    def _open(self, outcome: Outcome) -> bool:
        return outcome.free or self._overflows(outcome)

    def _admits(self, outcome: Outcome, slots: Slots) -> bool:
        if not self._open(outcome):
            return slots == outcome.slots
        room = self.limit if self.limit is not None else len(outcome.fixed) + len(outcome.pool)
        if outcome.free:
            if len(slots) > room:
                return False
        elif len(slots) != room:
            return False
        got, fixed = Counter(slots), Counter(outcome.fixed)
        if len(outcome.fixed) <= room and fixed - got:
            return False
        return not got - (fixed + Counter(outcome.pool))


class AdmissibleSet(frozenset[Slots]):
    """A frozenset of multisets whose `in` admits every outcome, listed or not; see Admissible.frozen()."""

    admissible: Admissible

    def __new__(cls, listed: Iterable[Slots], admissible: Admissible) -> AdmissibleSet:
        """Listed are the multisets it iterates over; admissible answers `in`."""
        made = super().__new__(cls, listed)
        made.admissible = admissible
        return made

    def __contains__(self, observed: object) -> bool:
        """Whether a multiset of slots is admissible."""
        return isinstance(observed, tuple) and self.admissible.admits(observed)
