"""The address space cut into disjoint intervals by every prefix of several maps, and intervals folded back for people.

Inside one interval every address finds the same entry in each map, so what holds for one of them holds for all.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from forensics.prefix_ranges import ranges4, ranges_of
from forensics.sorted_search import distinct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: First and last address, as numbers, both included.
Span = tuple[int, int]
Spans = tuple[Span, ...]
_V4 = 4
_BITS = {_V4: 32, 6: 128}
#: A range of more CIDRs than these is written as `first-last`.
_FEW_CIDRS = 2


class Partition(NamedTuple):
    """`starts[i]` is the first address of interval i, which ends before the next one starts; `rows[m, i]` is the
    position of the key that map m answers with in interval i, -1 where it has none."""

    family: int
    starts: list[int]
    rows: np.ndarray[Any, Any]

    def span(self, index: int) -> Span:
        """First and last address of an interval."""
        following = self.starts[index + 1] if index + 1 < len(self.starts) else 1 << _BITS[self.family]
        return self.starts[index], following - 1

    def find(self, address: int) -> int:
        """The interval of an address."""
        return bisect_right(self.starts, address) - 1


def partition(maps: Sequence[Iterable[bytes]], family: int) -> Partition:
    """Cut by the LPM keys of every map; keys that no map of the family can hold are left out. Cost: n log n."""
    if family == _V4 and maps:
        return _partition4(maps)
    ranges = [ranges_of(keys, family) for keys in maps]
    starts = sorted(set().union(*ranges)) if ranges else [0]
    rows = np.empty((len(ranges), len(starts)), dtype=np.int64)
    for number, points in enumerate(ranges):
        rows[number] = _carried(points, starts)
    return Partition(family, starts, rows)


def _partition4(maps: Sequence[Iterable[bytes]]) -> Partition:
    found = [ranges4(list(keys)) for keys in maps]
    starts = distinct(np.concatenate([firsts for firsts, _ in found]))
    rows = np.stack([rows[np.searchsorted(firsts, starts, "right") - 1] for firsts, rows in found])
    return Partition(_V4, starts.tolist(), rows.astype(np.int64))


def _carried(points: dict[int, int], starts: list[int]) -> np.ndarray[Any, Any]:
    """The row of each interval: what the last point at or before it says."""
    said = np.array([points.get(start, -2) for start in starts], dtype=np.int64)
    last = np.maximum.accumulate(np.where(said == -2, 0, np.arange(len(starts))))
    return said[last]


def merged(spans: Iterable[Span]) -> Spans:
    """Spans in order, those that touch or overlap made one."""
    out: list[Span] = []
    for first, last in sorted(spans):
        if out and first <= out[-1][1] + 1:
            out[-1] = out[-1][0], max(last, out[-1][1])
        else:
            out.append((first, last))
    return tuple(out)


def gaps(spans: Spans, first: int, last: int) -> Spans:
    """What merged spans leave open between two bounds."""
    out: list[Span] = []
    at = first
    for begin, end in spans:
        if begin > at:
            out.append((at, begin - 1))
        at = max(at, end + 1)
    if at <= last:
        out.append((at, last))
    return tuple(out)


def size(spans: Iterable[Span]) -> int:
    """How many addresses merged spans hold."""
    return sum(last - first + 1 for first, last in spans)


def texts(spans: Iterable[Span], family: int) -> list[str]:
    """Spans as people write them: a CIDR or two where that is exact, else `first-last`."""
    return [text for span in spans for text in _texts(span, family)]


def _texts(span: Span, family: int) -> Iterator[str]:
    kind = ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address
    first, last = (kind(number) for number in span)
    cidrs = cidrs_of(span, family, _FEW_CIDRS + 1)
    if len(cidrs) > _FEW_CIDRS:
        yield f"{first}-{last}"
    else:
        yield from cidrs


def cidrs_of(span: Span, family: int, limit: int = 256) -> list[str]:
    """The fewest CIDRs that make up a span, at most `limit` of them (a span never needs more than 254)."""
    first, last = span
    bits = _BITS[family]
    kind = ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address
    out: list[str] = []
    while first <= last and len(out) < limit:
        room = (last - first + 1).bit_length() - 1
        align = (first & -first).bit_length() - 1 if first else bits
        step = min(room, align)
        out.append(f"{kind(first)}/{bits - step}")
        first += 1 << step
    return out
