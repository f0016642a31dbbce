"""Forks that wait for work: what they are asked for comes through a pipe, long bytes through memory that is shared."""

from __future__ import annotations

import mmap
import os
import pickle
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from formats.pieces import Pieces

#: Bytes that go through shared memory; more of them go through the pipe.
SHARED_BYTES = 9 * 1024 * 1024


class _Servant(NamedTuple):
    """A fork: its process, where requests go, where results come from, the memory shared with it."""

    process: int
    ask: IO[bytes]
    told: IO[bytes]
    shared: mmap.mmap


class _Request(NamedTuple):
    """What is asked for: (name of the function, its arguments) and its payload; the future gets the result."""

    future: Future[Any]
    what: tuple[str, tuple[Any, ...]]
    payload: Pieces


class Servants:
    """Each request goes to the first of them that is free, in the order of the requests.

    To be made while no other thread can hold a lock: see forensics.beside.
    """

    def __init__(self, functions: Mapping[str, Callable[..., Any]], count: int) -> None:
        self.count = count
        self._servants = [_served(functions) for _ in range(count)]
        self._requests: SimpleQueue[_Request | None] = SimpleQueue()
        self._lock, self._alive = threading.Lock(), count
        self._threads = [threading.Thread(target=self._hand_out, args=[each], daemon=True) for each in self._servants]
        for thread in self._threads:
            thread.start()

    def submit(self, name: str, *arguments: Any, payload: Pieces) -> Future[Any]:
        """The result of the function of this name, functions[name](*arguments, payload), some time. The payload is a
        memoryview there, which ends with the call.

        The future raises OSError, EOFError or UnpicklingError when the fork has ended.
        """
        from concurrent.futures import Future

        request = _Request(Future(), (name, arguments), payload)
        with self._lock:
            if self._alive:
                self._requests.put(request)
            else:
                request.future.set_exception(EOFError("no fork is left"))
        return request.future

    def close(self) -> None:
        """End the forks; what they have not begun is not done."""
        self._refuse()
        for _ in self._threads:
            self._requests.put(None)
        for thread in self._threads:
            thread.join()
        for servant in self._servants:
            with suppress(OSError):
                servant.ask.close()
            servant.told.close()
        # a later fork holds the ends of an earlier one's pipes: all must be closed before any can be waited for
        for servant in self._servants:
            os.waitpid(servant.process, 0)
            servant.shared.close()

    def _hand_out(self, servant: _Servant) -> None:
        """A thread for each fork: requests one after the other until there are no more, or the fork has ended."""
        while (request := self._requests.get()) is not None:
            try:
                request.future.set_result(_asked(servant, request.what, request.payload))
            except Exception as error:  # noqa: BLE001 - whoever waits must hear of any
                request.future.set_exception(error)
                break  # the fork has ended, or nobody knows what it says next
        with self._lock:
            self._alive -= 1
            if not self._alive:
                self._refuse()

    def _refuse(self) -> None:
        with suppress(Empty):
            while True:
                request = self._requests.get_nowait()
                if request is not None:
                    request.future.set_exception(EOFError("no fork is left"))


def _asked(servant: _Servant, request: tuple[str, tuple[Any, ...]], payload: Pieces) -> Any:
    size, piped = len(payload), b""
    if size <= SHARED_BYTES:
        payload.copy_to(servant.shared)
    else:
        piped = payload.whole
    pickle.dump((*request, size, piped), servant.ask, protocol=5)
    servant.ask.flush()
    return pickle.load(servant.told)  # noqa: S301 - of our own fork


def _served(functions: Mapping[str, Callable[..., Any]]) -> _Servant:
    shared = mmap.mmap(-1, SHARED_BYTES)
    (asked, ask), (told, tell) = os.pipe(), os.pipe()
    process = os.fork()
    if process:
        os.close(asked)
        os.close(tell)
        return _Servant(process, os.fdopen(ask, "wb"), os.fdopen(told, "rb"), shared)
    try:
        os.close(ask)
        os.close(told)
        with os.fdopen(asked, "rb") as requests, os.fdopen(tell, "wb") as results:
            while True:
                name, arguments, size, piped = pickle.load(requests)  # noqa: S301 - of the process it is a fork of
                payload = memoryview(piped or shared)[:size]
                pickle.dump(functions[name](*arguments, payload), results, protocol=5)
                results.flush()
    finally:
        os._exit(0)
