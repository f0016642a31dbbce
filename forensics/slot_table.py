"""Slots of many values laid side by side, so that the first slot that matches is found for many packets at once.

Both tiers come down to one question, which of the slots that count is the first to match: in the namespace tier they
stand in slot order and those from the first RESERVED slot on do not count; in the cluster tier the winner is the
lowest raw priority (priority*10+action orders as priority, then action), so they stand in that order. A slot's ports
come down to one closed range.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.ruleset import PASS, PRIORITY_NONE
from formats.layouts import ADMIN_PRIORITY_LIMIT, PROTOCOL_ANY, PROTOCOL_RESERVED, SLOTS

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]
#: Slots that are compared at once; their hits make one byte.
_BLOCK = 8
_FIRST_BIT = np.array([8 - byte.bit_length() for byte in range(256)], dtype=np.int64)
#: A protocol that no packet has: fills the places that are not taken.
_NEVER = 0xFFFF
_PORT_MAX = 0xFFFF
#: A slot replaces the candidate only below this raw priority: where the program's candidate starts.
_RAW_START = PRIORITY_NONE * 10 + PASS
_RAW_BASELINE = (ADMIN_PRIORITY_LIMIT + 1) * 10


def slot_rows(values: Sequence[bytes], dtype: np.dtype[Any]) -> Array:
    """The slots of values as an array [values, SLOTS]; missing bytes read as zero, bytes too many not at all."""
    size = dtype.itemsize * SLOTS
    joined = b"".join(value[:size].ljust(size, b"\0") for value in values)
    return np.frombuffer(joined, dtype).reshape(len(values), SLOTS)


class SlotTable:
    """The slots that count, packed to the left in the order in which they are asked. Of a value's all-zero slots only
    the first is kept: the others match the same packets and rank the same.

    `slot` and `raw` (raw priority, cluster tier only) are read at the positions that `first` returns.
    """

    def __init__(self, rows: Array, order: Array, ignores_ports: Array) -> None:
        """order: int64[values, SLOTS], ascending, negative where the slot does not count."""
        zero = ~rows.view(np.uint32).reshape(*rows.shape, -1).any(axis=2)
        again = zero & (np.cumsum(zero, axis=1) > 1)
        every_port = (rows["start_port"] == 0) | ignores_ports
        counts = (order >= 0) & ~again & (rows["protocol"] <= 0xFF) & (every_port | (rows["start_port"] <= _PORT_MAX))
        pick = np.argsort(np.where(counts, order, np.iinfo(np.int64).max), axis=1, kind="stable")
        self._used = counts.sum(axis=1)
        self.width = -(-int(self._used.max(initial=0)) // _BLOCK) * _BLOCK
        pick = pick[:, : self.width]
        rows, counts, every_port = (np.take_along_axis(part, pick, axis=1) for part in (rows, counts, every_port))
        low = np.where(every_port, 0, rows["start_port"])
        high = np.where(every_port, _PORT_MAX, np.clip(rows["end_port"], rows["start_port"], _PORT_MAX))
        self._protocol = self._blocks(np.where(counts, rows["protocol"], _NEVER))
        self._low = self._blocks(low)
        self._span = self._blocks(high - low)
        self.slot = pick.astype(np.int16).ravel()
        self.raw = rows["priority" if "priority" in (rows.dtype.names or ()) else "protocol"].ravel()

    def _blocks(self, part: Array) -> list[Array]:
        return [np.ascontiguousarray(part[:, at : at + _BLOCK], np.uint16) for at in range(0, self.width, _BLOCK)]

    def first(self, value: Array, protocol: Array, dport: Array) -> Array:
        """Position of the first matching slot of each packet's value, -1 for none.

        value: row of the value; protocol, dport: uint16.
        """
        found = np.full(len(value), -1, dtype=np.int64)
        todo = np.arange(len(value))
        for block in range(self.width // _BLOCK):
            todo = todo[self._used[value[todo]] > block * _BLOCK]
            mine = value[todo]
            slots = self._protocol[block][mine]
            hit = (slots == protocol[todo, None]) | (slots == PROTOCOL_ANY)
            hit &= dport[todo, None] - self._low[block][mine] <= self._span[block][mine]
            bits = np.packbits(hit, axis=1)[:, 0]
            decided = bits != 0
            found[todo[decided]] = mine[decided] * self.width + block * _BLOCK + _FIRST_BIT[bits[decided]]
            todo = todo[~decided]
        return found


def namespace_table(rows: Array, examined: int, *, any_honours_ports: bool) -> tuple[SlotTable, Array]:
    """The namespace slots that can allow, and the index of each value's first RESERVED slot (-1: none)."""
    reserved = rows["protocol"] == PROTOCOL_RESERVED
    reserved[:, examined:] = False
    order = np.tile(np.arange(SLOTS, dtype=np.int64), (len(rows), 1))
    order[:, examined:] = -1
    order[np.cumsum(reserved, axis=1) > 0] = -1
    any_protocol = rows["protocol"] == PROTOCOL_ANY
    ignores = any_protocol & (not any_honours_ports)
    return SlotTable(rows, order, ignores), np.where(reserved.any(axis=1), reserved.argmax(axis=1), -1).astype(np.int16)


def cluster_tables(rows: Array) -> tuple[SlotTable, SlotTable]:
    """The candidates for admin (every slot, baseline slots too) and those for baseline, best first."""
    raw = rows["priority"].astype(np.int64)
    ignores = rows["protocol"] == PROTOCOL_ANY
    admin = np.where(raw < _RAW_START, raw, -1)
    return SlotTable(rows, admin, ignores), SlotTable(rows, np.where(raw >= _RAW_BASELINE, admin, -1), ignores)
