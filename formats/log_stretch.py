"""A stretch of a log, sorted by what has to be done with each line: flow lines into columns, lines of a known text into
codes, the rest line by line. Apart from the codes nothing here depends on the lines before the stretch, so that
stretches can be sorted side by side, in any process, with one result.

A line as the encoder writes it is, apart from its time, one of few texts: each text is read once, every other line of
it costs a look into a dictionary.
"""

from __future__ import annotations

import itertools
import os
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from formats.columns import LineSpans
from formats.flow_text import FLOW_LINE
from formats.log_line import clean_entry
from formats.log_scan import LEVELS, PAD, QUIET, Scanner, word_key
from formats.log_time import ZAP_BYTES
from formats.packed_flows import Packed, pack, rowwise

if TYPE_CHECKING:
    from formats.byte_words import Buffer
    from formats.log_line import Entry
    from formats.log_scan import Look
    from formats.packed_flows import Tail

Array = np.ndarray[Any, Any]

#: Bytes looked at together: a call for each array operation must be worth it, and caches should hold its arrays.
BLOCK_BYTES = 2 * 1024 * 1024
#: Texts remembered; past these the reader begins anew.
KNOWN = 200_000
_DULL = 2000  # first words remembered; the agent has some hundred
#: Bytes at either end of a stretch where times and the encoder's generation are looked for.
EDGE = 16 * 1024
_CONTROL = re.compile(rb"[\x00-\x20]")
_TIME = re.compile(rb'"(?:ts|timestamp)"\s*:\s*"([^"\\]{10,40})"')
_LOGGER = re.compile(rb'"logger":\s*"([^"\\]{1,80})"')
_V104 = re.compile(
    rb'",\s*"logger":\s*"(?:setup|controllers\.|ebpf-client|cp-util|rpc-handler|grpcLogger)|"msg":"version"'
)
_NUMBERS = itertools.count()
_QUIET_LEVELS = {LEVELS[letter] for letter in QUIET}


class Edges(NamedTuple):
    """What both ends of a stretch say: first and last time as logged, the encoder's generation."""

    first: str | None
    last: str | None
    encoder: str | None


class SorterName(NamedTuple):
    """A sorter and its tables: its process, and a number that no other one there has."""

    process: int
    number: int


class Stretch(NamedTuple):
    """A sorted stretch; places count from its own first byte and line (0).

    levels: lines by level, of all but the odd ones. flows: the flow lines, None where there are none; their addresses
    and tails are places among all that the sorter met, of which `addresses` and `tails` are those met for the first
    time. texts: the same of texts, as (level, the line behind its time). codes, utc_ns and spans: the lines of known
    texts. odd and odd_spans: the lines to be read one by one. loggers: names of loggers, of all lines looked at.
    """

    sorter: SorterName
    size: int
    lines: int
    levels: dict[str, int]
    flows: Packed | None
    addresses: list[str]
    tails: list[Tail]
    texts: list[tuple[str, bytes]]
    codes: Array
    utc_ns: Array
    spans: LineSpans
    odd: list[bytes]
    odd_spans: LineSpans
    loggers: list[str]
    edges: Edges


class Dull:
    """First words of messages that were found to be of no interest: their lines are counted only.

    `keys` are as log_scan.word_key gives them. `wanted` are the first words of the catalogue's messages.
    """

    def __init__(self, wanted: frozenset[str]) -> None:
        self._wanted = wanted
        self._kept = _keys(wanted)
        self.keys: set[int] = set()

    def holds(self, raw: bytes) -> str | None:
        """The level of a line that is compact, of a quiet level, and of a first word known as dull; else None."""
        if not raw.startswith(b'{"level":"') or raw[-1] != ord("}") or len(raw) <= ZAP_BYTES:
            return None
        blank = _CONTROL.search(raw)
        if blank is None or int.from_bytes(raw[blank.start() - 8 : blank.start()], "little") not in self.keys:
            return None
        letter = chr(raw[10])
        level = LEVELS.get(letter, "")
        return level if letter in QUIET and raw.startswith(f':"{level}",'.encode()[:8], 8) else None

    def learn(self, raw: bytes, entry: Entry) -> None:
        """A whole line was read: if its message can be no event, lines with its first word are dull from now on."""
        word = entry.message.split(" ", 1)[0]
        if word in self._wanted or word in ("", "Flow") or entry.level not in _QUIET_LEVELS or len(self.keys) >= _DULL:
            return
        blank, key = _CONTROL.search(raw), word_key(word)
        if blank is not None and key not in self._kept and raw[: blank.start()].endswith(b'"msg":"' + word.encode()):
            self.keys.add(key)


