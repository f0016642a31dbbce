"""The clean path of agent logs: a block of lines is classified by array operations, and its flow lines are cut out.

What counts as clean is spelled out byte by byte here and in flow_cut; every line that is anything else goes to the
tolerant reader (log_reader), one at a time. Both give the same records.

The encoder writes `{"level":"info","ts":"2026-11-21T03:22:18.164Z",...,"msg":"Word ...` without blanks before the
message, so the eight bytes before a line's first blank name the message's first word.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from formats.byte_words import Buffer, Bytes, Cuts, first_control, line_feeds, word
from formats.columns import LineSpans
from formats.flow_cut import FlowCutter
from formats.known_bytes import NONE, KnownBytes
from formats.log_time import ZAP_BYTES, zap_times

Ints = np.ndarray[Any, Any]

#: Bytes that must be readable behind a block: words are taken beyond its last line.
PAD = FlowCutter.REACH
#: First letter of a level -> level.
LEVELS = {"d": "debug", "i": "info", "w": "warn", "e": "error", "p": "panic", "f": "fatal"}
#: Levels whose lines are passed over when their message is not in the catalogue.
QUIET = "diw"

_LEVEL_HEAD = word(b'{"level"')
_FLOW_WORD = word(b'g":"Flow')
_TS_HEAD, _TS_BYTES = word(b',"ts":"'), np.uint64((1 << 56) - 1)
_OLD_HEAD, _OLD_TAIL = word(b',"timest'), word(b'stamp":"')
# `:"info",` fits eight bytes; `:"debug"` is cut after its quote.
_LEVEL_WORDS = np.zeros(256, np.uint64)
#: Places of the time in a line, and whether the level is quiet, by the first letter of the level.
_TIME_AT, _IS_QUIET = np.full(256, 22), np.zeros(256, bool)
for _letter, _name in LEVELS.items():
    _LEVEL_WORDS[ord(_letter)] = word(f':"{_name}",'[:8].encode())
    _TIME_AT[ord(_letter)] = len('{"level":"","ts":"') + len(_name)
    _IS_QUIET[ord(_letter)] = _letter in QUIET
#: What `behind` says of lines until it is known whether they have a blank.
_NO_TIME, _NOT_QUIET = -1, -2
#: Bytes of a known text behind its time, at most; a longer one is looked for by itself.
_TEXT_BYTES = 192
#: Lines that are tried for a new head, of each block.
_TRIES = 4


class Block(NamedTuple):
    """A classified block; places and numbers count from its first byte and line.

    levels: lines by level, of all but those to be looked at. flows: the flow lines (ROW of packed_flows). known: lines
    of texts that have a code. look: lines to be looked at.
    """

    lines: int
    levels: dict[str, int]
    flows: Ints
    known: Known
    look: Look


class Known(NamedTuple):
    """Lines of known texts: code and time (UTC ns) of each, and where they are."""

    codes: Ints
    utc_ns: Ints
    spans: LineSpans


class Look(NamedTuple):
    """Lines to be looked at: [start, end) without the line feed, number and first letter of the level of each; `behind`
    is the place behind the time of a compact line of a quiet level with a clean time (utc_ns), -1 of all others.
    """

    starts: Ints
    ends: Ints
    numbers: Ints
    letters: Ints
    behind: Ints
    utc_ns: Ints

    def rows(self, which: Ints) -> Look:
        """Some of them."""
        return Look(*(column[which] for column in self))


def word_key(first_word: str) -> int:
    """The eight bytes before the first blank of a compact line whose message starts with this word."""
    return int(word(('"msg":"' + first_word).encode()[-8:]))


class Texts:
    """Codes (0 and up) of what lines say behind their times, by level; the long ones are not among them."""

    def __init__(self) -> None:
        self._cuts = Cuts(_TEXT_BYTES // 8)
        self._known = KnownBytes(_TEXT_BYTES // 8 + 1, self._code)
        self._codes: dict[str, dict[bytes, int]] = {letter: {} for letter in QUIET}

    def get(self, letter: str, text: bytes) -> int | None:
        """The code of a text; None for one that is not known."""
        return self._codes[letter].get(text)

    def add(self, letter: str, text: bytes, code: int) -> None:
        """Know a text from now on."""
        self._codes[letter][text] = code

    def of(self, text: Bytes, lines: Look) -> Ints:
        """The codes of lines, -1 of those that are not known or long; all of them have a time."""
        size = lines.ends - lines.behind
        short = size <= _TEXT_BYTES
        rows = self._cuts.of(text, lines.behind, np.where(short, size, 0))
        keys = np.concatenate([rows, lines.letters[:, None]], axis=1, dtype=np.uint64, casting="unsafe")
        codes: Ints = self._known.codes(keys) - 1
        return codes

    def _code(self, key: bytes) -> int:
        code = self.get(chr(key[_TEXT_BYTES]), key[:_TEXT_BYTES].rstrip(b"\0"))
        return NONE if code is None else code + 1


class Scanner:
    """Classifies the blocks of one log."""

    def __init__(self) -> None:
        self._cutter = FlowCutter()
        self.texts = Texts()
        #: What the places in rows of flow lines stand for.
        self.addresses, self.tails = self._cutter.addresses, self._cutter.tails
        self.flags = self._cutter.flags

    def scan(self, buffer: Buffer, size: int, dull: set[int]) -> Block:
        """Classify the lines in buffer[:size], which begins at a line start; the last may lack its end.

        PAD readable bytes stand behind. dull: first words (as word_key gives them) of messages of no interest: lines of
        quiet levels that begin with them are counted only.
        """
        text = Bytes(buffer)
        ends = line_feeds(text.octets[:size])
        if not len(ends) or ends[-1] != size - 1:
            ends = np.append(ends, size)
        starts = np.empty_like(ends)
        starts[0], starts[1:] = 0, ends[:-1] + 1
        flows, levels = self._cutter.cut(text, starts, ends)
        rest = np.ones(len(starts), bool)
        rest[flows["line"]] = False
        others = _others(text, starts, ends, np.flatnonzero(rest))
        codes = np.full(len(others.starts), -1, np.int32)
        timed = np.flatnonzero(others.behind >= 0)
        codes[timed] = self.texts.of(text, others.rows(timed))
        told = np.flatnonzero(codes >= 0)
        spans = LineSpans.made(others.starts[told], others.ends[told], others.numbers[told])
        known = Known(codes[told], others.utc_ns[told], spans)
        look = others.rows(np.flatnonzero(codes < 0))
        look, first = _first_words(text, look)
        if self._learned(buffer, look, first):
            return self.scan(buffer, size, dull)
        skipped = _among(first, dull)
        counted = np.bincount(others.letters[told], minlength=256)
        if skipped.any():
            counted += np.bincount(look.letters[skipped], minlength=256)
            look = look.rows(~skipped)
        for letter in np.flatnonzero(counted).tolist():
            level = LEVELS[chr(letter)]
            levels[level] = levels.get(level, 0) + int(counted[letter])
        return Block(len(starts), levels, flows, known, look)

    def _learned(self, buffer: Buffer, lines: Look, first: Ints) -> bool:
        """Whether a line that looks like a flow line has a head that was not known."""
        rows = np.flatnonzero(first == _FLOW_WORD)[:_TRIES]
        texts = [bytes(buffer[lines.starts[row] : lines.ends[row]]) for row in rows.tolist()]
        return any(self._cutter.learn(line) for line in texts)


def _others(text: Bytes, starts: Ints, ends: Ints, numbers: Ints) -> Look:
    """Lines that were not cut."""
    starts, ends = starts[numbers], ends[numbers]
    heads = text.run(starts, 2)
    letters = ((heads[:, 1] >> np.uint64(16)) & np.uint64(255)).astype(np.uint8)
    good = (heads[:, 0] == _LEVEL_HEAD) & (heads[:, 1] == _LEVEL_WORDS[letters]) & _IS_QUIET[letters]
    good &= (text.octets[ends - 1] == ord("}")) & (ends - starts > ZAP_BYTES)
    when = starts + _TIME_AT[letters]
    before = text.at(when - 7)
    old = (before == _OLD_HEAD) & (text.at(when - 1) == _OLD_TAIL)
    timed = good & (old | ((before & _TS_BYTES) == _TS_HEAD))
    when = np.minimum(when + 7 * old, ends)
    nanos, fine = zap_times(text.run(when, 3))
    after = when + ZAP_BYTES
    timed &= fine & (after < ends) & (text.octets[after] == ord('"'))
    behind = np.where(timed, after, np.where(good, _NO_TIME, _NOT_QUIET))
    return Look(starts, ends, numbers, letters, behind, nanos)


def _first_words(text: Bytes, lines: Look) -> tuple[Look, Ints]:
    """The lines, and the eight bytes before the first blank of each that is compact and of a quiet level; 0 for others.

    A line without a blank has no message to look into, and no place behind its time.
    """
    quiet = lines.behind != _NOT_QUIET
    front = first_control(text, lines.starts, np.where(quiet, lines.ends, lines.starts))
    quiet &= front < lines.ends
    first = np.where(quiet, text.at(np.maximum(front - 8, 0)), np.uint64(0))
    return lines._replace(behind=np.where(quiet, np.maximum(lines.behind, -1), -1)), first


def _among(found: Ints, keys: set[int]) -> Ints:
    """Which words are among the keys."""
    known = np.sort(np.fromiter(keys, np.uint64, len(keys)))
    if not len(known):
        return np.zeros(len(found), bool)
    hit: Ints = known[np.minimum(np.searchsorted(known, found), len(known) - 1)] == found
    return hit
