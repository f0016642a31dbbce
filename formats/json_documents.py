"""JSON as it really arrives: several documents in one file, text around and between them, cut, elided, pasted.

Every value keeps its byte span, so that a record can cite the object it came from. What is missing is marked on the
values it is missing from (`cut`), never filled in.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING

from formats.json_node import Document, Node
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Deeper brackets are junk: the deepest document read here (`crictl inspect`) has 12 levels.
DEPTH = 64
#: Places of damage kept apart in one document; later ones are counted into the last.
TEARS = 256

_BLANK = rb"(?:[ \t\r\n]|\x1b\[[0-9;]*[A-Za-z]|\xef\xbb\xbf)"
_QUOTED_BLANK = rb"(?:" + _BLANK + rb"|>)*"
_VALUE_AHEAD = rb"(?=" + _QUOTED_BLANK + rb'(?:[\[\]{"\d-]|true|false|null|\.\.\.|\Z))'
_TOKEN = lazy(
    rb"(?P<blank>" + _BLANK + rb'+)|(?P<string>"(?:[^"\\\n]|\\[^\n])*")'
    rb"|(?P<colon>:)|(?P<comma>,)|(?P<open>\{|\[" + _VALUE_AHEAD + rb")|(?P<close>[}\]])"
    rb"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))|(?P<word>(?:true|false|null)\b)"
    rb'|(?P<dots>\.\.\.+|\xe2\x80\xa6)|(?P<broken>"[^\n]*)|(?P<junk>[^\s"{}\[\],:]+|.)'
)
_START = lazy(
    rb"\{(?=" + _QUOTED_BLANK + rb'(?:["}]|\.\.\.|\Z))|\[(?=' + _QUOTED_BLANK + rb'[\[\]{"])'
    rb'|^(?:[ \t]|> ?)*(?="[\w./:@-]+"[ \t]*:)',
    re.M,
)  # fmt: skip
# What a shell prints before the next command, and the fence of a markdown block: no document goes on over them.
_STOP = lazy(rb"```|~~~|\[\w[\w.-]*@[^\]\n]*\][#$]|[\w.-]+@[\w.-]+:[^\n]*[#$] |[$#%] \w")
_WORDS: dict[bytes, bool | None] = {b"true": True, b"false": False, b"null": None}


def documents(data: bytes) -> Iterator[Document]:
    """Every JSON document in `data`, other text passed over."""
    at = 0
    straight = straight_quotes(data)
    while start := _START.search(straight, at):
        bracket = start[0] in (b"{", b"[")
        parser = _Parser(straight, start.start() if bracket else start.end(), fragment=not bracket)
        at = max(parser.run(), start.end())
        if parser.root is not None:
            yield parser.document()


def straight_quotes(data: bytes) -> bytes:
    """Typographic quotes and no-break blanks replaced at equal length, so that offsets hold."""
    if b"\xe2\x80\x9c" in data or b"\xe2\x80\x9d" in data:
        data = data.replace(b"\xe2\x80\x9c", b'  "').replace(b"\xe2\x80\x9d", b'"  ')
    return data.replace(b"\xc2\xa0", b"  ") if b"\xc2\xa0" in data else data


class _Parser:
    """One document from its start. Never raises: what does not fit marks the open values as cut."""

    def __init__(self, data: bytes, start: int, *, fragment: bool) -> None:
        self.data, self.at, self.fragment = data, start, fragment
        self.root: Node | None = None
        self.stack: list[Node] = []
        self.keys: list[str | None] = []
        self.implicit: set[int] = set()
        self.string: Node | None = None
        self.fresh = False
        self.marked = 0
        self.dots: list[tuple[int, int]] = []
        self.tears: list[tuple[int, int]] = []
        self.foreign_text: list[tuple[int, int]] = []
        if fragment:
            self._push(Node({}, start, start, cut=True), implicit=True)

    def document(self) -> Document:
        assert self.root is not None
        return Document(self.root, self.fragment, self.dots, self.tears, self.foreign_text)

    def run(self) -> int:
        """Read on; returns the offset after the document."""
        data = self.data
        while match := _TOKEN.match(data, self.at):
            kind, start, end = match.lastgroup, match.start(), match.end()
            if kind == "blank":
                self.fresh = self.fresh or b"\n" in match[0]
            elif (self.fresh and _STOP.match(data, start)) or (kind == "open" and self._misplaced(data[start])):
                return self._finish(start)
            elif not (self.fresh and match[0] in (b">", b"|")):
                end = self._take(kind or "", match[0], start, end)
                self.fresh = False
            self.at = end
            if self.root is not None and not self.stack:
                return end
        return self._finish(len(data))

    def _take(self, kind: str, token: bytes, start: int, end: int) -> int:
        if kind == "string":
            return self._string(token, start, end)
        if kind == "colon":
            self._colon(start, end)
        elif kind == "open":
            if len(self.stack) >= DEPTH:
                self._tear(start, end)
            else:
                self._push(Node({} if token == b"{" else [], start, end))
        elif kind == "close":
            self._close(token, end)
        elif kind == "number":
            self._add(_number(token, start, end))
        elif kind == "word":
            self._add(Node(_WORDS[token], start, end))
        elif kind == "dots":
            if len(self.dots) < TEARS:
                self.dots.append((start, end))
            self._mark()
        elif kind == "comma":
            if self.string is not None or (self.keys and self.keys[-1] is not None):
                self._tear(start, start)
        else:
            return self._junk(kind, start, end)
        return end

    def _misplaced(self, bracket: int) -> bool:
        """An object where a key belongs: the document before was cut, and a new one begins."""
        if bracket != ord("{") or not self.stack or not isinstance(self.stack[-1].value, dict):
            return False
        return self.keys[-1] is None and not self._is_implicit()

    def _is_implicit(self) -> bool:
        return id(self.stack[-1]) in self.implicit

    def _string(self, token: bytes, start: int, end: int) -> int:
        after = self.data[end : end + 1]
        if token.endswith(b'{"') and after.isalpha():
            # `"aws-c{"version"`: a string was cut and the next document begins right behind it.
            self._tear(start, end - 2)
            return end - 2
        node = Node(_unquote(token), start, end)
        if self.stack and isinstance(self.stack[-1].value, dict) and self.keys[-1] is None:
            self.string = node
        else:
            self._add(node)
        return end

    def _colon(self, start: int, end: int) -> None:
        if self.string is not None:
            self.keys[-1], self.string = self.string.value, None
        else:
            self._tear(start, end)

    def _push(self, node: Node, *, implicit: bool = False) -> None:
        if self.stack:
            self._add(node)
        self.root = self.root or node
        if implicit:
            self.implicit.add(id(node))
        self.stack.append(node)
        self.keys.append(None)

    def _add(self, node: Node) -> None:
        if not self.stack:
            return
        parent = self.stack[-1]
        if isinstance(parent.value, list):
            parent.value.append(node)
            return
        key, self.keys[-1] = self.keys[-1], None
        if key is None and self._is_implicit():
            key = f"\0{len(parent.value)}"
        if key is None:
            self._tear(node.start, node.end)
        elif not (key in parent.value and parent.cut):
            parent.value[key] = node

    def _close(self, token: bytes, end: int) -> None:
        wanted: type = dict if token == b"}" else list
        while self.stack and not isinstance(self.stack[-1].value, wanted) and not self._is_implicit():
            if not any(isinstance(node.value, wanted) or id(node) in self.implicit for node in self.stack):
                self._tear(end - 1, end)
                return
            self.stack[-1].cut = True
            self._note(end - 1)
            self._pop(end)
        closed = self.stack[-1]
        was_implicit = self._is_implicit()
        self._pop(end)
        if was_implicit:
            outer = Node({"\0": closed}, closed.start, end, cut=True)
            self.root = None
            self._push(outer, implicit=True)

    def _pop(self, end: int) -> None:
        self.stack.pop().end = end
        self.marked = min(self.marked, len(self.stack))
        if self.keys.pop() is not None or self.string is not None:
            self.string = None
            self._note(end - 1)

    def _junk(self, kind: str, start: int, end: int) -> int:
        if kind == "broken" or not self.fresh:
            self._tear(start, end)
            return end
        stop = self.data.find(b"\n", start)
        end = len(self.data) if stop < 0 else stop
        if len(self.foreign_text) < TEARS:
            self.foreign_text.append((start, end))
        return end

    def _tear(self, start: int, end: int) -> None:
        if self.tears and (len(self.tears) >= TEARS or not self.data[self.tears[-1][1] : start].strip()):
            start = self.tears.pop()[0]
        self.tears.append((start, end))
        self._mark()

    def _note(self, at: int) -> None:
        if len(self.tears) < TEARS:
            self.tears.append((at, at))

    def _mark(self) -> None:
        self.string = None
        for node in self.stack[self.marked :]:
            node.cut = True
        self.marked = len(self.stack)
        if self.keys:
            self.keys[-1] = None

    def _finish(self, end: int) -> int:
        if self.stack:
            if not (self.implicit and len(self.stack) == 1):
                self._tear(end, end)
            for node in self.stack:
                node.end = end
            self.stack.clear()
        return end


def _unquote(token: bytes) -> str:
    if b"\\" in token:
        try:
            return str(json.loads(token))
        except ValueError:
            pass
    return token[1:-1].decode("utf-8", "replace")


def _number(token: bytes, start: int, end: int) -> Node:
    try:
        value: int | float | None = int(token)
    except ValueError:
        value = float(token)
        value = value if math.isfinite(value) else None
    return Node(value, start, end, cut=value is None)
