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

    `literals`: where given, one of them is in every match; a block without any is not searched.
    """
    number = 1
    for offset, block in source.line_chunks():
        counted = at = 0
        if literals and not any(literal in block for literal in literals):
            number += block.count(b"\n")
            continue
        while (match := anchor.search(block, at)) is not None:
            start = block.rfind(b"\n", 0, match.start()) + 1
            stop = block.find(b"\n", match.end())
            stop = len(block) if stop < 0 else stop
            number += block.count(b"\n", counted, start)
            counted, at = start, stop
            if stop - start <= LONGEST:
                yield Line(offset + start, offset + stop, number, clean(block[start:stop]))
        number += block.count(b"\n", counted)


def span_of(line: Line) -> Span:
    """The Span of one line."""
    return Span(line.start, line.end, line.number, line.number)
