"""A value's bytes as rows for people: 16 bytes a row, zero rows elided, the boundary of what was written drawn."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROW = 16
WORD = 4
#: Slot size of a namespace value; a misplaced value shows this period, and its words are tinted by it.
NAMESPACE_STRIDE = 12
#: A single zero row says as much as a line that stands for it.
_ELIDE_FROM = 2


class Line(NamedTuple):
    """One line of the dump. `kind`: `bytes` (words of (style, hex)), `zeros` (`rows` of them left out) or `boundary`.

    A word's style is `zero`, `even` or `odd` (of its 12-byte slot, before the boundary), `plain` or `trail`.
    """

    kind: str
    offset: int
    end: int
    words: tuple[tuple[str, str], ...] = ()
    rows: int = 0


def lines(value_hex: str, boundary: int | None) -> list[Line]:
    """The dump of a value given in hex. A boundary inside a row cuts the row in two."""
    value = bytes.fromhex(value_hex)
    inside = boundary if boundary is not None and 0 < boundary < len(value) else None
    out: list[Line] = []
    for zero, run in groupby(_rows(len(value), inside), key=lambda row: _is_zero(value, row)):
        rows = list(run)
        # A run of zero rows may cross the boundary; what stands on each side is elided apart.
        for _, side in groupby(rows, key=lambda row: inside is not None and row[0] >= inside):
            part = list(side)
            if inside is not None and part[0][0] == inside:
                out.append(Line("boundary", inside, inside))
            if zero and len(part) >= _ELIDE_FROM:
                out.append(Line("zeros", part[0][0], part[-1][1], rows=len(part)))
            else:
                out.extend(Line("bytes", *row, words=tuple(_words(value, row, inside))) for row in part)
    return out


def text(entry: dict[str, Any]) -> str:
    """The dump of a finding's entry as plain lines, for Markdown."""
    out: list[str] = []
    for line in lines(entry["value_hex"] or "", entry["boundary"]):
        if line.kind == "boundary":
            out.append(f"---- offset {line.offset}: what was written ends, what trails begins ----")
        elif line.kind == "zeros":
            out.append(f"{line.offset:04x}  ... {line.rows} rows of zeros ...")
        else:
            out.append(f"{line.offset:04x}  " + "  ".join(word for _, word in line.words))
    return "\n".join(out)


def _rows(size: int, boundary: int | None) -> Iterator[tuple[int, int]]:
    start = 0
    while start < size:
        end = min(start - start % ROW + ROW, size)
        if boundary is not None and start < boundary < end:
            end = boundary
        yield start, end
        start = end


def _is_zero(value: bytes, row: tuple[int, int]) -> bool:
    return not any(value[slice(*row)])


def _words(value: bytes, row: tuple[int, int], boundary: int | None) -> Iterator[tuple[str, str]]:
    for at in range(row[0], row[1], WORD):
        word = value[at : min(at + WORD, row[1])]
        if boundary is not None and at >= boundary:
            style = "trail" if any(word) else "trail zero"
        elif not any(word):
            style = "zero"
        elif boundary is not None:
            style = "odd" if at // NAMESPACE_STRIDE % 2 else "even"
        else:
            style = "plain"
        yield style, word.hex(" ")
