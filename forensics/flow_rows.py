"""The flow lines of a node by the program that wrote them: columns of codes and numbers, no object for any line.

Every batch is sorted by program already (formats.packed_flows): of each the runs of known pods are looked up, and the
lines of one program are read without a look at the others, and without all of them in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np

from forensics.flow_spool import Spool
from formats.base import Span
from formats.packed_flows import (
    EGRESS,
    EITHER,
    EITHER_COPY,
    INGRESS,
    ROW,
    PackedFlows,
    Rows,
    Tail,
    parts,
    rowwise,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from forensics.artifact import Artifact
    from forensics.case import Node
    from forensics.policy_rules import Direction
    from formats.base import FlowBatch

Array = np.ndarray[Any, Any]
T = TypeVar("T")
#: Protocol as the agent prints it (events.go) -> number; any other text is a number that was lost.
PROTOCOLS = {"ICMP": 1, "TCP": 6, "UDP": 17, "SCTP": 132, "ANY PROTOCOL": 254, "RESERVED": 255}
#: Stands for a number that the line lost.
LOST = -1
_WAYS: dict[Direction, tuple[int, ...]] = {"ingress": (INGRESS, EITHER), "egress": (EGRESS, EITHER_COPY)}
#: A run and the code of its program's address.
_PLACED = np.dtype([("own", "<i8"), ("batch", "<i8"), ("first", "<i8"), ("size", "<i8"), ("way", "u1")])
#: Lines of one program that are read at once.
STRETCH = 1 << 16


class Vocabulary(Generic[T]):
    """The distinct texts of a column, over all batches."""

    def __init__(self) -> None:
        self.texts: list[T] = []
        self._codes: dict[T, int] = {}
        self._seen: dict[int, tuple[list[T], Array]] = {}

    def code(self, text: T) -> int:
        """The code of a text."""
        found = self._codes.get(text)
        if found is None:
            found = self._codes[text] = len(self.texts)
            self.texts.append(text)
        return found

    def find(self, texts: Iterable[T]) -> Array:
        """The codes of those texts that occur."""
        return np.array([self._codes[text] for text in texts if text in self._codes], np.int64)

    def places(self, words: list[T]) -> Array:
        """Code of each word of a batch's own list; lists that batches share are looked at once."""
        known, places = self._seen.get(id(words), (words, np.zeros(0, np.int32)))
        if len(places) < len(words):
            fresh = [self.code(word) for word in words[len(places) :]]
            places = np.concatenate([places, np.array(fresh, np.int32)])
            self._seen[id(words)] = known, places
        found: Array = places
        return found


@dataclass(frozen=True, slots=True)
class FlowSide:
    """The lines of one program in log order, as arrays of one length. `src`, `dst`, `protocol`, `direction` and `tier`
    are codes of the vocabularies; `allowed` the logged verdict; `number` the IP protocol, LOST where the text lost it;
    `batch` and `row` the place.
    """

    src: Array
    dst: Array
    sport: Array
    dport: Array
    protocol: Array
    number: Array
    allowed: Array
    direction: Array
    tier: Array
    utc_ns: Array
    batch: Array
    row: Array

    def __len__(self) -> int:
        return len(self.src)

    def rows(self, which: Array) -> FlowSide:
        """Some of the lines."""
        return FlowSide(*(getattr(self, each.name)[which] for each in fields(self)))


class Program(NamedTuple):
    """Where the lines of a program are: runs of rows by batch, first row and size, in log order."""

    batch: Array
    first: Array
    size: Array


class ProgramLines:
    """The lines of one program, read stretch by stretch: a log can have more of them than the memory has room for."""

    def __init__(self, flows: FlowRows, program: Program) -> None:
        self.count = int(program.size.sum())
        self._flows, self._program = flows, program

    @cached_property
    def sizes(self) -> list[int]:
        """Lines of each stretch."""
        return [int(self._program.size[rows].sum()) for rows in self._stretches]

    @cached_property
    def _stretches(self) -> list[slice]:
        """The runs in groups of about STRETCH lines; log order runs from one group to the next.

        Runs of one batch interleave and stay together: a batch is never long.
        """
        batch, _, size = self._program
        if not len(batch):
            return []
        cuts = [0]
        begun = np.flatnonzero(np.diff(batch, prepend=-1))
        lines = np.concatenate([[0], np.cumsum(size)])[begun]
        at = 0
        while (at := int(np.searchsorted(lines, lines[at] + STRETCH))) < len(begun):
            cuts.append(int(begun[at]))
        return [slice(first, last) for first, last in pairwise([*cuts, len(batch)])]

    def tails(self) -> Iterator[Array]:
        """Of each stretch the codes of what its lines say behind their ports."""
        return (self._flows.tails_of(self._part(at)) for at in range(len(self)))

    def __len__(self) -> int:
        return len(self._stretches)

    def __getitem__(self, at: int) -> FlowSide:
        return self._flows.read(self._part(at))

    def _part(self, at: int) -> Program:
        return Program(*(column[self._stretches[at]] for column in self._program))


