"""Columns of bulk records: numbers as arrays, texts that repeat as codes. Each reads as the list that it stands for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from formats.base import ENTRY_SPAN_DTYPE
from formats.log_time import zap_texts

Array = np.ndarray[Any, Any]


class Column(Sequence[Any]):
    """A list of plain Python values, kept as an array."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, at: Any) -> Any:
        """A value, or a column of the rows that a slice or an index array names."""
        if isinstance(at, int | np.integer):
            return self._values(self.array[at : at + 1 or None])[0]
        return self.of(self.array[at])

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self.tolist() == list(other)

    __hash__ = None  # type: ignore[assignment]

    def tolist(self) -> list[Any]:
        """Every value."""
        return self._values(self.array)

    def of(self, array: Array) -> Column:
        """A column of the same kind over other rows."""
        return type(self)(array)

    def _values(self, array: Array) -> list[Any]:
        values: list[Any] = array.tolist()
        return values


class Words(Column):
    """Values of which there are few: a code for each row, and the words that the codes are places in."""

    def __init__(self, codes: Array, words: list[Any]) -> None:
        super().__init__(codes)
        self.words = words

    def of(self, array: Array) -> Column:
        return Words(array, self.words)

    def _values(self, array: Array) -> list[Any]:
        words = self.words
        return [words[code] for code in array.tolist()]


class ZapTimes(Column):
    """Times as the encoder writes them, `2026-11-21T03:22:18.164Z`, kept as whole milliseconds in ns UTC."""

    def _values(self, array: Array) -> list[Any]:
        return zap_texts(array)


class LineSpans:
    """Spans of single lines of a log, 16 bytes each; reads as an array of ENTRY_SPAN_DTYPE."""

    DTYPE = np.dtype([("start", "<i8"), ("size", "<u4"), ("line", "<u4")])

    def __init__(self, rows: Array) -> None:
        self.rows = rows

    @classmethod
    def made(cls, starts: Array, ends: Array, lines: Array) -> LineSpans:
        """From columns of equal length."""
        rows = np.empty(len(starts), cls.DTYPE)
        rows["start"], rows["size"], rows["line"] = starts, ends - starts, lines
        return cls(rows)

    @classmethod
    def of(cls, spans: Array) -> LineSpans | None:
        """An array of ENTRY_SPAN_DTYPE in this form; None where a span is not one line or too large."""
        size, line = spans["end"] - spans["start"], spans["first_line"]
        if (line != spans["last_line"]).any() or max(size.max(initial=0), line.max(initial=0)) > 0xFFFFFFFF:
            return None
        return cls.made(spans["start"], spans["end"], line)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.whole())

    def __getitem__(self, at: Any) -> Any:
        """A field by name, a span by row, or the rows that a slice or an index array names."""
        if isinstance(at, str):
            return self._whole(self.rows)[at]
        if isinstance(at, int | np.integer):
            return self._whole(self.rows[at : at + 1 or None])[0]
        return LineSpans(self.rows[at])

    def moved(self, offset: int, lines: int) -> LineSpans:
        """The same lines in a file where `offset` bytes and `lines` lines stand before them."""
        rows = self.rows.copy()
        rows["start"] += offset
        rows["line"] += np.uint32(lines)
        return LineSpans(rows)

    def whole(self) -> Array:
        """All of them as ENTRY_SPAN_DTYPE."""
        return self._whole(self.rows)

    @staticmethod
    def _whole(rows: Array) -> Array:
        spans = np.empty(len(rows), ENTRY_SPAN_DTYPE)
        spans["start"], spans["end"] = rows["start"], rows["start"] + rows["size"]
        spans["first_line"] = spans["last_line"] = rows["line"]
        return spans


def joined(parts: list[Any]) -> Any:
    """Columns or lists of one name, one behind the other: a Column where all are of a kind, else a list."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Column) and all(type(part) is type(first) for part in parts):
        if not isinstance(first, Words) or all(part.words is first.words for part in parts):
            return first.of(np.concatenate([part.array for part in parts]))
        words: dict[Any, int] = {}
        maps = [np.array([words.setdefault(word, len(words)) for word in part.words], np.int32) for part in parts]
        codes = [where[part.array] for where, part in zip(maps, parts, strict=True)]
        return Words(np.concatenate(codes), list(words))
    return [value for part in parts for value in part]


def coded(values: list[Any]) -> Words:
    """A list as codes: for texts that repeat."""
    words: dict[Any, int] = {}
    codes = [words.setdefault(value, len(words)) for value in values]
    return Words(np.array(codes, np.int32), list(words))
