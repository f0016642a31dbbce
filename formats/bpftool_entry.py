"""One entry of a plain dump while its lines are read: rows to the key or the value, elisions, and what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.base import Span
from formats.bpftool_parts import Loose

if TYPE_CHECKING:
    from formats.text import Line

#: More zero rows than any value has: a number read from text must not decide how much memory is used.
_ZERO_LIMIT = 65536
_ROW = 16
#: A key that runs on for so long is a key and a value whose `value:` line is missing.
_LONG_KEY = 96


def span_of(first: Line, last: Line) -> Span:
    """The span from one line's start to another's end."""
    return Span(first.start, last.end, first.number, last.number)


class Entry:
    """Rows of one key and one value. `stage` is "key" or "value"; `inline`: the value stands behind its label."""

    def __init__(self, line: Line, stage: str, key: list[bytes] | None = None) -> None:
        self.first = line
        self.last = line
        self.stage = stage
        self.key: list[bytes] = key or []
        self.value: list[bytes] = []
        self.damaged = ""
        self.error = ""
        self.fill = False
        self.inline = False
        self.closed = False  # text that is not the entry's own follows it
        self.stated = False  # it ends with a stated number of zero rows

    @property
    def size(self) -> int:
        """Bytes of the value so far."""
        return sum(map(len, self.value))

    def row(self, line: Line, data: bytes, *, damaged: bool) -> None:
        """The next row of the current stage."""
        self.last = line
        self.closed = self.stated = False
        (self.key if self.stage == "key" else self.value).append(data)
        if damaged:
            self.damaged = f"a row of the {self.stage} is cut or damaged"

    def zeros(self, line: Line, kind: str, amount: int) -> None:
        """Stated zeros: so many rows, so many bytes, or the rest of the value."""
        self.last = line
        self.closed = False
        if kind == "rest":
            self.fill = True
            return
        self.value.append(bytes(min(amount, _ZERO_LIMIT) * (_ROW if kind == "rows" else 1)))
        self.stated = True

    def omitted(self, line: Line) -> None:
        """A part of the entry was left out without saying what it was."""
        self.last = line
        self.damaged = f"the text leaves out a part of the {self.stage}"

    def take_key(self) -> list[bytes]:
        """The rows at the end of the value that are the next entry's key; its `key:` line is missing."""
        if not self.value or len(self.value[-1]) not in (4, 8):
            return []
        two = len(self.value) > 1 and len(self.value[-1]) == 4 and len(self.value[-2]) == _ROW
        split = -2 if two else -1
        rows = self.value[split:]
        del self.value[split:]
        return rows

    def part(self, *, sure: bool) -> Loose:
        """The entry as a part of its dump."""
        fault = self.damaged
        if self.stage == "key" and sum(map(len, self.key)) >= _LONG_KEY:
            self._split()
        if not self.key and not fault:
            fault = "the row of the key is missing"
        shown = self.stage == "value" and (self.value or self.fill)
        value = b"".join(self.value) if shown else None
        return Loose(b"".join(self.key), value, span_of(self.first, self.last), fault, sure, self.fill)

    def _split(self) -> None:
        """The `value:` line is missing: the first short row ends the key."""
        short = next((index for index, row in enumerate(self.key) if len(row) < _ROW), None)
        if short is not None:
            self.value = self.key[short + 1 :]
            self.key = self.key[: short + 1]
            self.stage = "value"