class FlowRows:
    """Flow lines of one node. `count` lines are readable. `unread` counts lines whose addresses or ports no packet can
    have, `strays` those of no pod that is known here: nobody's maps can be asked about them.
    """

    def __init__(self, node: Node) -> None:
        self.batches = tuple(
            (artifact, part)
            for artifact in node.group.own
            for batch in artifact.flows
            if len(batch)
            for part in parts(batch)
        )
        self.addresses = Vocabulary[str | None]()
        self.tails = Vocabulary[Tail]()
        #: What other modules make of the addresses, by family; see flow_answers.address_words.
        self.words: dict[int, tuple[tuple[Array, ...], Array]] = {}
        self.count = self.unread = self.strays = 0
        self._spool = Spool(ROW)
        self._known = _Known(self.addresses, [pod.ip for pod in node.known_pods if pod.ip and pod.local is not False])
        self._tables: list[_Table] = []
        placed = [self._sort(number, batch) for number, (_, batch) in enumerate(self.batches)]
        self._stored = _Stored(self._tables)
        self._ends, self._says = _Joined(self._tables, "addresses"), _Joined(self._tables, "tails")
        self._programs = {way: _Programs(placed, ways) for way, ways in _WAYS.items()}

    def _sort(self, number: int, batch: FlowBatch) -> Array:
        """The runs of a batch that are of known pods (_PLACED)."""
        made = _table(batch, self._spool, self.addresses, self.tails)
        self._tables.append(made)
        runs, own = made.runs, made.addresses[made.runs["own"]]
        mine = self._known.flags()[own]
        lines = runs["way"] != EITHER_COPY
        good, named = runs["good"] & lines, runs["way"] <= EGRESS
        readable = int(runs["size"][good].sum())
        self.count += readable
        self.unread += int(runs["size"][lines].sum()) - readable
        self.strays += int(runs["size"][good & named & ~mine].sum())
        either = runs[good & ~named]
        if len(either):
            places = _places(either["first"].astype(np.int64), either["size"].astype(np.int64))
            rows = made.rows.store.take(made.rows.first + places)
            theirs = [self._known.flags()[made.addresses[rows[name]]] for name in ("src", "dst")]
            self.strays += int((~theirs[0] & ~theirs[1]).sum())
        taken = np.flatnonzero(runs["good"] & runs["decided"] & mine & (runs["way"] <= EITHER_COPY))
        placed = np.empty(len(taken), _PLACED)
        for name in ("way", "first", "size"):
            placed[name] = runs[name][taken]
        placed["own"], placed["batch"] = own[taken], number
        return placed

    def lines(self, addresses: Iterable[str], direction: Direction) -> ProgramLines:
        """The lines that a program wrote: pods with these addresses are the source (egress) or destination (ingress).

        Logs before v1.2.2 and CloudWatch records have no direction: then either side may have written the line.
        """
        return ProgramLines(self, self._programs[direction].of(self.addresses.find(addresses)))

    def side(self, addresses: Iterable[str], direction: Direction) -> FlowSide:
        """All lines of a program at once."""
        return self.read(self._programs[direction].of(self.addresses.find(addresses)))

    def read(self, program: Program) -> FlowSide:
        """The lines of some runs, in log order."""
        rows, batch, row = self._read(program)
        tail = self._says.of(batch, rows["tail"])
        columns = {name: codes[tail] for name, codes in self._told.items()}
        return FlowSide(
            self._ends.of(batch, rows["src"]),
            self._ends.of(batch, rows["dst"]),
            rows["sport"].astype(np.int32),
            rows["dport"].astype(np.int32),
            utc_ns=np.ascontiguousarray(rows["utc_ns"]),
            batch=batch,
            row=row,
            **columns,
        )

    def tails_of(self, program: Program) -> Array:
        """What the lines of some runs say behind their ports: codes of `tails`."""
        rows, batch, _ = self._read(program)
        return self._says.of(batch, rows["tail"])

    def _read(self, program: Program) -> tuple[Array, Array, Array]:
        """(rows, and the batch and the place in it of each), in log order."""
        batch = np.repeat(program.batch, program.size)
        row = _places(program.first, program.size)
        rows = self._stored.take(batch, row)
        if (program.batch[1:] == program.batch[:-1]).any():
            order = np.lexsort((rows["start"], batch))
            rows, batch, row = rowwise([rows[order]]), batch[order], row[order]
        return rows, batch, row

    @cached_property
    def vocabularies(self) -> dict[str, Vocabulary[str | None]]:
        """The texts of each column of codes."""
        found = {name: Vocabulary[str | None]() for name in Tail._fields}
        for tail in self.tails.texts:
            for name, text in zip(Tail._fields, tail, strict=True):
                found[name].code(text)
        for way in (*_WAYS, None):
            found["direction"].code(way)
        return {"src": self.addresses, "dst": self.addresses, **found}

    @cached_property
    def _told(self) -> dict[str, Array]:
        """What each tail says, as columns of FlowSide."""
        tails = self.tails.texts
        columns: dict[str, Array] = {
            name: np.array([self.vocabularies[name].code(getattr(tail, name)) for tail in tails], np.int32)
            for name in ("protocol", "direction", "tier")
        }
        columns["number"] = np.array([PROTOCOLS.get(tail.protocol or "", LOST) for tail in tails], np.int16)
        columns["allowed"] = np.array([tail.verdict == "ACCEPT" for tail in tails], bool)
        return columns

    def any_of_tier(self, tier: str, addresses: Iterable[str], direction: Direction) -> bool:
        """Whether a program's lines, those with a direction, bear a tier."""
        wanted = np.array([each.tier == tier and each.direction == direction for each in self.tails.texts], bool)
        if not wanted.any():
            return False
        return any(bool(wanted[tails].any()) for tails in self.lines(addresses, direction).tails())

    def line(self, batch: int, row: int) -> tuple[str | None, Span]:
        """The time of a line as logged, and its place in its artifact."""
        lines = self.batches[batch][1]
        if isinstance(lines, PackedFlows):
            return lines.line(row)
        number = int(self._tables[batch].rows.read(row, 1)["start"][0])
        where = lines.spans[number]
        span = Span(*(int(where[name]) for name in ("start", "end", "first_line", "last_line")))
        return lines.columns["ts"][number], span

    def artifact(self, batch: int) -> Artifact:
        """The artifact that a batch is of."""
        return self.batches[batch][0]


