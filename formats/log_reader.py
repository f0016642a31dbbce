"""Reading a log: stretch by stretch, sorted into flow lines, lines of known texts, and lines to be read one by one; the
same items as reading every line by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from formats import log_stretch
from formats.base import EventBatch, Record, Said, Span
from formats.flow_text import BATCH_ROWS, FLOW_LINE, message_row
from formats.log_line import clean_entry
from formats.log_maker import twice
from formats.log_sorting import sorted_stretches
from formats.log_stretch import EDGE, KNOWN, Dull
from formats.log_time import rotated_at, zap_texts
from formats.log_tolerant import TolerantLog
from formats.packed_flows import PackedFlows, Tail
from formats.pieces import Pieces
from formats.source import LINE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.columns import LineSpans
    from formats.log_events import Event
    from formats.log_stretch import SorterName, Stretch
    from formats.source import Source

Array = np.ndarray[Any, Any]
#: Bytes of a log that are sorted together, by one process.
STRETCH_BYTES = 4 * 1024 * 1024
#: Events of a stretch from which on they are given out as a batch.
EVENT_ROWS = 256
_LOGGERS = 40  # enough for all names there are


@dataclass
class _Tables:
    """What a sorter's places stand for: its addresses and the tails of its flow lines (the first of both is none), and
    what its texts say, None for those that are no event; `events` flags the others.
    """

    sorter: SorterName
    addresses: list[str]
    tails: list[Tail]
    texts: list[Said | None]
    events: Array

    def told(self, texts: list[Said | None]) -> None:
        """More texts."""
        self.texts += texts
        self.events = np.concatenate([self.events, np.array([said is not None for said in texts], bool)])


class LogReader(TolerantLog):
    """Reads one log with its catalogue."""

    def __init__(
        self,
        source: Source,
        log: str,
        events: tuple[Event, ...],
        noise: tuple[str, ...] = (),
        *,
        batches: bool = False,
    ) -> None:
        """`batches`: many events may be given out as a batch. A reader with hooks of its own must see each of them."""
        super().__init__(log, events, noise, pure=_is_pure(source.head))
        self.source = source
        self.batches = batches
        self._wanted = frozenset(self.index)
        self._dull = Dull(self._wanted)
        #: What texts say, by level and text; None for those that are no event.
        self._said: dict[tuple[str, bytes], Said | None] = {}
        self._tables: dict[int, _Tables] = {}
        self._lines = 0
        self._size = 0
        self._last_line = 0
        self._encoder: str | None = None
        self._loggers: dict[str, None] = {}
        self._edge_first: str | None = None
        self._edge_last: str | None = None
        #: The stretch whose lines are being read, and its offset: for subclasses.
        self.block: tuple[Pieces, int] = (Pieces([]), 0)

    def read(self, *, tolerant_only: bool = False) -> Iterator[Item]:
        """Records, batches and problems, in file order as far as batches allow, and the summary last."""
        if tolerant_only:
            for data in _stretches(self.source):
                self.block = (data, self._size)
                self._one_by_one(data.whole)
                yield from self._ready(BATCH_ROWS)
        else:
            for data, stretch in sorted_stretches(_stretches(self.source), self._wanted, self.source.helpers):
                self.block = (data, self._size)
                self._take(stretch)
                yield from self._ready(BATCH_ROWS)
        self.close()
        self.finish()
        yield from self._ready(1)
        yield self._summary()

    def block_done(self, size: int) -> None:
        """For subclasses: all `size` bytes of the stretch have been read."""

    def finish(self) -> None:
        """For subclasses: the log has ended."""

    def feed(self, raw: bytes, span: Span) -> None:
        """One line (without its line feed) of the log, or what a container runtime wrapped."""
        self._follow(span)
        if b"Flow Info:" in raw and self._flow_line(raw, span):
            return
        level = self._dull.holds(raw) if raw else None
        if level is not None:
            self.close()
            self.count(level)
            return
        self._loggers.update(dict.fromkeys(log_stretch.loggers(raw)))
        entry = clean_entry(raw)
        if entry is None:
            self.line(raw, span)
            return
        self.close()
        self.entry(entry, span)
        self._dull.learn(raw, entry)

    def _one_by_one(self, data: bytes) -> None:
        """A stretch, every line by itself."""
        offset, self._dull = self._size, Dull(self._wanted)
        start = 0
        while start < len(data):
            stop = data.find(b"\n", start)
            stop = len(data) if stop < 0 else stop
            self._lines += 1
            self.feed(data[start:stop], Span(offset + start, offset + stop, self._lines, self._lines))
            start = stop + 1
        self._size += len(data)
        self._learn(log_stretch.edges(data[:EDGE], data[-EDGE:]), len(data))
        self.block_done(len(data))

    def _take(self, stretch: Stretch) -> None:
        """A sorted stretch."""
        offset = self._size
        if len(self._said) > KNOWN:
            self._said.clear()
        tables = self._tables.get(stretch.sorter.process)
        if tables is None or tables.sorter != stretch.sorter:
            tables = _Tables(stretch.sorter, [""], [Tail(None, None, None, None)], [], np.zeros(0, bool))
            self._tables[stretch.sorter.process] = tables
        tables.told([self._said_by(level, text) for level, text in stretch.texts])
        tables.addresses += stretch.addresses
        tables.tails += stretch.tails
        for level, count in stretch.levels.items():
            self.count(level, count)
        before = self._size, self._lines + 1
        spans, odd_spans = (
            stretch.spans.moved(offset, self._lines + 1),
            stretch.odd_spans.moved(offset, self._lines + 1),
        )
        self._lines += stretch.lines
        self._size = offset + stretch.size
        self._dull = Dull(self._wanted)
        self._loggers.update(dict.fromkeys(stretch.loggers))
        if self.batches and len(stretch.codes) >= EVENT_ROWS:
            self._batch(stretch, tables, spans)
            for raw, span in zip(stretch.odd, odd_spans, strict=True):
                self.feed(raw, Span(*span.tolist()))
        else:
            self._interleaved(stretch, tables.texts, spans, odd_spans)
        if stretch.flows is not None:
            self._flows(PackedFlows(stretch.flows, tables.addresses, tables.tails, before))
        self._learn(stretch.edges, stretch.size)
        self.block_done(stretch.size)

    def _flows(self, flows: PackedFlows) -> None:
        """The flow lines of a stretch; batches are in file order, and so are the lines of each."""
        if not self.flows.waiting:
            self.flows.total += len(flows)
            self.emit(flows)
            return
        self.flows.extend(flows.columns, flows.spans)
        batch = self.flows.batch()
        if batch is not None:
            self.emit(batch)

    def _batch(self, stretch: Stretch, tables: _Tables, spans: LineSpans) -> None:
        """The lines of known texts, those that are events as one batch."""
        rows = np.flatnonzero(tables.events[stretch.codes])
        if self.first_ts is None and len(stretch.utc_ns):
            self.first_ts = zap_texts(stretch.utc_ns[:1])[0]
        self.last_ts = zap_texts(stretch.utc_ns[-1:])[0]
        if len(rows):
            kept = spans[rows]
            first, last = kept[0].tolist(), kept[-1].tolist()
            whole = Span(first[0], last[1], first[2], last[3])
            self.emit(EventBatch(self.log, tables.texts, stretch.codes[rows], stretch.utc_ns[rows], kept, whole))

    def _interleaved(self, stretch: Stretch, texts: list[Said | None], spans: LineSpans, odd_spans: LineSpans) -> None:
        """Every line by itself, in order."""
        known = [
            (span, texts[code], when)
            for span, code, when in zip(
                spans.whole().tolist(), stretch.codes.tolist(), zap_texts(stretch.utc_ns), strict=True
            )
        ]
        odd = [(span, raw, None) for span, raw in zip(odd_spans.whole().tolist(), stretch.odd, strict=True)]
        for where, what, ts in sorted([*known, *odd], key=lambda row: row[0][0]):
            span = Span(*where)
            if isinstance(what, bytes):
                self.feed(what, span)
                continue
            self._follow(span)
            self.close()
            self.first_ts, self.last_ts = self.first_ts or ts, ts
            if what is not None:
                self.event(ts, what, span)

    def _said_by(self, level: str, text: bytes) -> Said | None:
        """What a line of this text is, whatever its time."""
        if (level, text) not in self._said:
            self._said[level, text] = self._read_text(level, text)
        return self._said[level, text]

    def _read_text(self, level: str, text: bytes) -> Said | None:
        entry = clean_entry(b'{"level":"%s","ts":"%s' % (level.encode(), text))
        matched = self.match(entry) if entry is not None else None
        if entry is None or matched is None:
            return None
        return Said(level, matched[0], entry.message, matched[1], twice(entry))

    def _follow(self, span: Span) -> None:
        """Lines that were not fed lie between: what waited for its next line gets none."""
        if self.open and span.first_line != self._last_line + 1:
            self.close()
        self._last_line = span.last_line

    def _flow_line(self, raw: bytes, span: Span) -> bool:
        found = FLOW_LINE.fullmatch(raw)
        row = message_row(found[2].decode("utf-8", "replace"), found[3].decode("utf-8", "replace")) if found else None
        if found is None or row is None:
            return False
        self.close()
        self.count(found[1].decode())
        self.flows.add(row, span)
        return True

    def _learn(self, edges: log_stretch.Edges, size: int) -> None:
        self._edge_first = self._edge_first or edges.first
        self._edge_last = edges.last or self._edge_last
        # The newest form looks like a short piece of the older ones: it takes more than a few lines to change the mind.
        if edges.encoder != "v1.2.2" or self._encoder is None or size > EDGE:
            self._encoder = edges.encoder or self._encoder

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


def _is_pure(head: bytes) -> bool:
    """Most of the head is log lines."""
    seen = [line.strip() for line in head[:65_536].split(b"\n") if line.strip()][:200]
    logged = sum(line.startswith(b'{"') or b' {"level"' in line[:80] for line in seen)
    return logged * 5 >= len(seen) * 4 and logged > 3


def _stretches(source: Source) -> Iterator[Pieces]:
    """Whole lines, up to STRETCH_BYTES together: each ends at the last line feed before a multiple of STRETCH_BYTES of
    the log, whatever pieces it comes in. A line longer than any log has is read in parts, as so many lines.
    """
    parts: list[bytes | memoryview] = []
    held, left = 0, STRETCH_BYTES
    for chunk in source.pieces():
        view = memoryview(chunk)
        at = 0
        while len(view) - at >= left:
            cut = chunk.rfind(b"\n", at, at + left) + 1
            if not cut and (held + left >= LINE_BYTES or any(b"\n" in part for part in map(bytes, parts))):
                whole = b"".join((*parts, view[at : at + left]))
                cut = whole.rfind(b"\n") + 1 or len(whole)
                yield Pieces([whole[:cut]])
                parts, held = [whole[cut:]], len(whole) - cut
            elif cut:
                yield Pieces([*parts, view[at:cut]])
                parts, held = [view[cut : at + left]], at + left - cut
            else:
                parts.append(view[at : at + left])
                held += left
            at += left
            left = STRETCH_BYTES
        parts.append(view[at:])
        held += len(view) - at
        left -= len(view) - at
    rest = Pieces(parts)
    if len(rest):
        yield rest
