"""Longest prefix match for many addresses at once: nested prefixes flattened into disjoint ranges, found by binary
search. Both tiers' maps are flattened into one table, because every packet looks up one address in both.

An address is one uint32 column (IPv4) or two uint64 columns, high and low (IPv6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.prefixes import is_key, prefix_of
from forensics.sorted_search import search

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Words = tuple[np.ndarray[Any, Any], ...]
_LOW = (1 << 64) - 1


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


class RangeTable:
    """Several maps' ranges in one sorted table. `rows[m][i]` is the entry row of map m in range i, -1 for none."""

    def __init__(self, maps: Sequence[dict[int, int]], family: int) -> None:
        starts = sorted(set().union(*maps))
        self.rows = [_carried(points, starts) for points in maps]
        if family == 4:
            self._starts: np.ndarray[Any, Any] = np.array(starts, dtype=np.uint32)
            return
        high = np.array([start >> 64 for start in starts], dtype=np.uint64)
        low = np.array([start & _LOW for start in starts], dtype=np.uint64)
        self._high, high_rank = np.unique(high, return_inverse=True)
        self._low, low_rank = np.unique(low, return_inverse=True)
        self._starts = high_rank * (len(self._low) + 1) + low_rank + 1

    def find(self, address: Words) -> np.ndarray[Any, Any]:
        """Index of the range of each address."""
        if len(address) == 1:
            return search(self._starts, address[0], "right") - 1
        high, low = address
        high_rank = search(self._high, high, "right") - 1
        low_rank = search(self._low, low, "right")
        between = self._high[high_rank] != high
        low_rank[between] = len(self._low)
        return search(self._starts, high_rank * (len(self._low) + 1) + low_rank, "right") - 1


def _carried(points: dict[int, int], starts: list[int]) -> np.ndarray[Any, Any]:
    rows = np.empty(len(starts), dtype=np.int32)
    row = points[0]
    for index, start in enumerate(starts):
        row = points.get(start, row)
        rows[index] = row
    return rows
