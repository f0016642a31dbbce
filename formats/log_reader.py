"""Reading a log: clean blocks by arrays, everything else a line at a time, and what could not be read as problems."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from formats import log_scan
from formats.base import FlowBatch, Problem, Record, Span
from formats.flow_text import BATCH_ROWS, FlowRows, fields_row, message_row
from formats.log_events import Event, errno_of, flat
from formats.log_line import Entry, clean_entry, plain_entry, read_text
from formats.log_panic import Panic
from formats.log_time import rotated_at, utc_ns
from formats.source import LINE_BYTES
from formats.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

#: Levels that make a line an event of its own, whatever it says.
BAD_LEVELS = frozenset({"error", "panic", "fatal", "dpanic"})
#: Lines a torn record may be spread over, and how much text that may be.
TORN_LINES, TORN_BYTES = 200, 64 * 1024
#: Bytes looked at together; about what the caches of a core hold with the arrays made from it.
BLOCK_BYTES = 1024 * 1024

_FLOW = re.compile(
    rb'\{"level":"(debug|info|warn|error|panic|fatal)","(?:ts|timestamp)":"([^"\\]*)"[^\x00-\x20]*,"msg":"(Flow Info:[^"\\]*)"\}'
)
_CONTROL = re.compile(rb"[\x00-\x20]")
_TIME = re.compile(rb'"(?:ts|timestamp)"\s*:\s*"([^"\\]{10,40})"')
_OLD_LOGGERS = re.compile(rb'",\s*"logger":\s*"(?:setup|controllers\.|ebpf-client|cp-util|rpc-handler|grpcLogger)')
# Lines that are no records and no damage: zap's own complaint, marks of an excerpt, fences around a paste.
_KNOWN_NOISE = re.compile(r"\S.*Logger\.check error:|^\s*(?:\.\.\.|\[truncated\]|```.*|~~~.*)\s*$")
_ANCHOR = re.compile(r'"(?:level|msg|caller|timestamp)"\s*:|\{"(?:level|ts)|^\{"?l?e?v?e?l?"?$')
_LEVELS = tuple(f'"{name}"' for name in log_scan.LEVELS.values())


class LogReader:
    """Reads one log. `events` is its catalogue, `noise` are error texts that mean nothing and are counted only."""

    def __init__(self, source: Source, log: str, events: tuple[Event, ...], noise: tuple[str, ...] = ()) -> None:
        self.source = source
        self.log = log
        self.flows = FlowRows()
        self._noise = noise
        self._index: dict[str, list[Event]] = {}
        for known in events:
            for word in known.words:
                self._index.setdefault(word, []).append(known)
        words = (*self._index, "Flow", "panic:", *self.extra_words())
        self._scanner = log_scan.Scanner(words)
        self._keys = frozenset(log_scan.word_key(word) for word in words)
        self._out: list[Item] = []
        self._torn: list[tuple[bytes, Span]] = []
        self._panic: Panic | None = None
        self._bad: list[Span] = []
        self._bad_what = ""
        self._levels: dict[str, int] = {}
        self._lines = 0
        self._unread = 0
        self._first_ts: str | None = None
        self._last_ts: str | None = None
        self._encoder: str | None = None
        self._last_number = 0
        self._size = 0
        #: Most of the head is log lines: then every other line is damage, not prose around a paste.
        self.pure = _is_pure(source.head)

    def extra_words(self) -> tuple[str, ...]:
        """First words a subclass wants to see besides those of its catalogue."""
        return ()

    def read(self, *, tolerant_only: bool = False) -> Iterator[Item]:
        """Records, flow batches and problems, in file order as far as batches allow, and the summary last."""
        for buffer, size, offset in _blocks(self.source):
            first_line = self._lines + 1
            block = self._scanner.scan(buffer, size, offset, first_line)
            ended = buffer[log_scan.PAD + size - 1] == ord("\n")
            self._lines += len(block.starts) - (0 if ended else 1)
            self._size = offset + size
            self._times(buffer, size)
            if tolerant_only:
                looked = np.arange(len(block.starts))
            else:
                looked = np.flatnonzero(block.kinds == log_scan.LOOK)
                self._count(block.letters[block.kinds != log_scan.LOOK])
                self.flows.extend(block.flows, block.spans)
            starts, ends = block.starts[looked].tolist(), block.ends[looked].tolist()
            for row, start, end in zip(looked.tolist(), starts, ends, strict=True):
                raw = bytes(buffer[log_scan.PAD + start : log_scan.PAD + end])
                number = first_line + row
                self.feed(raw, Span(offset + start, offset + end, number, number))
            self.block_done(buffer, size, offset)
            yield from self._flush(BATCH_ROWS)
            if not ended:
                self._lines += 1
        self._close()
        self.finish()
        yield from self._flush(1)
        yield self._summary()

    def block_done(self, buffer: bytearray, size: int, offset: int) -> None:
        """For subclasses: all lines of buffer[PAD : PAD + size] have been seen."""

    def finish(self) -> None:
        """For subclasses: the log has ended."""

    def feed(self, raw: bytes, span: Span) -> None:
        """One line (without its line feed) of the log, or what a container runtime wrapped."""
        gap = span.first_line != self._last_number + 1
        self._last_number = span.last_line
        if gap and (self._torn or self._panic or self._bad):
            self._close()
        if b"Flow Info:" in raw and self._flow(raw, span):
            return
        if self._quiet(raw):
            return
        entry = clean_entry(raw)
        if entry is not None:
            self._close()
            self._entry(entry, span)
            return
        self._tolerant(raw, span)

    def _flow(self, raw: bytes, span: Span) -> bool:
        found = _FLOW.fullmatch(raw)
        if found is None:
            return False
        row = message_row(found[2].decode("utf-8", "replace"), found[3].decode("utf-8", "replace"))
        if row is None:
            return False
        self._close()
        level = found[1].decode()
        self._levels[level] = self._levels.get(level, 0) + 1
        self.flows.add(row, span)
        return True

    def _quiet(self, raw: bytes) -> bool:
        """The scanner's SKIP, said again for one line: compact, of a quiet level, and of no catalogued first word."""
        if not raw.startswith(b'{"level":"') or raw[-1] != ord("}") or len(raw) <= 24:
            return False
        blank = _CONTROL.search(raw)
        if blank is None or int.from_bytes(raw[blank.start() - 8 : blank.start()], "little") in self._keys:
            return False
        letter = chr(raw[10])
        level = log_scan.LEVELS.get(letter, "")
        if letter not in log_scan.QUIET or not raw.startswith(f':"{level}",'.encode()[:8], 8):
            return False
        self._close()
        self._levels[level] = self._levels.get(level, 0) + 1
        return True

    def _tolerant(self, raw: bytes, span: Span) -> None:
        text = clean(raw[:LINE_BYTES])
        if self._panic is not None:
            if self._panic.take(text, span):
                return
            self._end_panic()
        stripped = text.strip()
        if self._torn and not (stripped.startswith("{") or clean_entry(raw) is not None or '{"level"' in text):
            if self._continue(raw, span):
                return
        elif self._torn:
            self._end_torn()
        if not stripped:
            self._end_bad()
            return
        if stripped.startswith(("panic: ", "fatal error: ")):
            self._end_bad()
            self._panic = Panic(text, span)
            return
        reading = read_text(text)
        if reading.headless:
            self._note_headless(span)
        for entry in reading.entries:
            self._end_bad()
            self._entry(entry, span)
        if not reading.failed and reading.entries:
            return
        if reading.failed:
            if reading.open_end and not reading.entries and len(raw) < TORN_BYTES:
                self._torn.append((raw, span))
            elif self.pure or _ANCHOR.search(text):
                self._add_bad(span, "a log record could not be read")
            return
        self._plain(text, span)

    def _plain(self, text: str, span: Span) -> None:
        if _KNOWN_NOISE.search(text):
            return
        entry = plain_entry(text) if '"msg"' not in text and "Flow Info:" not in text else None
        if entry is not None and (self._match(entry) is not None or entry.level in BAD_LEVELS):
            self._end_bad()
            self._entry(entry, span)
        elif self.pure:
            what = "the log begins in the middle of a line" if span.start == 0 else "a line is no log record"
            self._add_bad(span, what)
        elif _ANCHOR.search(text):
            self._add_bad(span, "a log record could not be read")

    def _continue(self, raw: bytes, span: Span) -> bool:
        """Adds a line to a record torn over several lines; False when the record must be given up instead."""
        self._torn.append((raw, span))
        parts = [clean(part) for part, _ in self._torn]
        if len(parts) > TORN_LINES or sum(map(len, parts)) > TORN_BYTES:
            self._torn.pop()
            self._end_torn()
            return False
        if "}" not in parts[-1]:
            return True
        for text in _joined(parts):
            reading = read_text(text)
            if reading.entries and not reading.failed:
                whole = Span(self._torn[0][1].start, span.end, self._torn[0][1].first_line, span.last_line)
                self._torn = []
                self._end_bad()
                for entry in reading.entries:
                    self._entry(entry, whole)
                return True
        return True

    def _end_torn(self) -> None:
        """A torn record never ended: its first line is lost, what came behind it is read on its own."""
        torn, self._torn = self._torn, []
        first, span = torn[0]
        if self.pure or _ANCHOR.search(clean(first)):
            self._add_bad(span, "a log record is cut")
        for raw, rest in torn[1:]:
            self._tolerant(raw, rest)

    def _end_panic(self) -> None:
        panic, self._panic = self._panic, None
        if panic is not None:
            self._out.append(panic.record(self.log))
            self._levels["panic"] = self._levels.get("panic", 0) + 1

    def _entry(self, entry: Entry, span: Span) -> None:
        """One record: counted, and given out when the catalogue has it or when it is an error."""
        level = entry.level
        if level is not None:
            self._levels[level] = self._levels.get(level, 0) + 1
        if entry.message.startswith("Flow Info:") and self._flow_entry(entry, span):
            return
        made = self._match(entry)
        if made is not None:
            slug, fields = made
        elif level in BAD_LEVELS and not entry.message.startswith(self._noise or ("\0",)):
            slug, fields = "error", _error_fields(entry)
        else:
            return
        data = {
            "log": self.log,
            "ts": entry.ts,
            "utc_ns": utc_ns(entry.ts),
            "level": level,
            "event": slug,
            "msg": entry.message,
            **fields,
        }
        record = self.made(Record("log_event", data, span))
        if record is not None:
            self._out.append(record)

    def made(self, record: Record) -> Record | None:
        """For subclasses: the last word on an event; None drops it."""
        return record

    def emit(self, item: Item) -> None:
        """For subclasses: give out an item that was held back."""
        self._out.append(item)

    def _match(self, entry: Entry) -> tuple[str, dict[str, Any]] | None:
        first = entry.message.split(None, 1)
        known = self._index.get(first[0]) if first else None
        if known is None:
            return None
        text = flat(entry.message, entry.pairs)
        for candidate in known:
            fields = candidate.read(entry.message if candidate.raw else text)
            if fields is not None:
                return candidate.slug, fields
        return None

    def _flow_entry(self, entry: Entry, span: Span) -> bool:
        row = fields_row(entry.ts, dict(entry.pairs)) if entry.pairs else message_row(entry.ts, entry.message)
        if row is None:
            self._add_bad(span, "a flow line could not be read")
        else:
            self.flows.add(row, span)
        return True

    def _count(self, letters: np.ndarray[Any, Any]) -> None:
        for letter, number in zip(*np.unique(letters, return_counts=True), strict=True):
            level = log_scan.LEVELS[chr(letter)]
            self._levels[level] = self._levels.get(level, 0) + int(number)

    def _times(self, buffer: bytearray, size: int) -> None:
        """First and last time and the encoder's generation, from the edges of the blocks."""
        at = log_scan.PAD
        tail = bytes(buffer[at + max(0, size - 16_384) : at + size])
        if self._first_ts is None:
            found = _TIME.search(buffer, at, at + size)
            self._first_ts = found[1].decode("utf-8", "replace") if found else None
        times = _TIME.findall(tail)
        if times:
            self._last_ts = times[-1].decode("utf-8", "replace")
        if b'"timestamp":"' in tail:
            self._encoder = "v1.0.1"
        elif _OLD_LOGGERS.search(tail):
            self._encoder = "v1.0.4"
        elif b'"ts":"' in tail and b'"caller":"' in tail and self._encoder is None:
            self._encoder = "v1.2.2"

    def _note_headless(self, span: Span) -> None:
        self._end_bad()
        what = "the log begins in the middle of a line" if span.start == 0 else "a log record has lost its beginning"
        self._out.append(Problem(what, span, "read from its first whole field", "the fields before it"))

    def _add_bad(self, span: Span, what: str) -> None:
        if self._bad and (what != self._bad_what or self._bad[-1].last_line + 1 != span.first_line):
            self._end_bad()
        self._bad.append(span)
        self._bad_what = what
        self._unread += 1

    def _end_bad(self) -> None:
        if not self._bad:
            return
        first, last, count = self._bad[0], self._bad[-1], len(self._bad)
        span = Span(first.start, last.end, first.first_line, last.last_line)
        lost = "1 line" if count == 1 else f"{count} lines"
        self._out.append(Problem(self._bad_what, span, "passed over", lost))
        self._bad = []

    def _close(self) -> None:
        if self._torn:
            self._end_torn()
        if self._torn:  # the last of the lines read again may itself be torn
            self._add_bad(self._torn[0][1], "a log record is cut")
            self._torn = []
        if self._panic is not None:
            self._end_panic()
        if self._bad:
            self._end_bad()

    def _flush(self, rows: int) -> Iterator[Item]:
        out, self._out = self._out, []
        yield from out
        if self.flows.waiting >= rows:
            batch: FlowBatch | None = self.flows.batch()
            if batch is not None:
                yield batch

    def _summary(self) -> Record:
        data = {
            "log": self.log,
            "first_ts": self._first_ts,
            "last_ts": self._last_ts,
            "lines": self._lines,
            "unread_lines": self._unread,
            "levels": dict(sorted(self._levels.items())),
            "flows": self.flows.total,
            "encoder": self._encoder if self.log == "agent" else None,
            "rotated_at": rotated_at(self.source.path),
        }
        return Record("log_summary", data, Span(self._size, self._size, max(self._lines, 1), max(self._lines, 1)))


