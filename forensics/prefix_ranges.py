"""Longest prefix match for many addresses at once: nested prefixes flattened into disjoint ranges, found by binary
search. Both tiers' maps are flattened into one table, because every packet looks up one address in both.

An address is one uint32 column (IPv4) or two uint64 columns, high and low (IPv6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.prefixes import is_key, prefix_of
from forensics.sorted_search import distinct, search
from formats.layouts import LPM_KEY_SIZES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Array = np.ndarray[Any, Any]
Words = tuple[Array, ...]
_LOW = (1 << 64) - 1
_BITS4 = 32


def ranges_of(keys: Iterable[bytes], family: int) -> dict[int, int]:
    """First address of each disjoint range -> row of the longest prefix that covers it, -1 where none does.

    The row is the key's position. Address 0 is always there. Of two keys that say one prefix the later one counts.
    """
    bits = 32 if family == 4 else 128
    spans: dict[tuple[int, int], int] = {}
    for row, key in enumerate(keys):
        if is_key(key, family):
            length, number = prefix_of(key, family)
            shift = bits - length
            first = number >> shift << shift
            spans[first, -(first + (1 << shift))] = row
    points = {0: -1}
    open_spans: list[tuple[int, int]] = []
    for (first, minus_end), row in sorted(spans.items()):
        _close(points, open_spans, first)
        points[first] = row
        open_spans.append((-minus_end, row))
    _close(points, open_spans, 1 << bits)
    points.pop(1 << bits, None)
    return points


def _close(points: dict[int, int], open_spans: list[tuple[int, int]], upto: int) -> None:
    """End the spans that end at or before `upto`; what follows belongs to the span around them."""
    while open_spans and open_spans[-1][0] <= upto:
        end, _ = open_spans.pop()
        points[end] = open_spans[-1][1] if open_spans else -1


def ranges4(keys: Sequence[bytes]) -> tuple[Array, Array]:
    """ranges_of() of IPv4 keys as arrays: first addresses (int64, ascending) and rows (int32). No loop over keys:
    lengths are laid over one another, shortest first."""
    size = LPM_KEY_SIZES[4]
    rows = np.arange(len(keys))
    if not {size}.issuperset(map(len, keys)):
        rows = np.flatnonzero([len(key) == size for key in keys])
        keys = [keys[row] for row in rows.tolist()]
    packed = np.frombuffer(b"".join(keys), np.dtype([("length", "<u4"), ("address", ">u4")]))
    length, address = packed["length"].astype(np.int64), packed["address"].astype(np.int64)
    real = length <= _BITS4
    rows, length, address = rows[real], length[real], address[real]
    shift = _BITS4 - length
    first = address >> shift << shift
    end = first + (1 << shift)
    bounds = distinct(np.concatenate([[0], first, end]))
    bounds = bounds[bounds < 1 << _BITS4]
    found = np.full(len(bounds), -1, np.int32)
    for size in distinct(length):
        mine = length == size
        low, high = np.searchsorted(bounds, first[mine]), np.searchsorted(bounds, end[mine])
        counts = high - low
        # one place for each bound that a prefix covers: its first one, and as many as it covers counted from there
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        found[np.repeat(low, counts) + within] = np.repeat(rows[mine], counts)
    fresh = np.ones(len(bounds), bool)
    fresh[1:] = found[1:] != found[:-1]
    return bounds[fresh], found[fresh]


class RangeTable:
    """Several maps' ranges in one sorted table. `rows[m][i]` is the entry row of map m in range i, -1 for none."""

    def __init__(self, maps: Sequence[Iterable[bytes]], family: int) -> None:
        """maps: the keys of each map, in the order that rows count."""
        if family == 4:
            found = [ranges4(list(keys)) for keys in maps]
            starts = distinct(np.concatenate([firsts for firsts, _ in found]))
            self.rows = [rows[np.searchsorted(firsts, starts, "right") - 1] for firsts, rows in found]
            self._starts: Array = starts.astype(np.uint32)
            return
        points = [ranges_of(keys, family) for keys in maps]
        numbers = sorted(set().union(*points))
        self.rows = [_carried(each, numbers) for each in points]
        high = np.array([start >> 64 for start in numbers], dtype=np.uint64)
        low = np.array([start & _LOW for start in numbers], dtype=np.uint64)
        self._high, high_rank = np.unique(high, return_inverse=True)
        self._low, low_rank = np.unique(low, return_inverse=True)
        self._starts = high_rank * (len(self._low) + 1) + low_rank + 1

    def find(self, address: Words) -> Array:
        """Index of the range of each address."""
        if len(address) == 1:
            return search(self._starts, address[0], "right") - 1
        high, low = address
        high_rank = search(self._high, high, "right") - 1
        low_rank = search(self._low, low, "right")
        between = self._high[high_rank] != high
        low_rank[between] = len(self._low)
        return search(self._starts, high_rank * (len(self._low) + 1) + low_rank, "right") - 1


def _carried(points: dict[int, int], starts: list[int]) -> Array:
    rows = np.empty(len(starts), dtype=np.int32)
    row = points[0]
    for index, start in enumerate(starts):
        row = points.get(start, row)
        rows[index] = row
    return rows
