"""Entries of one section as they come, made into a MapDump's arrays at its end: rule maps and maps with whole values.

A row is one entry that the reader of lines took apart; a run is many that were read in bulk. Both keep their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from formats.base import ENTRY_SPAN_DTYPE, SLOT_DTYPE
from formats.layouts import PROTOCOL_ANY, PROTOCOL_RESERVED

if TYPE_CHECKING:
    from formats.base import Span

Array = np.ndarray[Any, Any]
#: index, protocol, priority (-1 outside the cluster form), start port, end port.
Slot = tuple[int, int, int, int, int]
#: What the agent writes into a namespace slot (v1.0.1 to v1.4.1).
_WRITTEN = (6, 17, 132, PROTOCOL_ANY, PROTOCOL_RESERVED)


class Part(NamedTuple):
    """Entries in a row: keys uint8[n, k], spans, known bool[n], and slots (SLOT_DTYPE) or values uint8[n, v]."""

    keys: Array
    spans: Array
    known: Array
    content: Array


class RuleTable:
    """Entries of a rule map: keys and printed slots."""

    def __init__(self) -> None:
        self.key_size = 0
        self.count = 0
        self._rows: list[tuple[bytes, bool, Span, list[Slot]]] = []
        self._parts: list[Part] = []

    def add(self, key: bytes, span: Span, slots: list[Slot], *, known: bool) -> None:
        """One entry."""
        self.key_size = self.key_size or len(key)
        self.count += 1
        self._rows.append((key, known, span, slots))

    def pop(self) -> tuple[bytes, bool, Span, list[Slot]] | None:
        """Takes the last row back; None when a run or nothing stands there."""
        if not self._rows:
            return None
        self.count -= 1
        return self._rows.pop()

    def add_run(self, keys: Array, spans: Array, slots: Array) -> None:
        """Many entries; spans are absolute, slots count entries from 0."""
        self._flush()
        self.key_size = self.key_size or keys.shape[1]
        self.count += len(keys)
        self._parts.append(Part(keys, spans, np.ones(len(keys), bool), slots))

    def _flush(self) -> None:
        if not self._rows:
            return
        keys = np.frombuffer(b"".join(row[0] for row in self._rows), np.uint8).reshape(len(self._rows), -1)
        spans = np.array([tuple(row[2]) for row in self._rows], ENTRY_SPAN_DTYPE)
        known = np.array([row[1] for row in self._rows])
        slots = [
            (entry, slot[0], slot[1], slot[2], slot[3], slot[4])
            for entry, row in enumerate(self._rows)
            for slot in row[3]
        ]
        self._parts.append(Part(keys, spans, known, np.array(slots, SLOT_DTYPE)))
        self._rows = []

    def arrays(self) -> Part:
        """All entries, in order of the text."""
        self._flush()
        if not self._parts:
            empty = np.zeros(0, SLOT_DTYPE)
            return Part(np.zeros((0, self.key_size), np.uint8), np.zeros(0, ENTRY_SPAN_DTYPE), np.zeros(0, bool), empty)
        if len(self._parts) > 1:
            base = 0
            for part in self._parts:
                part.content["entry"] += base
                base += len(part.keys)
            self._parts = [_together(self._parts)]
        return self._parts[0]


class ValueTable:
    """Entries of a map whose values are printed whole: pod state, conntrack."""

    def __init__(self) -> None:
        self.key_size = 0
        self.value_size = 0
        self.count = 0
        self._rows: list[tuple[bytes, bytes | None, Span]] = []
        self._parts: list[Part] = []

    def add(self, key: bytes, value: bytes | None, span: Span) -> bool:
        """One entry; False (and nothing taken) when its sizes are not those of the entries before it."""
        if self.key_size not in (0, len(key)) or (value is not None and self.value_size not in (0, len(value))):
            return False
        self.key_size = len(key)
        self.value_size = len(value) if value is not None else self.value_size
        self.count += 1
        self._rows.append((key, value, span))
        return True

    def add_run(self, keys: Array, spans: Array, values: Array) -> bool:
        """Many entries; as `add`."""
        if self.key_size not in (0, keys.shape[1]) or self.value_size not in (0, values.shape[1]):
            return False
        self.key_size, self.value_size = keys.shape[1], values.shape[1]
        self._flush()
        self.count += len(keys)
        self._parts.append(Part(keys, spans, np.ones(len(keys), bool), values))
        return True

    def _flush(self) -> None:
        if not self._rows:
            return
        size = self.value_size
        keys = np.frombuffer(b"".join(row[0] for row in self._rows), np.uint8).reshape(len(self._rows), -1)
        values = b"".join(row[1] if row[1] is not None else bytes(size) for row in self._rows)
        content = np.frombuffer(values, np.uint8).reshape(len(self._rows), size)
        spans = np.array([tuple(row[2]) for row in self._rows], ENTRY_SPAN_DTYPE)
        self._parts.append(Part(keys, spans, np.array([row[1] is not None for row in self._rows]), content))
        self._rows = []

    def arrays(self) -> Part:
        """All entries, in order of the text."""
        self._flush()
        sized = [p._replace(content=np.zeros((len(p.keys), self.value_size), np.uint8))
                 if p.content.shape[1] != self.value_size else p for p in self._parts]  # fmt: skip
        if not sized:
            empty = np.zeros((0, self.value_size), np.uint8)
            return Part(np.zeros((0, self.key_size), np.uint8), np.zeros(0, ENTRY_SPAN_DTYPE), np.zeros(0, bool), empty)
        return sized[0] if len(sized) == 1 else _together(sized)


def _together(parts: list[Part]) -> Part:
    return Part(
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.spans for part in parts]),
        np.concatenate([part.known for part in parts]),
        np.concatenate([part.content for part in parts]),
    )


def impossible(slots: Array) -> bool:
    """Whether the agent cannot have written these slots into a namespace map: a protocol it never writes, a port above
    65535, or a gap between the slots of an entry."""
    if not len(slots):
        return False
    first = np.ones(len(slots), bool)
    first[1:] = slots["entry"][1:] != slots["entry"][:-1]
    gap = first & (slots["slot"] != 0)
    gap[1:] |= ~first[1:] & (slots["slot"][1:] != slots["slot"][:-1] + 1)
    foreign = ~np.isin(slots["protocol"], _WRITTEN)
    return bool((gap | foreign | (slots["start_port"] > 0xFFFF) | (slots["end_port"] > 0xFFFF)).any())


def repeated(keys: Array) -> Array:
    """Rows whose key stood before, as bool[n]."""
    out = np.zeros(len(keys), bool)
    if len(keys) < 2:
        return out
    whole = np.ascontiguousarray(keys).view(f"V{keys.shape[1]}").reshape(-1)
    _, first = np.unique(whole, return_index=True)
    out[:] = True
    out[first] = False
    return out
