"""Ports to slots: utils.ComputeTrieValue of the agent, per version, as outcomes of a random choice."""

from __future__ import annotations

from collections import Counter
from itertools import islice, permutations
from typing import TYPE_CHECKING

from forensics.admissible import Outcome
from formats.layouts import PROTOCOL_ANY, PROTOCOL_RESERVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from forensics.admissible import Slot, Slots
    from forensics.agent_behaviour import Behaviour
    from forensics.policy_rules import Port

#: The protocol text that the agent gives to a rule without ports, and to an except (utils.go).
ANY_PORT: Port = ("ANY_IP_PROTOCOL", None, None)
ALLOW_ALL: Slot = (PROTOCOL_ANY, 0, 0)
DENY_ALL: Slot = (PROTOCOL_RESERVED, 0, 0)
DENY: Outcome = Outcome((), (DENY_ALL,))
ALLOW: Outcome = Outcome((), (ALLOW_ALL,))
#: The agent's key of a port: protocol text, port or 0, endPort or 0. Equal keys are one slot from v1.0.8.
PortKey = tuple[str, int, int]
_PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132, "ANY_IP_PROTOCOL": PROTOCOL_ANY}
#: By whether excepts come late: only then has the agent a text for their protocol.
_NUMBERS = {False: _PROTOCOLS, True: {**_PROTOCOLS, "RESERVED_IP_PROTOCOL_NUMBER": PROTOCOL_RESERVED}}
#: Orders of port lists that are tried where the order shows.
_CHUNK_ORDERS = 6


def port_key(port: Port) -> PortKey:
    """The key by which the agent merges equal ports."""
    protocol, start, end = port
    return protocol or "", start or 0, end or 0


#: The key of a rule without ports.
ANY_KEYS = frozenset({port_key(ANY_PORT)})


def merged_slots(keys: Iterable[PortKey], how: Behaviour) -> Outcome:
    """The value of merged ports: in random order, so that any part survives that fits."""
    numbers, other = _NUMBERS[how.late_excepts], how.unknown_protocol
    return Outcome((), tuple(sorted([(numbers.get(protocol, other), start, end) for protocol, start, end in keys])))


def listed_slots(chunks: Sequence[Sequence[Port]], how: Behaviour, *, forced: int | None = None) -> set[Outcome]:
    """The value of ports in lists, each list in its order, the lists themselves in any order (to v1.2.3).

    `forced` is 254 (an allow-all rule for /0 exists) or 255 (an except): one slot of that protocol leads, and every
    port follows with its numbers but that protocol. No ports at all is an allow-all.
    """
    filled = [chunk for chunk in chunks if chunk]
    if not filled and forced is None:
        forced = PROTOCOL_ANY
    lead: Slots = ((forced, 0, 0),) if forced is not None else ()
    if how.merges_ports:
        keys = dict.fromkeys(port_key(port) for chunk in filled for port in chunk)
        slots = ((forced or _number(protocol, how), start, end) for protocol, start, end in keys)
        return {Outcome(lead, tuple(sorted(slots)))}
    ports = [port for chunk in filled for port in chunk]
    orders: Iterable[Sequence[Sequence[Port]]] = [filled]
    if len(filled) > 1 and _carries(ports):
        orders = islice(permutations(filled), _CHUNK_ORDERS)
    elif len(filled) > 1 and how.slots is not None and len(lead) + len(ports) > how.slots:
        return {Outcome(lead, tuple(sorted(_numbered(ports, forced, how))))}
    return {_in_order(lead, [port for chunk in order for port in chunk], forced, how) for order in orders}


def verbatim_slots(ports: Sequence[Port], how: Behaviour, *, allow_all: bool) -> set[Outcome]:
    """The value of the /0 entry of algorithm B: every port of every /0 rule, equal ones kept, in random rule order."""
    if not how.merges_ports:
        return listed_slots([ports], how, forced=PROTOCOL_ANY if allow_all else None)
    forced = PROTOCOL_ANY if allow_all or not ports else None
    lead: Slots = ((forced, 0, 0),) if forced is not None else ()
    slots = ((forced or _number(protocol or "", how), start or 0, end or 0) for protocol, start, end in ports)
    return {Outcome(lead, tuple(sorted(slots)))}


def any_part_of(outcomes: Iterable[Outcome]) -> Outcome:
    """One outcome that admits every part of what any of the outcomes has."""
    most: Counter[Slot] = Counter()
    for outcome in outcomes:
        most |= Counter(outcome.slots)
    return Outcome((), tuple(sorted(most.elements())), free=True)


def _in_order(lead: Slots, ports: Sequence[Port], forced: int | None, how: Behaviour) -> Outcome:
    return Outcome((), tuple(sorted([*lead, *_numbered(ports, forced, how)][: how.slots])))


def _numbered(ports: Iterable[Port], forced: int | None, how: Behaviour) -> Iterator[Slot]:
    start = 0
    for protocol, port, end in ports:
        if not how.carries_start_port:
            start = 0
        start = port if port is not None else start
        yield forced or _number(protocol or "", how), start, end or 0


def _carries(ports: Sequence[Port]) -> bool:
    """To v1.0.7 a port without a number takes over the one before it, so that the order shows."""
    return any(port is None for _, port, _ in ports) and any(port is not None for _, port, _ in ports)


def _number(protocol: str, how: Behaviour) -> int:
    return _NUMBERS[how.late_excepts].get(protocol, how.unknown_protocol)
