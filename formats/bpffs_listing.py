"""Listings of the agent's pins under /sys/fs/bpf: `ls -l`, `ls -lR`, `ls`, `find`, `find -ls`, `tree`.

A pin's time is when its program or map was loaded: bpffs keeps no other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from formats.base import NO, Format, Record, Score, Span
from formats.patterns import lazy
from formats.pins import split_pin
from formats.text import Line, clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

_LONG = lazy(
    r"(?:^|\s)[-dlcbps][rwxsStT-]{9}[.+@]?\s+\d+\s+\S+\s+\S+\s+\d+\s+"
    r"(?P<time>[A-Z][a-z]{2}\s+\d{1,2}\s+(?:\d{1,2}:\d{2}|\d{4})"
    r"|\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:\s+[+-]\d{4})?)\s+(?P<name>\S+)$"
)
_FOLDER = lazy(r"^(?P<path>/\S*/bpf(?:/\S*)?|\.{0,2}/?(?:globals|aws|maps|programs)(?:/\S*)?):$")
_TREE = lazy(r"^[\s\u2502\u251c\u2514\u2500|`+-]+(?=\S)")
_PIN = rb"(?:_handle_(?:in|e)gress|_(?:in|e)gress(?:_pod_state)?_map|\bglobal_(?:aws_conntrack_map|policy_events))"
_SNIFF = lazy(rb"^[^\n]{0,24}?-[rwx-]{9}[.+@]?\s[^\n]{8,80}?\s\S*" + _PIN + rb"[ \t\r]*$", re.M)
_SNIFF_PATH = lazy(rb"^[ \t>]*/\S*/bpf/\S*" + _PIN + rb"[ \t\r]*$", re.M)
_SNIFF_NAME = lazy(rb"/bpf/globals/aws/(?:maps|programs):\s*\n")


def sniff(head: bytes, path: str) -> Score:
    """Long listings of pins, paths of pins on lines of their own, or the folders of the agent."""
    if b"gress" not in head and b"/bpf/" not in head:
        return NO
    if _SNIFF.search(head) or _SNIFF_NAME.search(head):
        return Score(82, "a listing of the agent's pins")
    return Score(55, "paths of the agent's pins") if _SNIFF_PATH.search(head) else NO


def read(source: Source) -> Iterator[Item]:
    """One `pin` for each file the agent pinned."""
    folder: str | None = None
    number = 1
    for offset, piece in source.line_chunks():
        at = 0
        while at < len(piece):
            cut = piece.find(b"\n", at)
            end = len(piece) if cut < 0 else cut
            line = Line(offset + at, offset + end, number, clean(piece[at:end]))
            if match := _FOLDER.match(line.text.strip()):
                folder = match["path"].rstrip("/")
            elif b"gress" in piece[at:end] or b"global_" in piece[at:end]:
                yield from _pins(line, folder)
            at, number = end + 1, number + 1


def _pins(line: Line, folder: str | None) -> Iterator[Record]:
    text = line.text.strip()
    if match := _LONG.search(text):
        yield from _record(line, match["name"], folder, re.sub(r"\s+", " ", match["time"]))
        return
    tree = _TREE.match(line.text)
    text = line.text[tree.end() :].strip() if tree and "\u2500" in tree.group() else text
    words = text.split()
    # names in columns follow a folder's line; a path stands alone
    alone = len(words) == 1 and (tree is not None or "/bpf/" in text)
    if (alone or folder is not None) and all(split_pin(word) for word in words):
        for word in words:
            yield from _record(line, word, folder, None)


def _record(line: Line, name: str, folder: str | None, modified: str | None) -> Iterator[Record]:
    pin = split_pin(name)
    if pin is None:
        return
    path = name if "/" in name or folder is None else f"{folder}/{name}"
    data = {"path": path, **pin._asdict(), "modified": modified}
    yield Record("pin", data, Span(line.start, line.end, line.number, line.number))


FORMAT = Format(
    "bpffs-listing",
    "ls or find of /sys/fs/bpf",
    sniff,
    read,
    versions="ls and find of coreutils and busybox, tree",
    about="The agent's pins: which pod identifiers have programs and maps on the node, and since when.",
    limits=("the times have no zone and, in the short form, no year: they are kept as printed",),
    loses=("owner, mode and size of the pins; directories and files that are no pins of the agent",),
)
