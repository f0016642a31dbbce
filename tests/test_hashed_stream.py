"""What is read through HashedStream is what the stream holds, whatever is asked for, read ahead or not."""

from __future__ import annotations

import hashlib
import io
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics import hashed_stream
from forensics.hashed_stream import HashedStream, settle


class _Short(io.BytesIO):
    """A stream that gives at most seven bytes at a time."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(7 if size is None or size < 0 else min(size, 7))


@given(st.binary(max_size=60), st.lists(st.integers(1, 20), max_size=40), st.booleans())
def test_any_pieces_give_the_whole(data: bytes, sizes: list[int], short: bool) -> None:
    with mock.patch.object(hashed_stream, "_AHEAD_BYTES", 4):
        stream = HashedStream((_Short if short else io.BytesIO)(data))  # type: ignore[arg-type]
        parts = [stream.read(size) for size in sizes]
        while piece := stream.read(5):
            parts.append(piece)
        digest = stream.hexdigest()
    settle()

    assert all(len(part) <= size for part, size in zip(parts, sizes, strict=False))
    assert b"".join(parts) == data
    assert (stream.size, digest) == (len(data), hashlib.sha256(data).hexdigest())


def test_what_breaks_while_reading_ahead_breaks_the_next_read() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError("gone")
            return super().read(size)

    with mock.patch.object(hashed_stream, "_AHEAD_BYTES", 4):
        stream = HashedStream(Broken(bytes(100)))
        assert stream.read(10) == bytes(10)
        with pytest.raises(OSError, match="gone"):
            stream.read(10)
    settle()