@cache
def _keys(words: frozenset[str]) -> frozenset[int]:
    return frozenset(map(word_key, words))


class Sorter:
    """Sorts the stretches of one log; `wanted` as for Dull. Texts are remembered from stretch to stretch."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self._wanted = wanted
        self._scanner = Scanner()
        self._texts: list[tuple[str, bytes]] = []
        self._name = SorterName(os.getpid(), next(_NUMBERS))

    def sort(self, lines: bytes | memoryview) -> Stretch:
        """Sort whole lines; the last one may lack its line feed. Nothing of the memory is kept."""
        data = memoryview(lines)
        if len(self._texts) > KNOWN:
            self.__init__(self._wanted)  # type: ignore[misc]
        work = _Work(self._scanner, self._texts, Dull(self._wanted), data)
        addresses, tails, texts = self._scanner.addresses.words, self._scanner.tails, self._texts
        known = len(addresses), len(tails), len(texts)
        start, count = 0, 0
        while start < len(data):
            stop = _line_end(data, start, min(start + BLOCK_BYTES, len(data)))
            behind = stop + PAD
            block = data[start:behind] if behind <= len(data) else bytes(data[start:]).ljust(behind - start, b"\0")
            count += work.block(block, start, stop, count)
            start = stop
        return work.stretch(self._name, count, addresses[known[0] :], tails[known[1] :], texts[known[2] :])


def _line_end(data: memoryview, start: int, stop: int) -> int:
    """The end of the last line in [start, stop); that of the next one where none ends there."""
    end = stop
    while start < end < len(data):
        begin = max(start, end - EDGE)
        found = bytes(data[begin:end]).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    while stop < len(data):
        found = bytes(data[stop : stop + EDGE]).find(b"\n")
        if found >= 0:
            return stop + found + 1
        stop = min(stop + EDGE, len(data))
    return stop


class _Work:
    """One stretch in the making."""

    def __init__(self, scanner: Scanner, texts: list[tuple[str, bytes]], dull: Dull, data: memoryview) -> None:
        self._scanner, self._texts, self._dull, self._data = scanner, texts, dull, data
        self._levels: dict[str, int] = {}
        self._flows: list[Array] = []
        self._codes: list[Array] = []
        self._utc: list[Array] = []
        self._spans: list[Array] = []
        self._odd: list[bytes] = []
        self._odd_rows: list[tuple[int, int, int]] = []
        self._loggers: dict[str, None] = {}

    def block(self, view: Buffer, start: int, stop: int, first_line: int) -> int:
        """Sort a block: the bytes start to stop; `view` begins there and has PAD bytes more. Returns its lines."""
        block = self._scanner.scan(view, stop - start, self._dull.keys)
        for level, count in block.levels.items():
            self._count(level, count)
        if len(block.flows):
            block.flows["start"] += np.uint32(start)
            block.flows["line"] += np.uint32(first_line)
            self._flows.append(block.flows)
        parts = [(block.known.codes, block.known.utc_ns, block.known.spans.moved(start, first_line).rows)]
        look = block.look
        if len(look.starts):
            parts.append(self._look(look, start, first_line))
        codes, utc_ns, spans = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        if len(parts) > 1:
            order = np.argsort(spans["start"])
            codes, utc_ns, spans = codes[order], utc_ns[order], spans[order]
        self._codes.append(codes)
        self._utc.append(utc_ns)
        self._spans.append(spans)
        return block.lines

    def _look(self, lines: Look, start: int, first_line: int) -> tuple[Array, Array, Array]:
        """Lines that had no code when the block was scanned: codes, times and spans of those that have one now."""
        starts, ends, numbers = lines.starts + start, lines.ends + start, lines.numbers + first_line
        codes = []
        for begin, end, number, letter, behind in zip(
            starts.tolist(), ends.tolist(), numbers.tolist(), lines.letters.tolist(), lines.behind.tolist(), strict=True
        ):
            text = bytes(self._data[start + behind : end]) if behind >= 0 else None
            code = self._scanner.texts.get(chr(letter), text) if text is not None else None
            if code is not None:
                self._count(LEVELS[chr(letter)])
            else:
                code = self._line((begin, end, number), start + behind if behind >= 0 else None)
            codes.append(code)
        found = np.array(codes, np.int32)
        kept = np.flatnonzero(found >= 0)
        return found[kept], lines.utc_ns[kept], LineSpans.made(starts[kept], ends[kept], numbers[kept]).rows

    def _line(self, place: tuple[int, int, int], behind: int | None) -> int:
        """A line of no known text: the code of a new one, or -1 for an odd or a dull line."""
        start, stop, _ = place
        raw = bytes(self._data[start:stop])
        if b"Flow Info:" not in raw or FLOW_LINE.fullmatch(raw) is None:
            level = self._dull.holds(raw) if raw else None
            if level is not None:
                self._count(level)
                return -1
            self._loggers.update(dict.fromkeys(loggers(raw)))
            entry = clean_entry(raw)
            if entry is not None:
                before = len(self._dull.keys)
                self._dull.learn(raw, entry)
                if len(self._dull.keys) > before and behind is not None:
                    self._count(str(entry.level))
                    return -1
                if behind is not None and not entry.message.startswith("Flow Info:"):
                    self._count(str(entry.level))
                    return self._text(chr(raw[10]), str(entry.level), raw[behind - start :])
        self._odd.append(raw)
        self._odd_rows.append(place)
        return -1

    def _text(self, letter: str, level: str, text: bytes) -> int:
        found = self._scanner.texts.get(letter, text)
        if found is None:
            found = len(self._texts)
            self._scanner.texts.add(letter, text, found)
            self._texts.append((level, text))
        return found

    def _count(self, level: str, number: int = 1) -> None:
        self._levels[level] = self._levels.get(level, 0) + number

    def stretch(
        self, sorter: SorterName, lines: int, addresses: list[str], tails: list[Tail], texts: list[tuple[str, bytes]]
    ) -> Stretch:
        """The whole."""
        families = np.frombuffer(bytes(self._scanner.addresses.families), np.uint8)
        flows = pack(rowwise(self._flows), families, self._scanner.flags) if self._flows else None
        odd = np.array(self._odd_rows, np.int64).reshape(-1, 3)
        return Stretch(
            sorter,
            len(self._data),
            lines,
            self._levels,
            flows,
            addresses,
            tails,
            texts,
            np.concatenate([np.empty(0, np.int32), *self._codes]),
            np.concatenate([np.empty(0, np.int64), *self._utc]),
            LineSpans(np.concatenate([*self._spans, np.empty(0, LineSpans.DTYPE)])),
            self._odd,
            LineSpans.made(odd[:, 0], odd[:, 1], odd[:, 2]),
            list(self._loggers),
            edges(bytes(self._data[:EDGE]), bytes(self._data[-EDGE:])),
        )


def loggers(raw: bytes) -> list[str]:
    """The loggers that a line names."""
    if b'"logger":' not in raw:
        return []
    return [name.decode("utf-8", "replace") for name in _LOGGER.findall(raw)]


def edges(head: bytes, tail: bytes) -> Edges:
    """What the first and the last EDGE bytes of a stretch say of its log."""
    first, times = _TIME.search(head), _TIME.findall(tail)
    encoder = None
    if b'"timestamp":"' in tail:
        encoder = "v1.0.1"
    elif _V104.search(tail):
        encoder = "v1.0.4"
    elif b'"ts":"' in tail and b'"caller":"' in tail:
        encoder = "v1.2.2"
    return Edges(
        first[1].decode("utf-8", "replace") if first else None,
        times[-1].decode("utf-8", "replace") if times else None,
        encoder,
    )
