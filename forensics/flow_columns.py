"""Flow batches kept small: a long log has millions of rows, and neither objects for them nor all of them at once are
held in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.flow_spool import Spool
from formats.base import FlowBatch
from formats.columns import Column, LineSpans, Words, ZapTimes, coded
from formats.log_time import zap_texts

if TYPE_CHECKING:
    from formats.base import Span

#: A shorter batch stays as it was read.
PACKED_ROWS = 4096
#: Columns whose few texts stand in many rows.
TEXTS = ("src", "dst", "protocol", "verdict", "direction", "tier")
_NUMBERS = ("utc_ns", "sport", "dport")
_SMALL = 1 << 31
_ROW = np.dtype(
    [
        ("utc_ns", "<i8"), ("start", "<i8"), ("size", "<u4"), ("line", "<u4"), ("src", "<i4"), ("dst", "<i4"),
        ("sport", "<i4"), ("dport", "<i4"), ("protocol", "<u2"), ("verdict", "<u2"), ("direction", "<u2"),
        ("tier", "<u2"),
    ]
)  # fmt: skip


class SpooledBatch:
    """A FlowBatch whose rows lie in a file; reads as one."""

    def __init__(self, spool: Spool, rows: Any, words: dict[str, list[Any]], span: Span) -> None:
        self._spool, self._words, self.span = spool, words, span
        self._first, self._count = spool.append(rows), len(rows)

    def __len__(self) -> int:
        return self._count

    @property
    def columns(self) -> dict[str, Any]:
        """As FlowBatch's."""
        rows = self._spool.read(self._first, self._count)
        times = np.ascontiguousarray(rows["utc_ns"])
        columns: dict[str, Any] = {"ts": ZapTimes(times), "utc_ns": Column(times)}
        columns |= {name: Column(np.ascontiguousarray(rows[name])) for name in ("sport", "dport")}
        columns |= {name: Words(np.ascontiguousarray(rows[name]), self._words[name]) for name in TEXTS}
        names = ("ts", "utc_ns", "src", "sport", "dst", "dport", "protocol", "verdict", "direction", "tier")
        return {name: columns[name] for name in names}

    @property
    def spans(self) -> LineSpans:
        """As FlowBatch's."""
        rows = self._spool.read(self._first, self._count)
        spans = np.empty(self._count, LineSpans.DTYPE)
        for name in ("start", "size", "line"):
            spans[name] = rows[name]
        return LineSpans(spans)


class Packer:
    """Packs the batches of one artifact."""

    def __init__(self) -> None:
        self._spool: Spool | None = None

    def packed(self, batch: FlowBatch) -> FlowBatch | SpooledBatch:
        """The same rows in the same order, each cell the same when it is read."""
        if len(batch) < PACKED_ROWS:
            return batch
        columns: dict[str, Any] = dict(batch.columns)
        for name, values in batch.columns.items():
            if not isinstance(values, Column):
                columns[name] = _column(name, values)
        columns["ts"] = _times(columns)
        words = {name: column for name in TEXTS if isinstance(column := columns.get(name), Words)}
        plain = [columns.get(name) for name in ("ts", *_NUMBERS)]
        spans = batch.spans if isinstance(batch.spans, LineSpans) else LineSpans.of(batch.spans)
        fits = len(words) == len(TEXTS) and len(columns) == len(TEXTS) + len(plain)
        fits &= all(isinstance(column, Column) for column in plain) and isinstance(columns["ts"], ZapTimes)
        fits &= all(len(word.words) < 1 << 16 for name, word in words.items() if name not in ("src", "dst"))
        if not fits or spans is None:
            return FlowBatch(columns, batch.spans, batch.span)
        rows = np.empty(len(batch), _ROW)
        for name in ("start", "size", "line"):
            rows[name] = spans.rows[name]
        for name in (*_NUMBERS, *TEXTS):
            rows[name] = columns[name].array
        if self._spool is None:
            self._spool = Spool(_ROW)
        return SpooledBatch(self._spool, rows, {name: word.words for name, word in words.items()}, batch.span)


def _column(name: str, values: list[Any]) -> Any:
    if name in TEXTS:
        return coded(values)
    bound = 1 << 62 if name == "utc_ns" else _SMALL
    if name in _NUMBERS and all(type(value) is int and abs(value) < bound for value in values):
        return Column(np.array(values, np.int64))
    return values


def _times(columns: dict[str, Any]) -> Any:
    """Times as logged, by their numbers where the encoder writes those so."""
    texts, numbers = columns.get("ts"), columns.get("utc_ns")
    if isinstance(texts, list) and isinstance(numbers, Column) and zap_texts(numbers.array) == texts:
        return ZapTimes(numbers.array)
    return texts
