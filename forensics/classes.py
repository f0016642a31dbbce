"""Canonical values, and the classes of packets that two sides have to be asked about.

Pure of maps and addresses. A canonical value is a tuple of slots that gives every packet the answer of the value it
was made from, and equal answers make equal tuples far more often than equal bytes do: the agent writes slots in
random order and repeats some.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

from forensics.ruleset import Slot, cluster_slots, namespace_slots
from forensics.traffic import LAST_PORT, LAST_PROTOCOL, TRANSPORTS, other_protocols, traffic
from formats.layouts import PROTOCOL_ANY, PROTOCOL_RESERVED, SLOTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forensics.ruleset import Value
    from forensics.semantics import Answer
    from forensics.traffic import Traffic

Canonical = tuple[Slot, ...]
Pair = tuple[Canonical | None, Canonical | None]
Step = tuple[int, "Answer"]
_ZERO = Slot(0, 0, 0)
_ZERO_CLUSTER = Slot(0, 0, 0, 0)
_RESERVED = Slot(PROTOCOL_RESERVED, 0, 0)


class Ask(Protocol):
    """One question to one side (0 or 1)."""

    def __call__(
        self, side: int, namespace: Canonical | None, cluster: Canonical | None, protocol: int, port: int
    ) -> Answer:
        """The side's answer to a packet that finds these two values."""


def canonical_namespace(value: Value, examined: int) -> Canonical:
    """The slots up to the first RESERVED one, in one order, each once. Slots beyond `examined` count only where the
    value is a list; a list with room left has a slot that is not in use, as its bytes would."""
    slots = namespace_slots(value, examined)
    if isinstance(value, tuple) and len(slots) < examined:
        slots = (*slots, _ZERO)
    for index, slot in enumerate(slots):
        if slot.protocol == PROTOCOL_RESERVED:
            return (*sorted(set(slots[:index])), _RESERVED)
    return tuple(sorted(set(slots)))


def canonical_cluster(value: Value) -> Canonical:
    """All slots in one order, each once: the program looks at every one."""
    slots = cluster_slots(value)
    if isinstance(value, tuple) and len(slots) < SLOTS:
        slots = (*slots, _ZERO_CLUSTER)
    return tuple(sorted(set(slots)))


