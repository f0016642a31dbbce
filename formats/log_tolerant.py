"""Log lines that are not as the encoder wrote them: torn, joined, cut, pasted, or no records at all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from formats.base import Problem, Span
from formats.log_line import clean_entry, plain_entry, read_text
from formats.log_maker import BAD_LEVELS, LogMaker
from formats.log_panic import Panic
from formats.source import LINE_BYTES
from formats.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.log_events import Event

#: What a record torn over several lines may be: lines, characters, and how often its whole is tried.
TORN_LINES, TORN_TEXT, TORN_TRIES = 200, 32 * 1024, 24
# Lines that are no records and no damage: zap's own complaint, marks of an excerpt, fences around a paste.
_KNOWN_NOISE = re.compile(r"\s*(?:\.\.\.|\[truncated\]|```.*|~~~.*)$")
_ZAP_COMPLAINT = "Logger.check error:"
# What only a log record has; a line of a paste without it is prose.
_ANCHOR = re.compile(r'"(?:level|msg|caller|timestamp)"\s*:|\{"(?:level|ts)|^\{"?l?e?v?e?l?"?$')
_CUT = "a log record is cut"
_UNREADABLE = "a log record could not be read"


class TolerantLog(LogMaker):
    """Reads single lines. `pure`: the source is a log file, so that every line which is no record is damage."""

    def __init__(self, log: str, events: tuple[Event, ...], noise: tuple[str, ...], *, pure: bool) -> None:
        super().__init__(log, events, noise)
        self.pure = pure
        self._torn: list[tuple[str, Span]] = []
        self._tries = 0
        self._panic: Panic | None = None

    @property
    def open(self) -> bool:
        """Whether something waits for its next line."""
        return bool(self._torn or self._panic or self._bad)

    def close(self) -> None:
        """What waits for its next line gets none."""
        if self._torn:
            self._end_torn()
        if self._panic is not None:
            self._end_panic()
        self.end_bad()

    def line(self, raw: bytes, span: Span) -> None:
        """One line that is not clean."""
        text = clean(raw[:LINE_BYTES])
        if self._panic is not None:
            if self._panic.take(text, span):
                return
            self._end_panic()
        if self._torn:
            if not (text.lstrip().startswith("{") or '{"level"' in text or clean_entry(raw) is not None):
                self._continue(text, span)
                return
            self._end_torn()
        self._text(text, span, final=False)

    def _text(self, text: str, span: Span, *, final: bool) -> None:
        stripped = text.strip()
        if not stripped:
            self.end_bad()
            return
        if stripped.startswith(("panic: ", "fatal error: ")):
            self.end_bad()
            self._panic = Panic(text, span)
            return
        reading = read_text(text)
        if reading.headless:
            self._headless(span)
        for entry in reading.entries:
            self.end_bad()
            self.entry(entry, span)
        if not reading.failed:
            if not reading.entries:
                self._plain(text, span)
        elif reading.open_end and not reading.entries and not final and len(text) < TORN_TEXT:
            self._torn, self._tries = [(text, span)], 0
        elif self.pure or _ANCHOR.search(text):
            self.add_bad(span, _CUT if reading.open_end else _UNREADABLE)

    def _plain(self, text: str, span: Span) -> None:
        """A line without JSON: a digest of an event, or no record."""
        if _ZAP_COMPLAINT in text or _KNOWN_NOISE.match(text.rstrip()):
            return
        entry = plain_entry(text) if '"msg"' not in text and "Flow Info:" not in text else None
        if entry is not None and (self.match(entry) is not None or entry.level in BAD_LEVELS):
            self.end_bad()
            self.entry(entry, span)
        elif self.pure:
            first = span.start == 0
            self.add_bad(span, "the log begins in the middle of a line" if first else "a line is no log record")
        elif _ANCHOR.search(text):
            self.add_bad(span, _UNREADABLE)

    def _continue(self, text: str, span: Span) -> None:
        """One more line of a torn record; the record is tried where a brace closes."""
        self._torn.append((text, span))
        if len(self._torn) > TORN_LINES or sum(len(part) for part, _ in self._torn) > TORN_TEXT:
            self._end_torn()
            return
        if "}" not in text or self._tries >= TORN_TRIES:
            return
        self._tries += 1
        for whole in _joined([part for part, _ in self._torn]):
            reading = read_text(whole)
            if reading.entries and not reading.failed:
                first = self._torn[0][1]
                self._torn = []
                self.end_bad()
                for entry in reading.entries:
                    self.entry(entry, Span(first.start, span.end, first.first_line, span.last_line))
                return

    def _end_torn(self) -> None:
        """A torn record never ended: its first line is lost, what came behind it is read on its own."""
        torn, self._torn = self._torn, []
        text, span = torn[0]
        if self.pure or _ANCHOR.search(text):
            self.add_bad(span, _CUT)
        for rest, where in torn[1:]:
            if self._panic is None or not self._panic.take(rest, where):
                self._end_panic()
                self._text(rest, where, final=True)

    def _end_panic(self) -> None:
        panic, self._panic = self._panic, None
        if panic is not None:
            self.emit(panic.record(self.log))
            self.count("panic")

    def _headless(self, span: Span) -> None:
        self.end_bad()
        what = "the log begins in the middle of a line" if span.start == 0 else "a log record has lost its beginning"
        self.emit(Problem(what, span, "read from its first whole field", "the fields before it"))


def _joined(parts: list[str]) -> Iterator[str]:
    """The texts torn lines may have been: breaks at blanks, or hard breaks at a terminal's width."""
    widths = {len(part) for part in parts[:-1]}
    hard = len(parts) > 2 and len(widths) == 1 and len(parts[0]) >= 60
    yield ("" if hard else " ").join(parts)
    yield (" " if hard else "").join(parts)
