"""Flow batches kept small: a long log has millions of rows, and neither objects for them nor all of them at once are
held in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from forensics.flow_spool import Spool
from formats.base import FlowBatch, Span
from formats.columns import Column, LineSpans, Words, ZapTimes, coded
from formats.log_time import zap_text, zap_texts

Array = np.ndarray[Any, Any]
#: A shorter batch stays as it was read.
PACKED_ROWS = 4096
#: Columns whose few texts stand in many rows.
TEXTS = ("src", "dst", "protocol", "verdict", "direction", "tier")
_NUMBERS = ("utc_ns", "sport", "dport")
_NAMES = ("ts", "utc_ns", "src", "sport", "dst", "dport", "protocol", "verdict", "direction", "tier")
_MILLISECOND = 1_000_000
_SMALL = 1 << 31


class SpooledBatch:
    """A FlowBatch whose rows lie in a file, each number in as few bytes as hold it; reads as one."""

    def __init__(self, spool: Spool, columns: dict[str, Array], words: dict[str, list[Any]], span: Span) -> None:
        """columns: the numbers of ZapTimes (`utc_ns`), Words, ports and LineSpans, by name."""
        self._spool, self._words, self.span = spool, words, span
        self._base = {"utc_ns": int(columns["utc_ns"].min()), "start": int(columns["start"].min())}
        columns = dict(columns)
        columns["utc_ns"] = (columns["utc_ns"] - self._base["utc_ns"]) // _MILLISECOND
        columns["start"] = columns["start"] - self._base["start"]
        kinds = [(name, np.min_scalar_type(column.max())) for name, column in columns.items()]
        self._dtype = np.dtype(kinds)
        self._count = len(columns["start"])
        rows = np.empty(self._count, self._dtype)
        for name, column in columns.items():
            rows[name] = column
        self._at = spool.append(rows)

    def __len__(self) -> int:
        return self._count

    @property
    def columns(self) -> dict[str, Any]:
        """As FlowBatch's."""
        rows = self._rows(0, self._count)
        times = self._times(rows)
        columns: dict[str, Any] = {"ts": ZapTimes(times), "utc_ns": Column(times)}
        columns |= {name: Column(np.ascontiguousarray(rows[name])) for name in ("sport", "dport")}
        columns |= {name: Words(np.ascontiguousarray(rows[name]), self._words[name]) for name in TEXTS}
        return {name: columns[name] for name in _NAMES}

    @property
    def spans(self) -> LineSpans:
        """As FlowBatch's."""
        return self._spans(self._rows(0, self._count))

    def line(self, row: int) -> tuple[str, Span]:
        """The time as logged and the place of one line."""
        found = dict(zip(self._dtype.names or (), self._rows(row, 1)[0].item(), strict=True))
        start, number = found["start"] + self._base["start"], found["line"]
        ts = zap_text(found["utc_ns"] * _MILLISECOND + self._base["utc_ns"])
        return ts, Span(start, start + found["size"], number, number)

    def _rows(self, first: int, count: int) -> Array:
        return self._spool.read(self._dtype, self._at, first, count)

    def _times(self, rows: Array) -> Array:
        times: Array = rows["utc_ns"].astype(np.int64) * _MILLISECOND + self._base["utc_ns"]
        return times

    def _spans(self, rows: Array) -> LineSpans:
        spans = np.empty(len(rows), LineSpans.DTYPE)
        spans["start"] = rows["start"].astype(np.int64) + self._base["start"]
        spans["size"], spans["line"] = rows["size"], rows["line"]
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
        fits = len(words) == len(TEXTS) and len(columns) == len(_NAMES)
        fits &= all(isinstance(column, Column) for column in plain) and isinstance(columns["ts"], ZapTimes)
        if not fits or spans is None:
            return FlowBatch(columns, batch.spans, batch.span)
        numbers = {name: columns[name].array for name in (*_NUMBERS, *TEXTS)}
        numbers |= {name: spans.rows[name] for name in ("start", "size", "line")}
        if any(numbers[name].min() < 0 for name in ("sport", "dport")):
            return FlowBatch(columns, batch.spans, batch.span)
        if self._spool is None:
            self._spool = Spool()
        return SpooledBatch(self._spool, numbers, {name: word.words for name, word in words.items()}, batch.span)


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