class Classes:
    """Splits the packets of one address class by the answers of two sides."""

    def __init__(self, family: int, ask: Ask) -> None:
        self._others = other_protocols(family)
        self._ask = _Remembered(ask)

    def split(self, left: Pair, right: Pair) -> dict[tuple[Answer, Answer], Traffic]:
        """All traffic whose two answers differ, by these answers."""
        runs: dict[tuple[Answer, Answer], dict[int, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
        numbers: dict[tuple[Answer, Answer], set[int]] = defaultdict(set)
        for protocol in TRANSPORTS:
            steps = self._steps(0, left, protocol), self._steps(1, right, protocol)
            for first, last, answers in _differing(*steps):
                runs[answers][protocol].append((first, last))
        for protocol, stands_for in self._protocols(left + right):
            answers = self._answer(0, left, protocol), self._answer(1, right, protocol)
            if answers[0] != answers[1]:
                numbers[answers] |= stands_for
        return {answers: traffic(runs.get(answers, {}), numbers.get(answers, ())) for answers in {*runs, *numbers}}

    def _answer(self, side: int, pair: Pair, protocol: int) -> Answer:
        return self._ask(side, *_narrowed(pair, protocol), protocol, 0)

    def _steps(self, side: int, pair: Pair, protocol: int) -> list[Step]:
        """One side's answers for a transport: asked once for each run of ports in which no slot begins or ends, and
        with those slots only that reach into the run."""
        slots = [[slot for slot in value or () if _speaks(slot, protocol)] for value in pair]
        asked = [[_matching(slot) for slot in mine] for mine in slots]
        ported = any(slot.start_port for mine in asked for slot in mine)
        events = _events(slots)
        active: tuple[list[int], list[int]] = ([], [])
        steps: list[Step] = []
        for start in sorted(events):
            for tier, index in events[start]:
                if index >= 0:
                    insort(active[tier], index)
                else:
                    active[tier].remove(~index)
            namespace, cluster = (
                None if pair[tier] is None else tuple([asked[tier][index] for index in active[tier]]) for tier in (0, 1)
            )
            answer = self._ask(side, namespace, cluster, protocol, start if ported else 0)
            if not steps or steps[-1][1] != answer:
                steps.append((start, answer))
        return steps

    def _protocols(self, values: tuple[Canonical | None, ...]) -> Iterator[tuple[int, set[int]]]:
        """Protocols without ports to ask about, each with the numbers it stands for."""
        named = {slot.protocol for value in values for slot in value or () if slot.protocol <= LAST_PROTOCOL}
        for number in sorted(named & self._others):
            yield number, {number}
        rest = self._others - named
        if rest:
            yield min(rest), set(rest)


def _events(slots: list[list[Slot]]) -> dict[int, list[tuple[int, int]]]:
    """By port: the slots, as (tier, index), whose reach begins there, and (tier, ~index) whose reach has ended. Bounds
    of slots that reach further than their own ports are there without any."""
    events: dict[int, list[tuple[int, int]]] = {0: []}
    for tier, mine in enumerate(slots):
        for index, slot in enumerate(mine):
            first, last = _reach(slot)
            events.setdefault(first, []).append((tier, index))
            events.setdefault(last + 1, []).append((tier, ~index))
            if slot.start_port > first:
                events.setdefault(slot.start_port, [])
                events.setdefault(max(slot.start_port, slot.end_port) + 1, [])
    return {port: changes for port, changes in events.items() if port <= LAST_PORT}


def _differing(left: list[Step], right: list[Step]) -> Iterator[tuple[int, int, tuple[Answer, Answer]]]:
    """First and last port of each run in which two step functions differ, and what they say there."""
    if left == right:
        return
    one, other = dict(left), dict(right)
    mine, theirs = left[0][1], right[0][1]
    ports = sorted({*one, *other})
    for at, following in zip(ports, (*ports[1:], LAST_PORT + 1), strict=True):
        mine, theirs = one.get(at, mine), other.get(at, theirs)
        if mine != theirs:
            yield at, following - 1, (mine, theirs)


class _Remembered:
    """Asks each question once."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[tuple[int, Canonical | None, Canonical | None, int, int], Answer] = {}

    def __call__(
        self, side: int, namespace: Canonical | None, cluster: Canonical | None, protocol: int, port: int
    ) -> Answer:
        """The answer to a packet, as Ask."""
        key = side, namespace, cluster, protocol, port
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._ask(side, namespace, cluster, protocol, port)
        return known


def _speaks(slot: Slot, protocol: int) -> bool:
    """Whether a slot can say anything to packets of a protocol; a RESERVED one ends a namespace value for all."""
    return slot.protocol in (protocol, PROTOCOL_ANY, PROTOCOL_RESERVED)


def _reach(slot: Slot) -> tuple[int, int]:
    """The ports outside which a slot says nothing. ANY reaches every port: only some versions honour its own."""
    if slot.start_port == 0 or slot.protocol in (PROTOCOL_ANY, PROTOCOL_RESERVED):
        return 0, LAST_PORT
    return slot.start_port, max(slot.start_port, slot.end_port)


def _matching(slot: Slot) -> Slot:
    """The slot as packets inside its reach see it: its ports match them, so any ports would do, and the question is
    the same for all of them. ANY keeps its ports: which packets it matches depends on the version."""
    return slot if slot.protocol == PROTOCOL_ANY else Slot(slot.protocol, 0, 0, slot.priority)


def _narrowed(pair: Pair, protocol: int) -> Pair:
    """The pair with the slots only that can say anything to a protocol."""
    namespace, cluster = (
        None if value is None else tuple([slot for slot in value if _speaks(slot, protocol)]) for value in pair
    )
    return namespace, cluster
