"""The values of a dump once each: few rule sets stand behind many entries, and what one says is found out once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from forensics.packed_dump import PackedDump
from formats.mapview import row_bytes

if TYPE_CHECKING:
    from formats.base import MapDump

Array = np.ndarray[Any, Any]


class Distinct(NamedTuple):
    """`values` uint8[k, value_size], each of them once; `which` int[n]: the value of each of the n entries."""

    values: Array
    which: Array

    def bytes(self) -> list[bytes]:
        """The k values as bytes."""
        return row_bytes(self.values)


def has_values(dump: MapDump) -> bool:
    """Whether a dump has value bytes; to ask a packed one for them would make all of them."""
    return isinstance(dump, PackedDump) or dump.values is not None


def distinct_values(dump: MapDump) -> Distinct:
    """The values of a dump that has value bytes; a value that is not known counts like any other."""
    if isinstance(dump, PackedDump):
        return Distinct(*dump.distinct)
    assert dump.values is not None
    return once_each(dump.values)


def one_value(dump: MapDump, row: int) -> bytes:
    """The value bytes of one entry of a dump that has value bytes."""
    if isinstance(dump, PackedDump):
        values, which = dump.distinct
        return bytes(values[which[row]].tobytes())
    assert dump.values is not None
    return bytes(dump.values[row].tobytes())


def once_each(table: Array) -> Distinct:
    """The rows of any table [n, w] once each, in the order in which they first occur."""
    numbers: dict[bytes, int] = {}
    which = [numbers.setdefault(row, len(numbers)) for row in row_bytes(table)]
    first = np.empty(len(numbers), np.intp)
    first[which[::-1]] = np.arange(len(which))[::-1]
    return Distinct(table[first], np.array(which, np.intp))
