"""Kubernetes objects as JSON: one document or several, each List item with its own span, cut text up to the cut.

Whole documents go through the standard decoder, item by item. Where it refuses, or a key is given twice, the part is
read again by formats/json_documents.py, which keeps what is whole and marks what was cut.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from formats.base import Problem
from formats.json_documents import documents
from formats.k8s_events import MAX_BYTES, Fault, Path, guard
from formats.k8s_yaml import Loaded
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from formats.json_node import Node
    from formats.k8s_text import Text

_BLANK = lazy(r"[\s\ufeff]*")
_LIST_KIND = lazy(rb'"kind"\s*:\s*"(\w*List)"')
_LONE_SURROGATE = lazy(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


class _Unclean(ValueError):
    """The standard decoder would read this part, but not say all of it."""


def load_json(text: Text) -> Iterator[Loaded | Problem]:
    """Every object of a text of JSON documents, in order."""
    reason = guard(text.data) if len(text.data) <= MAX_BYTES else _too_deep(text.data)
    if reason is not None:
        last = text.data.count(b"\n") + 1
        yield Problem(reason, text.span(0, len(text.data), 1, last), "not read", "the whole text")
        return
    yield from _Reader(text).run()


def _too_deep(data: bytes) -> str | None:
    for start in range(0, len(data), MAX_BYTES):
        part = data[start : start + MAX_BYTES]
        # A step of a deep nest is the same in any part of it; the sum over a part cannot exceed the whole's depth.
        if (reason := guard(part)) is not None:
            return reason
    return None


class _Reader:
    def __init__(self, text: Text) -> None:
        self.text = text
        source = text.data.decode("utf-8", "replace")
        self.source = _LONE_SURROGATE.sub(r"\\ufffd", source) if "\\u" in source else source
        self.wide = len(source) != len(text.data)
        self.decoder = json.JSONDecoder(
            object_pairs_hook=_unique, parse_float=_finite, parse_int=_whole, parse_constant=str
        )
        self.line_at = (0, 1)
        self.byte_at = (0, 0)

    def run(self) -> Iterator[Loaded | Problem]:
        at = 0
        source = self.source
        while (at := _BLANK.match(source, at).end()) < len(source):  # type: ignore[union-attr]
            try:
                if source[at] == "{":
                    found, at = self._object(at)
                else:
                    value, end = self.decoder.raw_decode(source, at)
                    parts = value if isinstance(value, list) else []
                    found = [self._loaded(part, at, end) for part in parts]
                    at = end
            except (ValueError, RecursionError):
                yield from self._tolerant(at)
                return
            yield from found

    def _object(self, at: int) -> tuple[list[Loaded], int]:
        """The object at `{`, or the items of the List there, and the offset after it. Raises ValueError."""
        source, decoder = self.source, self.decoder
        start = at
        value: dict[str, Any] = {}
        items: list[tuple[Any, int, int]] = []
        at = _BLANK.match(source, at + 1).end()  # type: ignore[union-attr]
        while source[at : at + 1] != "}":
            key, at = decoder.raw_decode(source, at)
            at = _BLANK.match(source, at).end()  # type: ignore[union-attr]
            if not isinstance(key, str) or source[at : at + 1] != ":" or key in value:
                raise _Unclean(key)
            at = _BLANK.match(source, at + 1).end()  # type: ignore[union-attr]
            if key == "items" and source[at : at + 1] == "[":
                items, at = self._items(at)
                value[key] = []
            else:
                value[key], at = decoder.raw_decode(source, at)
            at = _BLANK.match(source, at).end()  # type: ignore[union-attr]
            if source[at : at + 1] == ",":
                at = _BLANK.match(source, at + 1).end()  # type: ignore[union-attr]
            elif source[at : at + 1] != "}":
                raise _Unclean(key)
        at += 1
        if not items:
            return [self._loaded(value, start, at)], at
        found = []
        for part, first, end in items:
            loaded = self._loaded(part, first, end)
            loaded.list_kind, loaded.list_version = _text(value.get("kind")), _text(value.get("apiVersion"))
            found.append(loaded)
        return found, at

    def _items(self, at: int) -> tuple[list[tuple[Any, int, int]], int]:
        found = []
        at = _BLANK.match(self.source, at + 1).end()  # type: ignore[union-attr]
        while self.source[at : at + 1] != "]":
            value, end = self.decoder.raw_decode(self.source, at)
            found.append((value, at, end))
            at = _BLANK.match(self.source, end).end()  # type: ignore[union-attr]
            if self.source[at : at + 1] == ",":
                at = _BLANK.match(self.source, at + 1).end()  # type: ignore[union-attr]
            elif self.source[at : at + 1] != "]":
                raise _Unclean("items")
        return found, at + 1

    def _loaded(self, value: Any, start: int, end: int) -> Loaded:
        first_byte, last_byte = self._bytes(start), self._bytes(end)
        return _loaded(self.text, value, first_byte, last_byte, self._line(start), self._line(end))

    def _line(self, at: int) -> int:
        known, line = self.line_at if self.line_at[0] <= at else (0, 1)
        self.line_at = (at, line + self.source.count("\n", known, at))
        return self.line_at[1]

    def _bytes(self, at: int) -> int:
        if not self.wide:
            return at
        known, size = self.byte_at if self.byte_at[0] <= at else (0, 0)
        self.byte_at = (at, size + len(self.source[known:at].encode("utf-8", "replace")))
        return self.byte_at[1]

    def _tolerant(self, at: int) -> Iterator[Loaded | Problem]:
        start = self._bytes(at)
        data = self.text.data[start:]
        base = self.text.data.count(b"\n", 0, start)
        for document in documents(data):
            root = document.root
            items = root.at("items")
            if isinstance(root.value, list) or (items is not None and items.parts()):
                parts = items.parts() if items is not None else root.parts()
                kind, version = root.text("kind"), root.text("apiVersion")
                if kind is None and (match := _LIST_KIND.search(data, root.start, root.end)):
                    kind = match[1].decode()
            else:
                parts, kind, version = [root], None, None
            for node in parts:
                if not isinstance(node.value, dict):
                    continue
                faults: list[Fault] = []
                value = _plain(node, (), faults, data, base)
                first = base + data.count(b"\n", 0, node.start) + 1
                last = base + data.count(b"\n", 0, node.end) + 1
                _duplicates(data[node.start : node.end], first, faults)
                loaded = _loaded(self.text, value, start + node.start, start + node.end, first, last)
                loaded.faults, loaded.list_kind, loaded.list_version = faults, kind, version
                yield loaded
            if parts != [root] and root.cut and not any(part.cut for part in parts):
                first = base + data.count(b"\n", 0, root.start) + 1
                last = base + data.count(b"\n", 0, root.end) + 1
                span = self.text.span(start + root.start, start + root.end, first, last)
                yield Problem("the List ends before its closing bracket", span, "its whole items were read", "the rest")


def _plain(node: Node, path: Path, faults: list[Fault], data: bytes, base: int) -> Any:
    """The plain value of a node; the deepest cut parts are faults of their own."""
    if isinstance(node.value, dict):
        parts = [((*path, key), part) for key, part in node.value.items()]
    elif isinstance(node.value, list):
        parts = [((*path, index), part) for index, part in enumerate(node.value)]
    else:
        return node.value
    if node.cut and not any(part.cut for _, part in parts):
        line = base + data.count(b"\n", 0, node.end) + 1
        faults.append(
            Fault("not JSON, or cut: a part of this is missing", line, path, fatal=True, lost="the rest of it")
        )
    plain = [_plain(part, where, faults, data, base) for where, part in parts]
    return dict(zip(node.value, plain, strict=True)) if isinstance(node.value, dict) else plain


def _duplicates(data: bytes, first_line: int, faults: list[Fault]) -> None:
    """Keys that an object gives twice; the standard decoder tells them, and only of text that it can read."""
    twice: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                twice.append(key)
            seen.add(key)
        return dict(pairs)

    try:
        json.loads(data.decode("utf-8", "replace"), object_pairs_hook=note)
    except (ValueError, RecursionError):
        return
    for key in dict.fromkeys(twice):
        spot = data.rfind(json.dumps(key).encode())
        faults.append(Fault(f"the key {key!r} is given twice", first_line + data.count(b"\n", 0, max(spot, 0))))


def _loaded(text: Text, value: Any, start: int, end: int, first: int, last: int) -> Loaded:
    return Loaded(value, text.span(start, end, first, last), text, _locator(text, start, end, first))


def _locator(text: Text, start: int, end: int, first: int) -> Callable[[Path], int]:
    def locate(path: Path) -> int:
        data = text.data[start:end]
        node = next((document.root for document in documents(data)), None)
        where = 0
        for key in path:
            if node is None:
                break
            where = node.start
            parts = node.value if isinstance(node.value, dict | list) else {}
            if isinstance(parts, dict):
                node = parts.get(key) if isinstance(key, str) else None
            else:
                node = parts[key] if isinstance(key, int) and key < len(parts) else None
        where = node.start if node is not None else where
        return first + data.count(b"\n", 0, where)

    return locate


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Unclean("duplicate key")
    return value


def _finite(text: str) -> Any:
    number = float(text)
    return number if math.isfinite(number) else text


def _whole(text: str) -> Any:
    return int(text) if len(text) < 400 else text


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
