"""YAML as kubectl and people write it: documents and List items with their spans; a break costs its own part.

A `List` is read item by item, so that its size is no matter and a broken item costs itself. kubectl's own block form
goes through formats/k8s_block.py, anything else through libyaml's events (formats/k8s_events.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from formats.base import Problem, Span
from formats.k8s_block import NOT_SIMPLE, Token, parse
from formats.k8s_events import Built, Fault, Path, build
from formats.k8s_repair import recover
from formats.k8s_text import Text
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SEPARATOR = lazy(rb"(?m)^(?:---|\.\.\.)(?=[ \t]|$)[ \t]*(#[^\n]*)?(\S[^\n]*)?\n?")
_ITEMS = lazy(rb"(?m)^items:[ ]*\n(?:[ ]*(?:#[^\n]*)?\n)*( *)- ")
_TOP_KEY = lazy(rb"(?m)^(?:(?:kind:[^\n]*\n)?(apiVersion:)|(?!kind:)[A-Za-z]\w*:)")
_ITEM_HEAD = lazy(rb" *- +(?:apiVersion|kind|metadata|spec):")
_KIND = lazy(rb"(?m)^kind:[ ]*\S")


@dataclass(slots=True)
class Loaded:
    """One object of a text. `locate` gives the text's line of a path, or of its nearest parent; it is worked out late.

    `cut`: the text is known to end inside or right behind this object. `last`: nothing follows it in its text.
    `list_kind` and `list_version` are those of the List it was an item of.
    """

    value: Any
    span: Span
    text: Text
    locate: Callable[[Path], int]
    faults: list[Fault] = field(default_factory=list)
    cut: bool = False
    last: bool = False
    list_kind: str | None = None
    list_version: str | None = None


class _Piece(NamedTuple):
    """Bytes [start, end) of a text, which begin at its line `line`."""

    text: Text
    start: int
    end: int
    line: int

    @property
    def data(self) -> bytes:
        return self.text.data[self.start : self.end]

    def span(self) -> Span:
        data = self.text.data
        end = self.end
        while end > self.start and data[end - 1] in b" \n":
            end -= 1
        return self.text.span(self.start, end, self.line, self.line + data.count(b"\n", self.start, end))


def load_documents(data: bytes) -> Iterator[tuple[Any, Span, list[Problem]]]:
    """(object, span, problems) of every document and List item in clean YAML, in order; never raises."""
    text = Text(data)
    for loaded in load_yaml(text):
        problems = [
            Problem(fault.message, text.line_span(fault.line, loaded.span), "read the rest", fault.lost)
            for fault in loaded.faults
        ]
        yield loaded.value, loaded.span, problems


def load_yaml(text: Text) -> Iterator[Loaded]:
    """Every object of a text; a List gives its items, and itself only when it has none."""
    memo: dict[str, Token] = {}
    line = 1
    at = 0
    found = list(_documents(text.data))
    for start, end in found:
        line += text.data.count(b"\n", at, start)
        at = start
        piece = _Piece(text, start, end, line)
        for loaded in _document(piece, memo):
            loaded.last = loaded.last and end == found[-1][1]
            yield loaded


def _documents(data: bytes) -> Iterator[tuple[int, int]]:
    """[start, end) of each document: between `---` lines, and at a repeated apiVersion at the left edge."""
    start = 0
    for match in _SEPARATOR.finditer(data):
        yield from _split_repeated(data, start, match.start())
        start = match.start() if match[2] else match.end()
    yield from _split_repeated(data, start, len(data))


def _split_repeated(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    version = other = False
    for match in _TOP_KEY.finditer(data, start, end):
        if match[1] is None:
            other = True
        elif version and other:
            yield from _unless_blank(data, start, match.start())
            start, other = match.start(), False
        else:
            version = True
    yield from _unless_blank(data, start, end)


def _unless_blank(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and data[start] in b"\n\r":
        start += 1
    if data[start:end].strip():
        yield start, end


def _document(piece: _Piece, memo: dict[str, Token]) -> Iterator[Loaded]:
    data = piece.text.data
    match = _ITEMS.search(data, piece.start, piece.end)
    if match is not None:
        indent = len(match[1])
        first = match.end() - indent - 2
        tail = re.compile(rb"\n(?! {%d}[ -]| *\n| *#)" % indent).search(data, first, piece.end)
        stop = tail.start() + 1 if tail else piece.end
        head = data[piece.start : match.start()] + data[stop : piece.end]
        yield from _list(piece, memo, head, (first, stop, indent), cut=_KIND.search(head) is None)
    elif data.startswith(b"- ", piece.start):
        yield from _list(piece, memo, b"", (piece.start, piece.end, 0), cut=False)
    else:
        yield from _one(piece, memo)


def _one(piece: _Piece, memo: dict[str, Token]) -> Iterator[Loaded]:
    value, built = _read(piece.data, memo)
    if built is not None and built.broken is not None:
        built = recover(piece.data)
        value = built.value
    if value is None and (built is None or not built.faults):
        return
    if isinstance(value, dict) and isinstance(value.get("items"), list) and value["items"]:
        yield from _whole_list(piece, built or build(piece.data))
        return
    loaded = Loaded(value, piece.span(), piece.text, _locator(piece, ()), last=True)
    loaded.faults = [_moved(fault, piece.line) for fault in built.faults] if built is not None else []
    yield loaded


def _list(
    piece: _Piece, memo: dict[str, Token], head: bytes, where: tuple[int, int, int], *, cut: bool
) -> Iterator[Loaded]:
    data = piece.text.data
    first, stop, indent = where
    marks = [match.start() for match in re.compile(rb"(?m)^ {%d}- " % indent).finditer(data, first, stop)]
    if not all(_ITEM_HEAD.match(data, mark) for mark in marks[: -1 if cut else None]):
        yield from _one(piece, memo)
        return
    attributes, _ = _read(head, memo)
    if not isinstance(attributes, dict):
        attributes = {}
    line, at = piece.line, piece.start
    for number, (start, end) in enumerate(zip(marks, [*marks[1:], stop], strict=True)):
        line += data.count(b"\n", at, start)
        at = start
        item = _Piece(piece.text, start, end, line)
        value, built = _read(item.data, memo)
        if built is not None and built.broken is not None:
            whole = build(piece.data)
            if whole.broken is None:
                yield from list(_whole_list(piece, whole))[number:]
                return
            built = recover(item.data)
            value = built.value
        value = value[0] if isinstance(value, list) and value else None
        last = end == stop
        loaded = Loaded(value, item.span(), piece.text, _locator(item, (0,)), cut=cut and last, last=last)
        loaded.faults = [_moved(fault, line, 1) for fault in built.faults] if built is not None else []
        loaded.list_kind = _text(attributes.get("kind"))
        loaded.list_version = _text(attributes.get("apiVersion"))
        yield loaded


def _whole_list(piece: _Piece, built: Built) -> Iterator[Loaded]:
    """The items of a document that was read in one: flow style, or anchors over several items."""
    items = built.value["items"] if isinstance(built.value, dict) else built.value
    prefix: Path = ("items",) if isinstance(built.value, dict) else ()
    attributes = built.value if isinstance(built.value, dict) else {}
    rows = piece.data.split(b"\n")
    offsets = [0]
    for row in rows:
        offsets.append(offsets[-1] + len(row) + 1)
    for number, value in enumerate(items):
        first = built.lines.get((*prefix, number), 1)
        after = built.lines.get((*prefix, number + 1), built.last_line + 1 if built.last_line else len(rows))
        ended = max(first, after - 1)
        item = _Piece(
            piece.text,
            piece.start + offsets[first - 1],
            min(piece.end, piece.start + offsets[min(ended, len(rows))]),
            piece.line + first - 1,
        )
        loaded = Loaded(value, item.span(), piece.text, _located(built, piece, (*prefix, number)))
        loaded.list_kind = _text(attributes.get("kind"))
        loaded.list_version = _text(attributes.get("apiVersion"))
        depth = len(prefix) + 1
        loaded.faults = [
            _moved(fault, piece.line, depth) for fault in built.faults if fault.path[:depth] == (*prefix, number)
        ]
        loaded.last = number == len(items) - 1
        loaded.cut = loaded.last and bool(prefix) and "kind" not in attributes
        yield loaded


def _read(data: bytes, memo: dict[str, Token]) -> tuple[Any, Built | None]:
    """The object, and how libyaml read it when the fast reader declined."""
    try:
        value = parse(data.decode("ascii"), memo)
    except UnicodeDecodeError:
        value = NOT_SIMPLE
    if value is not NOT_SIMPLE:
        return value, None
    built = build(data)
    return built.value, built


def _moved(fault: Fault, line: int, depth: int = 0) -> Fault:
    return Fault(fault.message, fault.line + line - 1, fault.path[depth:], fault.fatal, fault.lost)


def _locator(piece: _Piece, prefix: Path) -> Callable[[Path], int]:
    """Where a path stands; the piece is read again, with lines, the first time that somebody asks."""
    known: list[Callable[[Path], int]] = []

    def locate(path: Path) -> int:
        if not known:
            known.append(_located(recover(piece.data), piece, prefix))
        return known[0](path)

    return locate


def _located(built: Built, piece: _Piece, prefix: Path) -> Callable[[Path], int]:
    def locate(path: Path) -> int:
        full = (*prefix, *path)
        while full and full not in built.lines:
            full = full[:-1]
        return piece.line + built.lines.get(full, 1) - 1

    return locate


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
