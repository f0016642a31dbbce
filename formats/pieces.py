"""Bytes in pieces, as they came: joined only for those who must have them in one."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import mmap
    from collections.abc import Sequence


class Pieces:
    """Some bytes."""

    def __init__(self, parts: Sequence[bytes | memoryview]) -> None:
        self._parts = parts
        self._size = sum(map(len, parts))

    def __len__(self) -> int:
        return self._size

    @cached_property
    def whole(self) -> bytes:
        """All of them in one."""
        return bytes(self._parts[0]) if len(self._parts) == 1 else b"".join(self._parts)

    def copy_to(self, memory: mmap.mmap) -> None:
        """Write them to the start of a memory that has room for them."""
        at = 0
        for part in self._parts:
            memory[at : at + len(part)] = part
            at += len(part)
