"""One packet as the tc program sees it: addresses, protocol, the two ports at a fixed offset, the interface."""

from __future__ import annotations

import ipaddress
import struct
from functools import lru_cache
from typing import NamedTuple

ICMPV6 = 58
#: Bytes the program wants after the fixed IP header before it reads ports (TCP, UDP, SCTP); other protocols have none.
TRANSPORT_HEADER = {6: 20, 17: 8, 132: 12}
#: Text, packed network order bytes, or an ipaddress object.
Address = str | bytes | ipaddress.IPv4Address | ipaddress.IPv6Address

_ETHERNET = 14
_ETHERTYPE = {4: 0x0800, 6: 0x86DD}
#: Fixed IP header: bytes of an address; offsets of protocol, source and destination; size.
_IP_HEADER = {4: (4, 9, 12, 16, 20), 6: (16, 6, 8, 24, 40)}
_PORTS = struct.Struct("!HH")


class Packet(NamedTuple):
    """A packet at one interface. `protocol` is the IP protocol (IPv6: the first next header); ports in host order.

    Only TCP, UDP and SCTP have ports for the program; of any other protocol it takes both as 0, whatever is here.
    """

    src: Address
    dst: Address
    protocol: int
    sport: int = 0
    dport: int = 0
    ifindex: int = 1


class Seen(NamedTuple):
    """A packet as the program reads it: packed addresses, ports as it takes them."""

    src: bytes
    dst: bytes
    protocol: int
    sport: int
    dport: int
    ifindex: int


class Unread(NamedTuple):
    """A packet the program lets through before it reads a map, and why."""

    why: str


@lru_cache(maxsize=65536)
def packed(address: Address) -> bytes:
    """4 or 16 bytes in network order. Raises ValueError for what is no IP address."""
    if isinstance(address, bytes):
        if len(address) not in (4, 16):
            raise ValueError(f"a packed IP address has 4 or 16 bytes, not {len(address)}")
        return address
    if isinstance(address, str):
        return ipaddress.ip_address(address.strip()).packed
    return address.packed


def see(packet: Packet, family: int) -> Seen | Unread:
    """The packet as the program of that family reads it. Raises ValueError for a field that no packet can have."""
    src, dst = packed(packet.src), packed(packet.dst)
    if len(src) != len(dst):
        raise ValueError(f"source {packet.src!r} and destination {packet.dst!r} are not of one family")
    _within("protocol", packet.protocol, 0xFF)
    _within("source port", packet.sport, 0xFFFF)
    _within("destination port", packet.dport, 0xFFFF)
    _within("interface index", packet.ifindex, 0xFFFFFFFF)
    if len(src) != _IP_HEADER[family][0]:
        return Unread("not IPv4" if family == 4 else "not IPv6")
    if family == 6 and packet.protocol == ICMPV6:
        return Unread("ICMPv6")
    ports = (packet.sport, packet.dport) if packet.protocol in TRANSPORT_HEADER else (0, 0)
    return Seen(src, dst, packet.protocol, *ports, packet.ifindex)


def _within(name: str, value: int, limit: int) -> None:
    if not 0 <= value <= limit:
        raise ValueError(f"{name} {value} is not between 0 and {limit}")


def see_frame(frame: bytes, family: int, ifindex: int) -> Seen | Unread:
    """A raw Ethernet frame as the program of that family reads it.

    The program looks at fixed offsets: it minds neither the IPv4 header length nor fragments nor IPv6 extension
    headers, so with IP options the ports are option bytes, and in a later fragment they are payload.
    """
    if len(frame) < _ETHERNET:
        return Unread("shorter than an Ethernet header")
    ethertype = int.from_bytes(frame[12:_ETHERNET], "big")
    if ethertype != _ETHERTYPE[family]:
        return Unread(f"ethertype {ethertype:#06x}")
    width, protocol_at, src_at, dst_at, size = _IP_HEADER[family]
    header = frame[_ETHERNET:]
    if len(header) < size:
        return Unread("IP header cut short")
    if header[0] >> 4 != family:
        return Unread("IP version nibble")
    protocol = header[protocol_at]
    if family == 6 and protocol == ICMPV6:
        return Unread("ICMPv6")
    sport = dport = 0
    if protocol in TRANSPORT_HEADER:
        if len(header) < size + TRANSPORT_HEADER[protocol]:
            return Unread("transport header cut short")
        sport, dport = _PORTS.unpack_from(header, size)
    src, dst = header[src_at : src_at + width], header[dst_at : dst_at + width]
    return Seen(src, dst, protocol, sport, dport, ifindex)
