"""A member read as JSON documents: its values with spans, and the problems that every JSON node file has in common."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from formats.base import Problem, Span
from formats.json_documents import documents
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.json_node import Document, Node
    from formats.source import Source

#: More of one file is not read: the largest node file met, `crictl inspect` of 200 containers, has 6 MiB.
LIMIT = 16 * 1024 * 1024
#: Places of one kind of damage in one document that are told one by one.
TOLD = 8

_CALL = lazy(rb"(?:localhost|127\.0\.0\.1|\[?::1\]?):(\d{2,5})/(v1/[a-z-]+)")


class LineIndex:
    """Line numbers of byte offsets in one member."""

    def __init__(self, data: bytes) -> None:
        self._ends = [match.start() for match in re.finditer(b"\n", data)]

    def span(self, start: int, end: int) -> Span:
        """The Span of bytes [start, end)."""
        first = bisect_right(self._ends, start - 1) + 1
        return Span(start, end, first, max(first, bisect_right(self._ends, max(start, end - 1) - 1) + 1))


@dataclass(slots=True)
class JsonSource:
    """The documents of one member. `cut_at_limit`: it goes on past LIMIT, and that part was not read."""

    data: bytes
    documents: list[Document]
    index: LineIndex
    cut_at_limit: bool

    def span(self, node: Node) -> Span:
        """The Span of a value."""
        return self.index.span(node.start, node.end)

    def call(self, document: Document) -> tuple[int | None, str | None]:
        """(port, endpoint) of the last introspection URL named in the 2 KiB before a document."""
        before = self.data[max(0, document.root.start - 2048) : document.root.start]
        calls = _CALL.findall(before)
        return (int(calls[-1][0]), calls[-1][1].decode()) if calls else (None, None)

    def at(self, node: Node) -> Span:
        """The place of a value as an empty span: where to look, no byte of it lost."""
        return self.index.span(node.start, node.start)

    def problems(self, used: list[Document], what: str) -> Iterator[Problem]:
        """What is wrong with the documents a reader has used: cut, elided, text in between, past LIMIT."""
        for document in used:
            if document.fragment:
                at = self.at(document.root)
                yield Problem(
                    f"{what} begins in the middle of an object", at, "what is whole was read", "its beginning"
                )
            done, lost = "what is shown was read", "what the dots stand for"
            yield from self._places(document.dots, f"{what} is elided (`...`)", done, lost)
            done, lost = "what came before, and what could be read after, was kept", "what stood at the damage"
            yield from self._places(document.tears, f"{what} is cut or damaged", done, lost)
            told = f"text that is not JSON inside {what}"
            yield from self._places(document.foreign_text, told, "passed over", "nothing known")
        if self.cut_at_limit:
            done = f"its first {LIMIT} bytes were read"
            yield Problem(f"{what} is larger than {LIMIT} bytes", None, done, "what comes after")

    def _places(self, places: list[tuple[int, int]], what: str, done: str, lost: str) -> Iterator[Problem]:
        for start, end in places[:TOLD]:
            yield Problem(what, self.index.span(start, end), done, lost)
        more = places[TOLD:]
        if more:
            where = self.index.span(more[0][0], more[-1][1])
            yield Problem(f"{what}, in {len(more)} or more further places", where, done, lost)

    def twice(self, used: list[Document], what: str) -> Iterator[Problem]:
        """A Problem when one file holds more than one document: an interrupted collector run was appended to."""
        if len(used) > 1:
            yield Problem(
                f"{what} was collected {len(used)} times into one file",
                self.at(used[1].root),
                "all were read; the last one is the newest",
                "nothing",
            )


def read_json(source: Source) -> JsonSource:
    """Every JSON document of a member, up to LIMIT bytes."""
    fits = source.fits(LIMIT)
    data = source.data() if fits else _first(source, LIMIT)
    return JsonSource(data, list(documents(data)), LineIndex(data), not fits)


def _first(source: Source, limit: int) -> bytes:
    parts: list[bytes] = []
    left = limit
    for piece in source.chunks():
        parts.append(piece[:left])
        left -= len(parts[-1])
        if left <= 0:
            break
    return b"".join(parts)
