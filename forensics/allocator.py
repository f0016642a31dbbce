"""What the C library does with memory that was given back to it."""

from __future__ import annotations

import ctypes
from contextlib import suppress

#: mallopt's numbers (glibc malloc.h).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 32 * 1024 * 1024
_KEPT = 512 * 1024 * 1024


def keep_freed_memory() -> None:
    """Blocks of some megabytes are taken from memory that was given back, not from the system, which clears each page.

    For a process that reads one input and ends; nothing happens where there is no glibc.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _KEPT)
