"""gzip through isal, member after member; and the same in a process of its own, so that two cores share the work.

`python -m forensics.inflate` reads standard input and writes frames to standard output: packed bytes taken so far and
a length (FRAME), then as many bytes; after the last one a frame of length 0 and the error as text, if there is any.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from isal import isal_zlib

if TYPE_CHECKING:
    from pathlib import Path

GZIP_MAGIC = b"\x1f\x8b"
#: Packed bytes inflated at a time: what a damaged piece can cost.
GZIP_PIECE = 16 * 1024
#: Inflated bytes handed on at a time, at most.
INFLATED_PIECE = 1024 * 1024
#: A smaller file is inflated before a helper would have started.
HELPED_BYTES = 4 * 1024 * 1024
FRAME = struct.Struct("<QI")
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
            self._left = memoryview(self._inflated())
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


class Helper:
    """An Inflater in a process of its own, which works ahead as far as a pipe holds."""

    def __init__(self, path: Path, source: Reading) -> None:
        """`source` is read here should the process not come to work. Raises OSError when it cannot be started."""
        self._source = source
        self._instead: Inflater | None = None
        with path.open("rb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "forensics.inflate"],
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        assert self._process.stdout is not None
        self._pipe: BinaryIO = cast("BinaryIO", self._process.stdout)
        self._left = memoryview(b"")
        self.error: str | None = None
        self.taken = 0
        self._over = False

    def piece(self, limit: int) -> bytes:
        """As Inflater's."""
        if not self._left and not self._over:
            self._next()
        if self._instead is not None:
            data = self._instead.piece(limit)
            self.taken, self.error = self._instead.taken, self._instead.error
            return data
        data, self._left = bytes(self._left[:limit]), self._left[limit:]
        return data

    def close(self) -> None:
        """End the process, also before its end."""
        self._over = True
        self._pipe.close()
        self._process.kill()
        self._process.wait()

    def _next(self) -> None:
        header = self._exactly(FRAME.size)
        if len(header) < FRAME.size:
            self._over = True
            if self.taken == 0:
                self._instead = Inflater(self._source)
            else:
                self.error = "the process that unpacks it ended early"
            return
        self.taken, length = FRAME.unpack(header)
        if length:
            self._left = memoryview(self._exactly(length))
            return
        self._over = True
        self.error = self._exactly(1 << 16).decode() or None

    def _exactly(self, size: int) -> bytes:
        """`size` bytes, fewer at the end of the pipe."""
        parts, left = [], size
        while left and (part := self._pipe.read(left)):
            parts.append(part)
            left -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def inflater(source: Reading, path: Path | None) -> Inflater | Helper:
    """The one that is worth its start: a helper for a large file where there is a second core."""
    if path is not None and (os.cpu_count() or 1) > 1 and path.stat().st_size >= HELPED_BYTES:
        try:
            return Helper(path, source)
        except OSError:
            return Inflater(source)
    return Inflater(source)


def _new() -> Any:
    return isal_zlib.decompressobj(wbits=31)


def _told(error: Exception) -> str:
    text = str(error).lower()
    if "crc" in text or "checksum" in text or "length" in text:
        return "gzip checksum does not hold: at least one byte of the content was altered"
    return f"gzip stream is damaged ({error})"


class _Standard:
    """Standard input, counted."""

    def __init__(self) -> None:
        self.taken = 0

    def read(self, size: int = -1, /) -> bytes:
        data = sys.stdin.buffer.read(size)
        self.taken += len(data)
        return data


def main() -> None:
    """The helper."""
    out = sys.stdout.buffer
    work = Inflater(_Standard())
    try:
        while data := work.piece(INFLATED_PIECE):
            out.write(FRAME.pack(work.taken, len(data)))
            out.write(data)
        out.write(FRAME.pack(work.taken, 0) + (work.error or "").encode())
        out.flush()
    except BrokenPipeError:
        os._exit(0)  # whoever reads has stopped: there is nobody to tell


if __name__ == "__main__":
    main()
