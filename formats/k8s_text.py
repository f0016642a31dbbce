"""Where Kubernetes objects stand in a file or a paste: the text to parse, and the raw line that each line came from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from formats.base import Problem, Span
from formats.patterns import lazy
from formats.text import Line, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Keys that begin a part of a policy when its head was not pasted.
FRAGMENT_KEYS = ("spec", "metadata", "items", "ingress", "egress", "podSelectorEndpoints", "podIsolation", "policyRef")
_FRAGMENTS = "|".join(FRAGMENT_KEYS)

_TAG = r"""["']?(?:apiVersion|kind)["']?\s*:\s"""
_START = lazy(rf"([ \t]*)(?:{_TAG}|(?:- +)(?:{_TAG}|(?:cidr|domainName|hostIP)\s*:\s)|(?:{_FRAGMENTS})\s*:\s*$)", re.M)
_JSON_START = lazy(r"[ \t]*(?:\[[ \t]*)?\{")
_FENCE = lazy(r"[ \t]*(?:```|~~~)")
_MEMBER = lazy(r"""(?:- |-$|#|---|\.\.\.|["']?[a-z][\w./-]*["']?\s*:(?:\s|$))""")
_TABS = lazy(r" *\t[ \t]*")

#: Bytes that make a file a paste: what they do must be undone before the text is YAML.
_PASTE = lazy(
    rb"\r|\x1b|\x00|\xc2\xa0|\xef\xbb\xbf|\xe2\x80\x8b|(?::|-) \xe2\x80[\x98-\x9d]|(?m:^ *\t|^[ \t]*(?:```|~~~|>[ >]))"
)
#: A line at the left edge that no block YAML of Kubernetes has.
_FOREIGN = lazy(rb"(?m)^(?![ \n#]|-[ \n]|---|\.\.\.|[\"']?[a-z][\w./-]*[\"']?[ ]*:(?:[ \n]|\Z)|\Z)")
_JSON_FIRST = lazy(rb"(?:\xef\xbb\xbf)?\s*(?:\[\s*)?\{\s*[\"}]")
_YAML_TOO = lazy(rb"(?m)^[ \t>]*apiVersion:")
#: A list of rules alone; what follows it at its own indentation is another part.
_RULES_FIRST = lazy(rb"\s*- +(?!apiVersion|kind|metadata)")
_INDENTED = lazy(rb"(?:[ ]*\n|[ ]*#[^\n]*\n|---[^\n]*\n)*[ ]+\S")


class Text(NamedTuple):
    """UTF-8 text to parse. `rows`: the raw line of each of its lines; None when it is the artifact's own bytes."""

    data: bytes
    rows: list[Line] | None = None
    json: bool = False

    def span(self, start: int, end: int, first: int, last: int) -> Span:
        """The raw span of bytes [start, end) of `data`, which are its lines first..last (1-based)."""
        if self.rows is None:
            return Span(start, end, first, last)
        top = self.rows[min(first, len(self.rows)) - 1]
        bottom = self.rows[min(max(first, last), len(self.rows)) - 1]
        return Span(top.start, bottom.end, top.number, bottom.number)

    def line_span(self, line: int, near: Span | None = None) -> Span:
        """The raw span of one line (1-based), counted from the span of the object that it belongs to."""
        if self.rows is not None:
            return self.span(0, 0, line, line)
        known = near if near is not None and near.first_line <= line else Span(0, 0, 1, 1)
        start = known.start
        for _ in range(line - known.first_line):
            cut = self.data.find(b"\n", start)
            if cut < 0:
                break
            start = cut + 1
        end = self.data.find(b"\n", start)
        return Span(start, len(self.data) if end < 0 else end, line, line)

    def line(self, line: int) -> int:
        """The artifact's number of a line of `data`."""
        return line if self.rows is None else self.rows[min(line, len(self.rows)) - 1].number


def texts(data: bytes) -> Iterator[Text | Problem]:
    """The parts of a file or paste that may hold Kubernetes objects, in order; all else is passed over."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        yield from _blocks(_wide_lines(data))
    elif _JSON_FIRST.match(data) and not _YAML_TOO.search(data):
        yield Text(data, json=True)
    elif _INDENTED.match(data) or _RULES_FIRST.match(data) or _PASTE.search(data) or _FOREIGN.search(data):
        yield from _blocks(list(lines(data)))
    else:
        yield Text(data)


def _wide_lines(data: bytes) -> list[Line]:
    """Lines of UTF-16 with its byte order mark, as PowerShell's `>` writes it."""
    text = data.decode("utf-16", "replace")
    out = []
    at = 2
    for number, raw in enumerate(text.splitlines(keepends=True), 1):
        bare = raw.rstrip("\r\n")
        size = len(bare.encode("utf-16-le", "replace"))
        out.append(Line(at, at + size, number, bare))
        at += len(raw.encode("utf-16-le", "replace"))
    return out


def _blocks(rows: list[Line]) -> Iterator[Text | Problem]:
    at = 0
    while at < len(rows):
        text = rows[at].text
        if _JSON_START.match(text) and _is_object(rows, at):
            end = _json_end(rows, at)
            yield _join(rows[at:end], 0, json=True)
        elif start := _START.match(text):
            base = len(start[1])
            end = at + 1
            rules = _RULES_FIRST.match(text.encode()) is not None
            while end < len(rows) and _belongs(rows[end].text, base, rules=rules):
                end += 1
            yield from _yaml_block(rows[at:end], base)
        else:
            end = at + 1
        at = end


def _yaml_block(rows: list[Line], base: int) -> Iterator[Text | Problem]:
    while rows and not rows[-1].text.strip():
        rows.pop()
    tabbed = [row for row in rows if _TABS.match(row.text)]
    if tabbed:
        # One tab a level is the only reading that needs no guess; blanks mixed in leave the depth open.
        mixed = any(row.text.startswith(" ") or _TABS.match(row.text)[0].strip("\t") for row in tabbed)  # type: ignore[index]
        where = Span(tabbed[0].start, tabbed[-1].end, tabbed[0].number, tabbed[-1].number)
        if mixed or any(row.text.startswith(" ") for row in rows):
            yield Problem(
                "tabs and blanks are mixed in the indentation, which YAML forbids", where, "read each tab as two blanks"
            )
        else:
            yield Problem("the indentation is made of tabs, which YAML forbids", where, "read each tab as one level")
        rows = [row._replace(text=_untab(row.text)) for row in rows]
        base = 2 * base if base else 0
    yield _join(rows, base)


def _untab(text: str) -> str:
    body = text.lstrip(" \t")
    return text[: len(text) - len(body)].replace("\t", "  ") + body


def _join(rows: list[Line], base: int, *, json: bool = False) -> Text:
    cut = [row.text[base:] if not row.text[:base].strip() else row.text for row in rows]
    data = "\n".join(cut) + "\n"
    return Text(data.translate(_CONTROL).encode("utf-8", "replace"), rows, json)


#: Control characters stop libyaml; the replacement character does not.
_CONTROL = {code: "\ufffd" for code in (*range(9), 11, 12, *range(14, 32), 127)}


def _belongs(text: str, base: int, *, rules: bool) -> bool:
    if not text.strip():
        return True
    if _FENCE.match(text):
        return False
    indent = len(text) - len(text.lstrip(" \t"))
    if indent > base:
        return True
    body = text.lstrip(" \t")
    if rules and indent == base and body[0] not in "-#":
        return False
    return (indent == base and _MEMBER.match(body) is not None) or text.startswith("---")


def _is_object(rows: list[Line], at: int) -> bool:
    return any('"apiVersion"' in row.text or '"kind"' in row.text for row in rows[at : at + 6])


def _json_end(rows: list[Line], at: int) -> int:
    """The row after a JSON document: what follows it is a fence, a blank line at depth 0, or other text."""
    depth = 0
    for index in range(at, len(rows)):
        text = rows[index].text
        if _FENCE.match(text):
            return index
        bare = _STRING.sub("", text)
        depth += sum(map(bare.count, "{[")) - sum(map(bare.count, "}]"))
        if depth <= 0:
            return index + 1
    return len(rows)


_STRING = lazy(r'"(?:[^"\\]|\\.)*"')
