"""uname.txt: `uname -a`: host name and kernel release. The host name of an EC2 node often spells its address."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from formats.base import NO, Format, Score
from formats.hints import basename, scored
from formats.line_search import lines_with, span_of
from formats.node_records import fact
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

_ANCHOR = lazy(rb"^[ \t>]*Linux [\w.-]+ \d+\.\d+\S* #\d+", re.M)
_UNAME = lazy(
    r"^[ \t>]*Linux (?P<host>[\w.-]+) (?P<kernel>\d+\.\d+\S*) #\d+\S* .*\b(?:x86_64|aarch64|arm64|GNU/Linux)\b"
)


def sniff(head: bytes, path: str) -> Score:
    """A whole line of `uname -a`."""
    found = b"Linux " in head and _ANCHOR.search(head[:65536]) is not None
    named = basename(path) == "uname.txt"
    return scored(64 if found else 0, named=named, what="uname -a") if found or named else NO


def read(source: Source) -> Iterator[Item]:
    """hostname and kernel of each different line."""
    seen: set[str] = set()
    for line in lines_with(source, _ANCHOR):
        match = _UNAME.match(line.text)
        if match is not None and match[0] not in seen:
            seen.add(match[0])
            yield fact(span_of(line), "hostname", match["host"])
            yield fact(span_of(line), "kernel", match["kernel"])


FORMAT = Format(
    name="uname",
    title="uname -a",
    sniff=sniff,
    read=read,
    versions="coreutils and busybox on Linux, x86_64 and arm64",
    about="The host name and the kernel release of the node.",
    limits=("a host name somebody has set tells nothing of the node's address",),
    loses=("the kernel's build date",),
)
