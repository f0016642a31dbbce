"""The addresses of flow lines as codes: each distinct text is looked at once, every other time it is recognised by its
bytes, many rows at a time."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from formats.columns import Words
from formats.flow_text import restored

Ints = np.ndarray[Any, Any]

#: Bytes that no address reaches: IPv6 needs up to 39 characters; 45 with an IPv4 tail, which is not clean.
LONGEST = 40
_ADDRESS = re.compile(rb"[0-9a-fA-F.:]{1,39}")
_WORDS = LONGEST // 8
_SLOTS = 1 << 16
#: The lowest 0 to 8 bytes of a word.
MASKS = np.array([(1 << (8 * size)) - 1 for size in range(9)], np.uint64)
_MIX, _FOLD = np.uint64(0x9E3779B97F4A7C15), np.uint64(48)
#: The code of what is no address.
NONE = 0


class Addresses:
    """Distinct addresses of one log, with vanished octets restored; bounded: past LIMIT it begins anew."""

    LIMIT = 200_000

    def __init__(self) -> None:
        self._begin()

    def begin_stretch(self) -> int:
        """How many addresses are known by now; those of one stretch have codes of one list."""
        if len(self.words) > self.LIMIT:
            self._begin()
        return len(self.words)

    def _begin(self) -> None:
        self.words: list[Any] = [""]
        self._codes: dict[bytes, int] = {}
        self._at = np.full(_SLOTS, -1, np.int32)
        self._known = np.zeros((_WORDS, 1024), np.uint64)

    def of(self, loads: Ints, at: Ints, stop: Ints) -> Words:
        """The addresses between the positions; code NONE where there is none."""
        size = stop - at
        count = int(np.clip(size.max(initial=1), 1, LONGEST) + 7) // 8
        table = [loads[at + 8 * word] & MASKS[np.clip(size - 8 * word, 0, 8)] for word in range(count)]
        mixed = table[0] * _MIX
        for column in table[1:]:
            mixed = (mixed ^ column) * _MIX
        slot = mixed >> _FOLD
        codes = self._at[slot]
        hit = (codes >= 0) & (size < LONGEST)
        for word, known in enumerate(self._known):
            hit &= known[codes] == (table[word] if word < count else 0)
        missed = np.flatnonzero(~hit)
        if len(missed):
            keys = np.stack([column[missed] for column in table], axis=1).view(f"S{8 * count}").ravel().tolist()
            fits = (size[missed] < LONGEST).tolist()
            codes[missed] = [self._code(key) if fit else NONE for key, fit in zip(keys, fits, strict=True)]
            self._at[slot[missed]] = codes[missed]
            self._at[slot[missed][codes[missed] == NONE]] = -1
        return Words(codes, self.words)

    def _code(self, key: bytes) -> int:
        code = self._codes.get(key)
        if code is not None:
            return code
        if not _ADDRESS.fullmatch(key):
            return NONE
        code = self._codes[key] = len(self.words)
        self.words.append(restored(key.decode("ascii")))
        if code >= self._known.shape[1]:
            self._known = np.concatenate([self._known, np.zeros_like(self._known)], axis=1)
        whole = np.frombuffer(key.ljust(LONGEST, b"\0"), "<u8")
        self._known[:, code] = whole
        return code
