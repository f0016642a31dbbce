"""Lines that hold a literal: the fast search gives what looking at every line gives, wherever the text is cut."""

from __future__ import annotations

import io
import re
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats import line_search, source
from formats.line_search import LONGEST, lines_with
from formats.source import Source

LITERALS = (b"failed to", b'"level":"error"', b"zz")
ANCHOR = re.compile(b"|".join(map(re.escape, LITERALS)))
WORDS = [
    b"failed to",
    b'"level":"error"',
    b'"level":"info"',
    b"z",
    b"zz",
    b"fa",
    b"iled to",
    b"\n",
    b"\r\n",
    b"a",
    b" ",
]


def naive(text: bytes) -> list[tuple[int, int, int]]:
    found, start = [], 0
    for number, line in enumerate(text.split(b"\n"), 1):
        if any(literal in line for literal in LITERALS) and len(line) <= LONGEST:
            found.append((start, start + len(line), number))
        start += len(line) + 1
    return found


def places(text: bytes, literals: tuple[bytes, ...]) -> list[tuple[int, int, int]]:
    lines = lines_with(Source("x.log", io.BytesIO(text)), ANCHOR, literals)
    return [(line.start, line.end, line.number) for line in lines]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(WORDS), max_size=60).map(b"".join),
    st.sampled_from([3, 16, 1000]),
    st.sampled_from([8, 64, 1000]),
    st.booleans(),
)
def test_every_line_is_found_once(text: bytes, chunk: int, piece: int, threads: bool) -> None:
    with (
        mock.patch.object(source, "CHUNK_BYTES", chunk),
        mock.patch.object(source, "HEAD_BYTES", 5),
        mock.patch.object(line_search, "_PIECE", piece),
        mock.patch.object(line_search, "_SAMPLE", 32),
        mock.patch.object(line_search, "_BESIDE_BYTES", 1 if threads else 1 << 30),
    ):
        assert naive(text) == places(text, LITERALS)
        assert naive(text) == places(text, ())


@pytest.mark.parametrize("literals", [LITERALS, ()])
def test_a_line_longer_than_any_is_passed_over(literals: tuple[bytes, ...]) -> None:
    text = b"failed to\n" + b"x" * LONGEST + b"failed to\nfailed to"

    assert places(text, literals) == [(0, 9, 1), (LONGEST + 20, LONGEST + 29, 3)]


def test_one_byte_literals_are_found_too() -> None:
    found = lines_with(Source("x.log", b"a\nb!\nc"), re.compile(b"!"), (b"!",))

    assert [(line.start, line.number) for line in found] == [(2, 2)]
