"""The arrays of a dump whose sizes are decided, and what did not fit them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from formats.address import cidr_of_key
from formats.base import ENTRY_SPAN_DTYPE, MapDump, Problem, Span
from formats.bpftool_parts import Block, Gap, Loose

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Broken records named one by one; more of one kind are counted in one Problem.
NAMED = 20
_NO_VALUE = "no value is shown"


class Table:
    """The arrays of a dump whose sizes are decided, and what did not fit them."""

    def __init__(self, key_size: int, value_size: int | None) -> None:
        self.key_size = key_size
        self.value_size = value_size
        self.keys: list[np.ndarray[Any, Any]] = []
        self.values: list[np.ndarray[Any, Any]] = []
        self.spans: list[np.ndarray[Any, Any]] = []
        self.known: list[np.ndarray[Any, Any]] = []
        self.faults: dict[str, list[Span]] = {}
        self.left_out: dict[str, list[Span]] = {}
        self.named: list[Problem] = []
        self.lost = 0
        self.gap = 0
        self.gap_unknown = False

    def add(self, part: Block | Loose | Gap) -> None:
        """Take the next part."""
        if isinstance(part, Gap):
            self.gap += part.amount or 0
            self.gap_unknown |= part.amount is None
        elif isinstance(part, Loose):
            self._add_loose(part)
        elif (part.keys.shape[1], part.values.shape[1]) == (self.key_size, self.value_size):
            self._append(part.keys, part.values, part.spans, known=True)
        else:
            for row in range(len(part.keys)):
                span = Span(*map(int, (*part.spans[row],)))
                self._add_loose(Loose(part.keys[row].tobytes(), part.values[row].tobytes(), span))

    def _append(
        self, keys: np.ndarray[Any, Any], values: np.ndarray[Any, Any], spans: np.ndarray[Any, Any], *, known: bool
    ) -> None:
        self.keys.append(keys)
        self.values.append(values)
        self.spans.append(spans)
        self.known.append(np.full(len(keys), known))

    def _add_loose(self, part: Loose) -> None:
        if not part.key or len(part.key) != self.key_size:
            self.lost += 1
            what = part.fault or f"key of {len(part.key)} bytes in a dump with keys of {self.key_size}"
            alike = self.left_out.setdefault(what, [])
            alike.append(part.span)
            if len(alike) <= NAMED:
                self.named.append(Problem(what, part.span, "record left out", "one entry"))
            return
        value, fault = part.value, part.fault
        if value is not None and part.fill and self.value_size is not None and len(value) <= self.value_size:
            value = value.ljust(self.value_size, b"\0")
        if not fault and value is None:
            fault = _NO_VALUE
        elif not fault and value is not None and len(value) != self.value_size:
            fault = self._wrong_size(part, value)
        known = not fault
        row = np.zeros((1, self.value_size or 0), np.uint8)
        if known and value is not None:
            row[0] = np.frombuffer(value, np.uint8)
        else:
            self._blame(part, fault)
        spans = np.array([tuple(part.span)], ENTRY_SPAN_DTYPE)
        self._append(np.frombuffer(part.key, np.uint8)[None, :], row, spans, known=known)

    def _wrong_size(self, part: Loose, value: bytes) -> str:
        if self.value_size is None or not part.sure:
            return f"value ends after {len(value)} bytes at the end of the dump"
        return f"value has {len(value)} bytes in a dump with values of {self.value_size}"

    def _blame(self, part: Loose, fault: str) -> None:
        self.faults.setdefault(fault, []).append(part.span)
        if fault != _NO_VALUE and len(self.faults[fault]) <= NAMED:
            key = cidr_of_key(part.key) or part.key.hex()
            self.named.append(
                Problem(f"{fault} ({key})", part.span, "key kept, value not used", "the value of one entry")
            )

    def problems(self, *, keys_only: bool) -> Iterator[Problem]:
        """What was lost, in the order of the text; many of one kind are counted."""
        yield from self.named
        for fault, spans in self.left_out.items():
            if (rest := len(spans) - NAMED) > 0:
                where = Span(spans[0].start, spans[-1].end, spans[0].first_line, spans[-1].last_line)
                yield Problem(f"{fault} ({rest} more records)", where, "records left out", f"{rest} entries")
        for fault, spans in self.faults.items():
            if fault == _NO_VALUE and keys_only:
                continue
            rest = len(spans) - (0 if fault == _NO_VALUE else NAMED)
            if rest > 0:
                where = Span(spans[0].start, spans[-1].end, spans[0].first_line, spans[-1].last_line)
                what = f"{fault} ({rest} {'entry' if rest == 1 else 'entries'})"
                yield Problem(what, where, "keys kept, values not used", f"{rest} values")

    def dump(self, form: str, span: Span, notes: list[str]) -> MapDump:
        """The MapDump of what was added."""
        known = np.concatenate(self.known) if self.known else np.zeros(0, bool)
        keys = np.concatenate(self.keys) if self.keys else np.zeros((0, self.key_size), np.uint8)
        values = np.concatenate(self.values) if self.values else np.zeros((0, self.value_size or 0), np.uint8)
        spans = np.concatenate(self.spans) if self.spans else np.zeros(0, ENTRY_SPAN_DTYPE)
        return MapDump(
            form,
            keys,
            None if self.value_size is None and len(keys) else values,
            spans,
            span,
            value_known=None if bool(known.all()) else known,
            notes=notes,
        )
