"""From log records to items: catalogue events, errors, flow rows; counts of everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from formats.base import Problem, Record, Said, Span, log_event
from formats.flow_text import FlowRows, fields_row, message_row
from formats.log_events import Event, errno_of, flat
from formats.log_time import ZAP_BYTES, utc_ns

if TYPE_CHECKING:
    from formats.base import Item
    from formats.log_line import Entry

Matched = tuple[str, dict[str, Any]]
#: Levels that make a line an event of its own, whatever it says.
BAD_LEVELS = frozenset({"error", "panic", "fatal", "dpanic"})
#: Messages and minutes kept: logs say the same thing again and again.
_REMEMBERED = 20_000
_MINUTE = 60_000_000_000


class LogMaker:
    """Makes the items of one log. `noise` are starts of error texts that mean nothing and are counted only."""

    def __init__(self, log: str, events: tuple[Event, ...], noise: tuple[str, ...]) -> None:
        self.log = log
        self.flows = FlowRows()
        self.levels: dict[str, int] = {}
        self.unread = 0
        self.first_ts: str | None = None
        self.last_ts: str | None = None
        self._noise = noise or ("\0",)
        self.index: dict[str, list[Event]] = {}
        for known in events:
            for word in known.words:
                self.index.setdefault(word, []).append(known)
        self._minutes: dict[str, int] = {}
        self.out: list[Item] = []
        self._bad: list[Span] = []
        self._bad_what = ""

    def made(self, record: Record) -> Record | None:
        """For subclasses: the last word on an event; None drops it."""
        return record

    def emit(self, item: Item) -> None:
        """Give out an item."""
        self.out.append(item)

    def count(self, level: str, number: int = 1) -> None:
        """Counts lines of a level."""
        self.levels[level] = self.levels.get(level, 0) + number

    def entry(self, entry: Entry, span: Span) -> None:
        """One record: counted, and given out when the catalogue has it or when it is an error."""
        level = entry.level
        if level is not None:
            self.count(level)
        if entry.ts is not None:
            self.first_ts = self.first_ts or entry.ts
            self.last_ts = entry.ts
        if entry.message.startswith("Flow Info:"):
            self._flow(entry, span)
            return
        matched = self.match(entry)
        if matched is None and level in BAD_LEVELS and not entry.message.startswith(self._noise):
            matched = "error", _error_fields(entry)
        if matched is not None:
            self.event(entry.ts, Said(level, matched[0], entry.message, matched[1], twice(entry)), span)

    def event(self, ts: str | None, said: Said, span: Span) -> None:
        """Gives out an event."""
        record = self.made(log_event(self.log, ts, self._utc_ns(ts) if ts else None, said, span))
        if record is not None:
            self.out.append(record)

    def match(self, entry: Entry) -> Matched | None:
        """Slug and fields of the catalogue's event this record is; None when it is none."""
        first = entry.message.split(None, 1)
        known = self.index.get(first[0]) if first else None
        if known is None:
            return None
        text = flat(entry.message, entry.pairs)
        for candidate in known:
            fields = candidate.read(entry.message if candidate.raw else text)
            if fields is not None:
                return candidate.slug, fields
        return None

    def add_bad(self, span: Span, what: str) -> None:
        """A line that could not be read; a run of them is one problem."""
        if self._bad and (what != self._bad_what or self._bad[-1].last_line + 1 != span.first_line):
            self.end_bad()
        self._bad.append(span)
        self._bad_what = what
        self.unread += 1

    def end_bad(self) -> None:
        """Something else came: the run of bad lines is over."""
        if not self._bad:
            return
        first, last, count = self._bad[0], self._bad[-1], len(self._bad)
        span = Span(first.start, last.end, first.first_line, last.last_line)
        lost = "1 line" if count == 1 else f"{count} lines"
        self.out.append(Problem(self._bad_what, span, "passed over", lost))
        self._bad = []

    def _flow(self, entry: Entry, span: Span) -> None:
        row = fields_row(entry.ts, dict(entry.pairs)) if entry.pairs else message_row(entry.ts, entry.message)
        if row is None:
            self.add_bad(span, "a flow line could not be read")
        else:
            self.flows.add(row, span)

    def _utc_ns(self, ts: str) -> int | None:
        """utc_ns() that asks the calendar once a minute of log."""
        minute = self._minutes.get(ts[:17])
        if minute is not None and len(ts) == ZAP_BYTES and ts[19] == "." and ts[23] == "Z" and ts.isascii():
            seconds, millis = ts[17:19], ts[20:23]
            if seconds.isdigit() and millis.isdigit() and seconds < "60":
                return minute + int(seconds) * 1_000_000_000 + int(millis) * 1_000_000
        whole = utc_ns(ts)
        if whole is not None and len(ts) == ZAP_BYTES and ts[16] == ":" and ts[23] == "Z":
            if len(self._minutes) > _REMEMBERED:
                self._minutes.clear()
            self._minutes[ts[:17]] = whole - whole % _MINUTE
        return whole


def twice(entry: Entry) -> tuple[str, ...]:
    """Keys that the record has more than once."""
    keys = [key for key, _ in entry.pairs]
    return tuple(sorted({key for key in keys if keys.count(key) > 1})) if len(set(keys)) < len(keys) else ()


def _error_fields(entry: Entry) -> dict[str, Any]:
    told = [str(value) for key, value in entry.pairs if key.strip(" :") in ("error", "err")]
    error = told[0] if told else None
    return {"error": error, "errno": errno_of(error) or errno_of(entry.message), "caller": entry.caller}
