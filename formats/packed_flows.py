"""Flow lines as rows of numbers, those that one program wrote side by side.

The program of an ingress line runs at its destination, that of an egress line at its source. Whoever reads a log sorts
its lines by these addresses a stretch at a time, while they are at hand; who asks for the lines of one program later
need not look at any other.
"""

from __future__ import annotations

import ipaddress
from typing import Any, NamedTuple, Protocol

import numpy as np

from formats.base import FlowBatch, Span
from formats.columns import Column, LineSpans, Words, ZapTimes, coded
from formats.flow_text import COLUMNS
from formats.log_time import zap_text, zap_texts

Array = np.ndarray[Any, Any]
#: A line. `src` and `dst` are places in a list of addresses, `tail` is one in a list of Tails; `start` and `line` count
#: from where the batch begins.
ROW = np.dtype(
    [
        ("utc_ns", "<i8"), ("src", "<u4"), ("dst", "<u4"), ("start", "<u4"), ("line", "<u4"),
        ("sport", "<u2"), ("dport", "<u2"), ("size", "<u2"), ("tail", "<u2"),
    ]
)  # fmt: skip
#: Rows that lie side by side: `own` is the place of the program's address. `good`: both ends are IP addresses of one
#: family and have ports. `decided`: the verdict is one of a program.
RUN = np.dtype(
    [("own", "<u4"), ("first", "<u4"), ("size", "<u4"), ("way", "u1"), ("good", "?"), ("decided", "?")]
)  # fmt: skip
#: Ways of a run. A line without a direction may be of either end: it stands in a run of its destination and, as a copy
#: behind all lines, in one of its source.
INGRESS, EGRESS, EITHER, EITHER_COPY, OTHER = range(5)
#: Stands for a time that cannot be read.
NO_TIME = np.iinfo(np.int64).min
#: Verdicts that programs give; EXPIRED/DELETED is the agent's own.
DECIDED = frozenset({"ACCEPT", "DENY"})
_WAYS = {"ingress": INGRESS, "egress": EGRESS, None: EITHER}
_WAY, _UNDECIDED, _BAD, _COPY = 0x7, 0x8, 0x10, 0x20
_MOST, _LARGEST = 0xFFFF, 0xFFFFFFFF
#: Rows of a table, so that there are not more tails than numbers for them.
TABLE_ROWS = 1 << 16
_RAW = np.dtype(f"V{ROW.itemsize}")


class Tail(NamedTuple):
    """What a flow line says behind its ports."""

    protocol: str | None
    verdict: str | None
    direction: str | None
    tier: str | None


class Store(Protocol):
    """Where rows (ROW) are kept."""

    def take(self, places: Array | slice) -> Array:
        """The rows of these numbers."""
        ...


class Keeper(Store, Protocol):
    """A store that takes more rows."""

    def append(self, rows: Array) -> int:
        """Take rows; returns the number of the first."""
        ...


class Held:
    """Rows in memory."""

    def __init__(self, rows: Array) -> None:
        self._rows = np.ascontiguousarray(rows).view(_RAW)

    def take(self, places: Array | slice) -> Array:
        """The rows of these numbers."""
        rows: Array = self._rows[places].view(ROW)
        return rows


class Rows(NamedTuple):
    """The rows of one batch: those of a store from `first` on."""

    store: Store
    first: int

    def read(self, first: int, count: int) -> Array:
        """Some of them."""
        return self.store.take(slice(self.first + first, self.first + first + count))


class Packed(NamedTuple):
    """Sorted rows (ROW), their runs (RUN), how many of them are lines (copies follow), and the places of the first and
    the last line of the file."""

    rows: Array
    runs: Array
    lines: int
    ends: tuple[int, int]


def flags_of(tail: Tail) -> int:
    """How rows with a tail are to be sorted."""
    return _WAYS.get(tail.direction, OTHER) | (0 if tail.verdict in DECIDED else _UNDECIDED)


