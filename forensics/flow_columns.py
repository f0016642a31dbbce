"""Flow batches kept small: a long log has millions of rows, and a Python object for every cell of them is too much."""

from __future__ import annotations

from typing import Any

from formats.base import FlowBatch

#: A shorter batch stays as it was read: a small case need not import polars for it.
PACKED_ROWS = 4096
#: Columns whose few texts stand in many rows.
REPEATED = ("src", "dst", "protocol", "verdict", "direction", "tier")
_NUMBERS = ("utc_ns", "sport", "dport")
_SMALL = 1 << 31


def packed(batch: FlowBatch) -> FlowBatch:
    """The batch with polars Series for lists: the same rows in the same order, each cell the same when it is read."""
    if len(batch.spans) < PACKED_ROWS:
        return batch
    import polars as pl

    columns: dict[str, Any] = dict(batch.columns)
    for name in REPEATED:
        if name in columns:
            columns[name] = pl.Series(name, columns[name], pl.Categorical)
    for name in _NUMBERS:
        if name in columns:
            numbers = pl.Series(name, columns[name], pl.Int64, strict=False)
            fits = name != "utc_ns" and not (numbers.abs() >= _SMALL).any()
            columns[name] = numbers.cast(pl.Int32) if fits else numbers
    if "ts" in columns:
        columns["ts"] = pl.Series("ts", columns["ts"], pl.String)
    return FlowBatch(columns, batch.spans, batch.span)
