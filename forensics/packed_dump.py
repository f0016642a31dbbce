"""A map dump whose values are kept once each: few rule sets stand behind many entries."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from formats.base import MapDump
from formats.mapview import row_bytes

Array = np.ndarray[Any, Any]
#: A smaller dump stays as it was read.
PACKED_ENTRIES = 256


class PackedDump(MapDump):
    """A MapDump that makes `values` anew from the distinct ones when somebody asks, and keeps them until forget()."""

    __slots__ = ("_distinct", "_which", "_whole")

    def __init__(self, dump: MapDump, distinct: Array, which: Array) -> None:
        self._distinct, self._which = distinct, which
        self._whole: Array | None = None
        for each in fields(MapDump):
            if each.name != "values":
                setattr(self, each.name, getattr(dump, each.name))

    def __reduce__(self) -> tuple[Any, ...]:
        plain = {each.name: getattr(self, each.name) for each in fields(MapDump) if each.name != "values"}
        return _again, (plain, self._distinct, self._which)

    @property
    def values(self) -> Array:  # type: ignore[override]
        """uint8[n, value_size], as MapDump's."""
        if self._whole is None:
            self._whole = self._distinct[self._which]
        return self._whole

    @property
    def distinct(self) -> tuple[Array, Array]:
        """(uint8[k, value_size] values once each, int32[n] the value of each entry)."""
        return self._distinct, self._which

    def forget(self) -> None:
        """Let go of what `values` made."""
        self._whole = None


def _again(plain: dict[str, Any], distinct: Array, which: Array) -> PackedDump:
    return PackedDump(MapDump(**plain, values=None), distinct, which)


def packed(dump: MapDump) -> MapDump:
    """The same dump, its values once each where that is half of them or less."""
    values = dump.values
    if values is None or len(values) < PACKED_ENTRIES:
        return dump
    numbers: dict[bytes, int] = {}
    which = [numbers.setdefault(row, len(numbers)) for row in row_bytes(values)]
    if 2 * len(numbers) > len(values):
        return dump
    distinct = np.frombuffer(b"".join(numbers), np.uint8).reshape(len(numbers), values.shape[1])
    return PackedDump(dump, distinct, np.array(which, np.int32))
