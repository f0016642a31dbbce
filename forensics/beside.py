"""One function over many items on every core: the same results in the same order, only sooner.

The helpers are forks of this process, so that what was read need not be handed over; they send back results, pickled.
That is safe only where no other thread can hold a lock in the moment of the fork.
"""

from __future__ import annotations

import gc
import os
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")
R = TypeVar("R")
_TASKS = Path("/proc/self/task")
_MOST = 4
#: Bytes of an item's number, and what the smallest pipe holds (POSIX).
_NUMBER, _PIPE = 4, 512


def workers() -> int:
    """How many processes can share the work: 1 where this one must not be forked."""
    if not hasattr(os, "fork") or not _TASKS.is_dir() or len(list(_TASKS.iterdir())) > 1:
        return 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, _MOST)


def mapped(function: Callable[[T], R], items: Sequence[T], count: int) -> list[R]:
    """function(item) of every item, in order, by `count` processes. Results must be plain enough to be pickled.

    Each process has an item of its own and takes the next one that is left whenever it is done: items may cost very
    different times. What a helper could not give is made here.
    """
    left = _Left(count, len(items))
    gc.collect()
    gc.freeze()  # a helper that looks for cycles would copy every page it looks at
    helpers = [_forked(function, items, number, left) for number in range(1, count)]
    found: dict[int, R] = {at: function(items[at]) for at in left.of(0)}
    for helper in helpers:
        found |= _collected(*helper)
    left.close()
    gc.unfreeze()
    return [found[at] if at in found else function(items[at]) for at in range(len(items))]


class _Left:
    """Numbers of items that several processes take one by one from a pipe: a read of a few bytes is never torn."""

    def __init__(self, count: int, items: int) -> None:
        """Items from 0 to `count` belong to the process of that number and are not in the pipe."""
        self._count, self._items = count, items
        # as many items at a time as fit into any pipe
        self._step = 1 + items * _NUMBER // _PIPE
        self._taken, there = os.pipe()
        with os.fdopen(there, "wb") as pipe:
            pipe.write(b"".join(first.to_bytes(_NUMBER, "big") for first in range(count, items, self._step)))

    def of(self, process: int) -> Iterator[int]:
        """What one process is to do."""
        if process < self._items:
            yield process
        while number := os.read(self._taken, _NUMBER):
            first = int.from_bytes(number, "big")
            yield from range(first, min(first + self._step, self._items))

    def close(self) -> None:
        """In this process; in the others it ends with them."""
        os.close(self._taken)


def _forked(function: Callable[[T], R], items: Sequence[T], number: int, left: _Left) -> tuple[int, int]:
    """(process, the end of the pipe that its results come from)."""
    here, there = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        os.close(there)
        return process, here
    try:
        os.close(here)
        with os.fdopen(there, "wb") as pipe:
            pickle.dump({at: function(items[at]) for at in left.of(number)}, pipe, protocol=5)
        os._exit(0)
    finally:
        os._exit(1)


def _collected(process: int, pipe: int) -> dict[int, Any]:
    with os.fdopen(pipe, "rb") as stream:
        data = stream.read()
    _, status = os.waitpid(process, 0)
    return pickle.loads(data) if status == 0 else {}  # noqa: S301 - of our own fork
