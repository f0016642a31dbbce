"""`bpftool -j map dump` and `-p`, one dump or several, whole or cut, raw bytes or by BTF types.

bpftool 5.16 to 7.7 (src/map.c print_entry_json): `[{"key":["0x..",...],"value":["0x..",...]},...]`; `formatted` besides
where the map has BTF; `values` per CPU; `inner_map_id`; a lookup that failed has an object with `error` for its value.
Typed plain output (all maps have BTF, no -j) is the same array with typed members and no raw bytes.
Clean elements have a fixed frame and are read as arrays; any other element goes through the JSON parser by itself.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from formats.base import NO, Format, Problem, Record, Score, Span
from formats.bpftool_dump import Draft
from formats.bpftool_names import Target, command, error_data, heading, of_path
from formats.bpftool_parts import Block, Gap, Loose, Stated
from formats.bpftool_typed import as_json, key_bytes, value_bytes
from formats.elision import elision
from formats.hexdump import decode_run, fixed_spans, frame_of
from formats.json_documents import straight_quotes
from formats.patterns import lazy
from formats.source import Oversized
from formats.text import lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

_SNIFF = lazy(rb'"key"\s*:\s*\[\s*(?:>\s*)*(?:"0x[0-9a-f]|\d|\])')
_SNIFF_TYPED = lazy(rb'\{\s*(?:>\s*)*"key"\s*:\s*(?:\{|\d+\s*,)[^\0]{0,4000}?"value"\s*:')
_SNIFF_MANY = lazy(rb'"id"\s*:\s*\d+\s*,\s*"type"\s*:[^\[\]{}]*"elements"\s*:\s*\[')
_SNIFF_ERROR = lazy(rb'^\s*\{\s*"error"\s*:\s*"(?:get |can\'t |bpf |Error)[^"]*"\s*\}')
_START = lazy(
    r'(?P<head>\{[\s>]*"id"\s*:\s*\d+[^{}\[\]]*"elements"\s*:\s*\[)|\[[\s>]*(?=\{[\s>]*"key"\s*:)|(?P<bare>\{[\s>]*"key"\s*:)'
    r'|(?P<empty>^[ \t>]*\[\s*\][ \t\r]*$)|(?P<error>\{\s*"error"\s*:\s*"(?P<message>[^"\n]*)"\s*\})',
    re.M,
)
_ELEMENT = lazy(r'\{[\s>]*"key"\s*:')
_RAW_KEY = lazy(r'"key"\s*:\s*\[([^\[\]{}]*)\]')
_RAW_VALUE = lazy(r'"value"\s*:\s*\[([^\[\]{}]*)\]')
_BYTE = lazy(r"(?:0[xX])?([0-9a-fA-F]{2})")
_FRAME = lazy(
    rb'(\{\s*"key":\s*\[(?:"0x[0-9a-f]{2}",)*"0x[0-9a-f]{2}"\s*\],\s*'
    rb'"value":\s*\[(?:"0x[0-9a-f]{2}",)*"0x[0-9a-f]{2}"\s*\]\s*\}),\s*(?=\{)'
)
_PAIR = lazy(rb"0x[0-9a-f]{2}")
_BLANK = lazy(r"[\s,]*")
#: Attempts in a row to read a text without its line ends; each costs a pass over the rest.
_JOINS = 3
_DECODER = json.JSONDecoder(strict=True)


def sniff(head: bytes, path: str) -> Score:
    """Members `key` with byte arrays or typed keys; an empty array or an error only in a file named after a map."""
    if b'"key"' in head and _SNIFF.search(head):
        return Score(92, "JSON members 'key' holding byte arrays")
    if b'"elements"' in head and _SNIFF_MANY.search(head):
        return Score(90, "JSON maps with their elements")
    if b'"key"' in head and _SNIFF_TYPED.search(head):
        return Score(75, "typed keys and values")
    if _SNIFF_ERROR.match(head):
        return Score(60, "a JSON error of bpftool")
    named = of_path(path).map_name is not None
    return Score(60, "an empty array in a file named after a map") if named and head.strip() == b"[]" else NO


def read(source: Source) -> Iterator[Item]:
    """One MapDump for each array of elements, its problems after it; JSON errors of bpftool as `cli_error`."""
    try:
        data = straight_quotes(source.data())
    except Oversized as error:
        yield Problem(f"JSON dump {error}", done="not read", lost="the dump")
        return
    yield from Reader(data, source.path).items()


class _Text(NamedTuple):
    """Text to parse, and where its characters stand in the artifact: parallel lists per piece of it."""

    text: str
    starts: list[int]
    raws: list[int]
    numbers: list[int]

    def place(self, at: int) -> tuple[int, int]:
        """Raw offset and line number of a position."""
        index = max(0, bisect_right(self.starts, at) - 1)
        return self.raws[index] + at - self.starts[index], self.numbers[index]


class Reader:
    """The element reader. With fast=False the array path is left out: the results must be the same."""

    def __init__(self, data: bytes, path: str, *, fast: bool = True) -> None:
        self.data = data
        self.fast = fast
        self.hint = of_path(path)
        breaks = (np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1).tolist()
        starts = [0, *breaks]
        self.plain = _Text(data.decode("latin-1"), starts, starts, list(range(1, len(starts) + 1)))
        self.text = self.plain
        self.joins = 0
        self.target = Target()
        self.draft = Draft("json", Target(), self.hint, Stated())

    def items(self) -> Iterator[Item]:
        """Everything in file order."""
        at = 0
        while match := _START.search(self.plain.text, at):
            self._context(at, match.start())
            if match["error"]:
                yield self._error(match)
                at = match.end()
                continue
            start, number = self.plain.place(match.start())
            self.draft = Draft("json", self.target, self.hint, _stated(match["head"]), start=start, first_line=number)
            self.draft.whole = not match["bare"] and self.target.verb != "lookup" and not self.target.filtered
            self.target = Target()
            at = self._elements(match.end() if not match["bare"] else match.start(), empty=bool(match["empty"]))
            yield from self.draft.finish()

    def _context(self, start: int, end: int) -> None:
        """Commands and headings between two documents name the second one."""
        for line in lines(self.data[start:end]):
            text = line.text.strip()
            if text and (found := command(text) or heading(text)):
                self.target = found

    def _error(self, match: re.Match[str]) -> Record:
        start, first = self.plain.place(match.start())
        end, last = self.plain.place(match.end() - 1)
        data = error_data(match["message"], self.target.map_id)
        return Record("cli_error", data, Span(start, end + 1, first, last))

    def _elements(self, at: int, *, empty: bool) -> int:
        """Read elements from `at` to the array's end; returns the position behind it in the plain text."""
        self.text = self.plain
        text = self.text.text
        while not empty:
            text = self.text.text
            at = _BLANK.match(text, at).end()  # type: ignore[union-attr]
            if at < len(text) and text[at] == "]":
                break
            if self.fast and self.text is self.plain and (size := self._run(at)):
                at += size
            elif at < len(text) and text[at] == "{":
                at = self._element(at)
            elif (after := self._left_out(at)) is not None:
                at = after
            else:
                end, number = self.text.place(max(0, min(at, len(text)) - 1))
                self.draft.end = max(self.draft.end, end + 1)
                self.draft.last_line = max(self.draft.last_line, number)
                return max(self.text.place(at)[0], 1)
        self.draft.ended = self.draft.whole
        end, self.draft.last_line = self.text.place(max(0, min(at, len(text)) - 1))
        self.draft.end = end + (1 if empty else 2)
        return self.text.place(at)[0] + 1

    def _run(self, at: int) -> int:
        """Take a run of clean elements; the bytes taken."""
        match = _FRAME.match(self.data, at)
        if match is None:
            return 0
        key, _, value = match.group().partition(b'"value"')
        sizes = len(_PAIR.findall(key)), len(_PAIR.findall(value))
        frame = frame_of(_PAIR.sub(b"0x\0\0", match.group()), *sizes)
        run = decode_run(frame, self.data, at)
        count = len(run.keys)
        if count:
            spans = fixed_spans(frame, count, at, self.plain.place(at)[1])
            spans["end"] = spans["start"] + len(match.group(1))
            spans["last_line"] = spans["first_line"] + match.group(1).count(b"\n")
            self.draft.parts.append(Block(run.keys, run.values, spans))
        return count * frame.stride

    def _element(self, at: int) -> int:
        """Take the element at `at`; the position behind it."""
        parsed = self._parse(self.text.text, at)
        if parsed is None and self.text is self.plain and self.joins < _JOINS:
            # soft-wrapped or quoted: the same from here on without its line ends
            self.joins += 1
            joined = self._joined(at)
            again = self._parse(joined.text, 0)
            if again is not None:
                self.joins = 0
                self.text, at, parsed = joined, 0, again
        if parsed is None:
            return self._damaged(at)
        element, end = parsed
        self._take(element, self._span(at, end))
        return end

    def _parse(self, text: str, at: int) -> tuple[dict[str, Any], int] | None:
        try:
            found, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        return (found, end) if isinstance(found, dict) else None

    def _joined(self, at: int) -> _Text:
        raw, number = self.plain.place(at)
        starts, raws, numbers, parts = [], [], [], []
        size = 0
        for line in lines(self.data[raw:], raw, number):
            part = line.text.strip()
            starts.append(size)
            raws.append(line.start)
            numbers.append(line.number)
            parts.append(part)
            size += len(part)
        return _Text("".join(parts), starts, raws, numbers)

    def _span(self, at: int, end: int) -> Span:
        start, first = self.text.place(at)
        last, line = self.text.place(max(at, end - 1))
        return Span(start, last + 1, first, line)

    def _damaged(self, at: int) -> int:
        """An element the parser refuses: typed plain output, or cut, or broken. Its key is kept when it is whole."""
        text = self.text.text
        following = _ELEMENT.search(text, at + 1)
        end = following.start() if following else len(text)
        region = text[at:end]
        parsed = self._parse(as_json(region), 0)
        span = self._span(at, end)
        if parsed is not None:
            self._take(parsed[0], span)
            close = region.rfind("}") + 1
            return at + close if close else end
        key, value = _RAW_KEY.search(region), _RAW_VALUE.search(region)
        fault = "the JSON ends inside the value" if following is None else "the JSON of the element is broken"
        key_data = _bytes_of_text(key.group(1)) if key else None
        value_data = _bytes_of_text(value.group(1)) if value else None
        if value_data is not None:
            fault = ""
        if key_data is None:
            key_data, fault = b"", fault or "the JSON of the element is broken"
        self.draft.parts.append(Loose(key_data, value_data, span, fault))
        return end

    def _take(self, element: dict[str, Any], span: Span) -> None:
        draft = self.draft
        raw = element.get("key")
        key = _bytes_of_list(raw) if isinstance(raw, list) else key_bytes(raw)
        value, note, error = _value_of(element, len(key or b""))
        if note and note not in draft.notes:
            draft.notes.append(note)
        draft.end, draft.last_line = span.end, span.last_line
        if error is not None:
            draft.errors.append(f"{(key or b'').hex()}: {error}")
        elif key is None:
            draft.parts.append(Loose(b"", None, span, "a typed key of an unknown struct has no bytes"))
        else:
            draft.parts.append(
                Loose(key, value, span, "" if value is not None else "the value cannot be read as bytes")
            )

    def _left_out(self, at: int) -> int | None:
        """Text between elements: an elision; the position of the next element, None when there is none."""
        text = self.text.text
        following = _ELEMENT.search(text, at)
        close = text.find("]", at)
        end = following.start() if following else close
        if end < 0 or end - at > 200 or (left := elision(text[at:end].strip(" ,\r\n\t"))) is None:
            closed = re.compile(r"[^\"{}]{0,160}?\.{2,}[^\"{}]{0,160}?\]\s*(?=\]|,|\{)").match(text, at)
            if closed is None or (left := elision(closed.group().rstrip())) is None:
                return None
            end = closed.end()
        amount = left.amount if left.kind == "entries" else None
        self.draft.parts.append(Gap(amount, self._span(at, end)))
        return end