def pack(rows: Array, families: Array, flags: Array, bad: Array | None = None) -> Packed:
    """Rows in file order sorted by program. families: 4, 6 or 0 by address; flags: flags_of() by tail; bad: rows that
    no packet can have."""
    ways, src, dst = flags[rows["tail"]], rows["src"].astype(np.uint32), rows["dst"].astype(np.uint32)
    own = np.where((ways & _WAY) == EGRESS, src, dst)
    family = families[src]
    unread = (family == 0) | (family != families[dst])
    keys = ways | (unread if bad is None else unread | bad) * np.uint8(_BAD)
    either = np.flatnonzero((ways & _WAY) == EITHER)
    if len(either):
        rows = rowwise([rows, rows[either]])
        own, keys = np.concatenate([own, src[either]]), np.concatenate([keys, keys[either] | np.uint8(_COPY)])
    order = _order(own, keys)
    own, keys = own[order], keys[order]
    first = np.flatnonzero(_changes(own) | _changes(keys))
    runs = np.empty(len(first), RUN)
    key = keys[first]
    runs["own"], runs["first"], runs["size"] = own[first], first, np.diff(first, append=len(own))
    runs["way"] = np.where(key & _COPY, EITHER_COPY, key & _WAY)
    runs["good"], runs["decided"] = key & _BAD == 0, key & _UNDECIDED == 0
    lines = len(own) - len(either)
    ends = int(np.argmax(order == 0)), int(np.argmax(order == lines - 1))
    # plain bytes are moved at once, rows field by field
    return Packed(np.ascontiguousarray(rows).view(_RAW)[order].view(ROW), runs, lines, ends)


def _order(own: Array, keys: Array) -> Array:
    """By key, then by address, else as they were: from the last digit of 16 bits on, each of which is sorted fast."""
    order = np.argsort(own.astype(np.uint16), kind="stable")
    if own.max(initial=0) > _MOST:
        order = order[np.argsort((own[order] >> 16).astype(np.uint16), kind="stable")]
    if len(keys) and keys.min() != keys.max():
        order = order[np.argsort(keys[order], kind="stable")]
    return order


def _changes(column: Array) -> Array:
    changes = np.ones(len(column), bool)
    changes[1:] = column[1:] != column[:-1]
    return changes


def rowwise(parts: list[Array]) -> Array:
    """Rows (ROW), one part behind the other."""
    raw = [np.ascontiguousarray(part).view(np.uint8) for part in parts]
    return np.concatenate([np.empty(0, np.uint8), *raw]).view(ROW)


class PackedFlows(FlowBatch):
    """A FlowBatch of single lines with times of the encoder's form, kept as sorted rows: `columns` and `spans` are
    made, in file order, whenever they are asked for. `addresses` and `tails` may be shared, and longer than needed.
    """

    __slots__ = ("_begin", "_count", "addresses", "rows", "runs", "tails")

    def __init__(
        self, packed: Packed, addresses: list[Any], tails: list[Tail], begin: tuple[int, int] = (0, 0)
    ) -> None:
        """begin: bytes and lines of the file that stand before those which `start` and `line` count from."""
        self.rows = Rows(Held(packed.rows), 0)
        self.runs, self.addresses, self.tails, self._begin, self._count = (
            packed.runs, addresses, tails, begin, packed.lines,
        )  # fmt: skip
        first, last = (self._place(packed.rows[at]) for at in packed.ends)
        self.span = Span(first.start, last.end, first.first_line, last.last_line)

    def __getstate__(self) -> list[Any]:
        return [getattr(self, name) for name in (*self.__slots__, "span")]

    def __setstate__(self, state: list[Any]) -> None:
        for name, value in zip((*self.__slots__, "span"), state, strict=True):
            setattr(self, name, value)

    def __len__(self) -> int:
        return self._count

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        """As FlowBatch's."""
        rows = self._in_order()
        tails = np.ascontiguousarray(rows["tail"])
        columns: dict[str, Any] = {"ts": ZapTimes(np.ascontiguousarray(rows["utc_ns"]))}
        columns["utc_ns"] = Column(columns["ts"].array)
        columns |= {name: Words(np.ascontiguousarray(rows[name]), self.addresses) for name in ("src", "dst")}
        columns |= {name: Column(np.ascontiguousarray(rows[name])) for name in ("sport", "dport")}
        columns |= {name: Words(tails, [getattr(tail, name) for tail in self.tails]) for name in Tail._fields}
        return {name: columns[name] for name in COLUMNS}

    @property
    def spans(self) -> LineSpans:
        """As FlowBatch's."""
        rows = self._in_order()
        spans = np.empty(len(rows), LineSpans.DTYPE)
        for name in ("start", "size", "line"):
            spans[name] = rows[name]
        return LineSpans(spans).moved(*self._begin)

    def keep(self, store: Keeper) -> None:
        """Have the rows kept in another store, copies too."""
        self.rows = Rows(store, store.append(self.rows.read(0, int(self.runs["size"].sum()))))

    def line(self, row: int) -> tuple[str, Span]:
        """The time as logged and the place of the line of one row."""
        (found,) = self.rows.read(row, 1)
        return zap_text(int(found["utc_ns"])), self._place(found)

    def _place(self, row: Any) -> Span:
        start, number = int(row["start"]) + self._begin[0], int(row["line"]) + self._begin[1]
        return Span(start, start + int(row["size"]), number, number)

    def _in_order(self) -> Array:
        rows = np.ascontiguousarray(self.rows.read(0, self._count))
        found: Array = rows.view(_RAW)[np.argsort(rows["start"])].view(ROW)
        return found