def _error_fields(entry: Entry) -> dict[str, Any]:
    told = [str(value) for key, value in entry.pairs if key.strip(" :") in ("error", "err")]
    error = told[0] if told else None
    return {"error": error, "errno": errno_of(error) or errno_of(entry.message), "caller": entry.caller}


def _joined(parts: list[str]) -> Iterator[str]:
    """The texts torn lines may have been: breaks at blanks, or hard breaks of a terminal's width."""
    widths = {len(part) for part in parts[:-1]}
    hard = len(parts) > 2 and len(widths) == 1 and len(parts[0]) >= 60
    yield ("" if hard else " ").join(parts)
    yield (" " if hard else "").join(parts)


def _is_pure(head: bytes) -> bool:
    seen = [line.strip() for line in head[:65_536].split(b"\n") if line.strip()][:200]
    logged = sum(line.startswith(b'{"') or b' {"level"' in line[:80] for line in seen)
    return logged * 5 >= len(seen) * 4 and logged > 3


def _blocks(source: Source) -> Iterator[tuple[bytearray, int, int]]:
    """(buffer, size, offset): whole lines in buffer[PAD : PAD + size]; the buffer is used again and again."""
    pad = log_scan.PAD
    buffer = bytearray(2 * pad + BLOCK_BYTES + LINE_BYTES)
    held = offset = 0
    for chunk in source.chunks():
        view = memoryview(chunk)
        for at in range(0, len(chunk), BLOCK_BYTES):
            piece = view[at : at + BLOCK_BYTES]
            buffer[pad + held : pad + held + len(piece)] = piece
            held += len(piece)
            size = buffer.rfind(b"\n", pad, pad + held) + 1 - pad
            if size <= 0:
                if held < LINE_BYTES:
                    continue
                size = held  # a line longer than any log has: given out in parts
            buffer[pad + held : pad + held + pad] = bytes(pad)
            yield buffer, size, offset
            buffer[pad : pad + held - size] = buffer[pad + size : pad + held]
            held -= size
            offset += size
    if held:
        buffer[pad + held : pad + held + pad] = bytes(pad)
        yield buffer, held, offset
