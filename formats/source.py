"""Source: one member's bytes, read forward once, with its path as a hint."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from typing import Any, Protocol

    from formats.pieces import Pieces

    class Helpers(Protocol):
        """Processes that can share a reader's work."""

        count: int

        def submit(self, name: str, *arguments: Any, payload: Pieces) -> Future[Any]:
            """What the function of this name makes of the arguments and the payload, some time. It gets a memoryview
            of the payload, which ends with the call.

            The future raises OSError, EOFError or UnpicklingError when the process has ended before.
            """
            ...


#: What a sniffer may look at.
HEAD_BYTES = 256 * 1024
#: A format that needs its whole file at once gets at most this much.
WHOLE_BYTES = 512 * 1024 * 1024
CHUNK_BYTES = 8 * 1024 * 1024
#: Pieces of a member that is at hand.
HELD_BYTES = 32 * 1024 * 1024
#: A line longer than this is cut by line_chunks' users; 1 MiB is 50 times the longest line an agent writes.
LINE_BYTES = 1024 * 1024


class Oversized(Exception):
    """A format asked for a whole file that is larger than WHOLE_BYTES."""


class Source:
    """A readable member. `head` can be read at any time; then either data() or chunks() once."""

    def __init__(self, path: str, stream: BinaryIO | bytes, helpers: Helpers | None = None) -> None:
        self.path = path
        self.helpers = helpers
        self._stream: BinaryIO = io.BytesIO(stream) if isinstance(stream, bytes) else stream
        self._data: bytes | None = stream if isinstance(stream, bytes) else None
        self._head: bytes | None = None
        self._ahead: bytes | None = None

    @property
    def head(self) -> bytes:
        """The first HEAD_BYTES (fewer at the end of a short member)."""
        if self._head is None:
            self._head = self._data[:HEAD_BYTES] if self._data is not None else _read_up_to(self._stream, HEAD_BYTES)
        return self._head

    def data(self) -> bytes:
        """The whole member. Raises Oversized past WHOLE_BYTES; may be called any number of times."""
        if self._data is None:
            ahead = self._ahead if self._ahead is not None else self.head
            self._ahead = ahead + _read_up_to(self._stream, WHOLE_BYTES - len(ahead) + 1)
            if len(self._ahead) > WHOLE_BYTES:
                raise Oversized(f"larger than {WHOLE_BYTES} bytes")
            self._data = self._ahead
        return self._data

    def fits(self, limit: int) -> bool:
        """Whether the whole member has at most `limit` bytes; if so it is held, and data() is at hand for everybody."""
        if self._data is None:
            self._ahead = self.head + _read_up_to(self._stream, limit - len(self.head) + 1)
            if len(self._ahead) <= limit:
                self._data = self._ahead
        return self._data is not None and len(self._data) <= limit

    @property
    def kept(self) -> bytes | None:
        """The whole member when somebody asked for it with data(); None when it was streamed."""
        return self._data

    def chunks(self) -> Iterator[bytes]:
        """The whole member from its start, in pieces of about CHUNK_BYTES. Constant memory when streamed."""
        parts: list[bytes] = []
        held = 0
        for piece in self.pieces():
            parts.append(piece)
            held += len(piece)
            if held >= CHUNK_BYTES:
                yield b"".join(parts)
                parts, held = [], 0
        if parts:
            yield b"".join(parts)

    def pieces(self) -> Iterator[bytes]:
        """The whole member from its start, in pieces as they come: first what was read ahead."""
        if self._data is not None:
            for at in range(0, len(self._data), CHUNK_BYTES):
                yield self._data[at : at + CHUNK_BYTES]
            return
        ahead = self._ahead if self._ahead is not None else self.head
        if ahead:
            yield ahead
        while piece := self._stream.read(CHUNK_BYTES):
            yield piece

    def line_chunks(self) -> Iterator[tuple[int, bytes]]:
        """(byte offset, piece) where every piece ends at a line end (the last one may not)."""
        if self._data is not None:
            # what is at hand is looked at in one, unless there are helpers to share it out to
            yield from _cut_at_lines(self._data, CHUNK_BYTES if self.helpers is not None else HELD_BYTES)
            return
        offset = held = 0
        parts: list[bytes] = []
        for piece in self.pieces():
            parts.append(piece)
            held += len(piece)
            if held < CHUNK_BYTES:
                continue
            cut = piece.rfind(b"\n") + 1
            if cut:
                block, rest = b"".join([*parts[:-1], memoryview(piece)[:cut]]), piece[cut:]
            else:
                whole = b"".join(parts)
                cut = whole.rfind(b"\n") + 1
                if cut == 0 and held < LINE_BYTES:
                    continue
                block, rest = whole[: cut or held], whole[cut or held :]
            yield offset, block
            offset += len(block)
            parts, held = [rest], len(rest)
        block = b"".join(parts)
        if block:
            yield offset, block


def _cut_at_lines(data: bytes, most: int) -> Iterator[tuple[int, bytes]]:
    """line_chunks() of bytes at hand: no piece is joined, and a single one is not even copied."""
    offset, size = 0, len(data)
    while offset < size:
        stop = min(offset + most, size)
        cut = stop if stop == size else data.rfind(b"\n", offset, stop) + 1 or stop
        yield offset, data[offset:cut]
        offset = cut


def _read_up_to(stream: BinaryIO, limit: int) -> bytes:
    parts: list[bytes] = []
    left = limit
    while left > 0 and (piece := stream.read(min(left, CHUNK_BYTES))):
        parts.append(piece)
        left -= len(piece)
    return b"".join(parts)
