"""Sorting the stretches of a long log in processes of their own: the same stretches, in order, only sooner.

`python -m formats.log_pool` is such a process. It reads the words of the catalogue and then stretches from standard
input, each behind its length (SIZE), and writes each sorted stretch, pickled, behind its length to standard output.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
from collections import deque
from typing import TYPE_CHECKING, BinaryIO, cast

from formats.log_stretch import Sorter, Stretch

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

SIZE = struct.Struct("<Q")
#: A log shorter than this is read before helpers would have started.
LONG_BYTES = 32 * 1024 * 1024
#: Helpers at most; what they give is put together by one process, which would not keep up with more.
_MOST = 4


def sorted_stretches(
    stretches: Iterable[bytes], wanted: frozenset[str], *, workers: int | None = None
) -> Iterator[tuple[int, int, bytes, Stretch]]:
    """(number of the sorter, offset, bytes, sorted stretch) of each stretch, in order.

    Codes of one sorter's stretches are of one table (Stretch.fresh). `workers`: how many helpers a long log gets; by
    default one for each core.
    """
    here = Sorter(wanted)
    count = workers if workers is not None else min(os.cpu_count() or 1, _MOST)
    pool: _Pool | None = None
    waiting: deque[tuple[int, bytes, Future[tuple[int, Stretch]]]] = deque()
    offset = 0
    try:
        for data in stretches:
            if pool is None and count > 1 and offset >= LONG_BYTES:
                pool = _Pool(wanted, count)
            if pool is None:
                yield 0, offset, data, here.sort(data)
            else:
                waiting.append((offset, data, pool.sort(data)))
                while len(waiting) > count or (waiting and waiting[0][2].done()):
                    yield _result(waiting.popleft(), here)
            offset += len(data)
        while waiting:
            yield _result(waiting.popleft(), here)
    finally:
        if pool is not None:
            pool.close()


def _result(item: tuple[int, bytes, Future[tuple[int, Stretch]]], here: Sorter) -> tuple[int, int, bytes, Stretch]:
    offset, data, future = item
    try:
        number, stretch = future.result()
    except (OSError, EOFError, pickle.UnpicklingError):
        number, stretch = 0, here.sort(data)  # a helper that ended early costs time, nothing else
    return number, offset, data, stretch


class _Pool:
    """Helpers, and a thread for each that waits for it."""

    def __init__(self, wanted: frozenset[str], count: int) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._helpers = [_Helper(wanted, number + 1) for number in range(count)]
        self._threads = [ThreadPoolExecutor(1) for _ in self._helpers]
        self._turn = 0

    def sort(self, data: bytes) -> Future[tuple[int, Stretch]]:
        """Give a stretch to the next helper."""
        at = self._turn % len(self._helpers)
        self._turn += 1
        return self._threads[at].submit(self._helpers[at].sort, data)

    def close(self) -> None:
        """End the helpers, also before their end."""
        for helper in self._helpers:
            helper.close()
        for thread in self._threads:
            thread.shutdown(cancel_futures=True)


class _Helper:
    """One process."""

    def __init__(self, wanted: frozenset[str], number: int) -> None:
        self._number = number
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = wanted

    def sort(self, data: bytes) -> tuple[int, Stretch]:
        """Raises OSError or EOFError when the process does not work."""
        if self._process is None:
            import subprocess

            self._process = subprocess.Popen(
                [sys.executable, "-m", "formats.log_pool"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
            self._send(pickle.dumps(sorted(self._wanted)))
        self._send(data)
        header = _exactly(cast("BinaryIO", self._process.stdout), SIZE.size)
        stretch: Stretch = pickle.loads(_exactly(cast("BinaryIO", self._process.stdout), SIZE.unpack(header)[0]))  # noqa: S301 - of our own process
        return self._number, stretch

    def _send(self, data: bytes) -> None:
        assert self._process is not None
        pipe = cast("BinaryIO", self._process.stdin)
        pipe.write(SIZE.pack(len(data)))
        view = memoryview(data)
        while view:
            view = view[pipe.write(view) :]

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _exactly(pipe: BinaryIO, size: int) -> bytearray:
    """`size` bytes. Raises EOFError when the pipe ends before."""
    out = bytearray(size)
    view = memoryview(out)
    while view:
        count = pipe.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise EOFError("the helper ended early")
        view = view[count:]
    return out


def main() -> None:
    """The helper."""
    inside, out = cast("BinaryIO", sys.stdin.buffer), sys.stdout.buffer
    try:
        sorter = Sorter(frozenset(pickle.loads(_exactly(inside, SIZE.unpack(_exactly(inside, SIZE.size))[0]))))  # noqa: S301 - of our own process
        while True:
            data = _exactly(inside, SIZE.unpack(_exactly(inside, SIZE.size))[0])
            told = pickle.dumps(sorter.sort(bytes(data)), protocol=5)
            out.write(SIZE.pack(len(told)))
            out.write(told)
            out.flush()
    except (EOFError, BrokenPipeError):
        os._exit(0)  # whoever asked has stopped


if __name__ == "__main__":
    main()
