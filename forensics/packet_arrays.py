"""Packets as arrays: what a program reads of them, and which of them it reads at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from forensics.packet import ICMPV6, TRANSPORT_HEADER

if TYPE_CHECKING:
    from forensics.prefix_ranges import Words

Array = np.ndarray[Any, Any]


class PacketColumns(NamedTuple):
    """n packets. `read` is False where the program lets the packet through unread; its numbers mean nothing there.

    src, dst: one uint32 column (IPv4) or two uint64 columns, high and low (IPv6). Ports are 0 where the program takes
    them as 0. `distinct`, where it is given: the words of every address there is, and the place of each packet's source
    and destination among them.
    """

    src: Words
    dst: Words
    protocol: Array
    sport: Array
    dport: Array
    ifindex: Array
    read: Array
    distinct: tuple[Words, Array, Array] | None = None


def columns_of(
    src: Words,
    dst: Words,
    own: Array,
    protocol: Array,
    sport: Array,
    dport: Array,
    family: int,
    *,
    ifindex: Array | None = None,
) -> PacketColumns:
    """Packets of checked numbers. `own`: which packets are of the family; `ifindex` is 1 where it is not given."""
    protocol = protocol.astype(np.uint16)
    has_ports = np.isin(protocol, list(TRANSPORT_HEADER))
    read = own & (protocol != ICMPV6) if family == 6 else own
    sport, dport = (np.where(has_ports, port.astype(np.uint16), np.uint16(0)) for port in (sport, dport))
    interface = np.ones(len(protocol), np.uint32) if ifindex is None else ifindex
    return PacketColumns(src, dst, protocol, sport, dport, interface, read)
