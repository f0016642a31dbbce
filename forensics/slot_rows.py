"""The slots of a rule map by row, made into objects only for the rows that somebody asks for, equal values once."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from formats import layouts
from formats.base import SLOT_DTYPE
from formats.mapview import slots_at_stride, slots_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forensics.distinct_values import Distinct
    from formats.base import MapDump

Array = np.ndarray[Any, Any]
#: (protocol, raw priority, start port, end port); the priority is -1 in the namespace tier.
Slot = tuple[int, int, int, int]


class SlotRows(Mapping[int, list[Slot]]):
    """{row: slots that are not all zero}, as the map's own tier reads them."""

    def __init__(self, dump: MapDump | None, distinct: Distinct | None, *, cluster: bool) -> None:
        """distinct: the values of the dump once each; None for a dump without value bytes."""
        if distinct is not None:
            table = slots_at_stride(distinct.values, layouts.CLUSTER_STRIDE if cluster else layouts.NAMESPACE_STRIDE)
            self._which, groups = distinct.which, len(distinct.values)
        else:
            table = np.zeros(0, SLOT_DTYPE) if dump is None else slots_of(dump)
            groups = 0 if dump is None else dump.count
            self._which = np.arange(groups)
        # a text form lists slots as they were printed: entries that stand twice need not be in order
        self._table = table[np.argsort(table["entry"], kind="stable")]
        self._bounds = np.searchsorted(self._table["entry"], np.arange(groups + 1))
        self._made: dict[int, list[Slot]] = {}

    def __getitem__(self, row: int) -> list[Slot]:
        if not 0 <= row < len(self._which):
            raise KeyError(row)
        group = int(self._which[row])
        made = self._made.get(group)
        if made is None:
            mine = self._table[self._bounds[group] : self._bounds[group + 1]]
            made = [(protocol, priority, start, end) for _, _, protocol, priority, start, end in mine.tolist()]
            self._made[group] = made
        return list(made)

    def by_value(self, *fields: str) -> tuple[Array, list[tuple[tuple[int, ...], ...]]]:
        """(the number of each row's value, the slots of each value: these fields of them)."""
        slots = list(zip(*(self._table[name].tolist() for name in fields), strict=True))
        bounds = self._bounds.tolist()
        groups = [tuple(slots[first:end]) for first, end in pairwise(bounds)]
        return self._which, groups

    def lone(self, protocol: int) -> list[int]:
        """Rows with one slot only, which names this protocol and no port."""
        single = np.flatnonzero(np.diff(self._bounds) == 1)
        slots = self._table[self._bounds[:-1][single]]
        wanted = (slots["protocol"] == protocol) & (slots["start_port"] == 0) & (slots["end_port"] == 0)
        alone = np.zeros(len(self._bounds) - 1, bool)
        alone[single[wanted]] = True
        rows: list[int] = np.flatnonzero(alone[self._which]).tolist()
        return rows

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self._which)))

    def __len__(self) -> int:
        return len(self._which)
