"""The lines of a member that hold an anchor, streamed: a line that holds none costs nothing but the search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.base import Span
from formats.text import Line, clean

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from formats.source import Source

#: A longer line is no line of a program met here; it is passed over, so that no pattern can be made to backtrack on it.
LONGEST = 16 * 1024


def lines_with(source: Source, anchor: re.Pattern[bytes], literals: tuple[bytes, ...] = ()) -> Iterator[Line]:
    """Every line with a match of `anchor`, in order, cleaned, with its raw span and number.

    `literals`: where given, one of them is in the line of every match; a line without any is not searched.
    """
    number = 1
    for offset, block in source.line_chunks():
        counted = 0
        for start, stop in _lines(block, anchor) if not literals else _lines_holding(block, literals):
            if literals and anchor.search(block, start, stop) is None:
                continue
            number += block.count(b"\n", counted, start)
            counted = start
            if stop - start <= LONGEST:
                yield Line(offset + start, offset + stop, number, clean(block[start:stop]))
        number += block.count(b"\n", counted)


def _lines(block: bytes, anchor: re.Pattern[bytes]) -> Iterator[tuple[int, int]]:
    """(start, end) of every line with a match."""
    at = 0
    while (match := anchor.search(block, at)) is not None:
        start, at = _around(block, match.start(), match.end())
        yield start, at


def _lines_holding(block: bytes, literals: tuple[bytes, ...]) -> list[tuple[int, int]]:
    """(start, end) of every line with one of the literals: finding those one by one beats any pattern."""
    found: dict[int, int] = {}
    for literal in literals:
        at = block.find(literal)
        while at >= 0:
            start, stop = _around(block, at, at + len(literal))
            found[start] = stop
            at = block.find(literal, stop)
    return sorted(found.items())


def _around(block: bytes, first: int, last: int) -> tuple[int, int]:
    stop = block.find(b"\n", last)
    return block.rfind(b"\n", 0, first) + 1, len(block) if stop < 0 else stop


def span_of(line: Line) -> Span:
    """The Span of one line."""
    return Span(line.start, line.end, line.number, line.number)
