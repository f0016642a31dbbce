"""A member's bytes, read forward and hashed; those of a long one are read and hashed ahead, beside their reader."""

from __future__ import annotations

import hashlib
import io
from collections import deque
from functools import cache
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

#: Whoever asks for this much at a time, and got it, reads a long member to its end: the next pieces are made ready.
_AHEAD_BYTES = 1024 * 1024


class HashedStream(io.RawIOBase):
    """Counts and hashes every byte that is read. Reads give fewer bytes than asked for where these come in pieces. At
    most as much as was asked for at a time is read ahead of the reader.
    """

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self._digest = hashlib.sha256()
        self._coming: Future[None] | None = None
        self._left: deque[bytes] = deque()
        self._fresh: deque[bytes] = deque()
        self._error: Exception | None = None
        self.size = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._left:
            self._turn(size)
        if not self._left:
            return b""
        data = self._left.popleft()
        if 0 <= size < len(data):
            self._left.appendleft(data[size:])
            data = data[:size]
        return data

    def hexdigest(self) -> str:
        """Of everything that was read. Call it at the end: what was read ahead is in it."""
        if self._coming is not None:
            self._coming.result()
        return self._digest.hexdigest()

    def _turn(self, size: int) -> None:
        """The next pieces become those to be given out."""
        coming, self._coming = self._coming, None
        if coming is not None:
            coming.result()
        elif self._error is None:
            self._pull(size)
        if not self._fresh and self._error is not None:
            error, self._error = self._error, None
            raise error
        self._left, self._fresh = self._fresh, deque()
        if self._error is None and sum(map(len, self._left)) >= size >= _AHEAD_BYTES:
            self._coming = _beside().submit(self._pull, size)

    def _pull(self, size: int) -> None:
        left = size
        try:
            while left and (data := self._stream.read(left)):
                self._digest.update(data)
                self.size += len(data)
                self._fresh.append(data)
                left = max(left - len(data), 0) if size > 0 else left
        except Exception as error:  # noqa: BLE001 - it is raised where what came before it has been given out
            self._error = error


@cache
def _beside() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(1)


def settle() -> None:
    """Nothing more is read: the thread that reads ahead ends."""
    if _beside.cache_info().currsize:
        _beside().shutdown()
        _beside.cache_clear()
