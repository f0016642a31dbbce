"""The lines of a member that hold an anchor, streamed: a line that holds none costs nothing but the search."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from formats.base import Span
from formats.source import LINE_BYTES
from formats.text import Line, clean

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator
    from concurrent.futures import Future, ThreadPoolExecutor

    from formats.source import Source

#: A longer line is no line of a program met here; it is passed over, so that no pattern can be made to backtrack on it.
LONGEST = 16 * 1024
#: Bytes compared together: what stays in a core's cache.
_PIECE = 1024 * 1024
#: Parts of this size are searched in threads, as many as that at most.
_BESIDE_BYTES = 1024 * 1024
_THREADS = 2
_AHEAD = 5
#: Bytes that tell which pairs are rare.
_SAMPLE = 64 * 1024


def lines_with(source: Source, anchor: re.Pattern[bytes], literals: tuple[bytes, ...] = ()) -> Iterator[Line]:
    """Every line with a match of `anchor`, in order, cleaned, with its raw span and number.

    `literals`: where given, one of them is in the line of every match; a line without any is not searched.
    """
    number = 1
    search = _Literals(literals) if literals else None
    for part, lines, breaks in _searched(_parts(source), anchor, search):
        block, counted, seen = part.block, part.start, 0
        for start, stop in lines:
            if search is not None and anchor.search(block, start, stop) is None:
                continue
            seen += block.count(b"\n", counted, start)
            counted = start
            if stop - start <= LONGEST:
                yield Line(part.offset + start, part.offset + stop, number + seen, clean(block[start:stop]))
        number += breaks


class _Part(NamedTuple):
    """Whole lines: block[start:end]; `offset` is the place of the block's first byte in its source."""

    offset: int
    block: bytes
    start: int
    end: int


Found = tuple[_Part, list[tuple[int, int]], int]


def _parts(source: Source) -> Iterator[_Part]:
    """The source in whole lines. What stands across the ends of two chunks is a part of its own, so that no chunk need
    be copied; a line longer than any log has is cut."""
    offset, carry = 0, b""
    for chunk in source.chunks():
        first, last = chunk.find(b"\n") + 1, chunk.rfind(b"\n") + 1
        if not carry:
            first = 0
        if not last and len(carry) + len(chunk) < LINE_BYTES:
            carry += chunk
            offset += len(chunk)
            continue
        if carry:
            seam = carry + chunk[: first if last else len(chunk)]
            yield _Part(offset - len(carry), seam, 0, len(seam))
        elif not last:
            yield _Part(offset, chunk, 0, len(chunk))
        if last > first:
            yield _Part(offset, chunk, first, last)
        carry = chunk[last:] if last else b""
        offset += len(chunk)
    if carry:
        yield _Part(offset - len(carry), carry, 0, len(carry))


def _searched(parts: Iterator[_Part], anchor: re.Pattern[bytes], search: _Literals | None) -> Iterator[Found]:
    """Each part with its lines that may match and the number of its line feeds, in order; large parts side by side."""

    def look(part: _Part) -> Found:
        lines = _lines(part, anchor) if search is None else _lines_holding(part, search)
        return part, lines, _line_feeds(part)

    pool: ThreadPoolExecutor | None = None
    waiting: deque[Future[Found]] = deque()
    try:
        for part in parts:
            if search is not None and search.ready and pool is None and part.end - part.start >= _BESIDE_BYTES:
                from concurrent.futures import ThreadPoolExecutor

                pool = ThreadPoolExecutor(min(os.cpu_count() or 1, _THREADS))
            if pool is None:
                yield look(part)
                continue
            waiting.append(pool.submit(look, part))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _line_feeds(part: _Part) -> int:
    text = np.frombuffer(part.block, np.uint8)
    pieces = range(part.start, part.end, _PIECE)
    return sum(int(np.count_nonzero(text[at : min(at + _PIECE, part.end)] == ord("\n"))) for at in pieces)


