"""Rows of numbers on a file without a name: a log can be longer than the memory that its flow lines may take.

Short tables stay in memory. What is written are codes and numbers of our own making, never a member's bytes.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import IO, Any

import numpy as np

Array = np.ndarray[Any, Any]
#: What stays in memory.
MEMORY_BYTES = 16 * 1024 * 1024
#: Of a larger file the pages that were read are given back.
MAPPED_BYTES = 64 * 1024 * 1024
#: Rows taken at once whose pages are worth that.
_MANY = 1024


class Spool:
    """Rows of one dtype that are written once and read by their numbers, by several processes too."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        #: Rows are moved as plain bytes at once, and not field by field.
        self._raw = np.dtype(f"V{dtype.itemsize}")
        self._held: list[Array] = []
        self._file: IO[bytes] | None = None
        self._map: mmap.mmap | None = None
        self._count = 0

    def append(self, rows: Array) -> int:
        """Write rows behind the others; returns the number of the first."""
        first = self._count
        self._count += len(rows)
        if len(rows):
            self._held.append(np.ascontiguousarray(rows).view(self._raw))
        if self._file is not None or self._count * self._dtype.itemsize > MEMORY_BYTES:
            self._write()
        return first

    def take(self, places: Array | slice) -> Array:
        """The rows of these numbers."""
        if self._file is None:
            if len(self._held) != 1:
                self._held = [np.concatenate([np.empty(0, self._raw), *self._held])]
            held: Array = self._held[0][places].view(self._dtype)
            return held
        if self._map is None or len(self._map) < self._count * self._dtype.itemsize:
            self._map = mmap.mmap(self._file.fileno(), self._count * self._dtype.itemsize, access=mmap.ACCESS_READ)
        found: Array = np.array(np.frombuffer(self._map, self._raw)[places]).view(self._dtype)
        if len(self._map) > MAPPED_BYTES and len(found) >= _MANY and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)  # the file's pages stay with the system, not with this process
        return found

    def _write(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as its rows
        at = (self._count - sum(map(len, self._held))) * self._dtype.itemsize
        for rows in self._held:
            left = rows.view(np.uint8).data
            while left:
                written = os.pwrite(self._file.fileno(), left, at)
                left, at = left[written:], at + written
        self._held = []
