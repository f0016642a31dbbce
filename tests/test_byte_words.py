"""Words of eight bytes against plain Python, and texts recognised by their bytes."""

from __future__ import annotations

from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from formats import known_bytes
from formats.byte_words import Bytes, Cuts, begin_with, behind, digits, first_control, numbers, through_blank
from formats.known_bytes import NONE, KnownBytes

TOKENS = st.lists(st.binary(max_size=20), min_size=1, max_size=30)
NEAR = st.text(" !0129:a\x00\x1f\x7f\xff", max_size=14).map(lambda text: text.encode("latin-1"))


def _rows(texts: list[bytes], width: int) -> np.ndarray:
    size = 8 * width
    return np.frombuffer(b"".join(text[:size].ljust(size, b"\0") for text in texts), "<u8").reshape(-1, width).copy()


@given(st.lists(st.one_of(NEAR, st.binary(max_size=20)), min_size=1, max_size=30), st.sampled_from([1, 2, 3]))
def test_tokens_end_at_the_first_blank(texts: list[bytes], width: int) -> None:
    rows = _rows(texts, width)

    size, closed = through_blank(rows)

    for text, row, length, found in zip(texts, rows, size.tolist(), closed.tolist(), strict=True):
        whole = text[: 8 * width].ljust(8 * width, b"\0")
        token, blank, _ = whole.partition(b" ")
        assert (length, found) == (len(token), bool(blank))
        assert row.tobytes() == (token + blank).ljust(8 * width, b"\0")


@given(st.lists(st.one_of(NEAR, st.integers(0, 10**6).map(lambda n: b"%d " % n)), min_size=1, max_size=30))
def test_decimal_numbers(texts: list[bytes]) -> None:
    column = _rows(texts, 1)[:, 0]

    size, good = digits(column)

    for text, length, fine, at in zip(texts, size.tolist(), good.tolist(), range(len(texts)), strict=True):
        token, blank, _ = text[:8].ljust(8, b"\0").partition(b" ")
        assert fine == (bool(blank) and len(token) in range(1, 6) and token.isdigit())
        if fine:
            assert (length, numbers(column[at : at + 1], size[at : at + 1]).tolist()) == (len(token), [int(token)])


@given(st.lists(st.one_of(NEAR, st.binary(max_size=40)), min_size=1, max_size=20))
def test_the_first_control_character(texts: list[bytes]) -> None:
    ends = np.cumsum([len(text) for text in texts])
    starts = ends - [len(text) for text in texts]

    found = first_control(Bytes(b"".join(texts) + bytes(64)), starts, ends)

    for text, start, at in zip(texts, starts.tolist(), found.tolist(), strict=True):
        places = [place for place, byte in enumerate(text) if byte <= ord(" ")]
        assert at - start == (places[0] if places else len(text))


@given(st.binary(min_size=48, max_size=48), st.integers(8, 15))
def test_words_behind_a_literal(text: bytes, size: int) -> None:
    rows = _rows([text], 6)

    assert behind(rows, size, 3).tobytes() == text[size : size + 24]
    assert begin_with(rows, text[: size + 1]).tolist() == [True]
    assert begin_with(rows, text[:size] + bytes([text[size] ^ 1])).tolist() == [False]


@given(TOKENS)
def test_cut_texts_have_zeros_behind_them(texts: list[bytes]) -> None:
    sizes = np.array([len(text) for text in texts])
    whole = b"".join(texts) + b"\xff" * 64

    rows = Cuts(3).of(Bytes(whole), np.cumsum(sizes) - sizes, sizes)

    assert rows.tobytes() == b"".join(text.ljust(24, b"\0") for text in texts)


@given(TOKENS, TOKENS, st.sampled_from([60, 63, 48]))
def test_known_texts_are_told_apart_whatever_slots_they_share(first: list[bytes], then: list[bytes], fold: int) -> None:
    """With few slots most texts share one: the codes are those of a dictionary all the same."""
    codes: dict[bytes, int] = {}

    def meaning(text: bytes) -> int:
        return NONE if text.startswith(b"a") else codes.setdefault(text, len(codes) + 1)

    with mock.patch.object(known_bytes, "_FOLD", np.uint64(fold)):
        known = KnownBytes(3, meaning)
        for texts in (first, then, first):
            ended = [text.rstrip(b"\0") + b"." for text in texts]
            got = known.codes(_rows(ended, 3)).tolist()

            assert got == [NONE if text.startswith(b"a") else codes[text] for text in ended]