def _stated(head: str | None) -> Stated:
    """The members before `elements` of a dump of several maps."""
    if head is None:
        return Stated()
    number = re.search(r'"id"\s*:\s*(\d{1,9})', head)
    kind, name = re.search(r'"type"\s*:\s*"([^"]*)"', head), re.search(r'"name"\s*:\s*"([^"]*)"', head)
    return Stated(
        int(number.group(1)) if number else None, name.group(1) if name else None, kind.group(1) if kind else None
    )


def _value_of(element: dict[str, Any], key_size: int) -> tuple[bytes | None, str, str | None]:
    """Value bytes (None when there are none), a note, and the error of a lookup that failed."""
    raw = element.get("value")
    if isinstance(raw, dict) and set(raw) == {"error"}:
        return None, "", str(raw["error"])
    if "error" in element and raw is None:
        return None, "", str(element["error"])
    if isinstance(element.get("values"), list):
        parts = [_bytes_of_list(cpu.get("value")) if isinstance(cpu, dict) else None for cpu in element["values"]]
        known = [part for part in parts if part is not None]
        joined = b"".join(known) if known and len(known) == len(parts) else None
        return joined, "per-CPU: the values of all CPUs stand one after the other", None
    inner = element.get("inner_map_id")
    if raw is None and isinstance(inner, int) and 0 <= inner < 1 << 32:
        return inner.to_bytes(4, "little"), "the value is the id of the inner map", None
    plain = _bytes_of_list(raw) if isinstance(raw, list) else None
    if plain is not None:
        return plain, "", None
    return value_bytes(raw, key_size), "values printed by type: bytes rebuilt from the agent's structs", None


