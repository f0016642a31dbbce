"""What mail, terminals and editors do to a pasted text, undone line by line at equal length, so that spans hold.

Colours, quote marks, byte order marks, and a tab or a bullet in front of every line are taken out, and the line is
padded with blanks at its end. Typographic quotes are left to the readers, which know where a quote may stand.
"""

from __future__ import annotations

from formats.patterns import lazy
from formats.source import HEAD_BYTES, Source

_MARKS = (b"\x1b", b"\xe2\x80\x8b", b"\xef\xbb\xbf")
_QUOTE = lazy(rb"(?m)^[ \t]*>")
_LEAD = lazy(rb"\s*(?:\t|\* )")
_TABBED = lazy(rb"(?:[ ]*\r?\n|\t[^\n]*(?:\n|\Z))+")
_BULLETED = lazy(rb"(?:[ ]*\r?\n|(?:\* |[ ])[^\n]*(?:\n|\Z))+")
_ANSI = lazy(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_QUOTED = lazy(rb"^(?:[ \t]*>[ \t]?)+")
_NOTHING = lazy(rb"\xef\xbb\xbf|\xe2\x80\x8b")


def undisguised(data: bytes) -> bytes:
    """`data` as its command printed it, line for line at the same places; the same object when nothing was done."""
    if not _marked(data):
        return data
    lead = b"\t" if _TABBED.fullmatch(data) else b"* " if _BULLETED.fullmatch(data) else b""
    out = b"\n".join(_line(row, lead) for row in data.split(b"\n"))
    return data if out == data else out


def _marked(data: bytes) -> bool:
    if any(mark in data for mark in _MARKS) or _LEAD.match(data):
        return True
    return b">" in data and _QUOTE.search(data) is not None


def _line(raw: bytes, lead: bytes) -> bytes:
    row = raw.removeprefix(lead)
    if not row.isascii():
        row = _NOTHING.sub(b"", row)
    if b"\x1b" in row:
        row = _ANSI.sub(b"", row)
    if row.lstrip()[:1] == b">":
        row = _QUOTED.sub(b"", row)
    if len(row) == len(raw):
        return row
    end = b"\r" if row.endswith(b"\r") else b""
    return row.removesuffix(b"\r") + b" " * (len(raw) - len(row)) + end


def as_printed(source: Source) -> Source:
    """The source that readers get: undisguised when it is as small as a paste, else `source` itself."""
    if len(source.head) >= HEAD_BYTES:
        return source
    data = source.data()
    plain = undisguised(data)
    return source if plain is data else Source(source.path, plain)
