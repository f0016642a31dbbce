"""Texts looked at eight bytes at a time, many places at once: words are little-endian, the first byte is the lowest."""

from __future__ import annotations

from typing import Any

import numpy as np

Ints = np.ndarray[Any, Any]
Buffer = bytes | bytearray | memoryview | Ints

_ONES = np.uint64(0x0101010101010101)
_TOPS = np.uint64(0x8080808080808080)
_BLANKS = np.uint64(0x2020202020202020)
_AFTER_BLANK = np.uint64(0x2121212121212121)
_DIGIT_ZEROS = np.uint64(0x3030303030303030)
_HIGH, _SIX = np.uint64(0xF0F0F0F0F0F0F0F0), np.uint64(0x0606060606060606)
_PAIRS, _QUADS, _LOW = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF), np.uint64(0xFFFFFFFF)
_ONE, _SEVEN, _BITS, _ALL = np.uint64(1), np.uint64(7), np.uint64(64), np.uint64(0xFFFFFFFFFFFFFFFF)
#: Decimal digits of a number, at most.
DIGITS = 5


def word(text: bytes) -> np.uint64:
    """Up to eight bytes as a word, zeros behind them."""
    return np.uint64(int.from_bytes(text, "little"))


def words(text: bytes) -> Ints:
    """Any number of bytes as words (uint64[n]), zeros behind them."""
    return np.frombuffer(text.ljust(-(-len(text) // 8) * 8, b"\0"), "<u8")


class Bytes:
    """A buffer from whose every place words can be taken.

    Places are not checked: whoever asks sees to it that as many bytes are there.
    """

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self.octets: Ints = np.frombuffer(buffer, np.uint8)
        self._singles: Ints = np.ndarray((max(len(self.octets) - 7, 0),), "<u8", buffer, 0, (1,))

    def at(self, places: Ints) -> Ints:
        """The word at each place."""
        found: Ints = self._singles[places]
        return found

    def run(self, places: Ints, count: int) -> Ints:
        """`count` words from each place on, as rows (uint64[n, count])."""
        # one copy of a wide item costs little more than one of a word
        items: Ints = np.ndarray((len(self.octets) - 8 * count + 1,), f"V{8 * count}", self._buffer, 0, (1,))
        return items[places].view("<u8").reshape(-1, count)


class Cuts:
    """Texts of up to `width` words, cut at their ends: zeros behind."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._masks = Bytes(
            np.array([words(b"\xff" * size + bytes(8 * width - size)) for size in range(8 * width + 1)])
        )

    def of(self, text: Bytes, places: Ints, sizes: Ints) -> Ints:
        """The texts of these sizes (at most 8 * width) at these places, as uint64[n, width]."""
        rows = text.run(places, self.width)
        rows &= self._masks.run(sizes * (8 * self.width), self.width)
        return rows


def begin_with(rows: Ints, literal: bytes) -> Ints:
    """Which rows (uint64[n, k]) begin with a literal of 9 to 16 bytes."""
    mask = word(b"\xff" * (len(literal) - 8))
    good: Ints = (rows[:, 0] == word(literal[:8])) & ((rows[:, 1] & mask) == word(literal[8:]))
    return good


def behind(rows: Ints, size: int, count: int) -> Ints:
    """`count` words (uint64[n, count]) of each row (uint64[n, k]), from behind its first `size` bytes (8 to 15) on."""
    out = np.empty((len(rows), count), np.uint64)
    right, left = np.uint64(8 * (size - 8)), np.uint64(8 * (16 - size))
    for place in range(count):
        out[:, place] = (rows[:, place + 1] >> right) | (rows[:, place + 2] << left)
    return out


def unlike(rows: Ints, wanted: Ints) -> Ints:
    """The numbers of the rows (uint64[n, k]) that are not as wanted (uint64[k] or uint64[n, k])."""
    other = rows != wanted
    # nearly always none: one answer for all is cheaper than one for each row
    if not other.any():
        return np.zeros(0, np.int64)
    places: Ints = np.flatnonzero(other) // rows.shape[1]
    first = np.ones(len(places), bool)
    first[1:] = places[1:] != places[:-1]
    found: Ints = places[first]
    return found


def through_blank(rows: Ints) -> tuple[Ints, Ints]:
    """Tokens that a blank ends, as words (uint64[n, k], changed in place): what stands behind the blank becomes zeros.

    Returns the size of each without its blank, and whether there was a blank at all.
    """
    size, open_ = np.zeros(len(rows), np.int64), np.full(len(rows), _ALL)
    for place in range(rows.shape[1]):
        column = np.ascontiguousarray(rows[:, place])
        blank = _blanks(column)
        if place == 0 and not blank.any():
            size += 64  # the usual case: no token ends in the first word
            continue
        kept = ((_lowest(blank) << _ONE) - _ONE) & open_
        rows[:, place] = column & kept
        size += np.bitwise_count(kept)
        open_ &= np.where(blank == 0, _ALL, np.uint64(0))
    closed: Ints = open_ == 0
    return (size >> 3) - closed, closed


def _blanks(column: Ints) -> Ints:
    """The highest bit of each blank's byte; only the lowest such bit is right, those above may not be."""
    other = column ^ _BLANKS
    found: Ints = (other - _ONES) & ~other & _TOPS
    return found


def _lowest(column: Ints) -> Ints:
    """The lowest bit of each word."""
    found: Ints = column & (~column + _ONE)
    return found


def line_feeds(octets: Ints) -> Ints:
    """The places of all line feeds (int64[n])."""
    hits = octets == ord("\n")
    eights = hits[: len(hits) // 8 * 8].view(np.uint64)
    # eight bytes at a time: few of them hold one, nearly none more than one
    found = np.flatnonzero(eights != 0)
    marks = eights[found]
    if (marks & (marks - _ONE)).any():
        return np.flatnonzero(hits)
    places = found * 8 + (np.bitwise_count(marks - _ONE) >> 3)
    rest = len(eights) * 8
    return np.concatenate([places, np.flatnonzero(hits[rest:]) + rest])


def first_control(text: Bytes, starts: Ints, ends: Ints) -> Ints:
    """The place of the first blank or control character in each [start, end); `end` where there is none."""
    found = ends.copy()
    rows, at = np.arange(len(starts)), starts.copy()
    while len(rows):
        column = text.at(at)
        low = (column - _AFTER_BLANK) & ~column & _TOPS
        hit = low != 0
        place = at[hit] + (np.bitwise_count(_lowest(low[hit]) - _ONE) >> 3)
        found[rows[hit]] = np.minimum(place, ends[rows[hit]])
        kept = ~hit
        rows, at = rows[kept], at[kept] + 8
        kept = at < ends[rows]
        rows, at = rows[kept], at[kept]
    return found


def digits(column: Ints) -> tuple[Ints, Ints]:
    """How many bytes stand before the first blank of each word, and whether they are one to DIGITS decimal digits."""
    below = (_lowest(_blanks(column)) >> _SEVEN) - _ONE
    size = np.bitwise_count(below).astype(np.int64) >> 3
    other = (column ^ _DIGIT_ZEROS) & below
    return size, (size >= 1) & (size <= DIGITS) & (((other | (other + _SIX)) & _HIGH) == 0)


def numbers(column: Ints, size: Ints) -> Ints:
    """The decimal numbers of `size` (1 to DIGITS) digits that stand at the start of each word."""
    # the digits go to the upper end: what comes in below are leading zeros
    found = (column ^ _DIGIT_ZEROS) << (_BITS - size.astype(np.uint64) * np.uint64(8))
    found = (found * np.uint64(10) + (found >> np.uint64(8))) & _PAIRS
    found = (found * np.uint64(100) + (found >> np.uint64(16))) & _QUADS
    found = (found * np.uint64(10_000) + (found >> np.uint64(32))) & _LOW
    return found.astype(np.int32)
