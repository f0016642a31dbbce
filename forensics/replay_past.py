"""What else was logged of the flows of some lines: when the program first allowed the flow, and when a line of the same
ends was last as the maps say. Told over all lines of a program, stretch by stretch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.flow_times import NO_TIME, Extremes, Keys

if TYPE_CHECKING:
    from forensics.flow_rows import FlowSide

Array = np.ndarray[Any, Any]


class Past:
    """First every line in question is asked about, then every line of the program is seen, then the answers are there.

    Times are ns UTC, NO_TIME where there was no such line.
    """

    def __init__(self, asked: int) -> None:
        """asked: how many lines will be asked about."""
        self._allowed, self._settled = Extremes(asked, latest=False), Extremes(asked, latest=True)

    def ask(self, side: FlowSide, listed: Array) -> None:
        """Lines whose past is wanted: of denied ones when the flow was allowed, of `listed` ones what came later."""
        self._allowed.ask(_some(flow(side), ~side.allowed))
        self._settled.ask(_some(_ends_and_port(side), listed))

    def see(self, side: FlowSide, explained: Array) -> None:
        """Lines of the program, and which of them are as the maps say."""
        timed = side.utc_ns != NO_TIME
        for times, rows, keys in (
            (self._allowed, side.allowed & timed, flow(side)),
            (self._settled, explained & timed, _ends_and_port(side)),
        ):
            times.see(_some(keys, rows), side.utc_ns[rows])

    def first_allowed(self, side: FlowSide) -> Array:
        """When the program first allowed each line's flow."""
        return self._allowed.of(flow(side))

    def last_settled(self, side: FlowSide) -> Array:
        """When a line of the same ends, protocol and port was last as the maps say."""
        return self._settled.of(_ends_and_port(side))


def ends(src: Array, dst: Array, sport: Array, dport: Array) -> Keys:
    """Both ends of a flow as one key."""
    return src.astype(np.int64) << 32 | dst, sport.astype(np.int64) << 32 | dport


def flow(side: FlowSide) -> Keys:
    """The flow of each line, as the program of one direction tracks it."""
    addresses, ports = ends(side.src, side.dst, side.sport, side.dport)
    return addresses, ports << 16 | (side.protocol.astype(np.int64) & 0xFFF) << 4 | side.direction


def _some(keys: Keys, rows: Array) -> Keys:
    return keys[0][rows], keys[1][rows]


def _ends_and_port(side: FlowSide) -> Keys:
    return side.src.astype(np.int64) << 32 | side.dst, side.protocol.astype(np.int64) << 32 | side.dport