class Table(NamedTuple):
    """Rows of any batch, in file order: `start` is the number of the row, `line` and `size` are zero; `bad` are those
    whose ports no packet can have."""

    rows: Array
    bad: Array
    addresses: list[Any]
    tails: list[Tail]

    def pack(self) -> Packed:
        """The rows sorted by program."""
        families = np.array([family(address) for address in self.addresses], np.uint8)
        return pack(self.rows, families, np.array(list(map(flags_of, self.tails)), np.uint8), self.bad)


def table(batch: FlowBatch) -> Table:
    """The rows of a batch that is not packed. It has TABLE_ROWS at most."""
    columns, size = batch.columns, len(batch)
    rows = np.zeros(size, ROW)
    bad = np.zeros(size, bool)
    rows["start"] = np.arange(size)
    rows["utc_ns"] = [NO_TIME if each is None else each for each in _values(columns, "utc_ns", size)]
    for name in ("sport", "dport"):
        values = _values(columns, name, size)
        ports = np.array([each if type(each) is int and 0 <= each <= _MOST else -1 for each in values], np.int32)
        bad |= ports < 0
        rows[name] = np.maximum(ports, 0)
    ends = coded([*_values(columns, "src", size), *_values(columns, "dst", size)])
    rows["src"], rows["dst"] = ends.array[:size], ends.array[size:]
    said = coded(list(map(Tail, *(_values(columns, name, size) for name in Tail._fields))))
    rows["tail"] = said.array
    return Table(rows, bad, ends.words, said.words)


def parts(batch: FlowBatch) -> list[FlowBatch]:
    """A batch in pieces of TABLE_ROWS; a packed one is whole."""
    if isinstance(batch, PackedFlows) or len(batch) <= TABLE_ROWS:
        return [batch]
    return [_part(batch, slice(at, at + TABLE_ROWS)) for at in range(0, len(batch), TABLE_ROWS)]


def _part(batch: FlowBatch, rows: slice) -> FlowBatch:
    return FlowBatch({name: each[rows] for name, each in batch.columns.items()}, batch.spans[rows], batch.span)


def packed(batch: FlowBatch) -> PackedFlows | None:
    """The same lines packed; None where a cell would not be the same when it is read. Batches of TABLE_ROWS at most."""
    if not len(batch) or tuple(batch.columns) != COLUMNS:
        return None
    spans = batch.spans if isinstance(batch.spans, LineSpans) else LineSpans.of(batch.spans)
    found = table(batch)
    rows = found.rows
    if spans is None or found.bad.any() or (rows["utc_ns"] == NO_TIME).any():
        return None
    begin = int(spans["start"].min()), int(spans["first_line"].min())
    starts, size = spans["start"] - begin[0], spans["end"] - spans["start"]
    if starts.max() > _LARGEST or size.max() > _MOST or zap_texts(rows["utc_ns"]) != list(batch.columns["ts"]):
        return None
    rows["start"], rows["size"], rows["line"] = starts, size, spans["first_line"] - begin[1]
    return PackedFlows(found.pack(), found.addresses, found.tails, begin)


def family(text: str | None) -> int:
    """4 or 6 for the text of an IP address, 0 for any other."""
    try:
        return ipaddress.ip_address(text or "").version
    except ValueError:
        return 0


def _values(columns: dict[str, Any], name: str, size: int) -> list[Any]:
    return [None] * size if columns.get(name) is None else list(columns[name])