def _bytes_of_list(items: Any) -> bytes | None:
    """Bytes of `["0x0a", ...]` or `[10, ...]`; None when one item is no byte."""
    if not isinstance(items, list):
        return None
    out = bytearray()
    for item in items:
        if isinstance(item, str) and (match := _BYTE.fullmatch(item)):
            out.append(int(match.group(1), 16))
        elif isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 256:
            out.append(item)
        else:
            return None
    return bytes(out)


def _bytes_of_text(text: str) -> bytes | None:
    """Bytes of the inside of an array in broken JSON."""
    items = [item.strip().strip('"') for item in text.split(",")]
    numbers = [_BYTE.fullmatch(item) for item in items]
    return bytes(int(match.group(1), 16) for match in numbers if match) if all(numbers) else None


FORMAT = Format(
    "bpftool-map-json",
    "bpftool map dump, JSON or typed",
    sniff,
    read,
    versions="bpftool 5.16 to 7.7, -j and -p; typed output of maps with BTF",
    about="A BPF map as an array of elements with `key` and `value`, each an array of `0x..` bytes; or typed by BTF.",
    limits=("bytes of typed output are rebuilt only for the structs of the agent", "a file past 512 MiB is not read"),
    loses=("typed plain output: padding bytes and the width of lone numbers, taken from the agent's layouts",),
)
