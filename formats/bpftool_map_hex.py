"""`bpftool map dump` as plain hex, clean or as people paste it.

bpftool 5.16 to 7.7 (src/map.c print_entry_plain, src/main.c fprint_hex): key and value on one line when both are at
most 16 bytes and together at most 24, on two lines when both are at most 16, else labels and rows of 16 on their own.
Clean runs of entries are read as arrays wherever they stand (bpftool_frame.py); every other line goes one by one.
Both paths give the same dump.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from formats.base import NO, Format, Record, Score
from formats.bpftool_dump import Draft
from formats.bpftool_entry import Entry, span_of
from formats.bpftool_frame import frame_at, goes_on
from formats.bpftool_names import Target, command, error_data, heading, of_path, sizes_of_name
from formats.bpftool_parts import Block, Gap, Loose, Stated
from formats.elision import elision
from formats.hexdump import decode_run, fixed_spans, read_row
from formats.patterns import lazy
from formats.text import Line, clean

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from formats.base import Item
    from formats.source import Source

_KEY = lazy(r"(next )?key\s*:\s*(.*)$", re.I)
_VALUE = lazy(r"(?:value\s*(?:\(CPU\s*(\d+)\))?|(inner_map_id))\s*:\s*(.*)$", re.I)
_INLINE = lazy(r"\s+((?:value(?:\s*\(CPU\s*\d+\))?|inner_map_id)\s*:.*)$", re.I)
_FOUND = lazy(r"Found (\d{1,12}) elements?\b", re.I)
_HEADER = lazy(r"(\d{1,9}):\s+([a-z_0-9]+)\s+(?:name (\S+)\s+)?flags 0x[0-9a-f]+", re.I)
_SIZES = lazy(r"key (\d{1,9})B\s+value (\d{1,9})B")
_ERROR = lazy(r"(Error: .*)$")
#: Bullets, backticks and the line numbers of `grep -n` before a line of a dump.
_LEAD = lazy(r"(?:[*\u2022-]\s+|`+)?(?:\d+[:-]\s?(?=\s*(?:key|value|Found \d|[0-9a-fA-F]{2}(?:\s|$))))?")
_SNIFF = lazy(
    rb"^[^\n]{0,40}?\bkey ?:[ \t]*(?:\r?\n[^\n]{0,16}?)?(?:0x)?[0-9a-f]{2}(?:[ \t]{1,2}(?:0x)?[0-9a-f]{2}){3}"
    rb"|^[^\n]{0,40}?\bvalue ?:[ \t]*\r?\n[^\n]{0,16}?[0-9a-f]{2}(?:[ \t]{1,2}[0-9a-f]{2}){3}",
    re.M | re.I,
)
_SNIFF_FOUND = lazy(rb"^[ \t>*`-]{0,20}Found \d+ elements?\b", re.M)
_SNIFF_COMMAND = lazy(rb"\bbpftool\b[^\n]{0,40}\bmap (?:dump|lookup|getnext)\b")
_SNIFF_ROW = lazy(rb"^[^\n]{0,16}?\b(?:[0-9a-f]{2}[ \t]{1,2}){7}[0-9a-f]{2}\b", re.M)
_SNIFF_ERROR = lazy(rb"^Error: (?:get map by id|can't get|bpf obj get|get by id|get_fd_by_id)", re.M)
_TRIE_SIZES = frozenset({96, 288, 384})
_MESSAGE_LENGTH = 80


def sniff(head: bytes, path: str) -> Score:
    """Labels with hex behind them, a trailer, or a command that dumps."""
    if (b"ey" in head or b"alue" in head) and _SNIFF.search(head):
        return Score(90, "'key:' and 'value:' labels followed by hex bytes")
    if b"Found " in head and _SNIFF_FOUND.search(head):
        return Score(70, "a 'Found N elements' trailer")
    if b"bpftool" in head and _SNIFF_COMMAND.search(head) and _SNIFF_ROW.search(head):
        return Score(60, "a command that dumps a map, and rows of hex")
    if of_path(path).map_name and _SNIFF_ROW.search(head):
        return Score(40, "rows of hex in a file named after a map")
    return Score(40, "an error line of bpftool") if b"Error: " in head and _SNIFF_ERROR.search(head) else NO


def read(source: Source) -> Iterator[Item]:
    """One MapDump for each dump in the text, its problems after it; error lines of bpftool as `cli_error`."""
    yield from Reader(source).items()


class Reader:
    """The line reader. With fast=False the array path is left out: the results must be the same."""

    def __init__(self, source: Source, *, fast: bool = True) -> None:
        self.source = source
        self.fast = fast
        self.hint = of_path(source.path)
        self.headers: dict[int, Stated] = {}
        self.stated: Stated | None = None
        self.target: Target | None = None
        self.draft: Draft | None = None
        self.entry: Entry | None = None
        self.orphans: list[tuple[Line, bytes]] = []  # rows before any label
        self.bare_heading = False
        self.bracket = False
        self.line_ended = True

    def items(self) -> Iterator[Item]:
        """Everything in file order."""
        number = 1
        for offset, piece in self.source.line_chunks():
            self.line_ended = piece.endswith(b"\n")
            number = yield from self._piece(piece, offset, number)
        yield from self._flush(at_end=True)

    def _piece(self, piece: bytes, offset: int, number: int) -> Generator[Item, None, int]:
        """Items of a piece of whole lines; returns the number of the line behind it."""
        at = 0
        size = len(piece)
        while at < size:
            if self.fast and (taken := self._run(piece, at, offset, number)):
                at, number = at + taken[0], number + taken[1]
                continue
            cut = piece.find(b"\n", at)
            end = size if cut < 0 else cut
            yield from self._line(Line(offset + at, offset + end, number, clean(piece[at:end])))
            at, number = end + 1, number + (cut >= 0)
        return number

    def _run(self, piece: bytes, at: int, offset: int, number: int) -> tuple[int, int] | None:
        """Take a run of clean entries; (bytes, lines) taken, None when there is none here."""
        if piece.find(b"key:", at, at + 20) < 0 or (found := frame_at(piece, at)) is None:
            return None
        frame, prefix = found
        run = decode_run(frame, piece, at)
        count = len(run.keys)
        # the last one is whole only if the text goes on as it does after a whole entry
        if not goes_on(piece, at + count * frame.stride, prefix):
            count -= 1
        if count <= 0:
            return None
        self._end_entry()
        self.orphans = []
        draft = self._open(Line(offset + at, offset + at, number, ""))
        spans = fixed_spans(frame, count, offset + at, number)
        draft.parts.append(Block(run.keys[:count], run.values[:count], spans))
        draft.end, draft.last_line = int(spans["end"][-1]), int(spans["last_line"][-1])
        return count * frame.stride, count * frame.lines

    def _line(self, line: Line) -> Iterator[Item]:
        text = line.text.strip()
        if text[:1] in "*\u2022-`0123456789" and (lead := _LEAD.match(text)):
            text = text[lead.end() :].strip()
        if not text:
            self._close_entry()
        elif self._label(line, text) or self._row(line, text):
            return
        elif found := _FOUND.match(text):
            self._end_entry()
            draft = self._open(line)
            draft.found, draft.ended = int(found.group(1)), True
            draft.end, draft.last_line = line.end, line.number
            yield from self._flush()
        elif match := _HEADER.match(text):
            yield from self._flush()
            listed = self.stated is not None and self.stated.key_size is not None
            self.stated = Stated(int(match.group(1)), match.group(3), match.group(2), in_list=listed)
            self.headers[int(match.group(1))] = self.stated
        elif (match := _SIZES.search(text)) and self.stated is not None and self.draft is None:
            self.stated.key_size, self.stated.value_size = int(match.group(1)), int(match.group(2))
        else:
            yield from self._other(line, text)

    def _label(self, line: Line, text: str) -> bool:
        """A `key:` or `value:` line; False when the line is neither."""
        match = _KEY.match(text)
        if match is None:
            value = _VALUE.match(text)
            if value is None or (self.entry is None and not self.orphans):
                return False
            self._value(line, *value.groups())
            return True
        inline = _INLINE.search(match.group(2))
        shown = (match.group(2)[: inline.start()] if inline else match.group(2)).strip()
        row = read_row(shown)
        if shown and row is None and shown != "None":
            return False
        self._end_entry(asked=bool(match.group(1)))
        draft = self._open(line)
        draft.keys_only |= bool(match.group(1))
        draft.whole &= not match.group(1)
        self.entry = Entry(line, "key")
        self.entry.inline = bool(shown)
        if row:
            self._take(line, row.data, row.rest, damaged=row.damaged)
        if inline:
            self._label(line, inline.group(1))
        return True

    def _value(self, line: Line, cpu: str | None, inner: str | None, shown: str) -> None:
        if self.entry is None or (self.entry.stage == "value" and not cpu):
            self._adopt_key(line)
        entry = self.entry
        if entry is None:
            return
        entry.stage, entry.last, entry.closed, entry.inline = "value", line, False, bool(shown)
        if cpu:
            self._note("per-CPU: the values of all CPUs stand one after the other")
        if inner and shown.strip().isdigit():
            entry.row(line, int(shown).to_bytes(8, "little")[:4], damaged=False)
            self._note("the value is the id of the inner map")
        elif shown and (row := read_row(shown.strip())):
            self._take(line, row.data, row.rest, damaged=row.damaged)
        elif shown:
            self._message(line, shown.strip())

    def _adopt_key(self, line: Line) -> None:
        """A `value:` line without its `key:` line: the short row before it is the key."""
        if self.entry is None:
            rows = [data for _, data in self.orphans]
            first = self.orphans[-1][0]
            two = len(rows) > 1 and len(rows[-1]) == 4 and len(rows[-2]) == 16
            key = rows[-2:] if two else rows[-1:]
            self._open(first).whole = False
        else:
            first = self.entry.last
            key = self.entry.take_key()
            self._end_entry()
        self.orphans = []
        self.entry = Entry(first, "value", key)
        if not key:
            self.entry.damaged = "a value without its key"
        self._note("a 'key:' line is missing: the short row before 'value:' is the key")

    def _row(self, line: Line, text: str) -> bool:
        row = read_row(text)
        if row is None:
            return False
        if self.entry is not None:
            self._take(line, row.data, row.rest, damaged=row.damaged)
        elif row.damaged or len(row.data) < 4:
            return False
        elif self.target is not None and self.target.filtered and _is_trie_key(row.data):
            self._open(line)
            self.entry = Entry(line, "key", [row.data])
        elif self.draft is not None and self.draft.target.filtered and _is_trie_key(row.data):
            self.entry = Entry(line, "key", [row.data])
        else:
            self.orphans = [*self.orphans[-1:], (line, row.data)]
        return True

    def _take(self, line: Line, data: bytes, rest: str, *, damaged: bool) -> None:
        entry = self.entry
        if entry is None:
            return
        filtered = self.draft is not None and self.draft.target.filtered
        if filtered and entry.stage == "key" and entry.key and _is_trie_key(data):
            self._end_entry()
            self.entry = entry = Entry(line, "key")
        entry.row(line, data, damaged=damaged)
        if rest and (left := elision(rest)):
            self._left_out(line, left.kind, left.amount)

    def _left_out(self, line: Line, kind: str, amount: int) -> None:
        """What an elision stands for, given where it stands."""
        entry = self.entry
        if kind in ("rows", "bytes", "rest"):
            if entry is not None and entry.stage == "value":
                entry.zeros(line, kind, amount)
            return
        if kind == "unknown" and entry is not None and not self._whole(entry):
            entry.omitted(line)
            return
        self._close_entry()
        self._end_entry()
        draft = self._open(line)
        draft.parts.append(Gap(amount if kind == "entries" else None, span_of(line, line)))
        draft.end, draft.last_line = line.end, line.number

    def _whole(self, entry: Entry) -> bool:
        """Whether the value so far is as long as the one before it, or as one the agent writes."""
        if entry.stage == "key":
            return bool(entry.key)
        for part in reversed(self.draft.parts if self.draft else []):
            if isinstance(part, Block):
                return bool(part.values.shape[1] == entry.size)
            if isinstance(part, Loose) and part.value is not None and not part.fault:
                return len(part.value) == entry.size
        return entry.size in _TRIE_SIZES or (entry.inline and entry.size > 0)

    def _message(self, line: Line, text: str) -> None:
        """Text where a value should be: an elision, or why the lookup of the key failed."""
        if self.entry is None:
            return
        if left := elision(text):
            self._left_out(line, left.kind, left.amount)
        elif len(text) <= _MESSAGE_LENGTH:
            self.entry.error, self.entry.last = text, line

    def _other(self, line: Line, text: str) -> Iterator[Item]:
        self.orphans = []
        left = elision(text)
        if left is not None and (self.draft is not None or (self.target and self.target.verb == "dump")):
            self._left_out(line, left.kind, left.amount)
        elif left is not None:
            return
        elif (target := command(text)) is not None:
            yield from self._flush()
            self.target, self.stated, self.bare_heading = target if target.verb else None, None, False
        elif (target := heading(text)) is not None:
            yield from self._flush()
            bare = text[:1] == "/"
            self.target = None if bare and self.bare_heading else target
            self.bare_heading = bare
        else:
            yield from self._text(line, text)

    def _text(self, line: Line, text: str) -> Iterator[Item]:
        self.bare_heading = False
        entry = self.entry
        if match := _ERROR.match(text):
            self._close_entry()
            yield Record("cli_error", error_data(match.group(1)), span_of(line, line))
        elif entry is not None and not entry.value and (entry.stage == "value" or text == "Not found"):
            self._message(line, text)
        elif text == "[":
            self.bracket = True
        elif text == "]" and self.bracket and self.draft is not None:
            # plain entries between brackets: a map whose BTF has no value type; no trailer follows
            self._end_entry()
            self.draft.ended, self.bracket = True, False
        else:
            self._close_entry()
            if text == "--" and self.draft is not None:
                self.draft.whole = False
                self._note("lines of the dump were filtered out (grep)")

    def _close_entry(self) -> None:
        if self.entry is not None and (self.entry.value or self.entry.fill):
            self.entry.closed = True

    def _note(self, text: str) -> None:
        if self.draft is not None and text not in self.draft.notes:
            self.draft.notes.append(text)

    def _open(self, line: Line) -> Draft:
        """The current dump, a new one if there is none."""
        if self.draft is None:
            target, self.target = self.target or Target(), None
            stated, self.stated = self.stated, None
            if target.map_id is not None:
                stated = self.headers.get(target.map_id)
            elif stated is not None and stated.in_list and stated.key_size is not None:
                stated = None
            self.draft = Draft("hex", target, self.hint, stated or Stated(), start=line.start, first_line=line.number)
            self.draft.end, self.draft.last_line = line.end, line.number
            self.draft.whole = target.verb not in ("lookup", "getnext") and not target.filtered
            if target.filtered:
                self._note("the command filters its output: not every line of the dump is here")
        return self.draft

    def _end_entry(self, *, asked: bool = False, last: bool = False, at_end: bool = False) -> None:
        """Put the entry that was being read into the dump; `asked`: it was the question of a `map getnext`."""
        entry, self.entry = self.entry, None
        if entry is None or self.draft is None:
            return
        draft = self.draft
        if draft.end < entry.last.end:
            draft.end, draft.last_line = entry.last.end, entry.last.number
        key = b"".join(entry.key).hex()
        if asked:
            self._note(f"map getnext: the key asked for is {key}") if key else None
        elif entry.error and not entry.value:
            draft.errors.append(f"{key}: {entry.error}")
        else:
            draft.parts.append(entry.part(sure=not last or self._sure(entry, at_end=at_end)))

    def _sure(self, entry: Entry, *, at_end: bool) -> bool:
        """Whether the last value of a dump without a trailer is surely whole."""
        if entry.stated or entry.fill:
            return True
        followed = entry.closed or not at_end
        if entry.inline or (self.draft is not None and self.draft.target.verb == "lookup"):
            return followed or (entry.inline and self.line_ended)
        return followed and (entry.size in _TRIE_SIZES or entry.size in sizes_of_name(self.hint.map_name)[1])

    def _flush(self, *, at_end: bool = False) -> Iterator[Item]:
        """Finish the current dump."""
        self.orphans = []
        if self.draft is None:
            return
        self._end_entry(last=not self.draft.ended, at_end=at_end)
        draft, self.draft = self.draft, None
        self.bracket = False
        if draft.parts or draft.ended or draft.errors or draft.notes:
            yield from draft.finish()


def _is_trie_key(data: bytes) -> bool:
    """A row that is a whole LPM key by itself: 8 bytes, an IPv4 prefix length first."""
    return len(data) == 8 and data[0] <= 32 and data[1:4] == b"\0\0\0"


FORMAT = Format(
    "bpftool-map-hex",
    "bpftool map dump, plain",
    sniff,
    read,
    versions="bpftool 5.16 to 7.7; kernels with little-endian memory",
    about="Hex dump of a BPF map: `key:` and `value:`, rows of 16 bytes or one line, then `Found N elements`.",
    limits=(
        "a dump that ends without its trailer is never complete, and the size of a lone last value is not guessed",
        "hex without blanks between the bytes is not read",
    ),
    loses=("map names that no command, path or heading tells",),
)
