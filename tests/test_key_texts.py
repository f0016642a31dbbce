"""Texts of many keys at once, held against the text of each alone; values once each, held against the values."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forensics.distinct_values import once_each
from forensics.strides import Reader, read_both
from formats.address import cidr_of_key
from formats.key_texts import key_texts
from formats.mapview import row_bytes

_LENGTHS = st.one_of(st.just(32), st.integers(0, 40), st.integers(0, 2**32 - 1))


@given(st.lists(st.tuples(_LENGTHS, st.binary(min_size=4, max_size=4)), max_size=12))
def test_texts_of_ipv4_keys(rows: list[tuple[int, bytes]]) -> None:
    """Host bits are masked, impossible lengths print as hex, whatever stands beside them."""
    keys = [length.to_bytes(4, "little") + address for length, address in rows]
    table = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 8)
    assert key_texts(table) == [cidr_of_key(key) or key.hex() for key in keys]


@given(st.integers(1, 24), st.integers(0, 6), st.randoms(use_true_random=False))
def test_texts_of_other_keys(size: int, count: int, random: object) -> None:
    """Keys of any size."""
    keys = [bytes(random.choices(range(256), k=size)) for _ in range(count)]  # type: ignore[attr-defined]
    table = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, size)
    assert key_texts(table) == [cidr_of_key(key) or key.hex() for key in keys]


@given(st.lists(st.binary(min_size=3, max_size=3), max_size=20))
def test_once_each(rows: list[bytes]) -> None:
    """Every row is found again by its number, and no value stands twice."""
    found = once_each(np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 3))
    values = row_bytes(found.values)
    assert [values[number] for number in found.which.tolist()] == rows
    assert len(set(values)) == len(values)


@given(
    st.lists(
        st.lists(st.lists(st.sampled_from([0, 6, 254, 255, 80, 1000, 10**6]), min_size=96, max_size=96)), max_size=3
    )
)
def test_a_reader_remembers(maps: list[list[list[int]]]) -> None:
    """A value is read as read_both reads it, whether or not an earlier map had it."""
    reader = Reader()
    for rows in maps:
        words = np.array(rows, "<u4").reshape(-1, 96)
        values = once_each(words.view(np.uint8).reshape(len(rows), 384))
        told = read_both(words, np.ones(words.shape, bool))
        for mine, theirs in zip(reader.read(values), told, strict=True):
            assert mine.sane.tolist() == theirs.sane.tolist()
            assert mine.used.tolist() == theirs.used.tolist()
