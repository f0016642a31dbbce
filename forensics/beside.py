"""One function over many items on every core: the same results in the same order, only sooner.

The helpers are forks of this process, so that what was read need not be handed over; they send back results, pickled.
That is safe only where no other thread can hold a lock in the moment of the fork.
"""

from __future__ import annotations

import gc
import os
import pickle
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")
_TASKS = Path("/proc/self/task")
_MOST = 4


def workers() -> int:
    """How many processes can share the work: 1 where this one must not be forked."""
    if not hasattr(os, "fork") or not _TASKS.is_dir() or len(list(_TASKS.iterdir())) > 1:
        return 1
    return min(os.cpu_count() or 1, _MOST)


def mapped(function: Callable[[T], R], items: Sequence[T], count: int) -> list[R]:
    """function(item) of every item, in order, by `count` processes. Results must be plain enough to be pickled.

    What a helper could not give is made here.
    """
    shares = [range(first, len(items), count) for first in range(count)]
    gc.collect()
    gc.freeze()  # a helper that looks for cycles would copy every page it looks at
    helpers = [_forked(function, [items[at] for at in share]) for share in shares[1:]]
    found: dict[int, R] = {at: function(items[at]) for at in shares[0]}
    for helper, share in zip(helpers, shares[1:], strict=True):
        results: list[R] | None = _collected(*helper)
        for place, at in enumerate(share):
            found[at] = results[place] if results is not None else function(items[at])
    gc.unfreeze()
    return [found[at] for at in range(len(items))]


def _forked(function: Callable[[T], R], items: list[T]) -> tuple[int, int]:
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
            pickle.dump([function(item) for item in items], pipe, protocol=5)
        os._exit(0)
    finally:
        os._exit(1)


def _collected(process: int, pipe: int) -> list[Any] | None:
    with os.fdopen(pipe, "rb") as stream:
        data = stream.read()
    _, status = os.waitpid(process, 0)
    return pickle.loads(data) if status == 0 else None  # noqa: S301 - of our own fork


class Servants:
    """Forks that wait for work: each request goes to the next of them."""

    def __init__(self, function: Callable[..., Any], count: int) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._pipes = [_served(function) for _ in range(count)]
        self._threads = [ThreadPoolExecutor(1) for _ in self._pipes]
        self._turn = 0

    def submit(self, *arguments: Any) -> Future[Any]:
        """The result of function(*arguments), some time; raises OSError or EOFError when the fork has ended."""
        at = self._turn % len(self._pipes)
        self._turn += 1
        return self._threads[at].submit(self._ask, at, arguments)

    def _ask(self, at: int, arguments: tuple[Any, ...]) -> Any:
        _, there, back = self._pipes[at]
        pickle.dump(arguments, there, protocol=5)
        there.flush()
        return pickle.load(back)  # noqa: S301 - of our own fork

    def close(self) -> None:
        """End the forks."""
        for thread in self._threads:
            thread.shutdown(cancel_futures=True)
        for _, there, back in self._pipes:
            with suppress(OSError):
                there.close()
            back.close()
        # a later fork holds the ends of an earlier one's pipes: all must be closed before any can be waited for
        for process, _, _ in self._pipes:
            os.waitpid(process, 0)


def _served(function: Callable[..., Any]) -> tuple[int, IO[bytes], IO[bytes]]:
    """(process, where requests go, where results come from)."""
    (asked, ask), (told, tell) = os.pipe(), os.pipe()
    process = os.fork()
    if process:
        os.close(asked)
        os.close(tell)
        return process, os.fdopen(ask, "wb"), os.fdopen(told, "rb")
    try:
        os.close(ask)
        os.close(told)
        with os.fdopen(asked, "rb") as requests, os.fdopen(tell, "wb") as results:
            while True:
                arguments = pickle.load(requests)  # noqa: S301 - of the process that this one is a fork of
                pickle.dump(function(*arguments), results, protocol=5)
                results.flush()
    finally:
        os._exit(0)
