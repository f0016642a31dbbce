"""The first or the last time of what has the same key, for many keys at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from forensics.flow_rows import NO_TIME

Array = np.ndarray[Any, Any]
Keys = tuple[Array, Array]
_MIX = np.uint64(0x9E3779B97F4A7C15)

__all__ = ["NO_TIME", "extreme"]


def extreme(keys: Keys, times: Array, wanted: Keys, *, latest: bool) -> Array:
    """The first (or latest) time of each wanted key, NO_TIME for a key that does not occur. A key is two int64.

    Keys are sorted by a hash of both and compared whole: where two keys share a hash the answer is still exact.
    """
    out = np.full(len(wanted[0]), NO_TIME)
    if not len(times) or not len(out):
        return out
    mine, theirs = _hash(keys), _hash(wanted)
    near = np.flatnonzero(np.isin(mine, theirs))
    if not len(near):
        return out
    first, second, times = keys[0][near], keys[1][near], times[near]
    order = np.lexsort((-times if latest else times, second, first))
    first, second, times = first[order], second[order], times[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    # Distinct keys that were told apart by their order; found again by rank of the first half, then of the second.
    first, second, times = first[begins], second[begins], times[begins]
    heads, starts = np.unique(first, return_index=True)
    ends = np.append(starts[1:], len(first))
    at = np.minimum(np.searchsorted(heads, wanted[0]), len(heads) - 1)
    low, high = starts[at], ends[at]
    known = heads[at] == wanted[0]
    place = _search_within(second, low, high, wanted[1])
    found = known & (place < high) & (second[np.minimum(place, len(second) - 1)] == wanted[1])
    out[found] = times[place[found]]
    return out


def _search_within(table: Array, low: Array, high: Array, values: Array) -> Array:
    """numpy.searchsorted of each value in its own sorted piece table[low:high]."""
    low, high = low.copy(), high.copy()
    while True:
        open_rows = np.flatnonzero(low < high)
        if not len(open_rows):
            return low
        middle = (low[open_rows] + high[open_rows]) >> 1
        right = table[middle] < values[open_rows]
        low[open_rows[right]] = middle[right] + 1
        high[open_rows[~right]] = middle[~right]


def _hash(keys: Keys) -> Array:
    mixed: Array = (keys[0].astype(np.uint64) * _MIX ^ keys[1].astype(np.uint64)) * _MIX
    return mixed
