"""Rows of numbers on a file without a name: a log can be longer than the memory that its flow lines may take.

Short tables stay in memory. What is written are codes and numbers of our own making, never a member's bytes.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
#: What stays in memory.
MEMORY_BYTES = 16 * 1024 * 1024


class Spool:
    """Rows of one dtype that are appended once and read in runs."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        # unbuffered, because what is written are large pieces; it lives as long as its rows
        self._file = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES, buffering=0)  # noqa: SIM115
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def append(self, rows: Array) -> int:
        """Write rows behind the others; returns the number of the first of them."""
        first = self._rows
        self._file.seek(first * self.dtype.itemsize)
        left = np.ascontiguousarray(rows).view(np.uint8).reshape(-1).data
        while left:
            left = left[self._file.write(left) :]
        self._rows += len(rows)
        return first

    def read(self, first: int, count: int) -> Array:
        """A run of rows."""
        out = np.empty(count, self.dtype)
        self._file.seek(first * self.dtype.itemsize)
        left = out.view(np.uint8).reshape(-1).data
        while left and (taken := self._file.readinto(left)):
            left = left[taken:]
        return out
