"""Distinct short texts as codes: each is read once, every other time it is recognised by its bytes, many at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from formats.byte_words import unlike

if TYPE_CHECKING:
    from collections.abc import Callable

Ints = np.ndarray[Any, Any]
_SLOTS_LOG = 16
_MIX = np.uint64(0x9E3779B97F4A7C15)
_FOLD, _FOLD_OTHER = np.uint64(64 - _SLOTS_LOG), np.uint64(64 - 2 * _SLOTS_LOG)
_SLOT_BITS = np.uint64((1 << _SLOTS_LOG) - 1)
#: The code of a text that has no meaning.
NONE = 0


class KnownBytes:
    """Texts of up to `width` words of eight bytes. `meaning` gives the code of one, NONE for one without a meaning.

    Texts end with a character that is not NUL.
    """

    def __init__(self, width: int, meaning: Callable[[bytes], int]) -> None:
        self._meaning = meaning
        #: The place of the first text of each slot, and in a second table that of the last of all others.
        self._first = np.zeros(1 << _SLOTS_LOG, np.int64)
        self._other = np.zeros(1 << _SLOTS_LOG, np.int64)
        #: The words of each text and its code, by place; the first is none.
        self._words = np.zeros((64, width), np.uint64)
        self._codes = np.zeros(64, np.int32)
        self._places: dict[bytes, int] = {}
        self._mix = _MIX ** np.arange(1, width + 1, dtype=np.uint64)

    def codes(self, rows: Ints) -> Ints:
        """The code of each text (int32[n]), given as its words (uint64[n, width]), zeros behind it."""
        if not len(rows):
            return np.zeros(0, np.int32)
        mixed = rows @ self._mix
        slot = (mixed >> _FOLD).astype(np.int64)
        # no place is out of bounds: with "clip" nothing is looked at twice
        place = self._first.take(slot, mode="clip")
        missed = unlike(rows, self._words.take(place, axis=0, mode="clip"))
        if len(missed):
            place[missed] = self._elsewhere(rows[missed], slot[missed], (mixed[missed] >> _FOLD_OTHER) & _SLOT_BITS)
        codes: Ints = self._codes.take(place, mode="clip")
        return codes

    def _elsewhere(self, rows: Ints, slot: Ints, other: Ints) -> Ints:
        """The places of texts that are not the first of their slots."""
        place = self._other[other]
        missed = unlike(rows, self._words[place])
        if len(missed):
            fresh, back = np.unique(rows[missed].view(f"S{8 * rows.shape[1]}").ravel(), return_inverse=True)
            found = np.array([self._place(key) for key in fresh.tolist()], np.int64)[back]
            place[missed] = found
            free = self._first[slot[missed]] == 0
            self._first[slot[missed][free]] = found[free]
            self._other[other[missed][~free]] = found[~free]
        return place

    def _place(self, text: bytes) -> int:
        place = self._places.get(text)
        if place is not None:
            return place
        code = self._meaning(text)
        if code == NONE:
            return 0
        place = self._places[text] = len(self._places) + 1
        if place >= len(self._codes):
            self._words = np.concatenate([self._words, np.zeros_like(self._words)])
            self._codes = np.concatenate([self._codes, np.zeros_like(self._codes)])
        self._words[place] = np.frombuffer(text.ljust(8 * self._words.shape[1], b"\0"), "<u8")
        self._codes[place] = code
        return place
