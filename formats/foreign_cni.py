"""What the recognisers of other CNIs share: signs in text, counted block by block, and maps known by file name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from formats.base import Record, Span
from formats.hints import basename
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from formats.base import Item
    from formats.source import Source

#: An entry of a bpftool dump, in any of its forms.
_ENTRY = lazy(rb"^[ \t>]*key:[ \t]*(?:[0-9a-f]{2}|$)|^[ \t>]*key[ \t]+[0-9a-f]{2} |\"key\"\s*:", re.M)
_DUMP = lazy(rb"^[ \t>]*key:|^[ \t>]*key[ \t]+[0-9a-f]{2} |\"key\"\s*:|^Found \d+ elements?", re.M)

#: What a sign is called, and its pattern. A pattern's first group, where it has one, is added to the name.
Sign = tuple[str, "re.Pattern[bytes]"]


def map_of_path(head: bytes, path: str, names: re.Pattern[str]) -> str | None:
    """The map's name when a file is named for a map of this CNI and holds a dump."""
    match = names.match(basename(path))
    return match[0] if match is not None and _DUMP.search(head[:65536]) else None


def has_sign(head: bytes, literals: Sequence[bytes], signs: Sequence[Sign]) -> bool:
    """Whether text holds a sign; the literals spare the patterns."""
    return any(literal in head for literal in literals) and any(pattern.search(head) for _, pattern in signs)


def foreign_records(source: Source, cni: str, signs: Sequence[Sign], dumped: str | None) -> Iterator[Item]:
    """One `foreign` record per different sign: {cni, what, count}, at its first place."""
    counts: dict[str, int] = {}
    spans: dict[str, Span] = {}
    number = 1
    wanted = [*signs, (f"map {dumped}", _ENTRY)] if dumped else signs
    for offset, block in source.line_chunks():
        for what, pattern in wanted:
            for match in pattern.finditer(block):
                name = what
                if pattern.groups and match.lastindex:
                    name = f"{what} {match[match.lastindex].decode('utf-8', 'replace')}"
                counts[name] = counts.get(name, 0) + 1
                if name not in spans:
                    line = number + block.count(b"\n", 0, match.start())
                    spans[name] = Span(offset + match.start(), offset + match.end(), line, line)
        number += block.count(b"\n")
    for name in sorted(spans, key=lambda key: (spans[key].start, key)):
        yield Record("foreign", {"cni": cni, "what": name, "count": counts[name]}, spans[name])
