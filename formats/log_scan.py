"""The clean path of agent logs: a whole block of lines is classified and its flow lines cut out by array operations.

What counts as clean is spelled out byte by byte here; every line that is anything else goes to the tolerant reader
(log_reader), one at a time. Both give the same records.

The encoder writes `{"level":"info","ts":"2026-11-21T03:22:18.164Z",...,"msg":"Word ...` without blanks before the
message, so the eight bytes before a line's first blank name the message's first word, and all tokens of a flow line
(pkg/ebpf/events/events.go, v1.2.2 and later) stand between its blanks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from formats.columns import Column, LineSpans, Words, ZapTimes
from formats.log_addresses import MASKS, NONE, Addresses
from formats.log_time import ZAP_BYTES, zap_times

Ints = np.ndarray[Any, Any]

#: Bytes that must be readable before and behind a block: loads of eight bytes reach over its ends.
PAD = 64
#: What is done with a line.
SKIP, LOOK, FLOW = 0, 1, 2
#: First letter of a level -> level.
LEVELS = {"d": "debug", "i": "info", "w": "warn", "e": "error", "p": "panic", "f": "fatal"}
#: Levels whose lines are passed over when their message is not in the catalogue.
QUIET = "diw"

_WITHOUT_TIER, _WITH_TIER = 19, 21  # blanks of a flow line


class Block(NamedTuple):
    """A classified block: [start, end) of each line without its line feed, SKIP, LOOK or FLOW, and level letters.

    Positions count from the first byte of the block. `behind` is the place behind the time of each compact line of a
    quiet level with a clean time (utc_ns), -1 of all others. `flows` and `spans` are the rows of the FLOW lines.
    """

    starts: Ints
    ends: Ints
    kinds: Ints
    letters: Ints
    behind: Ints
    utc_ns: Ints
    flows: dict[str, Column]
    spans: LineSpans


def _word(text: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(text, "little"))


def word_key(first_word: str) -> int:
    """The eight bytes before the first blank of a compact line whose message starts with this word."""
    return int(_word(('"msg":"' + first_word).encode()[-8:]))


_LEVEL_HEAD = _word(b'{"level"')
_MSG_HEAD = _word(b',"msg":"')
_FLOW_WORD = _word(b'g":"Flow')
_TS_HEAD = _word(b',"ts":"')
_OLD_HEAD, _OLD_TAIL = _word(b',"timest'), _word(b'stamp":"')
# `:"info",` fits eight bytes; `:"debug"` is cut after its quote.
_LEVEL_WORDS = np.array([_word(f':"{name}",'[:8].encode()) for name in LEVELS.values()], np.uint64)
_LONG_LEVELS = np.array([ord(letter) for letter in "depf"], np.uint8)  # five letters; info and warn have four
_ZEROS = _word(b"00000000")
_HIGH, _SIX = _word(b"\xf0" * 8), _word(b"\x06" * 8)
_PAIRS, _QUADS = _word(b"\xff\x00" * 4), _word(b"\xff\xff\x00\x00" * 2)


class _Vocabulary:
    """Fixed words, found by their first eight bytes, their length and their last eight bytes."""

    def __init__(self, *words: str) -> None:
        order = sorted(words, key=lambda word: int(_word(word.encode()[:8])))
        #: The last one is for rows without a word.
        self.words: list[Any] = [*order, None]
        self.heads = np.array([_word(word.encode()[:8]) for word in order], np.uint64)
        self.sizes = np.array([len(word) for word in order])
        self.tails = np.array([_word(word.encode()[-8:]) for word in order], np.uint64)

    def find(self, loads: Ints, at: Ints, size: Ints) -> tuple[Ints, Ints]:
        """(index into words, whether it is one of them) of the tokens at [at, at + size)."""
        head = loads[at] & MASKS[np.minimum(np.maximum(size, 0), 8)]
        index = np.minimum(np.searchsorted(self.heads, head), len(self.heads) - 1)
        good = (self.heads[index] == head) & (self.sizes[index] == size)
        long = np.flatnonzero(good & (size > 8))
        if len(long):
            good[long] = loads[at[long] + size[long] - 8] == self.tails[index[long]]
        return index, good


_PROTOCOLS = _Vocabulary("TCP", "UDP", "SCTP", "ICMP", "UNKNOWN", "RESERVED")
_VERDICTS = _Vocabulary("ACCEPT", "DENY", "EXPIRED/DELETED")
_DIRECTIONS = _Vocabulary("ingress", "egress")
_TIERS = _Vocabulary("ERROR", "ADMIN", "NETWORK_POLICY", "BASELINE", "DEFAULT")


class _Lines(NamedTuple):
    """The lines of a block: places in the buffer, and what can be said of all of them at once.

    marks are the places of all blanks and line feeds, first the number of a line's first mark and blanks how many
    it has before its end. word is the eight bytes before the first mark. quiet lines are compact and of a quiet level;
    flow lines begin as clean flow lines do.
    """

    octets: Ints
    loads: Ints
    marks: Ints
    starts: Ints
    ends: Ints
    first: Ints
    blanks: Ints
    letters: Ints
    word: Ints
    quiet: Ints
    flow: Ints


def _lines(buffer: bytes | bytearray | memoryview, size: int) -> _Lines:
    octets: Ints = np.frombuffer(buffer, np.uint8)[: size + 2 * PAD]
    loads: Ints = np.ndarray((size + 2 * PAD - 7,), "<u8", buffer, 0, (1,))
    marks = np.flatnonzero(octets[PAD : PAD + size] <= ord(" ")) + PAD
    breaks = np.flatnonzero(octets[marks] == ord("\n"))
    ends = marks[breaks]
    if not len(ends) or ends[-1] != PAD + size - 1:
        breaks, ends = np.append(breaks, len(marks)), np.append(ends, PAD + size)
    starts, first = np.empty_like(ends), np.empty_like(breaks)
    starts[0], starts[1:] = PAD, ends[:-1] + 1
    first[0], first[1:] = 0, breaks[:-1] + 1
    count = breaks - first
    marks = np.append(marks, np.full(_WITH_TIER + 1, PAD + size))
    letters = octets[starts + 10]
    compact = (loads[starts] == _LEVEL_HEAD) & (octets[ends - 1] == ord("}")) & (ends - starts > ZAP_BYTES)
    compact &= np.isin(loads[starts + 8], _LEVEL_WORDS, kind="sort")
    front = marks[first]
    word = loads[front - 8]
    flow = compact & (word == _FLOW_WORD) & (loads[front - 12] == _MSG_HEAD)
    flow &= (count == _WITHOUT_TIER) | (count == _WITH_TIER)
    quiet = (letters == ord("d")) | (letters == ord("i")) | (letters == ord("w"))
    quiet &= compact & (count > 0)
    return _Lines(octets, loads, marks, starts, ends, first, count, letters, word, quiet, flow)


def _spans(lines: _Lines, rows: Ints, offset: int, first_line: int) -> LineSpans:
    return LineSpans.made(lines.starts[rows] + (offset - PAD), lines.ends[rows] + (offset - PAD), rows + first_line)


def _behind_time(lines: _Lines, rows: Ints) -> tuple[Ints, Ints]:
    """Block.behind and Block.utc_ns, of these lines."""
    behind, utc_ns = np.full(len(lines.starts), -1), np.zeros(len(lines.starts), np.int64)
    loads = lines.loads
    when = lines.starts[rows] + np.where(np.isin(lines.letters[rows], _LONG_LEVELS), 23, 22)
    old = (loads[when - 7] == _OLD_HEAD) & (loads[when - 1] == _OLD_TAIL)
    good = old | ((loads[when - 7] & MASKS[7]) == _TS_HEAD)
    when = np.minimum(when + 7 * old, lines.ends[rows])
    nanos, fine = zap_times(loads, when)
    after = when + ZAP_BYTES
    good &= fine & (after < lines.ends[rows]) & (lines.octets[np.minimum(after, lines.ends[rows])] == ord('"'))
    behind[rows[good]], utc_ns[rows[good]] = after[good] - PAD, nanos[good]
    return behind, utc_ns


def search(
    buffer: bytes | bytearray | memoryview, size: int, offset: int, first_line: int, keys: Ints
) -> tuple[LineSpans, int]:
    """Spans of the lines worth a look, and how many lines there are: word in `keys`, a bad level, or not clean.

    The block is given as to Scanner.scan; flow lines are left out.
    """
    lines = _lines(buffer, size)
    rows = np.flatnonzero(~lines.flow & (~lines.quiet | np.isin(lines.word, keys, kind="sort")))
    return _spans(lines, rows, offset, first_line), len(lines.starts)


class Scanner:
    """Classifies the blocks of one log."""

    def __init__(self) -> None:
        self.addresses = Addresses()

    def scan(
        self, buffer: bytes | bytearray | memoryview, size: int, offset: int, first_line: int, dull: set[int]
    ) -> Block:
        """Classify the lines in buffer[PAD : PAD + size], which begin at a line start; the last may lack its end.

        PAD readable bytes stand before and behind. offset and first_line say where the block stands in its artifact.
        dull: first words (as word_key gives them) of messages of no interest: SKIP at quiet levels.
        """
        lines = _lines(buffer, size)
        words = np.fromiter(dull, np.uint64, len(dull))
        quiet = lines.quiet & np.isin(lines.word, words, kind="sort")
        kinds = np.where(quiet, SKIP, LOOK).astype(np.int8)
        rows = np.flatnonzero(lines.flow)
        b = lines.marks[lines.first[rows] + np.arange(_WITH_TIER)[:, None]]
        tiered = lines.blanks[rows] == _WITH_TIER
        kept, columns = self._flows(lines.octets, lines.loads, lines.starts[rows], lines.ends[rows], b, tiered)
        rows = rows[kept]
        kinds[rows] = FLOW
        spans = _spans(lines, rows, offset, first_line)
        behind, nanos = _behind_time(lines, np.flatnonzero(lines.quiet & (kinds == LOOK)))
        return Block(lines.starts - PAD, lines.ends - PAD, kinds, lines.letters, behind, nanos, columns, spans)

    def _flows(
        self, octets: Ints, loads: Ints, starts: Ints, ends: Ints, b: Ints, tiered: Ints
    ) -> tuple[Ints, dict[str, Column]]:
        """Which of these lines are clean flow lines (their numbers), and the columns of those."""
        colon = octets[b[14] - 1] == ord(":")  # IPv6 lines print `Proto:`, `Verdict:`, `Direction:`, `Tier:`
        comma = tiered & ~colon  # and IPv4 ones a comma before ` Tier`
        stop = ends - 2
        good = (octets[stop] == ord('"')) & (stop > b[18]) & _literals(loads, b)
        good &= _keyword(loads, b[13], b[14], b" Proto", colon) & _keyword(loads, b[15], b[16], b" Verdict", colon)
        good &= _keyword(loads, b[17], b[18], b" Direction", colon)
        good &= ~tiered | _keyword(loads, b[19], b[20], b" Tier", colon)
        good &= ~comma | (octets[b[19] - 1] == ord(","))
        direction_stop = np.where(tiered, b[19] - comma, stop)
        tier_at = np.where(tiered, b[20], b[18]) + 1
        when = starts + np.where(np.isin(octets[starts + 10], _LONG_LEVELS), 23, 22)
        good &= ((loads[when - 7] & MASKS[7]) == _TS_HEAD) & (octets[when + ZAP_BYTES] == ord('"'))
        nanos, fine = zap_times(loads, when)
        good &= fine
        protocol, fine = _PROTOCOLS.find(loads, b[14] + 1, b[15] - b[14] - 1)
        good &= fine
        verdict, fine = _VERDICTS.find(loads, b[16] + 1, b[17] - b[16] - 1)
        good &= fine
        direction, fine = _DIRECTIONS.find(loads, b[18] + 1, direction_stop - b[18] - 1)
        good &= fine
        tier, fine = _TIERS.find(loads, tier_at, stop - tier_at)
        good &= fine | ~tiered
        sport, fine = _port(loads, b[6] + 1, b[7])
        good &= fine
        dport, fine = _port(loads, b[12] + 1, b[13])
        kept = np.flatnonzero(good & fine)
        src = self.addresses.of(loads, b[3][kept] + 1, b[4][kept])
        dst = self.addresses.of(loads, b[9][kept] + 1, b[10][kept])
        named = (src.array != NONE) & (dst.array != NONE)
        if not named.all():
            kept, src, dst = kept[named], Words(src.array[named], src.words), Words(dst.array[named], dst.words)
        nanos, tier = nanos[kept], np.where(tiered, tier, len(_TIERS.words) - 1)
        return kept, {
            "ts": ZapTimes(nanos),
            "utc_ns": Column(nanos),
            "src": src,
            "sport": Column(_narrow(sport[kept])),
            "dst": dst,
            "dport": Column(_narrow(dport[kept])),
            "protocol": Words(protocol[kept].astype(np.uint8), _PROTOCOLS.words),
            "verdict": Words(verdict[kept].astype(np.uint8), _VERDICTS.words),
            "direction": Words(direction[kept].astype(np.uint8), _DIRECTIONS.words),
            "tier": Words(tier[kept].astype(np.uint8), _TIERS.words),
        }


def _narrow(ports: Ints) -> Ints:
    """Ports in two bytes, where all of them can be ports."""
    return ports.astype(np.uint16 if ports.max(initial=0) <= 0xFFFF else np.int32)


def _literals(loads: Ints, b: Ints) -> Ints:
    """The fixed words between the addresses and ports stand where they should."""
    good: Ints = (loads[b[0]] == _word(b" Info: S")) & (loads[b[0] + 7] == _word(b"Src IP: ")) & (b[3] - b[0] == 14)
    good &= (loads[b[4]] == _word(b" Src Por")) & (loads[b[4] + 3] == _word(b"c Port: ")) & (b[6] - b[4] == 10)
    good &= (loads[b[7]] == _word(b" Dest IP")) & (loads[b[7] + 2] == _word(b"est IP: ")) & (b[9] - b[7] == 9)
    good &= (loads[b[10]] == _word(b" Dest Po")) & (loads[b[10] + 4] == _word(b"t Port: ")) & (b[12] - b[10] == 11)
    return good


def _keyword(loads: Ints, before: Ints, after: Ints, text: bytes, colon: Ints) -> Ints:
    """`text` (its leading blank included) stands between two blanks, with a colon where the line has colons."""
    head = min(8, len(text))
    good: Ints = (loads[before] & MASKS[head]) == _word(text[:head])
    if len(text) > 8:
        good &= loads[before + len(text) - 8] == _word(text[-8:])
    good &= after - before == len(text) + colon
    good &= ~colon | ((loads[before + len(text)] & MASKS[1]) == _word(b":"))
    good &= (loads[after] & MASKS[1]) == _word(b" ")
    return good


def _port(loads: Ints, at: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """Decimal numbers of one to five digits, all digits of a number at once; and which tokens are such numbers."""
    size = stop - at
    good = (size >= 1) & (size <= 5)
    # The number stands at the upper end of the eight bytes; what is below becomes leading zeros.
    other = MASKS[8 - np.minimum(np.maximum(size, 0), 8)]
    digits = (loads[stop - 8] & ~other | _ZEROS & other) ^ _ZEROS
    good &= ((digits | (digits + _SIX)) & _HIGH) == 0
    digits = (digits * np.uint64(10) + (digits >> np.uint64(8))) & _PAIRS
    digits = (digits * np.uint64(100) + (digits >> np.uint64(16))) & _QUADS
    digits = (digits * np.uint64(10_000) + (digits >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
    return digits.astype(np.int64), good
