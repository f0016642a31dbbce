"""gzip: every byte before a break, and a word about each kind of break."""

from __future__ import annotations

import gzip
import io
import random
from pathlib import Path

import pytest

from forensics import inflate
from forensics.archive import Peekable

CASES = Path(__file__).parents[1] / "corpus" / "cases"
TEXT = b"".join(b"key: %08x value: %d\n" % (number, number * 7) for number in range(60_000))
PACKED = gzip.compress(TEXT)
SHAPES = {
    "whole": PACKED,
    "two members": PACKED + gzip.compress(b"more"),
    "padded": PACKED + b"\0" * 512 + gzip.compress(b"more") + b"\0" * 100,
    "cut": PACKED[: len(PACKED) // 2],
    "cut in its checksum": PACKED[:-3],
    "flipped": PACKED[:-6] + bytes([PACKED[-6] ^ 1]) + PACKED[-5:],
    "damaged": PACKED[: len(PACKED) // 3] + random.Random(1).randbytes(64) + PACKED[len(PACKED) // 3 + 64 :],
    "followed by text": PACKED + b"not gzip",
    "empty": gzip.compress(b""),
}


def drained(work: inflate.Inflater, limit: int) -> bytes:
    out = b""
    while data := work.piece(limit):
        assert len(data) <= limit
        out += data
    return out


@pytest.mark.parametrize("limit", [1000, 1 << 20])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_byte_before_a_break_is_given(shape: str, limit: int) -> None:
    work = inflate.Inflater(Peekable(io.BytesIO(SHAPES[shape])))

    actual = drained(work, limit)

    whole = TEXT + (b"more" if shape in ("two members", "padded") else b"")
    assert (work.error is None) == (shape in ("whole", "two members", "padded", "empty"))
    if shape in ("whole", "two members", "padded", "cut in its checksum", "followed by text"):
        assert whole == actual
    elif shape != "empty":
        # cut in half, or damaged after a third: what came before is given, and nothing in its place
        before = len(TEXT) // 4
        assert whole[:before] == actual[:before]
