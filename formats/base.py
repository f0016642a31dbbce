"""What every format is made of: a place in the bytes, a record, a problem, a source, and the Format itself.

    Source --sniff--> Score           "is this yours?"
    Source --read---> Record | MapDump | FlowBatch | Problem

`formats` knows bytes and nothing of pods. A reader never raises for bad input: what it cannot read becomes a
Problem that costs the bad part only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from formats.log_time import zap_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from formats.source import Source


class Span(NamedTuple):
    """Where a record stands in its artifact: bytes [start, end), lines first..last (1-based, inclusive)."""

    start: int
    end: int
    first_line: int
    last_line: int


class Score(NamedTuple):
    """How sure a format is that a source is its own: 0 (no) to 100 (certain), and why, for people."""

    value: int
    reason: str


NO = Score(0, "")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be read as it should: what, where, what was done about it, what was lost."""

    what: str
    span: Span | None = None
    done: str = ""
    lost: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One typed fact. `data` has plain JSON values only; its keys per kind are listed in docs/records.md."""

    kind: str
    data: dict[str, Any]
    span: Span


#: One rule of a value. `entry` is the row in MapDump.keys. `protocol` is -1 where the text form lost the number
#: (aws-eks-na-cli prints UNKNOWN). `priority` is the raw u32 (priority*10+action) in the cluster tier, else -1.
SLOT_DTYPE = np.dtype(
    [
        ("entry", "<i4"),
        ("slot", "<i2"),
        ("protocol", "<i8"),
        ("priority", "<i8"),
        ("start_port", "<i8"),
        ("end_port", "<i8"),
    ],
    align=True,
)

#: Byte and line span of one entry.
ENTRY_SPAN_DTYPE = np.dtype([("start", "<i8"), ("end", "<i8"), ("first_line", "<i8"), ("last_line", "<i8")])


@dataclass(slots=True, repr=False)
class MapDump:
    """One dumped map, columnar: n entries as arrays, not as objects.

    keys: uint8[n, key_size]. values: uint8[n, value_size], or None when the form has no value bytes (CLI text);
    then `text_slots` (SLOT_DTYPE) has what was printed. `value_known[i]` is False where entry i is known to exist
    but its value could not be read (cut, row lost, keys-only paste). `hidden` counts entries known to exist and
    not shown; `found` is the trailer's count ("Found N elements"), None when there is no trailer.
    `complete` is True only when the dump itself says that nothing follows (trailer, JSON end, end marker).
    """

    form: str  # "hex", "json" or "text"
    keys: np.ndarray[Any, Any]
    values: np.ndarray[Any, Any] | None
    spans: np.ndarray[Any, Any]  # ENTRY_SPAN_DTYPE[n]
    span: Span
    map_id: int | None = None
    map_name: str | None = None  # as the input names it: a pin basename or a kernel name; None when it does not
    map_type: str | None = None  # lpm_trie, hash, lru_hash, ringbuf ... when stated or certain
    key_size: int | None = None
    value_size: int | None = None
    value_known: np.ndarray[Any, Any] | None = None  # bool[n]; None means all known
    text_slots: np.ndarray[Any, Any] | None = None
    tier: str | None = None  # "namespace" or "cluster" when the form itself says so (dump-cp-maps)
    found: int | None = None
    hidden: int = 0
    complete: bool = False
    notes: list[str] = field(default_factory=list)

    def forget(self) -> None:
        """Let go of what was made from the dump and can be made again; here there is nothing."""

    @property
    def count(self) -> int:
        """Number of entries shown."""
        return int(self.keys.shape[0])


@dataclass(slots=True, repr=False)
class FlowBatch:
    """Flow lines of a log, columnar: equal-length lists/arrays by column name, and one span per row.

    Columns: ts (as logged, str or None), src, dst (str, octets restored), sport, dport (int), protocol, verdict,
    direction, tier (str or None).
    """

    columns: dict[str, Any]  # lists, or Columns of formats/columns.py
    spans: Any  # ENTRY_SPAN_DTYPE[n], or LineSpans that read as such
    span: Span

    def __len__(self) -> int:
        return len(self.spans)


class Said(NamedTuple):
    """What a log line is, apart from its time and place: its level, its event's slug, its message, the event's fields,
    and the keys that its record has more than once."""

    level: str | None
    event: str
    message: str
    fields: dict[str, Any]
    twice: tuple[str, ...] = ()


def log_event(log: str, ts: str | None, utc_ns: int | None, said: Said, span: Span) -> Record:
    """The log_event record of a line."""
    data = {
        "log": log,
        "ts": ts,
        "utc_ns": utc_ns,
        "level": said.level,
        "event": said.event,
        "msg": said.message,
        **said.fields,
    }
    if said.twice:
        data["duplicate_keys"] = list(said.twice)
    return Record("log_event", data, span)


@dataclass(slots=True, repr=False)
class EventBatch:
    """Events of a log, columnar: row i is said[codes[i]] at utc_ns[i] (int64, whole milliseconds), in file order.

    Batches may share `said`; what no row says may be None there.
    """

    log: str
    said: list[Said | None]
    codes: np.ndarray[Any, Any]
    utc_ns: np.ndarray[Any, Any]
    spans: Any  # LineSpans
    span: Span

    def __len__(self) -> int:
        return len(self.codes)

    def record(self, row: int) -> Record:
        """The log_event record of a row, as a reader gives it out by itself."""
        said = self.said[int(self.codes[row])]
        assert said is not None
        nanos, where = int(self.utc_ns[row]), self.spans[row]
        return log_event(self.log, zap_texts(self.utc_ns[row : row + 1])[0], nanos, said, Span(*where.tolist()))


Item = Record | MapDump | FlowBatch | EventBatch | Problem


@dataclass(frozen=True, slots=True)
class Format:
    """One external format: how to recognise it and how to read it, and what a person should know of it.

    sniff(head, path): head is at most HEAD_BYTES from the start; path is a hint and never decides alone.
    read(source): yields items in file order. `exclusive` formats own their file (JSON, YAML); the others are
    line-oriented, look for their own anchors and pass over every other line, so that a paste with several
    kinds of output is read by several formats.
    """

    name: str
    title: str
    sniff: Callable[[bytes, str], Score]
    read: Callable[[Source], Iterator[Item]]
    exclusive: bool = False
    #: recognised, listed and named, but not this tool's subject (other CNIs, unused collector members)
    foreign: bool = False
    #: a member of this format may well hold nothing for us: zero records are not worth a word
    quiet: bool = False
    versions: str = ""
    about: str = ""
    limits: tuple[str, ...] = ()
    loses: tuple[str, ...] = ()
