"""A tar archive read forward only, past cuts and damaged headers, by the standard library's tarfile."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol

    class Stream(Protocol):
        """What a tar archive comes from."""

        def read(self, size: int = -1, /) -> bytes:
            """Up to `size` bytes; none at the end."""
            ...


BLOCK = 512
#: Bytes passed over at a time.
_STEP = 1024 * 1024


def resyncing(skipped: list[int]) -> type[tarfile.TarInfo]:
    """Headers that go on at the next block that is one: tarfile ends in silence at a damaged header.

    The places of blocks passed over are added to `skipped`.
    """

    class Header(tarfile.TarInfo):
        @classmethod
        def fromtarfile(cls, archive: tarfile.TarFile) -> Header:
            while True:
                try:
                    return super().fromtarfile(archive)
                except tarfile.InvalidHeaderError:  # type: ignore[attr-defined]
                    skipped.append(archive.fileobj.tell() - BLOCK)

    return Header


class Forward(io.RawIOBase):
    """A tar stream that tarfile can read as a file: it only ever moves on, and it goes on as zeros after its real end.

    tarfile raises away up to a whole read at a cut; with zeros to read it hands out every byte before the cut, and
    `real_end` says where to trim. After a clean end it never reads so far.
    """

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream
        self._at = 0
        self.real_end: int | None = None

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Pass over what lies before an offset. Raises OSError for one that is behind."""
        if whence or offset < self._at:
            raise OSError("a stream cannot be read backwards")
        while self._at < offset:
            self.read(min(_STEP, offset - self._at))
        return self._at

    def some(self, size: int) -> bytes:
        """At least one byte of the next `size`, in the pieces in which they come."""
        data = self._stream.read(size) if self.real_end is None else b""
        if not data:
            return self.read(size)
        self._at += len(data)
        return data

    def read(self, size: int = -1) -> bytes:
        parts = []
        left = size
        while left > 0 and self.real_end is None:
            piece = self._stream.read(left)
            if not piece:
                self.real_end = self._at + size - left
                break
            parts.append(piece)
            left -= len(piece)
        if left:
            parts.append(bytes(left))
        self._at += size
        return parts[0] if len(parts) == 1 else b"".join(parts)


class Content(io.RawIOBase):
    """The bytes of one member of a tar stream, which stands at their start. Reads give fewer bytes than asked for where
    these come in pieces."""

    def __init__(self, stream: Forward, size: int) -> None:
        super().__init__()
        self._stream, self._left = stream, size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._left:
            return b""
        data = self._stream.read(self._left) if size < 0 else self._stream.some(min(size, self._left))
        self._left -= len(data)
        return data
