"""Sets of packets by protocol and destination port, exact, and how a person reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from forensics.packet import ICMPV6, TRANSPORT_HEADER
from forensics.partition import gaps, merged
from forensics.podstate import UNKNOWN_PROTOCOL
from formats.layouts import PROTOCOL_ANY, PROTOCOL_NAMES, PROTOCOL_RESERVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from forensics.partition import Span, Spans

LAST_PORT = 0xFFFF
LAST_PROTOCOL = 0xFF
#: Protocol numbers of the transports: the only ones that have ports for the program.
TRANSPORTS = tuple(TRANSPORT_HEADER)
#: Numbers that only slots use: 0 matches a slot that is not in use, 254 and 255 stand for ANY and RESERVED, and one
#: for the protocol that a text form lost. Packets with them are compared like all others; a summary leaves them out.
CURIOUS = frozenset({0, PROTOCOL_ANY, PROTOCOL_RESERVED, UNKNOWN_PROTOCOL})
_EVERY_PORT: Spans = ((0, LAST_PORT),)
#: Fewer ports than these are named as the exceptions they are.
_FEW_PORTS = 64
#: Runs of ports written out; as_json() has all of them.
_LISTED = 40


class Traffic(NamedTuple):
    """Port runs of each transport, and runs of the numbers of all other protocols."""

    tcp: Spans = ()
    udp: Spans = ()
    sctp: Spans = ()
    others: Spans = ()

    @property
    def ordinary(self) -> bool:
        """Whether packets are in it that anybody sends."""
        return bool(self.tcp or self.udp or self.sctp or _numbers(self.others) - CURIOUS)

    def holds(self, protocol: int, port: int) -> bool:
        """Whether a packet is in it; the port counts for transports only."""
        spans, number = (self[TRANSPORTS.index(protocol)], port) if protocol in TRANSPORTS else (self.others, protocol)
        return any(first <= number <= last for first, last in spans)


def united(several: Iterable[Traffic]) -> Traffic:
    """What is in any of them."""
    parts: tuple[list[Span], ...] = ([], [], [], [])
    for each in several:
        for mine, spans in zip(parts, each, strict=True):
            mine.extend(spans)
    return Traffic(*(merged(mine) for mine in parts))


def traffic(runs: Mapping[int, Iterable[tuple[int, int]]], others: Iterable[int]) -> Traffic:
    """From port runs by transport, in any order, and numbers of other protocols."""
    tcp, udp, sctp = (merged(runs.get(number, ())) for number in TRANSPORTS)
    return Traffic(tcp, udp, sctp, merged((number, number) for number in others))


def other_protocols(family: int) -> frozenset[int]:
    """Every protocol number without ports that the program of a family reads (IPv6: it lets ICMPv6 through unread)."""
    unread = {ICMPV6} if family == 6 else set()
    return frozenset(range(LAST_PROTOCOL + 1)) - frozenset(TRANSPORTS) - unread


def text(packets: Traffic, family: int = 4) -> str:
    """`all traffic`, `TCP 80, 443; UDP 53`, `TCP on every port but 443`, `TCP; other protocols`."""
    numbers = _numbers(packets.others)
    rest = other_protocols(family) - CURIOUS
    whole = numbers >= rest
    if whole and all(spans == _EVERY_PORT for spans in packets[:3]):
        return "all traffic"
    parts = [
        _ports(PROTOCOL_NAMES[number], spans) for number, spans in zip(TRANSPORTS, packets[:3], strict=True) if spans
    ]
    if whole:
        parts.append("other protocols")
    elif named := (numbers - CURIOUS) or (numbers if not parts else set()):
        parts.append(_protocols(named, rest))
    return "; ".join(parts)


def as_json(packets: Traffic) -> list[dict[str, Any]]:
    """`{"protocol": name, "ports": [[first, last]]}` of transports, `{"protocol": "other", "numbers"}` of the rest."""
    rows: list[dict[str, Any]] = [
        {"protocol": PROTOCOL_NAMES[number], "ports": [list(span) for span in spans]}
        for number, spans in zip(TRANSPORTS, packets[:3], strict=True)
        if spans
    ]
    if packets.others:
        rows.append({"protocol": "other", "numbers": [list(span) for span in packets.others]})
    return rows


def _numbers(spans: Spans) -> set[int]:
    return {number for first, last in spans for number in range(first, last + 1)}


def _ports(name: str, spans: Spans) -> str:
    left = gaps(spans, 0, LAST_PORT)
    if not left:
        return name
    if len(left) < len(spans) or sum(last - first + 1 for first, last in left) < _FEW_PORTS:
        return f"{name} on every port but {_listed(left)}"
    return f"{name} {_listed(spans)}"


def _protocols(numbers: set[int], rest: frozenset[int]) -> str:
    missing = rest - numbers
    if len(missing) < len(numbers):
        return f"other protocols but {_listed(merged((number, number) for number in missing))}"
    spans = merged((number, number) for number in numbers)
    if len(numbers) == 1 and (number := next(iter(numbers))) in PROTOCOL_NAMES and number not in CURIOUS:
        return PROTOCOL_NAMES[number]
    return f"{'protocol' if len(numbers) == 1 else 'protocols'} {_listed(spans)}"


def _listed(spans: Spans) -> str:
    shown = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans[:_LISTED])
    return shown + (f" and {len(spans) - _LISTED} more" if len(spans) > _LISTED else "")
