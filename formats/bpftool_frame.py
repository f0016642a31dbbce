"""The frame of a clean entry of a plain dump, found from the entry that stands at an offset."""

from __future__ import annotations

import re
from functools import lru_cache

from formats.hexdump import Frame, decode_run, frame_of, marked_rows

_BROKEN = re.compile(
    rb"([ \t>]{0,16})key:(\r?\n)((?:\1[0-9a-f ]+\2){1,4})\1value:\2((?:\1[0-9a-f][0-9a-f ]+\2){1,4096})"
)
_INLINE = re.compile(
    rb"([ \t>]{0,16})key: ([0-9a-f ]*[0-9a-f])(  ?|\r?\n[ \t>]{0,16})value: ([0-9a-f ]*[0-9a-f])(\r?\n)"
)
_NEXT = re.compile(
    rb"key:(?:\r?\n| [0-9a-f]{2}(?: {1,2}[0-9a-f]{2})*(?: {1,2}value:|\r?\n))|Found [0-9]{1,12} elements?\r?(?:\n|$)"
)
_WIDE_GAP = re.compile(rb"[0-9a-f]  [0-9a-f]")
#: A field behind its label has at most one row.
_INLINE_LIMIT = 16
#: Entries of a clean run that a condensed head keeps: what looks for labels, rows and their number finds them in these.
_KEPT_ENTRIES = 4


def frame_at(data: bytes, at: int) -> tuple[Frame, bytes] | None:
    """The frame of the entry that starts at `at`, and what stands before each of its lines; None when it is not clean.

    Whether the entry really has the frame is for decode_run to say.
    """
    if match := _BROKEN.match(data, at):
        prefix, eol, key, value = match.groups()
        fields = key.replace(b">", b" "), value.replace(b">", b" ")
    elif match := _INLINE.match(data, at):
        prefix, key, between, value, eol = match.groups()
        if (b"\n" in between and between != eol + prefix) or max(len(key.split()), len(value.split())) > _INLINE_LIMIT:
            return None
        fields = key, value
    else:
        return None
    sizes = len(fields[0].split()), len(fields[1].split())
    wide = _WIDE_GAP.search(key) is not None or _WIDE_GAP.search(value) is not None
    labels = None if match.re is _BROKEN else between
    return _frame(sizes, prefix, eol, b"  " if wide else b" ", labels), prefix


@lru_cache(maxsize=64)
def _frame(sizes: tuple[int, int], prefix: bytes, eol: bytes, gap: bytes, between: bytes | None) -> Frame:
    """`between`: what stands between key and value when both follow their labels; None for rows of their own."""
    if between is None:
        key, value = (marked_rows(size, prefix, eol, gap) for size in sizes)
        marked = prefix + b"key:" + eol + key + eol + prefix + b"value:" + eol + value + eol
    else:
        key, value = (marked_rows(size, b"", eol, gap) for size in sizes)
        marked = prefix + b"key: " + key + between + b"value: " + value + eol
    return frame_of(marked, *sizes)


def goes_on(data: bytes, at: int, prefix: bytes) -> bool:
    """Whether another entry or the trailer starts at `at`, so that the entry before it is whole."""
    return data.startswith(prefix, at) and _NEXT.match(data, at + len(prefix)) is not None


def condensed(head: bytes) -> bytes:
    """A head that is a clean dump and nothing else, with the middle of its run of entries left out; else the head.

    Forty sniffers search every head: thousands of entries that look alike tell them no more than a few do.
    """
    if head.find(b"key:", 0, 20) < 0 or (found := frame_at(head, 0)) is None:
        return head
    frame, _ = found
    count = len(decode_run(frame, head, 0).keys)
    if count <= _KEPT_ENTRIES or len(head) - count * frame.stride > frame.stride:
        return head
    return head[: _KEPT_ENTRIES * frame.stride] + head[count * frame.stride :]
