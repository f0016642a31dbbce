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
    """Runs of rows, each of any dtype, that are written once and read in whole or in part."""

    def __init__(self) -> None:
        # unbuffered, because what is written are large pieces; it lives as long as its rows
        self._file = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES, buffering=0)  # noqa: SIM115
        self._size = 0

    def append(self, rows: Array) -> int:
        """Write rows behind the others; returns the place of their first byte."""
        at = self._size
        self._file.seek(at)
        left = np.ascontiguousarray(rows).view(np.uint8).reshape(-1).data
        self._size += len(left)
        while left:
            left = left[self._file.write(left) :]
        return at

    def read(self, dtype: np.dtype[Any], at: int, first: int, count: int) -> Array:
        """Rows `first` to `first + count` of the run at a place."""
        out = np.empty(count, dtype)
        self._file.seek(at + first * dtype.itemsize)
        left = out.view(np.uint8).reshape(-1).data
        while left and (taken := self._file.readinto(left)):
            left = left[taken:]
        return out
