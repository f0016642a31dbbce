"""`aws-eks-na-cli ebpf dump-maps ID` and `dump-cp-maps ID`, alone or joined by the log collector: rule maps, pod state
and conntrack, of every version and both binaries.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from formats import nacli_ahead
from formats.base import NO, Format, Score
from formats.nacli_names import of_path
from formats.nacli_reader import Reader
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

#: Score, reason, a literal that every match holds (looked for first: it costs next to nothing), and the pattern.
_SIGNS: tuple[tuple[int, str, bytes, re.Pattern[bytes]], ...] = (
    (
        97,
        "sections of dump-maps joined by the log collector",
        b"EBPF Maps Data",
        lazy(rb"\*\*\* ?EBPF Maps Data for Map ID"),
    ),
    (
        92,
        "rule map entries of aws-eks-na-cli",
        b"IP/Prefixlen",
        lazy(rb"\bKey ?: *IP/Prefixlen - *[0-9A-Fa-f:.]+/\d"),
    ),
    (
        92,
        "rule map entries of aws-eks-na-cli v1.3.0 or later",
        b"Entry ",
        lazy(rb"\bKey: *[0-9A-Fa-f:.]+/\d+[\s*]+(?:Key: *\S+\s+)?-{5,}\s+Entry \d"),
    ),
    (90, "conntrack entries of aws-eks-na-cli", b"Conntrack Key", lazy(rb"\bConntrack Key ?: *Source IP")),
    (88, "pod state entries of aws-eks-na-cli", b"State", lazy(rb"\bKey ?: *\d+\s+State ?- *\d")),
    (
        88,
        "the first line of dump-maps of the IPv6 binary",
        b"Walking map",
        lazy(rb"Walking map: .{0,80}\(type=\d+, *id=\d+\)"),
    ),
    (
        85,
        "an empty map as aws-eks-na-cli tells it",
        b"ntries found,",
        lazy(rb"No [Ee]ntries found, ?(?:Empty map|empty HASH map)"),
    ),
    (
        80,
        "an error line of aws-eks-na-cli",
        b"Failed to execute the cmd",
        lazy(rb"Failed to execute the cmd - (?! ?failed walking)"),
    ),
    (
        80,
        "an error line of aws-eks-na-cli",
        b"There was an error",
        lazy(rb"There was an error while executing your CLI"),
    ),
    (60, "an end line of aws-eks-na-cli", b"Done reading", lazy(rb"Done reading all entries")),
    (
        60,
        "slots of aws-eks-na-cli",
        b"Protocol",
        lazy(rb"(?:Value Entry ?: *\d+|Entry \d+:)\s+Protocol +- *[A-Z]"),
    ),
    (
        45,
        "keys of aws-eks-na-cli",
        b"Key:",
        lazy(rb"(?:^|\n)\W*Key: *[0-9A-Fa-f:]*[.:][0-9A-Fa-f:.]*/\d+\s*(?:\n|$)"),
    ),
    (35, "a cut key of aws-eks-na-cli", b"IP/Prefixlen", lazy(rb"\bKey ?: *IP/Prefixlen")),
)


def sniff(head: bytes, path: str) -> Score:
    """By the lines only this CLI prints; a crash trace counts only in a file named after a dump."""
    for value, reason, literal, pattern in _SIGNS:
        if literal in head and pattern.search(head):
            return Score(value, reason)
    hint = of_path(path)
    if (hint.map_name or hint.map_id is not None or hint.verb) and re.search(
        rb"\bgoroutine \d+ .*\[|fatal error: ", head
    ):
        return Score(50, "a crash trace in a file named after a dump of aws-eks-na-cli")
    return NO


def read(source: Source) -> Iterator[Item]:
    """One MapDump for each section, its problems after it; error lines and destroyed sections as `cli_error`."""
    reader = Reader(source.path)
    for offset, block, runs in nacli_ahead.blocks(source):
        yield from reader.feed(offset, block, runs)
    yield from reader.finish()


FORMAT = Format(
    name="nacli-maps",
    title="aws-eks-na-cli dump-maps and dump-cp-maps",
    sniff=sniff,
    read=read,
    versions="v0.1.0 to v1.4.1 and main after it; IPv4 and IPv6 binary",
    about=(
        "Text of aws-eks-na-cli `ebpf dump-maps ID` (rule maps, conntrack, pod state) and `ebpf dump-cp-maps ID`"
        " (cluster maps, IPv4 binary since v1.3.0), from one command, from several with prompts between, or in the log"
        " collector's ebpf-maps-data.txt and ebpf-cp-maps-data.txt. A section is complete only with its"
        " end line. On IPv6, and on IPv4 before v1.0.4, `Unable to get First key` means an empty map."
    ),
    limits=(
        "A section that dump-maps destroyed (cluster map, v1.3.0 and later; any map of v1.0.6 and earlier whose first"
        " key is overwritten) gives a `cli_error` and a problem, never rules.",
        "An empty section means that the command printed nothing, not that the map is empty.",
        "dump-cp-maps on a namespace map prints slots re-cut at 16 bytes; only the map's name can tell, then the dump"
        " is marked wrong-stride.",
        "The IPv6 binary prints nothing of a pod state map, and has no dump-cp-maps.",
        "Conntrack lines of the IPv6 binary of v1.0.4 and v1.0.5 are shifted by two bytes and left out.",
        "A healthy dump with 0.0.0.0/0 as its only entry, cut before its end line, reads as a crash: it is discarded.",
    ),
    loses=(
        "Value bytes of rule maps: the value size, every byte behind slot 23, and slots whose protocol is 0 (their"
        " ports and priority too); slot numbers survive.",
        "The number of a protocol printed as UNKNOWN.",
        "All slots but slot 0, up to v1.0.6; keys and values of that form may be overrun by the CLI itself.",
        "The map's name, the pod, and the time; without a collector's heading or the command, the map's ID too.",
        "Conntrack: the padding of keys (taken as zero) and, up to v1.0.4, the value behind its first byte.",
    ),
)
