"""Conntrack entries for many packets at once: exact look-up of whole keys by a hash, then by their bytes.

The hash only finds candidates: every hit is compared byte for byte, and keys made to collide cost time, never a wrong
answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.sorted_search import search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forensics.prefix_ranges import Words

Array = np.ndarray[Any, Any]
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


def padded(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype with its size rounded up to whole 64-bit words."""
    fields = dict(dtype.fields or {})
    return np.dtype(
        {
            "names": list(fields),
            "formats": [field[0] for field in fields.values()],
            "offsets": [field[1] for field in fields.values()],
            "itemsize": -(-dtype.itemsize // 8) * 8,
        }
    )


class FlowTable:
    """Keys of one size. `find` answers with a position in the keys given."""

    def __init__(self, keys: Sequence[bytes], dtype: np.dtype[Any]) -> None:
        size = padded(dtype).itemsize
        joined = b"".join(key.ljust(size, b"\0") for key in keys)
        words = np.frombuffer(joined, np.uint64).reshape(len(keys), size // 8)
        hashes = _hash(words)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes, self._words = hashes[self._order], words[self._order]
        bits = max(4, 4 + len(keys).bit_length())
        self._shift = np.uint64(64 - bits)
        self._seen = np.zeros(1 << bits, dtype=bool)
        self._seen[self._hashes >> self._shift] = True

    def find(self, keys: Array) -> Array:
        """Position of each key in the table, -1 where it is not there. keys: an array of the padded dtype."""
        words = keys.view(np.uint64).reshape(len(keys), keys.dtype.itemsize // 8)
        hashes = _hash(words)
        found = np.full(len(keys), -1, dtype=np.int64)
        todo = np.flatnonzero(self._seen[hashes >> self._shift])
        at = search(self._hashes, hashes[todo], "left")
        while len(todo):
            inside = at < len(self._hashes)
            todo, at = todo[inside], at[inside]
            same = self._hashes[at] == hashes[todo]
            todo, at = todo[same], at[same]
            equal = (self._words[at] == words[todo]).all(axis=1)
            found[todo[equal]] = self._order[at[equal]]
            todo, at = todo[~equal], at[~equal] + 1
        return found


def _hash(words: Array) -> Array:
    mixed = np.zeros(len(words), dtype=np.uint64)
    for column in range(words.shape[1]):
        mixed = (mixed ^ words[:, column]) * _MULTIPLIER
        mixed ^= mixed >> _HALF
    return mixed * _MULTIPLIER


def flow_keys(dtype: np.dtype[Any], fields: dict[str, Any]) -> Array:
    """Keys of the padded dtype. fields: src, dst, owner as address words, the others as columns."""
    keys = np.zeros(len(fields["protocol"]), padded(dtype))
    for name in keys.dtype.names or ():
        keys[name] = packed(fields[name]) if isinstance(fields[name], tuple) else fields[name]
    return keys


def packed(words: Words) -> Array:
    """Addresses as uint8[n, 4] or uint8[n, 16] in network order."""
    rows = np.stack(words, axis=1)
    return rows.astype(rows.dtype.newbyteorder(">")).view(np.uint8)