def _places(first: Array, size: Array) -> Array:
    """The numbers of the rows of some runs."""
    before = np.cumsum(size) - size
    found: Array = np.arange(int(size.sum())) + np.repeat(first - before, size)
    return found


class _Table(NamedTuple):
    """The rows of one batch; codes of the node for its addresses and tails."""

    rows: Rows
    runs: Array
    addresses: Array
    tails: Array


def _table(batch: FlowBatch, spool: Spool, addresses: Vocabulary[str | None], tails: Vocabulary[Tail]) -> _Table:
    if isinstance(batch, PackedFlows):
        return _Table(batch.rows, batch.runs, addresses.places(batch.addresses), tails.places(batch.tails))
    found = table(batch)
    packed = found.pack()
    rows = Rows(spool, spool.append(packed.rows))
    return _Table(rows, packed.runs, addresses.places(found.addresses), tails.places(found.tails))


class _Joined:
    """Codes of the node for the places in rows of several batches."""

    def __init__(self, tables: list[_Table], name: str) -> None:
        each: list[Array] = [getattr(table, name) for table in tables]
        # batches of one log share their lists, and these are whole by now
        shared = {id(codes): codes for codes in each}
        bounds = np.cumsum([0, *map(len, shared.values())]).tolist()
        first = dict(zip(shared, bounds, strict=False))
        self._codes = np.concatenate([np.empty(0, np.int32), *shared.values()])
        self._first = np.array([first[id(codes)] for codes in each], np.int64)

    def of(self, batch: Array, places: Array) -> Array:
        """The code of each place of a batch."""
        codes: Array = self._codes[self._first[batch] + places]
        return codes


class _Stored:
    """The rows of all batches."""

    def __init__(self, tables: list[_Table]) -> None:
        stores = {id(each.rows.store): each.rows.store for each in tables}
        numbers = {key: number for number, key in enumerate(stores)}
        self._stores = list(stores.values())
        self._store = np.array([numbers[id(each.rows.store)] for each in tables], np.int64)
        self._first = np.array([each.rows.first for each in tables], np.int64)

    def take(self, batch: Array, row: Array) -> Array:
        """The rows of some batches; these are in order."""
        places, stores = self._first[batch] + row, self._store[batch]
        bounds = [*np.flatnonzero(np.diff(stores, prepend=-1)).tolist(), len(stores)]
        return rowwise([self._stores[stores[a]].take(places[a:b]) for a, b in pairwise(bounds)])


class _Known:
    """Which addresses are of known pods."""

    def __init__(self, addresses: Vocabulary[str | None], known: list[str]) -> None:
        self._addresses, self._known = addresses, frozenset(known)
        self._flags = np.zeros(0, bool)

    def flags(self) -> Array:
        """By the code of the address."""
        fresh = self._addresses.texts[len(self._flags) :]
        if fresh:
            self._flags = np.concatenate([self._flags, np.array([text in self._known for text in fresh], bool)])
        return self._flags


class _Programs:
    """The runs of one direction by the address of their program."""

    def __init__(self, placed: list[Array], ways: tuple[int, ...]) -> None:
        runs = np.concatenate([np.empty(0, _PLACED), *placed])
        runs = runs[np.isin(runs["way"], ways)]
        self._runs = runs[np.argsort(runs["own"], kind="stable")]
        self._own = np.ascontiguousarray(self._runs["own"])

    def of(self, codes: Array) -> Program:
        """The lines of programs with these addresses."""
        bounds = [np.searchsorted(self._own, codes, side) for side in ("left", "right")]
        runs = np.concatenate([self._runs[:0], *(self._runs[first:last] for first, last in zip(*bounds, strict=True))])
        runs = runs[np.lexsort((runs["first"], runs["batch"]))]
        return Program(*(np.ascontiguousarray(runs[name]) for name in Program._fields))
