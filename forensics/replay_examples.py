"""Of very many listed flow lines the ones that a finding can tell of.

A finding tells of the first lines of the worst reasons, and of the first different flows that met misplaced entries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.flow_answers import joined

if TYPE_CHECKING:
    from forensics.flow_answers import Answered

Array = np.ndarray[Any, Any]
#: Lines that a finding lists, and different flows that it names.
LISTED, NAMED = 50, 12


class Examples:
    """Of every reason the first LISTED lines, and a line of each of the first NAMED flows of misplaced entries."""

    def __init__(self) -> None:
        self._parts: list[tuple[Answered, Array, Array]] = []
        self._taken: dict[int, int] = {}
        self._named: dict[int, set[tuple[int, ...]]] = {}

    def add(self, listed: Answered, why: Array, kinds: Array) -> None:
        """Listed lines behind those before: their reasons (places in REASONS) and classes."""
        wanted = np.zeros(len(why), bool)
        for reason in np.flatnonzero(np.bincount(why)).tolist():
            rows = np.flatnonzero(why == reason)
            room = LISTED - self._taken.get(reason, 0)
            wanted[rows[:room]] = True
            self._taken[reason] = LISTED - max(room - len(rows), 0)
            wanted[self._new_flows(reason, listed, rows[listed.misplaced[rows]])] = True
        kept = np.flatnonzero(wanted)
        if len(kept):
            self._parts.append((listed.rows(kept), why[kept], kinds[kept]))

    def _new_flows(self, reason: int, listed: Answered, rows: Array) -> list[int]:
        named = self._named.setdefault(reason, set())
        if len(named) >= NAMED or not len(rows):
            return []
        side = listed.side.rows(rows)
        columns = (side.src, side.dst, side.protocol, side.dport, side.allowed)
        table = np.stack([column.astype(np.int64) for column in columns], axis=1)
        found, first = np.unique(table, axis=0, return_index=True)
        out: list[int] = []
        for at in np.argsort(first).tolist():
            key = tuple(found[at].tolist())
            if key not in named and len(named) < NAMED:
                named.add(key)
                out.append(int(rows[first[at]]))
        return out

    def joined(self) -> tuple[Answered, Array, Array]:
        """(the lines in log order, their reasons, their classes)."""
        lines, why, kinds = zip(*self._parts, strict=True)
        return joined(lines), np.concatenate(why), np.concatenate(kinds)


def first_time(listed: Answered) -> str | None:
    """The time, as logged, of the first line that has one."""
    side, flows = listed.side, listed.flows
    texts = (flows.line(int(side.batch[at]), int(side.row[at]))[0] for at in range(len(side)))
    return next((text for text in texts if text is not None), None)
