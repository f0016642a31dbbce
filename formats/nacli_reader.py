"""The reader of dump-maps and dump-cp-maps text: lines to sections, and runs of clean entries past the lines."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from formats import nacli_bulk, nacli_conntrack
from formats.base import Span
from formats.elision import elision
from formats.nacli_entry import host_bits
from formats.nacli_handlers import Sections
from formats.nacli_names import of_heading
from formats.nacli_text import FLOW_LINE, Token, tokens
from formats.nacli_values import FlowEntry
from formats.patterns import lazy
from formats.text import Line, clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.nacli_ahead import Runs


#: A conntrack line wrapped by a narrow terminal has at most so many pieces.
_PIECES = 4
_OWN_LINES = ("Value", "Conntrack", "*", "Last Seen", "Done", "Failed", "No ", "Key", "```", "==")
#: A line of a slot that is cut before it says anything: `Val`, `Entry 1`, `Startpo`.
_SLOT_BEGINNING = lazy(
    "|".join(
        "(?:".join(word) + ")?" * (len(word) - 1)
        for word in ("Value Entry", "Protocol", "Priority", "StartPort", "Endport", "EndPort")
    )
    + r"|Entry \d*|Value Entry\s*:?"
)


class Reader(Sections):
    """Fed with blocks of whole lines, in order; gives the items of every section that ended."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._held: list[Line] = []
        self._number = 1
        self._slow_until = 0
        self._runs: Runs = {}

    def feed(self, offset: int, block: bytes, runs: Runs) -> Iterator[Item]:
        """The items that a block of lines completes; the last line of the last block may have no end.

        runs: those that are known by now, by their places in the block.
        """
        self._runs = runs
        at = 0
        size = len(block)
        while at < size:
            if self._ready and block[at] in b"KC" and (stop := self._run(block, at, offset)):
                at = stop
                continue
            cut = block.find(b"\n", at)
            end = size if cut < 0 else cut
            self._line(Line(offset + at, offset + end, self._number, clean(block[at:end])), whole=cut >= 0)
            self._number += 1
            at = end + 1
        yield from self._flush()

    def finish(self) -> Iterator[Item]:
        """The items that the end of the source completes."""
        self._release(whole=True)
        self._close()
        yield from self._flush()

    def _flush(self) -> Iterator[Item]:
        out, self.out = self.out, []
        yield from out

    @property
    def _ready(self) -> bool:
        return self._entry is None and self._value is None and not self._held

    def _run(self, block: bytes, at: int, offset: int) -> int:
        """Takes the clean entries at `at` in one piece; 0 when the lines must be read one by one."""
        section = self._section
        if offset + at < self._slow_until or (section is not None and section.crash is not None):
            return 0
        run = self._runs.pop(at, None) or nacli_bulk.read_run(block, at) or nacli_conntrack.read_run(block, at)
        if run is None:
            return 0
        if isinstance(run, int):
            self._slow_until = offset + run
            return 0
        spans = run.spans
        for name, by in (
            ("start", offset + at),
            ("end", offset + at),
            ("first_line", self._number),
            ("last_line", self._number),
        ):
            spans[name] += by
        first = Span(*(int(value) for value in spans[0].tolist()))
        last = Span(*(int(value) for value in spans[-1].tolist()))
        taken = self._take_rules(run, first) if isinstance(run, nacli_bulk.Run) else self._take_flows(run, first)
        if not taken or self._section is None:
            self._slow_until = offset + run.end
            return 0
        self._orphan = False
        self._section.end, self._section.last_line = last.end, last.last_line
        self._number += run.lines
        return run.end

    def _take_rules(self, run: nacli_bulk.Run, first: Span) -> bool:
        section, layout = self._section, run.layout
        if section is not None and (
            section.kind not in (None, "rules") or section.rules.key_size not in (0, run.keys.shape[1])
        ):
            self._close()
            section = None
        shown = layout.cluster or len(run.slots) > 0
        if section is not None and shown and section.cluster not in (None, layout.cluster):
            return False
        section = self._ensure("rules", first.start, first.first_line)
        if not section.keys_seen:
            section.first_starred = True
            section.first_bad = None if run.keys[0, 4:].any() else "zero"
        section.keys_seen += len(run.keys)
        section.new_form |= layout.key == "Key: "
        section.lossy |= layout.lossy
        if shown:
            section.cluster = layout.cluster
        section.rules.add_run(run.keys, run.spans, run.slots)
        return True

    def _take_flows(self, run: nacli_conntrack.FlowRun, first: Span) -> bool:
        if self._section is not None and self._section.kind not in (None, "flows"):
            self._close()
        section = self._ensure("flows", first.start, first.first_line)
        return section.values.add_run(run.keys, run.spans, run.values)

    def _line(self, line: Line, *, whole: bool) -> None:
        """One line; a conntrack line is held until the next one shows whether a terminal wrapped it."""
        if self._held:
            if _continues(self._held, line):
                self._held.append(line)
                if whole and len(self._held) < _PIECES:
                    return
                self._release(whole=whole)
                return
            self._release(whole=True)
        if line.text.lstrip().startswith("Conntrack Key"):
            self._held.append(line)
            if not whole:
                self._release(whole=False)
            return
        self._parts(line, whole=whole)

    def _release(self, *, whole: bool) -> None:
        """The held lines as the one line they were; as they are when no way of joining them gives one."""
        held, self._held = self._held, []
        if len(held) > 1 and (text := _joined(held)):
            held = [Line(held[0].start, held[-1].end, held[0].number, text)]
        for line in held:
            self._parts(line, whole=whole or line is not held[-1])

    def _parts(self, line: Line, *, whole: bool) -> None:
        token: Token | None = None
        for token in tokens(line):
            self.part(token)
        if token is None:
            self._plain(line)
        if not whole:
            self._cut(token, line)

    def _plain(self, line: Line) -> None:
        """A line that says nothing of the CLI's: a map's name, or what somebody wrote where they cut."""
        section = self._section
        if section is not None and section.crash is not None:
            section.end, section.last_line = (
                (line.end, line.number) if line.text.strip() else (section.end, section.last_line)
            )
        elif heading := of_heading(line.text) if "map" in line.text or "_events" in line.text else None:
            self._close()
            self._target = heading
        elif section is not None and section.kind is not None and (left := elision(line.text)):
            if left.kind == "entries":
                section.hidden += left.amount
            elif self._entry is not None and not self._entry.bare:
                self._entry.hurt("slots were left out of the text")
            else:
                section.gap_unknown = True

    def _cut(self, token: Token | None, line: Line) -> None:
        """The text ends without a line end: what stands last may be cut."""
        entry = self._entry
        rest = line.text.strip()
        if token is None:
            if entry is not None and rest and _SLOT_BEGINNING.fullmatch(rest):
                entry.hurt("the text ends inside a slot")
        elif token.end < line.end:
            return
        elif token.kind == "key" and entry is not None and entry.key and host_bits(entry.key):
            entry.key, entry.fault = None, "the text ends inside a key"
        elif token.kind == "field" and entry is not None and token.group("text") != "0":
            entry.hurt("the text ends inside a slot")
        elif token.kind in ("flow", "state_key") and self._value is not None:
            self._value.cut = True
        elif token.kind == "seen" and isinstance(self._value, FlowEntry):
            self._value.fault = "the text ends inside a value"


def _continues(held: list[Line], line: Line) -> bool:
    """Whether a line goes on with a held conntrack line: it begins nothing itself, and the held one lacks something."""
    text = line.text.strip()
    if not text or text.startswith(_OWN_LINES):
        return False
    return FLOW_LINE.fullmatch(_joined(held) or "") is None or bool(_joined([*held, line]))


def _joined(held: list[Line]) -> str:
    """The one conntrack line these pieces make, broken inside a word or between two; empty when they make none."""
    pieces = [line.text.strip() for line in held]
    for blanks in product(("", " "), repeat=len(pieces) - 1):
        text = pieces[0] + "".join(blank + piece for blank, piece in zip(blanks, pieces[1:], strict=True))
        if FLOW_LINE.fullmatch(text):
            return text
    return ""
