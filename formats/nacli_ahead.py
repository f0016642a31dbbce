"""The blocks of a long text of aws-eks-na-cli with the clean runs in them, which helpers look for."""

from __future__ import annotations

import pickle
from collections import deque
from typing import TYPE_CHECKING

from formats import nacli_bulk
from formats.pieces import Pieces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from formats.source import Source

#: What stands at a place of a block: as nacli_bulk.read_run gives it.
Runs = dict[int, "nacli_bulk.Run | int"]

#: Name of runs_there() among the functions of helpers.
RUNS = "nacli-runs"
#: Blocks that wait, for each helper.
_WAITING = 2
#: Keys that begin no clean run before a block is left to its reader.
_MISSES = 64
_KEY = b"Key"


def blocks(source: Source) -> Iterator[tuple[int, bytes, Runs]]:
    """(byte offset, block of whole lines, runs that are known in it) of a source, in order."""
    helpers = source.helpers
    waiting: deque[tuple[int, bytes, Future[Runs]]] = deque()
    for number, (offset, block) in enumerate(source.line_chunks()):
        if helpers is None or not number:
            yield offset, block, {}
            continue
        waiting.append((offset, block, helpers.submit(RUNS, payload=Pieces([block]))))
        if len(waiting) > _WAITING * helpers.count:
            yield _settled(*waiting.popleft())
    while waiting:
        yield _settled(*waiting.popleft())


def _settled(offset: int, block: bytes, future: Future[Runs]) -> tuple[int, bytes, Runs]:
    try:
        return offset, block, future.result()
    except (OSError, EOFError, pickle.UnpicklingError):
        return offset, block, {}  # a helper that ended early costs time, nothing else


def runs_there(view: memoryview) -> Runs:
    """In a helper: the runs of a block by their places."""
    found: Runs = {}
    payload = bytes(view)
    misses, at = 0, _next_key(payload, 0)
    while at is not None and misses < _MISSES:
        run = nacli_bulk.read_run(payload, at)
        if run is None:
            misses += 1
            at = _next_key(payload, at + 1)
            continue
        found[at] = run
        at = _next_key(payload, run if isinstance(run, int) else run.end)
    return found


def _next_key(payload: bytes, at: int) -> int | None:
    """The first place from `at` on where a line begins with a key."""
    if payload.startswith(_KEY, at) and (at == 0 or payload[at - 1] == ord("\n")):
        return at
    place = payload.find(b"\n" + _KEY, at)
    return None if place < 0 else place + 1
