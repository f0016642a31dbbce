"""Two states of the rule maps against each other, packet by packet: exact, by classes, folded.

    keys of all four maps -> intervals -> distinct (namespace, cluster) value pairs of both sides -> packet classes
                          -> the program's two answers -> differences with their address ranges

A side is a kernel's maps, or what the policies ask (which may want more slots than a value has). Asking each class
once is asking every packet: nothing is sampled. Values that the program cannot tell apart are one class, and so are
packets that meet the same slots.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from forensics.classes import Classes, canonical_cluster, canonical_namespace
from forensics.generations import generation_of
from forensics.partition import Partition, Spans, merged, partition
from forensics.ruleset import evaluate_new_flow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from forensics.classes import Canonical
    from forensics.generations import Generation
    from forensics.ruleset import Value
    from forensics.traffic import Traffic

Array = np.ndarray[Any, Any]
TIERS = ("namespace", "cluster")
#: In place of a value's number: no entry, or an entry whose value is not known.
_NONE, _UNKNOWN = -1, -2


class Answer(NamedTuple):
    """What a side does to a new flow: OK or SHOT, and the tier that decides (None before v1.3.0)."""

    action: str
    tier: int | None

    @property
    def allows(self) -> bool:
        """Whether the packet passes."""
        return self.action == "OK"


@dataclass(frozen=True)
class Side:
    """The rule maps of one pod identifier and direction: keys to values, None for a value that is not known."""

    agent_version: str
    namespace: Mapping[bytes, Value | None] = field(default_factory=dict)
    cluster: Mapping[bytes, Value | None] = field(default_factory=dict)
    pod_state: Mapping[int, int] = field(default_factory=dict)

    @cached_property
    def generation(self) -> Generation:
        """The program's generation."""
        return generation_of(self.agent_version).generation

    @property
    def maps(self) -> tuple[Mapping[bytes, Value | None], Mapping[bytes, Value | None]]:
        """Both tiers; the cluster tier is empty where the program has none."""
        return self.namespace, self.cluster if self.generation.tiers else {}

    @property
    def state(self) -> tuple[int | None, ...]:
        """The pod state as far as a verdict depends on it: of key 1 only whether it is there."""
        keys = self.generation.pod_state_keys
        there = tuple(int(key in self.pod_state) for key in keys)
        return (self.pod_state.get(0), *there) if keys else ()


class Difference(NamedTuple):
    """Traffic of some peers that the two sides answer differently, and the causes known of the entries involved."""

    family: int
    peers: Spans
    traffic: Traffic
    left: Answer
    right: Answer
    causes: tuple[str, ...] = ()

    @property
    def verdict(self) -> bool:
        """Whether the verdict differs, and not only the tier that gives it."""
        return self.left.allows != self.right.allows


class Compared(NamedTuple):
    """Every difference, and the peers that cannot be told because a value in their way is not known.

    `intervals` and `asked` say how much work it was: address intervals, and questions to the programs.
    """

    differences: list[Difference]
    undecided: Spans
    intervals: int
    asked: int


def compare_sides(
    left: Side,
    right: Side,
    family: int,
    cause: Callable[[str, bytes], str | None] | None = None,
    state_cause: str | None = "pod-state",
) -> Compared:
    """Left against right over the whole address space, every protocol and every port.

    `cause(tier, key)` names what is known of an entry; `state_cause` is added where the pod states differ.
    """
    maps = [*left.maps, *right.maps]
    keys = [list(entries) for entries in maps]
    cut = partition(keys, family)
    values = _Values(family)
    numbers = [
        values.numbers(tier, side, entries)
        for side, tier, entries in zip((left, left, right, right), TIERS * 2, maps, strict=True)
    ]
    # A row of -1, no entry, takes the last place of the numbers.
    found = np.stack([mine[rows] for mine, rows in zip(numbers, cut.rows, strict=True)], axis=1)
    quadruples, which = np.unique(found, axis=0, return_inverse=True)
    which = which.reshape(-1)
    judge = _Judge(left, right, family, values)
    answers = [{} if _UNKNOWN in row else judge.differences(row) for row in quadruples.tolist()]
    grouped: dict[tuple[Answer, Answer, Traffic, tuple[str, ...]], list[tuple[int, int]]] = defaultdict(list)
    blame = _Blame(cut, keys, cause, state_cause if left.state != right.state else None)
    differs = np.array([bool(each) for each in answers])
    for index in np.flatnonzero(differs[which]).tolist():
        causes = blame.of(index)
        span = cut.span(index)
        for (mine, theirs), packets in answers[int(which[index])].items():
            grouped[mine, theirs, packets, causes].append(span)
    unknown = np.flatnonzero((quadruples == _UNKNOWN).any(axis=1)[which]).tolist()
    differences = [
        Difference(family, merged(spans), packets, mine, theirs, causes)
        for (mine, theirs, packets, causes), spans in grouped.items()
    ]
    differences.sort(key=_order)
    return Compared(differences, merged(map(cut.span, unknown)), len(cut.starts), judge.asked)


