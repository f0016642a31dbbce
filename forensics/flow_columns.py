"""Flow batches kept small: a long log has millions of rows, and neither objects for them nor all of them at once are
held in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.flow_spool import Spool
from formats.base import FlowBatch
from formats.columns import Column, coded
from formats.packed_flows import ROW, PackedFlows, Tail, packed, parts

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = np.ndarray[Any, Any]
#: A shorter batch stays as it was read.
PACKED_ROWS = 4096
_TEXTS = ("src", "dst", *Tail._fields)
_NUMBERS = {"utc_ns": 1 << 62, "sport": 1 << 31, "dport": 1 << 31}


class Packer:
    """Packs the batches of one artifact."""

    def __init__(self) -> None:
        self._spool: Spool | None = None

    def packed(self, batch: FlowBatch) -> Iterator[FlowBatch]:
        """The same rows in the same order, each cell the same when it is read."""
        for part in parts(batch):
            found = part if isinstance(part, PackedFlows) or len(part) < PACKED_ROWS else packed(part) or _compact(part)
            if isinstance(found, PackedFlows) and len(found) >= PACKED_ROWS:
                self._spool = self._spool or Spool(ROW)
                found.keep(self._spool)
            yield found


def _compact(batch: FlowBatch) -> FlowBatch:
    """With arrays for lists, where these say the same."""
    return FlowBatch({name: _column(name, each) for name, each in batch.columns.items()}, batch.spans, batch.span)


def _column(name: str, values: Any) -> Any:
    if isinstance(values, Column):
        return values
    if name in _TEXTS:
        return coded(values)
    bound = _NUMBERS.get(name)
    if bound is not None and all(type(value) is int and abs(value) < bound for value in values):
        return Column(np.array(values, np.int64))
    return values
