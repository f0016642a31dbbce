"""Reading a log: clean lines block by block, everything else a line at a time; the same items either way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from formats import log_scan
from formats.base import Record, Span
from formats.flow_text import BATCH_ROWS, message_row
from formats.log_line import CLEAN, clean_entry
from formats.log_time import rotated_at
from formats.log_tolerant import TolerantLog
from formats.source import LINE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.log_events import Event
    from formats.log_line import Entry
    from formats.log_scan import Ints
    from formats.source import Source

#: Bytes looked at together: about what a core's caches hold with the arrays made from it.
BLOCK_BYTES = 1024 * 1024
_DULL = 2000  # first words remembered; the agent has some hundred
_EDGE = 16 * 1024  # of a block, where times and the encoder's generation are looked for
_QUIET = {b"info": "info", b"debug": "debug", b"warn": "warn"}
_FLOW = re.compile(
    rb'\{"level":"(debug|info|warn|error|panic|fatal)","(?:ts|timestamp)":"([^"\\]*)"[^\x00-\x20]*'
    rb',"msg":"(Flow Info:[^"\\]*)"\}'
)
_CONTROL = re.compile(rb"[\x00-\x20]")
_TIME = re.compile(rb'"(?:ts|timestamp)"\s*:\s*"([^"\\]{10,40})"')
_LOGGER = re.compile(rb'"logger":\s*"([^"\\]{1,80})"')
_LOGGERS = 40  # enough for all names there are
_V104 = re.compile(
    rb'",\s*"logger":\s*"(?:setup|controllers\.|ebpf-client|cp-util|rpc-handler|grpcLogger)|"msg":"version"'
)


class LogReader(TolerantLog):
    """Reads one log with its catalogue."""

    def __init__(self, source: Source, log: str, events: tuple[Event, ...], noise: tuple[str, ...] = ()) -> None:
        super().__init__(log, events, noise, pure=_is_pure(source.head))
        self.source = source
        self._scanner = log_scan.Scanner()
        self._lines = 0
        self._size = 0
        self._last_line = 0
        self._encoder: str | None = None
        self._loggers: dict[str, None] = {}
        self._edge_first: str | None = None
        self._edge_last: str | None = None
        #: The block whose lines are being read (its bytes from PAD on) and its offset: for subclasses.
        self.block: tuple[bytearray, int] = (bytearray(), 0)

    def read(self, *, tolerant_only: bool = False) -> Iterator[Item]:
        """Records, flow batches and problems, in file order as far as batches allow, and the summary last."""
        for buffer, size, offset in _blocks(self.source):
            self._block(buffer, size, offset, tolerant_only)
            yield from self._ready(BATCH_ROWS)
        self.close()
        self.finish()
        yield from self._ready(1)
        yield self._summary()

    def block_done(self, size: int) -> None:
        """For subclasses: all `size` bytes of the block have been read."""

    def finish(self) -> None:
        """For subclasses: the log has ended."""

    def feed(self, raw: bytes, span: Span) -> None:
        """One line (without its line feed) of the log, or what a container runtime wrapped."""
        self._follow(span)
        if (b"Flow Info:" in raw and self._flow_line(raw, span)) or self._quiet(raw):
            return
        entry = clean_entry(raw)
        if entry is None:
            self.line(raw, span)
            return
        self.close()
        self.entry(entry, span)
        self._learn(raw, entry)

    def _block(self, buffer: bytearray, size: int, offset: int, tolerant_only: bool) -> None:
        first_line = self._lines + 1
        block = self._scanner.scan(buffer, size, offset, first_line)
        self._lines += len(block.starts)
        self._size = offset + size
        self.block = (buffer, offset)
        self._edges(buffer, size)
        if tolerant_only:
            rows = np.arange(len(block.starts))
        else:
            rows = np.flatnonzero(block.kinds == log_scan.LOOK)
            self._letters(block.letters[block.kinds != log_scan.LOOK])
            self.flows.extend(block.flows, block.spans)
        starts, ends = block.starts[rows].tolist(), block.ends[rows].tolist()
        pad = log_scan.PAD
        for row, start, end in zip(rows.tolist(), starts, ends, strict=True):
            span = Span(offset + start, offset + end, first_line + row, first_line + row)
            if tolerant_only or not self._again(buffer, pad + start, pad + end, span):
                self.feed(bytes(buffer[pad + start : pad + end]), span)
        self.block_done(size)

    def _again(self, buffer: bytearray, start: int, end: int, span: Span) -> bool:
        """feed() for a clean line of a quiet level whose message was seen before."""
        found = CLEAN.fullmatch(buffer, start, end)
        if found is None:
            return False
        level, ts, _, message, rest = found.groups()
        known = self.seen.get(message) if rest is None else None
        if known is None or level not in _QUIET:
            return False
        self._follow(span)
        if self.open:
            self.close()
        slug, text, fields = known
        self.count(_QUIET[level])
        when = ts.decode("utf-8", "replace")
        self.first_ts, self.last_ts = self.first_ts or when, when
        if slug:
            self.event(when, _QUIET[level], text, (slug, fields), span)
        return True

    def _follow(self, span: Span) -> None:
        """Lines that were not fed lie between: what waited for its next line gets none."""
        if self.open and span.first_line != self._last_line + 1:
            self.close()
        self._last_line = span.last_line

    def _flow_line(self, raw: bytes, span: Span) -> bool:
        found = _FLOW.fullmatch(raw)
        row = message_row(found[2].decode("utf-8", "replace"), found[3].decode("utf-8", "replace")) if found else None
        if found is None or row is None:
            return False
        self.close()
        self.count(found[1].decode())
        self.flows.add(row, span)
        return True

    def _quiet(self, raw: bytes) -> bool:
        """The scanner's SKIP, said again for one line: compact, of a quiet level, and of a first word known as dull."""
        if not raw.startswith(b'{"level":"') or raw[-1] != ord("}") or len(raw) <= 24:
            return False
        blank = _CONTROL.search(raw)
        if blank is None or int.from_bytes(raw[blank.start() - 8 : blank.start()], "little") not in self._scanner.dull:
            return False
        letter = chr(raw[10])
        level = log_scan.LEVELS.get(letter, "")
        if letter not in log_scan.QUIET or not raw.startswith(f':"{level}",'.encode()[:8], 8):
            return False
        self.close()
        self.count(level)
        return True

    def _learn(self, raw: bytes, entry: Entry) -> None:
        """A whole line was read whose message can be no event: lines with its first word are skipped from now on."""
        word = entry.message.split(" ", 1)[0]
        if (
            word in self.index
            or word == "Flow"
            or entry.level not in _QUIET.values()
            or len(self._scanner.dull) >= _DULL
        ):
            return
        blank = _CONTROL.search(raw)
        if blank is not None and raw[: blank.start()].endswith(b'"msg":"' + word.encode()):
            self._scanner.dull.add(log_scan.word_key(word))

    def _letters(self, letters: Ints) -> None:
        for letter, number in zip(*np.unique(letters, return_counts=True), strict=True):
            self.count(log_scan.LEVELS[chr(letter)], int(number))

    def _edges(self, buffer: bytearray, size: int) -> None:
        """First and last time and the encoder's generation, from the edges of the blocks."""
        pad = log_scan.PAD
        head = bytes(buffer[pad : pad + min(size, _EDGE)])
        tail = head if size <= _EDGE else bytes(buffer[pad + size - _EDGE : pad + size])
        if self._edge_first is None:
            found = _TIME.search(head)
            self._edge_first = found[1].decode("utf-8", "replace") if found else None
        times = _TIME.findall(tail)
        if times:
            self._edge_last = times[-1].decode("utf-8", "replace")
        if len(self._loggers) < _LOGGERS and buffer.find(b'"logger":', pad, pad + size) >= 0:
            for name in dict.fromkeys(_LOGGER.findall(buffer, pad, pad + size)):
                self._loggers[name.decode("utf-8", "replace")] = None
        if b'"timestamp":"' in tail:
            self._encoder = "v1.0.1"
        elif _V104.search(tail):
            self._encoder = "v1.0.4"
        elif b'"ts":"' in tail and b'"caller":"' in tail and (self._encoder is None or size > _EDGE):
            self._encoder = "v1.2.2"

    def _ready(self, rows: int) -> Iterator[Item]:
        out, self.out = self.out, []
        yield from out
        batch = self.flows.batch() if self.flows.waiting >= rows else None
        if batch is not None:
            yield batch

    def _summary(self) -> Record:
        data = {
            "log": self.log,
            "first_ts": self._edge_first or self.first_ts,
            "last_ts": self._edge_last or self.last_ts,
            "lines": self._lines,
            "line_count": self._lines,  # `decode` prints a record's place as `lines`
            "unread_lines": self.unread,
            "levels": dict(sorted(self.levels.items())),
            "flows": self.flows.total,
            "loggers": list(self._loggers)[:_LOGGERS],
            "encoder": self._encoder if self.log == "agent" else None,
            "rotated_at": rotated_at(self.source.path),
        }
        last = max(self._lines, 1)
        return Record("log_summary", data, Span(self._size, self._size, last, last))


def diagnostic_lines(source: Source, events: tuple[Event, ...]) -> Iterator[Ints]:
    """The places (ENTRY_SPAN_DTYPE) of all lines that may be an event, block by block, without reading them.

    Lines of the catalogue's first words, of level error and worse, and lines that are not as the encoder writes them.
    """
    keys = np.array(sorted({log_scan.word_key(word) for event in events for word in event.words}), np.uint64)
    lines = 0
    for buffer, size, offset in _blocks(source):
        spans, count = log_scan.search(buffer, size, offset, lines + 1, keys)
        lines += count
        yield spans


def _is_pure(head: bytes) -> bool:
    """Most of the head is log lines."""
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
                size = held  # a line longer than any log has: it is read in parts, as so many lines
            yield buffer, size, offset
            buffer[pad : pad + held - size] = buffer[pad + size : pad + held]
            held -= size
            offset += size
    if held:
        yield buffer, held, offset
