"""Canonical values, and the classes of packets that two sides have to be asked about.

Pure of maps and addresses. A canonical value is a tuple of slots that gives every packet the answer of the value it
was made from, and equal answers make equal tuples far more often than equal bytes do: the agent writes slots in
random order and repeats some.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from forensics.partition import merged
from forensics.ruleset import Slot, cluster_slots, namespace_slots
from forensics.traffic import LAST_PORT, LAST_PROTOCOL, TRANSPORTS, other_protocols, traffic
from formats.layouts import PROTOCOL_ANY, PROTOCOL_RESERVED, SLOTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from forensics.partition import Spans
    from forensics.ruleset import Value
    from forensics.semantics import Answer
    from forensics.traffic import Traffic

Canonical = tuple[Slot, ...]
Pair = tuple[Canonical | None, Canonical | None]
_ZERO = Slot(0, 0, 0)
_ZERO_CLUSTER = Slot(0, 0, 0, 0)
_RESERVED = Slot(PROTOCOL_RESERVED, 0, 0)
_WHOLE: Spans = ((0, LAST_PORT),)


class Ask(Protocol):
    """One question to one side (0 or 1)."""

    def __call__(
        self, side: int, namespace: Canonical | None, cluster: Canonical | None, protocol: int, port: int
    ) -> Answer:
        """The side's answer to a packet that finds these two values."""


def wanted_slots(slots: Iterable[tuple[int, ...]], tier: str) -> tuple[Slot, ...]:
    """Slots of an expectation, (protocol, start, end) or (protocol, raw priority, start, end), as the ruleset's."""
    if tier == "cluster":
        return tuple(Slot(protocol, start, end, raw) for protocol, raw, start, end in slots)
    return tuple(Slot(protocol, start, end) for protocol, start, end in slots)


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

    def split(self, left: Pair, right: Pair, *, everything: bool) -> dict[tuple[Answer, Answer], Traffic]:
        """Traffic by the two answers, where they differ.

        `everything` asks about all packets; without it only those are asked about that meet a slot which one side
        has and the other has not. That is enough where both sides have the same entries under the same pod state.
        """
        unshared = None if everything else _unshared(left, right)
        runs: dict[tuple[Answer, Answer], dict[int, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
        numbers: dict[tuple[Answer, Answer], set[int]] = defaultdict(set)
        for protocol in TRANSPORTS:
            spans = _WHOLE if unshared is None else _where(unshared, protocol)
            for first, last, answers in self._transport(left, right, protocol, spans):
                runs[answers][protocol].append((first, last))
        for protocol, stands_for in self._protocols(left + right, unshared):
            answers = self._answer(0, left, protocol), self._answer(1, right, protocol)
            if answers[0] != answers[1]:
                numbers[answers] |= stands_for
        return {answers: traffic(runs.get(answers, {}), numbers.get(answers, ())) for answers in {*runs, *numbers}}

    def _answer(self, side: int, pair: Pair, protocol: int) -> Answer:
        return self._ask(side, *_narrowed(pair, protocol), protocol, 0)

    def _transport(
        self, left: Pair, right: Pair, protocol: int, spans: Spans
    ) -> Iterator[tuple[int, int, tuple[Answer, Answer]]]:
        """First and last port of what differs inside some spans, and the answers; runs may touch."""
        if not spans:
            return
        sides = [_Runs(side, pair, protocol, self._ask) for side, pair in enumerate((left, right))]
        starts = sorted({*sides[0].starts, *sides[1].starts})
        for begin, end in spans:
            at = bisect_right(starts, begin)
            inside = [begin, *starts[at : bisect_right(starts, end)], end + 1]
            for first, following in pairwise(inside):
                answers = sides[0].answer(first), sides[1].answer(first)
                if answers[0] != answers[1]:
                    yield first, following - 1, answers

    def _protocols(
        self, values: tuple[Canonical | None, ...], unshared: list[Slot] | None
    ) -> Iterator[tuple[int, set[int]]]:
        """Protocols without ports to ask about, each with the numbers it stands for."""
        named = {slot.protocol for value in values for slot in value or () if slot.protocol <= LAST_PROTOCOL}
        spoken = None if unshared is None else {slot.protocol for slot in unshared}
        for number in sorted(named & self._others):
            if spoken is None or number in spoken or PROTOCOL_ANY in spoken:
                yield number, {number}
        rest = self._others - named
        if rest and (spoken is None or PROTOCOL_ANY in spoken):
            yield min(rest), set(rest)


class _Remembered:
    """Asks once about values of which no slot says anything: then neither the values nor the port matter."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[tuple[int, Pair, int], Answer] = {}

    def __call__(
        self, side: int, namespace: Canonical | None, cluster: Canonical | None, protocol: int, port: int
    ) -> Answer:
        """The answer to a packet, as Ask."""
        if namespace or cluster:
            return self._ask(side, namespace, cluster, protocol, port)
        key = side, (namespace, cluster), protocol
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._ask(side, namespace, cluster, protocol, port)
        return known


class _Runs:
    """One side's answers for a transport by port: asked once for each run in which none of its slots begins or ends,
    and with those slots only that reach into the run."""

    def __init__(self, side: int, pair: Pair, protocol: int, ask: Ask) -> None:
        self._side, self._protocol, self._ask = side, protocol, ask
        self._slots = [
            None if value is None else [(*_reach(slot), slot) for slot in value if _speaks(slot, protocol)]
            for value in pair
        ]
        starts = {0}
        for slots in self._slots:
            for _, _, slot in slots or ():
                starts.update((slot.start_port, max(slot.start_port, slot.end_port) + 1))
        self.starts = sorted([port for port in starts if port <= LAST_PORT])
        self._known: dict[int, Answer] = {}

    def answer(self, port: int) -> Answer:
        """The side's answer to a port."""
        start = self.starts[bisect_right(self.starts, port) - 1]
        known = self._known.get(start)
        if known is None:
            namespace, cluster = (
                None if slots is None else tuple([slot for first, last, slot in slots if first <= start <= last])
                for slots in self._slots
            )
            known = self._known[start] = self._ask(self._side, namespace, cluster, self._protocol, start)
        return known


def _speaks(slot: Slot, protocol: int) -> bool:
    """Whether a slot can say anything to packets of a protocol; a RESERVED one ends a namespace value for all."""
    return slot.protocol in (protocol, PROTOCOL_ANY, PROTOCOL_RESERVED)


def _reach(slot: Slot) -> tuple[int, int]:
    """The ports outside which a slot says nothing. ANY reaches every port: only some versions honour its own."""
    if slot.start_port == 0 or slot.protocol in (PROTOCOL_ANY, PROTOCOL_RESERVED):
        return _WHOLE[0]
    return slot.start_port, max(slot.start_port, slot.end_port)


def _where(slots: Iterable[Slot], protocol: int) -> Spans:
    """The ports of a transport that any of the slots can say something to."""
    reach = [_reach(slot) for slot in slots if _speaks(slot, protocol)]
    return merged((first, min(last, LAST_PORT)) for first, last in reach if first <= LAST_PORT)


def _narrowed(pair: Pair, protocol: int) -> Pair:
    """The pair with the slots only that can say anything to a protocol."""
    namespace, cluster = (
        None if value is None else tuple([slot for slot in value if _speaks(slot, protocol)]) for value in pair
    )
    return namespace, cluster


def _unshared(left: Pair, right: Pair) -> list[Slot]:
    found: set[Slot] = set()
    for mine, theirs in zip(left, right, strict=True):
        found |= set(mine or ()) ^ set(theirs or ())
    return list(found)
