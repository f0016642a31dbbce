"""The first or the last time of what has the same key, for many keys at once. A key is two int64."""

from __future__ import annotations

from typing import Any

import numpy as np

from formats.packed_flows import NO_TIME

Array = np.ndarray[Any, Any]
Keys = tuple[Array, Array]
_MIX = np.uint64(0x9E3779B97F4A7C15)
#: The table of hashes that were asked about has eight places for each key, between these powers of two.
_SPARE_BITS, _LEAST_BITS, _MOST_BITS = 3, 10, 24
#: Times kept until equal keys are made one.
_KEPT = 1 << 18

__all__ = ["NO_TIME", "Extremes", "extreme"]


class Extremes:
    """The first (or latest) time of keys whose lines come stretch by stretch: first all keys are asked about, then all
    lines are seen, then the answers are there. What is kept grows with the keys asked about, not with the lines."""

    def __init__(self, asked: int, *, latest: bool) -> None:
        """asked: about how many keys will be asked about."""
        bits = min(max(asked.bit_length() + _SPARE_BITS, _LEAST_BITS), _MOST_BITS)
        self._latest, self._shift = latest, np.uint64(64 - bits)
        self._asked = np.zeros(1 << bits, bool)
        self._kept: list[tuple[Array, Array, Array]] = []
        self._size = 0

    def ask(self, keys: Keys) -> None:
        """Keys whose times are wanted."""
        self._asked[_hash(keys) >> self._shift] = True

    def see(self, keys: Keys, times: Array) -> None:
        """Keys of some lines and their times."""
        near = np.flatnonzero(self._asked[_hash(keys) >> self._shift])
        if not len(near):
            return
        self._kept.append((keys[0][near], keys[1][near], times[near]))
        self._size += len(near)
        if self._size > _KEPT and len(self._kept) > 1:
            self._kept = [_first_of_each(*self._joined(), latest=self._latest)]
            # what cannot be made fewer is not tried again until as many have come again
            self._size = max(0, len(self._kept[0][0]) - _KEPT)

    def of(self, wanted: Keys) -> Array:
        """The time of each key, NO_TIME for one that no line had. Only for keys that were asked about."""
        out = np.full(len(wanted[0]), NO_TIME)
        if not self._kept:
            return out
        first, second, times = _first_of_each(*self._joined(), latest=self._latest)
        seen = np.zeros(len(self._asked), bool)
        seen[_hash((first, second)) >> self._shift] = True
        near = np.flatnonzero(seen[_hash(wanted) >> self._shift])
        mine = wanted[0][near], wanted[1][near]
        heads, starts = np.unique(first, return_index=True)
        ends = np.append(starts[1:], len(first))
        at = np.minimum(np.searchsorted(heads, mine[0]), len(heads) - 1)
        low, high = starts[at], ends[at]
        known = heads[at] == mine[0]
        place = _search_within(second, low, high, mine[1])
        found = known & (place < high) & (second[np.minimum(place, len(second) - 1)] == mine[1])
        out[near[found]] = times[place[found]]
        return out

    def _joined(self) -> tuple[Array, Array, Array]:
        first, second, times = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        return first, second, times


def extreme(keys: Keys, times: Array, wanted: Keys, *, latest: bool) -> Array:
    """The first (or latest) time of each wanted key, NO_TIME for a key that does not occur."""
    found = Extremes(len(wanted[0]), latest=latest)
    found.ask(wanted)
    found.see(keys, times)
    return found.of(wanted)


def _first_of_each(first: Array, second: Array, times: Array, *, latest: bool) -> tuple[Array, Array, Array]:
    """Keys in order, each once, with its first (or latest) time."""
    order = np.lexsort((-times if latest else times, second, first))
    first, second, times = first[order], second[order], times[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return first[begins], second[begins], times[begins]


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