def _order(found: Difference) -> tuple[Any, ...]:
    rank = (not found.verdict, not found.left.allows, not found.traffic.ordinary)
    return (*rank, found.peers, found.traffic, _plain(found.left), _plain(found.right), found.causes)


def _plain(answer: Answer) -> tuple[str, int]:
    return answer.action, -1 if answer.tier is None else answer.tier


class _Values:
    """Canonical values by number, one row of numbers for each tier; equal numbers are equal to the program."""

    def __init__(self, family: int) -> None:
        self._family = family
        self._seen: dict[str, dict[Canonical, int]] = {tier: {} for tier in TIERS}
        self._read: dict[tuple[str, int], dict[Value, int]] = defaultdict(dict)
        self.known: dict[str, list[Canonical]] = {tier: [] for tier in TIERS}

    def numbers(self, tier: str, side: Side, entries: Mapping[bytes, Value | None]) -> Array:
        examined = side.generation.slots_examined[self._family]
        out = np.full(len(entries) + 1, _NONE, dtype=np.int64)
        read = self._read[tier, examined]
        # entries share their values: to look at each object once is cheaper than to hash its slots again and again
        told: dict[int, int] = {}
        for value in {id(value): value for value in entries.values()}.values():
            if value is None:
                told[id(value)] = _UNKNOWN
                continue
            if value not in read:
                made = canonical_namespace(value, examined) if tier == "namespace" else canonical_cluster(value)
                read[value] = self._number(tier, made)
            told[id(value)] = read[value]
        out[:-1] = [told[id(value)] for value in entries.values()]
        return out

    def _number(self, tier: str, made: Canonical) -> int:
        known = self.known[tier]
        number = self._seen[tier].setdefault(made, len(known))
        if number == len(known):
            known.append(made)
        return number


class _Blame:
    """The causes of an interval: what is known of the entries that either side finds there."""

    def __init__(
        self,
        cut: Partition,
        keys: list[list[bytes]],
        cause: Callable[[str, bytes], str | None] | None,
        always: str | None,
    ) -> None:
        self._cut, self._keys, self._cause, self._always = cut, keys, cause, always

    def of(self, index: int) -> tuple[str, ...]:
        found: set[str] = {self._always} if self._always else set()
        for number, row in enumerate(self._cut.rows[:, index].tolist()):
            if row >= 0 and self._cause is not None:
                known = self._cause(TIERS[number % 2], self._keys[number][row])
                if known is not None:
                    found.add(known)
        return tuple(sorted(found))


class _Judge:
    """Asks both sides about the classes of a quadruple of values."""

    def __init__(self, left: Side, right: Side, family: int, values: _Values) -> None:
        self._sides, self._family = (left, right), family
        self._namespace, self._cluster = values.known["namespace"], values.known["cluster"]
        self._alike = left.generation is right.generation and left.state == right.state
        self._classes = Classes(family, self._ask)
        self.asked = 0

    def differences(self, row: list[int]) -> dict[tuple[Answer, Answer], Traffic]:
        """Traffic by the two answers it gets, where they differ; empty for sides that cannot be told apart."""
        if self._alike and row[:2] == row[2:]:
            return {}
        left = self._value(self._namespace, row[0]), self._value(self._cluster, row[1])
        right = self._value(self._namespace, row[2]), self._value(self._cluster, row[3])
        return self._classes.split(left, right)

    def _value(self, known: list[Canonical], number: int) -> Canonical | None:
        return known[number] if number >= 0 else None

    def _ask(
        self, side: int, namespace: Canonical | None, cluster: Canonical | None, protocol: int, port: int
    ) -> Answer:
        self.asked += 1
        asked = self._sides[side]
        decided = evaluate_new_flow(asked.generation, self._family, namespace, cluster, asked.pod_state, protocol, port)
        return Answer(decided.action, decided.tier)
