"""The stretches of a log, sorted here or by helpers: the same stretches, in order, only sooner."""

from __future__ import annotations

import pickle
from collections import deque
from typing import TYPE_CHECKING

from formats.ahead import ahead
from formats.log_stretch import Sorter, Stretch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from formats.pieces import Pieces
    from formats.source import Helpers

#: Name of sort_there() among the functions of helpers.
SORT = "sort"
#: Stretches sorted here before helpers are asked: a short log is read by then.
_ALONE = 2
#: Stretches that wait, for each helper.
_WAITING = 2
_log = 0


def sorted_stretches(
    stretches: Iterable[Pieces], wanted: frozenset[str], helpers: Helpers | None
) -> Iterator[tuple[Pieces, Stretch]]:
    """Each stretch and its sorted form, in order. `wanted`: first words of the catalogue's messages."""
    here = Sorter(wanted)
    if helpers is None:
        yield from ((data, here.sort(data.whole)) for data in ahead(iter(stretches)))
        return
    global _log
    _log += 1
    words = tuple(sorted(wanted))
    waiting: deque[tuple[Pieces, Future[Stretch]]] = deque()
    for number, data in enumerate(stretches):
        if number < _ALONE:
            yield data, here.sort(data.whole)
            continue
        waiting.append((data, helpers.submit(SORT, _log, words, payload=data)))
        if len(waiting) > _WAITING * helpers.count:
            yield _settled(*waiting.popleft(), here)
    while waiting:
        yield _settled(*waiting.popleft(), here)


def _settled(data: Pieces, future: Future[Stretch], here: Sorter) -> tuple[Pieces, Stretch]:
    try:
        return data, future.result()
    except (OSError, EOFError, pickle.UnpicklingError):
        return data, here.sort(data.whole)  # a helper that ended early costs time, nothing else


class _There:
    """What a helper remembers of the log whose stretches it sorts."""

    log = 0
    sorter = Sorter(frozenset())


def sort_there(log: int, words: tuple[str, ...], payload: memoryview) -> Stretch:
    """In a helper: a sorted stretch of the log of this number."""
    if log != _There.log:
        _There.log, _There.sorter = log, Sorter(frozenset(words))
    return _There.sorter.sort(payload)
