"""Lines of pasted text: what terminals, mail and markdown do to output is undone; spans stay those of the raw bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

# CSI and OSC sequences a terminal or `script` leaves in a capture.
_ANSI = lazy(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_QUOTED = lazy(r"^(?:[ \t]*>[ \t]?)+")
_SMART = str.maketrans(
    {"\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'", "\u00a0": " ", "\ufeff": "", "\u200b": ""}
)


class Line(NamedTuple):
    """One line: its raw byte span [start, end) without the line end, its 1-based number and its cleaned text."""

    start: int
    end: int
    number: int
    text: str


def clean(raw: bytes) -> str:
    """Text of a raw line: UTF-8 with replacement, no CR, no ANSI, no `> ` quote marks, straight quotes.

    Leading and trailing blanks are kept: some formats mean something by them.
    """
    text = raw.decode("utf-8", "replace").rstrip("\r\n")
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if not text.isascii():
        text = text.translate(_SMART)
    if text.lstrip().startswith(">"):
        text = _QUOTED.sub("", text)
    return text


def lines(data: bytes, offset: int = 0, first_number: int = 1) -> Iterator[Line]:
    """Every line of `data`; offset and first_number say where `data` stands in its artifact."""
    start = 0
    number = first_number
    size = len(data)
    while start < size:
        cut = data.find(b"\n", start)
        end = size if cut < 0 else cut
        yield Line(offset + start, offset + end, number, clean(data[start:end]))
        start = end + 1
        number += 1
