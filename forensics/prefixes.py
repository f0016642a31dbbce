"""Longest prefix match over the keys of an LPM map, as the kernel's trie answers it.

A key is a u32 prefix length and an address; bits beyond the prefix do not count, though the kernel keeps them. Two
keys that say the same prefix cannot stand in one trie; in a merged dump the later one wins, as an update would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from formats.layouts import LPM_KEY_DTYPES, LPM_KEY_SIZES

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What an entry holds: bytes of a map, or rules that are none.
V = TypeVar("V")
_PREFIX_BYTES: dict[int, int] = {
    family: LPM_KEY_DTYPES[size]["prefixlen"].itemsize for family, size in LPM_KEY_SIZES.items()
}


def is_key(key: bytes, family: int) -> bool:
    """Whether an LPM map of that family can hold the key: its size, and a prefix length not beyond the address."""
    if len(key) != LPM_KEY_SIZES[family]:
        return False
    return prefix_of(key, family)[0] <= 8 * (len(key) - _PREFIX_BYTES[family])


def prefix_of(key: bytes, family: int) -> tuple[int, int]:
    """Prefix length and address of a key, the address as a number with its bits beyond the prefix still there."""
    start = _PREFIX_BYTES[family]
    return int.from_bytes(key[:start], "little"), int.from_bytes(key[start:], "big")


class PrefixIndex(Generic[V]):
    """Longest prefix of single addresses: one dict probe for each prefix length that occurs, longest first."""

    def __init__(self, entries: Mapping[bytes, V], family: int) -> None:
        self._entries = entries
        bits = 8 * (LPM_KEY_SIZES[family] - _PREFIX_BYTES[family])
        size = LPM_KEY_SIZES[family]
        by_length: dict[int, dict[int, bytes]] = {}
        for key in entries:
            if len(key) == size:
                length, number = prefix_of(key, family)
                if length <= bits:
                    by_length.setdefault(length, {})[number >> (bits - length)] = key
        self._probes = [(bits - length, by_length[length]) for length in sorted(by_length, reverse=True)]

    def longest(self, address: bytes) -> tuple[bytes, V] | None:
        """Key and value of the one entry the kernel finds for a packed address; None where none covers it."""
        number = int.from_bytes(address, "big")
        for shift, keys in self._probes:
            key = keys.get(number >> shift)
            if key is not None:
                return key, self._entries[key]
        return None
