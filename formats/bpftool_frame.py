"""The frame of a clean entry of a plain dump, found from the entry that stands at an offset."""

from __future__ import annotations

import re

from formats.hexdump import Frame, frame_of, marked_rows

_BROKEN = re.compile(
    rb"([ \t>]{0,16})key:(\r?\n)((?:\1[0-9a-f ]+\2){1,4})\1value:\2((?:\1[0-9a-f][0-9a-f ]+\2){1,4096})"
)
_INLINE = re.compile(
    rb"([ \t>]{0,16})key: ([0-9a-f ]*[0-9a-f])(  ?|\r?\n[ \t>]{0,16})value: ([0-9a-f ]*[0-9a-f])(\r?\n)"
)
#: A field behind its label has at most one row.
_INLINE_LIMIT = 16
_PAIR = re.compile(rb"[0-9a-f]{2}")


def frame_at(data: bytes, at: int) -> tuple[Frame, bytes] | None:
    """The frame of the entry that starts at `at`, and what stands before each of its lines; None when it is not clean.

    Whether the entry really has the frame is for decode_run to say.
    """
    if match := _BROKEN.match(data, at):
        prefix, eol, key, value = match.groups()
        gap = b"  " if re.search(rb"[0-9a-f]  [0-9a-f]", key + value) else b" "
        sizes = (len(_PAIR.findall(key)), len(_PAIR.findall(value)))
        rows = [marked_rows(size, prefix, eol, gap) for size in sizes]
        marked = prefix + b"key:" + eol + rows[0] + eol + prefix + b"value:" + eol + rows[1] + eol
    elif match := _INLINE.match(data, at):
        prefix, key, between, value, eol = match.groups()
        if b"\n" in between and between != eol + prefix:
            return None
        sizes = (len(_PAIR.findall(key)), len(_PAIR.findall(value)))
        gap = b"  " if re.search(rb"[0-9a-f]  [0-9a-f]", key + b"|" + value) else b" "
        rows = [marked_rows(size, b"", eol, gap) for size in sizes]
        marked = prefix + b"key: " + rows[0] + between + b"value: " + rows[1] + eol
        if max(sizes) > _INLINE_LIMIT:
            return None
    else:
        return None
    return (frame_of(marked, *sizes), prefix) if min(sizes) else None
