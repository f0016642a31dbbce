"""gzip through isal, member after member: every byte before a break, and what the break is."""

from __future__ import annotations

from typing import Any, Protocol, cast

from isal import isal_zlib

GZIP_MAGIC = b"\x1f\x8b"
#: Packed bytes inflated at a time: what a damaged piece can cost.
GZIP_PIECE = 16 * 1024
#: Inflated bytes handed on at a time, at most.
INFLATED_PIECE = 1024 * 1024
_ERRORS = cast("tuple[type[Exception], ...]", (isal_zlib.error, ValueError))


class Reading(Protocol):
    """What packed bytes come from: a stream that counts."""

    taken: int

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; none at the end."""
        ...


class Inflater:
    """Every byte before a break is handed out; the break is kept as `error`.

    The checksum at the end is checked by isal; that is why an archive is always drained.
    """

    def __init__(self, source: Reading) -> None:
        self._source = source
        self._inflater = _new()
        self._begun = False
        self._tail = b""
        self._left = memoryview(b"")
        self._out = 0
        self.error: str | None = None

    @property
    def taken(self) -> int:
        """Packed bytes read."""
        return self._source.taken

    def piece(self, limit: int) -> bytes:
        """The next bytes; none at the end, and none at a break. What is inflated does not depend on `limit`."""
        if not self._left:
            whole = self._inflated()
            if len(whole) <= limit:
                return whole
            self._left = memoryview(whole)
        data, self._left = bytes(self._left[:limit]), self._left[limit:]
        return data

    def _inflated(self) -> bytes:
        data = b""
        while not data and self.error is None:
            packed = self._tail or self._source.read(GZIP_PIECE)
            self._tail = b""
            if not packed:
                data = self._rest() if self._begun else b""
                if self._begun and not data and self.error is None:
                    self.error = "gzip stream is cut: its end is missing"
                break
            data = self._step(packed, INFLATED_PIECE)
        self._out += len(data)
        return data

    def _rest(self) -> bytes:
        """What isal has taken in and not yet given out."""
        try:
            data: bytes = self._inflater.decompress(b"", INFLATED_PIECE)
        except _ERRORS as error:
            self.error = _told(error)
            return b""
        return data

    def _step(self, packed: bytes, limit: int) -> bytes:
        if not self._begun:
            packed = packed.lstrip(b"\0")  # padding between or after gzip members is legal
            if not packed:
                return b""
            if self._out and not packed.startswith(GZIP_MAGIC):
                self.error = "bytes that are not gzip follow the gzip stream"
                return b""
        try:
            self._begun = True
            data: bytes = self._inflater.decompress(packed, limit)
        except _ERRORS as error:
            self.error = _told(error)
            return b""
        if self._inflater.eof:
            self._tail = self._inflater.unused_data
            self._inflater = _new()
            self._begun = False
        else:
            self._tail = self._inflater.unconsumed_tail
        return data


def _new() -> Any:
    return isal_zlib.decompressobj(wbits=31)


def _told(error: Exception) -> str:
    text = str(error).lower()
    if "crc" in text or "checksum" in text or "length" in text:
        return "gzip checksum does not hold: at least one byte of the content was altered"
    return f"gzip stream is damaged ({error})"
