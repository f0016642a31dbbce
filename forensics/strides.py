"""Read a value at 12 and at 16 bytes, and say which reading can be true.

A namespace value is 24 slots of 12 bytes (protocol, start, end), a cluster value 24 of 16 (protocol, priority and
action, start, end). Bytes written for one and read as the other rotate through the fields: ports turn into priorities
and protocols. The agent fills slots from 0 without gaps and writes only the protocols below, so a wrong reading shows.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from forensics.distinct_values import once_each
from formats import layouts
from formats.mapview import protocol_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forensics.distinct_values import Distinct

#: What the agent writes (fw_rule_processor.go, v1.0.5 to v1.4.1): TCP, UDP, SCTP, ANY, and RESERVED for excepts.
NAMESPACE_PROTOCOLS = (0, 6, 17, 132, 254, 255)
CLUSTER_PROTOCOLS = (0, 6, 17, 132, 254)
#: Stands for any number above those of protocols.
_NO_PROTOCOL = 256
MAX_PORT = 65535
#: Values whose readings a Reader keeps.
_REMEMBERED = 1 << 16
_NAMESPACE_WORDS = layouts.NAMESPACE_VALUE_SIZE // 4


class Reading(NamedTuple):
    """Whether each of n values can be true at a stride, and for each the number of slots used from slot 0 on."""

    sane: np.ndarray[Any, Any]  # bool[n]
    used: np.ndarray[Any, Any]  # int[n]


class Strides(NamedTuple):
    """Both readings of the values of one map."""

    namespace: Reading
    cluster: Reading

    def of(self, rows: np.ndarray[Any, Any]) -> Strides:
        """The readings of some values, by their numbers."""
        return Strides(*(Reading(each.sane[rows], each.used[rows]) for each in self))

    def and_those(self, others: Strides) -> Strides:
        """These readings, and behind them others."""
        pairs = zip(self, others, strict=True)
        return Strides(*(Reading(*map(np.concatenate, zip(mine, theirs, strict=True))) for mine, theirs in pairs))


def read_both(words: np.ndarray[Any, Any], known: np.ndarray[Any, Any]) -> Strides:
    """Both readings of uint32[n, w] values with their known mask; a word that is not known contradicts nothing.

    The namespace reading looks at the first 288 bytes only: what trails them is not part of a namespace value.
    """
    if len(words) > 1 and words.shape[1] and known.all():
        # few rule sets are behind many entries: each distinct value is read once
        distinct, which = once_each(words)
        return _both(distinct, np.ones(distinct.shape, bool)).of(which)
    return _both(words, known)


class Reader:
    """Reads raw values: each distinct value of all the maps that it is asked about is read once."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._read = _NOTHING

    def read(self, values: Distinct) -> Strides:
        """Both readings of each entry, as read_both gives them of the entries' words."""
        rows = values.bytes()
        if len(self._numbers) > _REMEMBERED:
            self._numbers, self._read = {}, _NOTHING
        fresh = [at for at, row in enumerate(rows) if row not in self._numbers]
        if fresh:
            table = values.values[fresh]
            words = np.ascontiguousarray(table[:, : table.shape[1] // 4 * 4]).view("<u4")
            self._read = self._read.and_those(_both(words, np.ones(words.shape, bool)))
            for at in fresh:
                self._numbers[rows[at]] = len(self._numbers)
        numbers = np.array([self._numbers[row] for row in rows], np.intp)
        return self._read.of(numbers[values.which])


_NO_READING = Reading(np.zeros(0, bool), np.zeros(0, int))
_NOTHING = Strides(_NO_READING, _NO_READING)


def _both(words: np.ndarray[Any, Any], known: np.ndarray[Any, Any]) -> Strides:
    return Strides(
        _reading(words[:, :_NAMESPACE_WORDS], known[:, :_NAMESPACE_WORDS], 3),
        _reading(words, known, 4),
    )


def _reading(words: np.ndarray[Any, Any], known: np.ndarray[Any, Any], stride: int) -> Reading:
    count = words.shape[0]
    slots = words.shape[1] // stride
    if count == 0 or slots == 0:
        return Reading(np.zeros(count, bool), np.zeros(count, int))
    # a field of all slots at a time, side by side in memory
    fields = [np.ascontiguousarray(words[:, at : slots * stride : stride]) for at in range(stride)]
    sure = [np.ascontiguousarray(known[:, at : slots * stride : stride]) for at in range(stride)]
    protocol, start, end = fields[0], fields[-2], fields[-1]
    allowed = NAMESPACE_PROTOCOLS if stride == 3 else CLUSTER_PROTOCOLS
    bad = sure[0] & ~_table(allowed)[np.minimum(protocol, _NO_PROTOCOL)]
    if stride == 4:
        # the text form prints UNKNOWN for a protocol outside its names: then it is none a cluster rule can have
        bad |= ~sure[0]
        bad |= sure[1] & ~priority_possible(fields[1])
    bad |= (sure[-2] & (start > MAX_PORT)) | (sure[-1] & (end > MAX_PORT))
    bad |= sure[-2] & sure[-1] & (end != 0) & (end < start)
    empty = sure[0] & (protocol == 0)
    for field, shown in zip(fields[1:], sure[1:], strict=True):
        bad |= empty & shown & (field != 0)
    used = np.where(empty.any(axis=1), empty.argmax(axis=1), slots)
    after = np.arange(slots)[None, :] >= used[:, None]
    bad |= after & sure[0] & (protocol != 0)
    return Reading(~bad.any(axis=1) & (used > 0), used)


@cache
def _table(allowed: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Whether a protocol is allowed, by its number."""
    table = np.zeros(_NO_PROTOCOL + 1, bool)
    table[list(allowed)] = True
    return table


def priority_possible(raw: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Whether priority*10+action is one a cluster policy can have: admin 0..1000, baseline 2000..3000, action 0..2."""
    number, action = raw // 10, raw % 10
    baseline = (number >= layouts.BASELINE_OFFSET) & (number <= layouts.BASELINE_OFFSET + 1000)
    return (action <= 2) & ((number <= layouts.ADMIN_PRIORITY_LIMIT) | baseline)


def namespace_text(words: Sequence[int], known: Sequence[bool]) -> list[str]:
    """The non-zero slots of the first 288 bytes at 12 bytes, as people read them; `?` where text lost a number."""
    return _text(words[:_NAMESPACE_WORDS], known[:_NAMESPACE_WORDS], 3)


def cluster_text(words: Sequence[int], known: Sequence[bool]) -> list[str]:
    """The non-zero slots of the whole value at 16 bytes, with what the program makes of each."""
    return _text(words, known, 4)


def _text(words: Sequence[int], known: Sequence[bool], stride: int) -> list[str]:
    out: list[str] = []
    for at in range(0, len(words) - stride + 1, stride):
        cut, sure = words[at : at + stride], known[at : at + stride]
        if all(k and not w for w, k in zip(cut, sure, strict=True)) or not any(sure):
            continue
        if sure[0] and cut[0] == 0 and not any(w for w, k in zip(cut[1:], sure[1:], strict=True) if k):
            continue
        protocol = str(protocol_name(int(cut[0]))) if sure[0] else "?"
        parts = [f"slot {at // stride}: {protocol}"]
        if stride == 4:
            parts.append(_priority(int(cut[1]) if sure[1] else None))
        parts.append(ports_text(int(cut[-2]) if sure[-2] else None, int(cut[-1]) if sure[-1] else None))
        out.append(" ".join(part for part in parts if part))
    return out


def _priority(raw: int | None) -> str:
    if raw is None:
        return "priority ?"
    number, action = divmod(raw, 10)
    return f"priority {number} {layouts.ACTION_NAMES.get(action, f'undefined action {action}')}"


def ports_text(start: int | None, end: int | None) -> str:
    """Ports of a slot: `any port`, `port 80`, `ports 80-90`, with `?` for what is not known."""
    if start is None:
        return "port ?"
    if start == 0:
        return "any port" if not end else f"any port (end {end})"
    if not end or end == start:
        return f"port {start}"
    return f"ports {start}-{end}" if end > start else f"port {start} (end {end})"
