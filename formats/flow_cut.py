"""Flow lines cut into columns, many at once: what an array operation can say of a line is never asked line by line.

A flow line (pkg/ebpf/events/events.go, v1.2.2 and later) is a head, its time, addresses and ports between fixed words,
and a tail of few texts. Heads and tails are read once, by the same expressions as any other line; other lines are
compared with those that were read, byte by byte. What differs in anything is not cut.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from formats.byte_words import Bytes, Cuts, begin_with, behind, digits, numbers, through_blank, unlike, word, words
from formats.flow_text import FLOW_LINE, message_row
from formats.known_bytes import NONE, KnownBytes
from formats.log_addresses import NARROW, WIDE, Addresses
from formats.log_time import ZAP_BYTES, zap_times
from formats.packed_flows import ROW, Tail, flags_of

Ints = np.ndarray[Any, Any]

#: Heads and tails that are remembered; lines with further ones are read one by one.
HEADS, TAILS = 16, 4000
#: Words that hold what stands before the time.
FRONT = 4
#: Bytes of a head behind its time, and of a tail, at most: the longest caller and the longest words fit.
HEAD_BYTES, TAIL_BYTES = 160, 88
_SRC = b'"msg":"Flow Info: Src IP: '
_BEFORE_SPORT, _BEFORE_DST, _BEFORE_DPORT = b" Src Port: ", b" Dest IP: ", b" Dest Port: "
_TAIL_WORDS = TAIL_BYTES // 8
_PORT_MAX = 0xFFFF
_PRINTABLE = bytes(range(ord(" "), ord("~") + 1))
#: A flow message up to its tail, to read a tail with.
_ANY_FLOW = "Flow Info: Src IP: 0.0.0.0 Src Port: 0 Dest IP: 0.0.0.0 Dest Port: 0"


class _Head:
    """How a line begins: the bytes before its time, and those between its time and its first address."""

    def __init__(self, before: bytes, after: bytes) -> None:
        self.level = before[len(b'{"level":"') :].partition(b'"')[0].decode()
        self.time_at = len(before)
        self.size = len(before) + ZAP_BYTES + len(after)
        self._after_at = len(before) + ZAP_BYTES
        # the level is in the second word: it tells lines of this head from most others
        self._level_word = word(before[8:16])
        self._before, self._masks = words(before), words(b"\xff" * len(before))
        self._last = word(after[-8:])
        # whole words; what they leave over is in the last one
        self._after = words(after)[: len(after) // 8]

    def rows(self, text: Bytes, starts: Ints, front: Ints) -> Ints:
        """Which lines begin so; front: the first FRONT words of each."""
        rows = np.flatnonzero(front[:, 1] == self._level_word)
        rows = rows[text.at(starts[rows] + self.size - 8) == self._last]
        for place, (wanted, mask) in enumerate(zip(self._before, self._masks, strict=True)):
            same = (front[rows, place] & mask) == wanted
            if not same.all():
                rows = rows[same]
        other = unlike(text.run(starts[rows] + self._after_at, len(self._after)), self._after)
        return np.delete(rows, other) if len(other) else rows


class FlowCutter:
    """Cuts the lines of one log into rows (ROW of packed_flows) with places in `addresses` and `tails`; the first of
    both is none."""

    #: Bytes that must be readable behind the start of any line: of all fields and what stands between them.
    REACH = 8 * FRONT + ZAP_BYTES + HEAD_BYTES + 2 * 8 * WIDE + 3 * 8 * 3 + TAIL_BYTES

    def __init__(self) -> None:
        self.addresses = Addresses()
        self._heads: dict[tuple[bytes, bytes], _Head] = {}
        self._known, self._cuts = KnownBytes(_TAIL_WORDS, self._tail), Cuts(_TAIL_WORDS)
        self.tails = [Tail(None, None, None, None)]
        #: flags_of() each tail.
        self.flags = np.zeros(TAILS + 1, np.uint8)

    def learn(self, line: bytes) -> bool:
        """Whether the head of a line is a new one: then it is known from now on."""
        at = line.find(_SRC)
        found = FLOW_LINE.fullmatch(line) if at >= 0 else None
        if found is None or found.end("ts") - found.start("ts") != ZAP_BYTES or len(self._heads) >= HEADS:
            return False
        key = line[: found.start("ts")], line[found.end("ts") : at + len(_SRC)]
        if key in self._heads or len(key[0]) > 8 * FRONT or len(key[1]) > HEAD_BYTES:
            return False
        self._heads[key] = _Head(*key)
        return True

    def cut(self, text: Bytes, starts: Ints, ends: Ints) -> tuple[Ints, dict[str, int]]:
        """Lines [start, end) without their line feeds: the rows of those that were cut, in order (`line`: the number of
        the line; `start`: as given), and how many there are of each level.
        """
        heads = list(self._heads.values())
        front = text.run(starts, FRONT)
        found = [head.rows(text, starts, front) for head in heads]
        which = np.repeat(np.arange(len(heads)), [len(rows) for rows in found])
        rows = np.concatenate([*found, np.empty(0, np.int64)])
        if sum(map(len, found)) > max(map(len, found), default=0):
            order = np.argsort(rows, kind="stable")
            rows, which = rows[order], which[order]
        begins = starts[rows]
        kept, out = self._cut(
            text,
            begins + np.array([head.time_at for head in heads] or [0])[which],
            begins + np.array([head.size for head in heads] or [0])[which],
            ends[rows],
        )
        counts = np.bincount(which[kept], minlength=len(heads)).tolist()
        levels: dict[str, int] = {}
        for head, count in zip(heads, counts, strict=True):
            levels[head.level] = levels.get(head.level, 0) + count
        lines = rows[kept]
        out["line"], out["start"], out["size"] = lines, begins[kept], (ends[lines] - begins[kept])
        return out, {level: count for level, count in levels.items() if count}

    def _cut(self, text: Bytes, when: Ints, at: Ints, ends: Ints) -> tuple[Ints, Ints]:
        """Lines by the places of their times and first addresses: which are clean, and rows of these without places."""
        utc_ns, good = zap_times(text.run(when, 3))
        width = NARROW
        src = text.run(at, width)
        size, closed = through_blank(src)
        if not closed.all():
            width = WIDE
            src = text.run(at, width)
            size, closed = through_blank(src)
        good &= closed
        at = at + size
        row = text.run(at, 3)
        good &= begin_with(row, _BEFORE_SPORT)
        sport = behind(row, len(_BEFORE_SPORT), 1)[:, 0]
        sport_size, fine = digits(sport)
        good &= fine
        at += sport_size + len(_BEFORE_SPORT)
        row = text.run(at, width + 2)
        good &= begin_with(row, _BEFORE_DST)
        dst = behind(row, len(_BEFORE_DST), width)
        size, closed = through_blank(dst)
        good &= closed
        at += size + len(_BEFORE_DST)
        row = text.run(at, 3)
        good &= begin_with(row, _BEFORE_DPORT)
        dport = behind(row, len(_BEFORE_DPORT), 1)[:, 0]
        dport_size, fine = digits(dport)
        at += dport_size + len(_BEFORE_DPORT)
        size = ends - at
        good &= fine & (size > 0) & (size <= TAIL_BYTES)
        if not good.all():
            size, sport_size, dport_size = (np.where(good, each, 1) for each in (size, sport_size, dport_size))
        found = self.addresses.of(np.concatenate([src, dst]))
        tails = self._known.codes(self._cuts.of(text, at, size))
        ports = numbers(np.concatenate([sport, dport]), np.concatenate([sport_size, dport_size]))
        count = len(when)
        good &= (found[:count] != NONE) & (found[count:] != NONE) & (tails != NONE)
        good &= (ports[:count] <= _PORT_MAX) & (ports[count:] <= _PORT_MAX)
        kept = np.flatnonzero(good)
        columns = {
            "utc_ns": utc_ns, "src": found[:count], "dst": found[count:], "sport": ports[:count],
            "dport": ports[count:], "tail": tails,
        }  # fmt: skip
        rows = np.empty(len(kept), ROW)
        for name, column in columns.items():
            rows[name] = column if len(kept) == count else column[kept]
        return kept, rows

    def _tail(self, text: bytes) -> int:
        """The code of what stands behind the last port, up to the line's end."""
        code = len(self.tails)
        if code > TAILS or text.translate(None, _PRINTABLE) or not text.endswith(b'"}'):
            return NONE
        told = text[:-2].decode("ascii")
        row = message_row(None, _ANY_FLOW + told) if '"' not in told and "\\" not in told else None
        if row is None:
            return NONE
        tail = Tail(*row[6:])
        self.tails.append(tail)
        self.flags[code] = flags_of(tail)
        return code
