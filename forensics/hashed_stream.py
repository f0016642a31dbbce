"""A member's bytes, read forward and hashed; those of a long one are read and hashed ahead, beside their reader."""

from __future__ import annotations

import hashlib
import io
from functools import cache
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

#: Whoever asks for this much at a time, and got it, reads a long member to its end: the next piece is made ready.
_AHEAD_BYTES = 1024 * 1024


class HashedStream(io.RawIOBase):
    """Counts and hashes every byte that is read. One piece at most is read ahead of the reader."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self._digest = hashlib.sha256()
        self._coming: Future[bytes] | None = None
        self._left = b""
        self.size = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._left
        self._left = b""
        if not data:
            coming, self._coming = self._coming, None
            data = coming.result() if coming is not None else self._pull(size)
        if 0 <= size < len(data):
            data, self._left = data[:size], data[size:]
        elif len(data) == size >= _AHEAD_BYTES:
            self._coming = _beside().submit(self._pull, size)
        return data

    def hexdigest(self) -> str:
        """Of everything that was read. Call it at the end: what was read ahead is in it."""
        if self._coming is not None:
            self._left += self._coming.result()
            self._coming = None
        return self._digest.hexdigest()

    def _pull(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._digest.update(data)
        self.size += len(data)
        return data


@cache
def _beside() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(1)


def settle() -> None:
    """Nothing more is read: the thread that reads ahead ends."""
    if _beside.cache_info().currsize:
        _beside().shutdown()
        _beside.cache_clear()
