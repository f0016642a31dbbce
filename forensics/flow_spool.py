"""Rows of numbers on a file without a name: a log can be longer than the memory that its flow lines may take.

Short tables stay in memory. What is written are codes and numbers of our own making, never a member's bytes.
"""

from __future__ import annotations

import os
import tempfile
from typing import IO, Any

import numpy as np

Array = np.ndarray[Any, Any]
#: What stays in memory.
MEMORY_BYTES = 16 * 1024 * 1024


class Spool:
    """Runs of rows, each of any dtype, that are written once and read in whole or in part, by several processes too."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._file: IO[bytes] | None = None
        self._size = 0

    def append(self, rows: Array) -> int:
        """Write rows behind the others; returns the place of their first byte."""
        at = self._size
        data = np.ascontiguousarray(rows).view(np.uint8).reshape(-1).data
        self._size += len(data)
        if self._file is None and self._size <= MEMORY_BYTES:
            self._held += data
            return at
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as its rows
            self._write(memoryview(self._held), 0)
            self._held = bytearray()
        self._write(data, at)
        return at

    def read(self, dtype: np.dtype[Any], at: int, first: int, count: int) -> Array:
        """Rows `first` to `first + count` of the run at a place."""
        at += first * dtype.itemsize
        size = count * dtype.itemsize
        if self._file is None:
            return np.frombuffer(bytes(self._held[at : at + size]), dtype)
        out = np.empty(count, dtype)
        left = out.view(np.uint8).reshape(-1).data
        while left and (taken := os.preadv(self._file.fileno(), [left], at)):
            left, at = left[taken:], at + taken
        return out

    def _write(self, left: memoryview, at: int) -> None:
        assert self._file is not None
        while left:
            written = os.pwrite(self._file.fileno(), left, at)
            left, at = left[written:], at + written