def _lines(part: _Part, anchor: re.Pattern[bytes]) -> list[tuple[int, int]]:
    """(start, end) of every line with a match."""
    out, at = [], part.start
    while (match := anchor.search(part.block, at, part.end)) is not None:
        start, at = _around(part, match.start(), match.end())
        out.append((start, at))
    return out


def _lines_holding(part: _Part, search: _Literals) -> list[tuple[int, int]]:
    """(start, end) of every line with one of the literals: finding those one by one beats any pattern."""
    found: dict[int, int] = {}
    for begin, end, literal in search.places(part):
        at = part.block.find(literal, begin, end)
        while at >= 0:
            start, stop = _around(part, at, at + len(literal))
            found[start] = stop
            at = part.block.find(literal, stop, end)
    return sorted(found.items())


class _Literals:
    """Where in a text a literal may stand: pieces that hold two rare bytes of it, side by side.

    Comparing a piece with two bytes is several times as fast as looking for the whole literal in it, and in a log that
    has few of the lines nearly every piece is done with then. Literals with a rare pair in common share it.
    """

    def __init__(self, literals: tuple[bytes, ...]) -> None:
        self._literals = literals
        self._pairs: dict[int, list[bytes]] = {}
        self._longest = max(map(len, literals))

    @property
    def ready(self) -> bool:
        """Whether the pairs are chosen."""
        return bool(self._pairs)

    def places(self, part: _Part) -> Iterator[tuple[int, int, bytes]]:
        """(start, end, literal): every occurrence of a literal lies whole in one of these."""
        block = part.block
        if min(map(len, self._literals)) < 2:
            yield from ((part.start, part.end, literal) for literal in self._literals)
            return
        if not self._pairs:
            self._pairs = self._rarest(block[part.start : min(part.start + _SAMPLE, part.end)])
        hits = np.empty((_PIECE + self._longest) // 2, bool)
        for start in range(part.start, part.end, _PIECE):
            end = min(start + _PIECE + self._longest, part.end)
            views = [_pairs(block, at, end) for at in (start, start + 1) if at < end]
            for pair, literals in self._pairs.items():
                if any(np.equal(view, pair, out=hits[: len(view)]).any() for view in views):
                    yield from ((start, end, literal) for literal in literals)

    def _rarest(self, sample: bytes) -> dict[int, list[bytes]]:
        """Pairs, as numbers, and the literals that each stands for: rare ones by a sample of the text, and few."""
        text = np.frombuffer(sample, np.uint8).astype(np.intp)
        counts = np.bincount(text[:-1] | text[1:] << 8, minlength=1 << 16)
        left = {
            literal: {literal[at] | literal[at + 1] << 8 for at in range(len(literal) - 1)}
            for literal in self._literals
        }
        chosen: dict[int, list[bytes]] = {}
        while left:
            rarest = {literal: min(int(counts[pair]) for pair in pairs) for literal, pairs in left.items()}
            shares = {
                pair: [other for other, others in left.items() if pair in others and counts[pair] == rarest[other]]
                for pairs in left.values()
                for pair in pairs
            }
            best = max(sorted(shares), key=lambda pair: len(shares[pair]))
            chosen[best] = shares[best]
            for literal in shares[best]:
                del left[literal]
        return chosen


def _pairs(block: bytes, start: int, end: int) -> np.ndarray[Any, Any]:
    """The bytes two by two as numbers (uint16[n]), in memory where such numbers are compared quickly."""
    found = np.frombuffer(block, "<u2", (end - start) // 2, start)
    return found if found.flags.aligned else found.view(np.uint8).copy().view("<u2")


def _around(part: _Part, first: int, last: int) -> tuple[int, int]:
    stop = part.block.find(b"\n", last, part.end)
    return max(part.block.rfind(b"\n", part.start, first) + 1, part.start), part.end if stop < 0 else stop


def span_of(line: Line) -> Span:
    """The Span of one line."""
    return Span(line.start, line.end, line.number, line.number)
