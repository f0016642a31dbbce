"""Canonical values, and the classes of packets that two sides have to be asked about.

Pure of maps and addresses. A canonical value is a tuple of slots that gives every packet the answer of the value it
was made from, and equal answers make equal tuples far more often than equal bytes do: the agent writes slots in
random order and repeats some.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

from forensics.ruleset import Slot, cluster_slots, namespace_slots
from forensics.traffic import LAST_PORT, LAST_PROTOCOL, TRANSPORTS, other_protocols, traffic
from formats.layouts import PROTOCOL_ANY, PROTOCOL_RESERVED, SLOTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from forensics.ruleset import Value
    from forensics.semantics import Answer
    from forensics.traffic import Traffic

Canonical = tuple[Slot, ...]
Pair = tuple[Canonical | None, Canonical | None]
_ZERO = Slot(0, 0, 0)
_ZERO_CLUSTER = Slot(0, 0, 0, 0)
_RESERVED = Slot(PROTOCOL_RESERVED, 0, 0)


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

    def __init__(self, family: int, *, any_honours_ports: bool) -> None:
        self._any_honours_ports = any_honours_ports
        self._others = other_protocols(family)

    def split(self, left: Pair, right: Pair, ask: Ask, *, everything: bool) -> dict[tuple[Answer, Answer], Traffic]:
        """Traffic by the two answers, where they differ.

        `everything` asks about all packets; without it only those are asked about that meet a slot which one side
        has and the other has not. That is enough where both sides have the same entries under the same pod state.
        """
        unshared = None if everything else _unshared(left, right)
        runs: dict[tuple[Answer, Answer], dict[int, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
        numbers: dict[tuple[Answer, Answer], set[int]] = defaultdict(set)
        for protocol in TRANSPORTS:
            mine, theirs = _narrowed(left, protocol), _narrowed(right, protocol)
            for first, last in self._runs(mine + theirs, unshared, protocol):
                answers = ask(0, *mine, protocol, first), ask(1, *theirs, protocol, first)
                if answers[0] != answers[1]:
                    runs[answers][protocol].append((first, last))
        for protocol, stands_for in self._protocols(left + right, unshared):
            answers = (
                ask(0, *_narrowed(left, protocol), protocol, 0),
                ask(1, *_narrowed(right, protocol), protocol, 0),
            )
            if answers[0] != answers[1]:
                numbers[answers] |= stands_for
        return {answers: traffic(runs.get(answers, {}), numbers.get(answers, ())) for answers in {*runs, *numbers}}

    def _runs(
        self, values: tuple[Canonical | None, ...], unshared: list[Slot] | None, protocol: int
    ) -> Iterator[tuple[int, int]]:
        """Runs of ports inside which no slot begins or ends; of all ports, or of those that `unshared` slots match."""
        spans = [(0, LAST_PORT)] if unshared is None else list(self._matched(unshared, protocol))
        if not spans:
            return
        starts = {0}
        for value in values:
            for slot in value or ():
                starts |= {slot.start_port, slot.start_port + 1, slot.end_port + 1}
        ordered = sorted(port for port in starts if port <= LAST_PORT)
        for first, following in zip(ordered, (*ordered[1:], LAST_PORT + 1), strict=True):
            if any(begin <= first <= end for begin, end in spans):
                yield first, following - 1

    def _matched(self, slots: list[Slot], protocol: int) -> Iterator[tuple[int, int]]:
        """The ports of a transport that slots match."""
        for slot in slots:
            if slot.protocol not in (protocol, PROTOCOL_ANY):
                continue
            ignores = slot.protocol == PROTOCOL_ANY and (slot.priority >= 0 or not self._any_honours_ports)
            if slot.start_port == 0 or ignores:
                yield 0, LAST_PORT
            else:
                yield slot.start_port, max(slot.start_port, slot.end_port)

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


def _narrowed(pair: Pair, protocol: int) -> Pair:
    """The pair with the slots only that can say anything to a protocol."""
    speak = (protocol, PROTOCOL_ANY, PROTOCOL_RESERVED)
    namespace, cluster = (
        None if value is None else tuple([slot for slot in value if slot.protocol in speak]) for value in pair
    )
    return namespace, cluster


def _unshared(left: Pair, right: Pair) -> list[Slot]:
    found: set[Slot] = set()
    for mine, theirs in zip(left, right, strict=True):
        found |= set(mine or ()) ^ set(theirs or ())
    return list(found)
