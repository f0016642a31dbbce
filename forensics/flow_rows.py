"""The flow lines of a node by the program that wrote them: columns of codes and numbers, no object for any line.

One pass over the batches sorts the lines of known pods by direction and by the pod's address into a spool, from which
the lines of one program are read without a look at the others, and without all of them in memory.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from forensics.flow_columns import TEXTS, SpooledBatch
from forensics.flow_spool import Spool
from formats.base import Span
from formats.columns import Column, Words, coded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forensics.artifact import Artifact
    from forensics.case import Node
    from forensics.policy_rules import Direction
    from formats.base import FlowBatch

Array = np.ndarray[Any, Any]
#: Protocol as the agent prints it (events.go) -> number; any other text is a number that was lost.
PROTOCOLS = {"ICMP": 1, "TCP": 6, "UDP": 17, "SCTP": 132, "ANY PROTOCOL": 254, "RESERVED": 255}
#: Logged verdict -> what the program answered. EXPIRED/DELETED is the agent's own and no packet's.
ACTIONS = {"ACCEPT": "OK", "DENY": "SHOT"}
#: Stands for a number that the line lost, and for a time that cannot be read.
LOST, NO_TIME = -1, np.iinfo(np.int64).min
_PORT_MAX = 0xFFFF
#: Lines of one program that are read at once.
STRETCH = 1 << 18
_DIRECTIONS: tuple[Direction, ...] = ("ingress", "egress")


class Vocabulary:
    """The distinct texts of a column, over all batches."""

    def __init__(self) -> None:
        self.texts: list[str | None] = []
        self._codes: dict[str | None, int] = {}
        self._seen: dict[int, tuple[list[Any], Array]] = {}

    def code(self, text: str | None) -> int:
        """The code of a text."""
        found = self._codes.get(text)
        if found is None:
            found = self._codes[text] = len(self.texts)
            self.texts.append(text)
        return found

    def known(self, text: str | None) -> int | None:
        """The code of a text that occurs; None for another."""
        return self._codes.get(text)

    def find(self, texts: Iterable[str | None]) -> Array:
        """The codes of those texts that occur."""
        return np.array([self._codes[text] for text in texts if text in self._codes], np.int64)

    def places(self, words: list[Any]) -> Array:
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


#: A line in the spool: what FlowSide is made of, in few bytes.
_SIDE = np.dtype(
    [
        ("utc_ns", "<i8"), ("src", "<i4"), ("dst", "<i4"), ("protocol", "<u4"), ("tier", "<u4"), ("row", "<u4"),
        ("batch", "<u4"), ("sport", "<u2"), ("dport", "<u2"), ("direction", "<u1"), ("allowed", "?"),
    ]
)  # fmt: skip


class _Run(NamedTuple):
    """Where the lines of each pod address of one batch and direction lie in the spool: address code -> first, size."""

    place: int
    codes: Array
    first: Array
    size: Array


class Run(NamedTuple):
    """Lines of one pod address in one batch, by their place in the spool: of the run at `place` those from `first`."""

    batch: int
    place: int
    first: int
    size: int


class ProgramLines:
    """The lines of one program, read stretch by stretch: a log can have more of them than the memory has room for."""

    def __init__(self, flows: FlowRows, runs: list[Run]) -> None:
        self.runs = sorted(runs)
        self.count = sum(run.size for run in runs)
        self._flows = flows

    @cached_property
    def stretches(self) -> list[list[Run]]:
        """The runs in groups of about STRETCH lines; log order runs from one group to the next.

        Runs of one batch interleave and stay together: a batch is never long.
        """
        groups: list[list[Run]] = []
        size = STRETCH
        for _, batch in groupby(self.runs, lambda run: run.batch):
            mine = list(batch)
            if size >= STRETCH:
                groups.append([])
                size = 0
            groups[-1] += mine
            size += sum(run.size for run in mine)
        return groups

    def __len__(self) -> int:
        return len(self.stretches)

    def __getitem__(self, at: int) -> FlowSide:
        return self._flows.read(self.stretches[at])


class FlowRows:
    """Flow lines of one node. `count` lines are readable. `unread` counts lines whose addresses or ports no packet can
    have, `strays` those of no pod that is known here: nobody's maps can be asked about them.
    """

    def __init__(self, node: Node) -> None:
        self.batches = tuple((artifact, batch) for artifact in node.group.own for batch in artifact.flows if len(batch))
        self.vocabularies = {name: Vocabulary() for name in TEXTS}
        self.vocabularies["src"] = self.vocabularies["dst"]
        self.addresses = self.vocabularies["dst"]
        self.ways = {way: self.vocabularies["direction"].code(way) for way in (*_DIRECTIONS, None)}
        #: What other modules make of the addresses, by family; see flow_answers.address_words.
        self.words: dict[int, tuple[tuple[Array, ...], Array]] = {}
        self.count = self.unread = self.strays = 0
        self._spool = Spool()
        self._runs: dict[str, list[_Run]] = {way: [] for way in _DIRECTIONS}
        known = [pod.ip for pod in node.known_pods if pod.ip and pod.local is not False]
        families = _Families(self.addresses)
        for number, (_, batch) in enumerate(self.batches):
            self._read(number, _Table(batch, self.vocabularies), known, families)

    def _read(self, number: int, table: _Table, known: list[str], families: _Families) -> None:
        """Sort the lines of a batch to the programs that wrote them."""
        good = families.same(table.codes["src"], table.codes["dst"])
        for name in ("sport", "dport"):
            good &= (table.numbers[name] >= 0) & (table.numbers[name] <= _PORT_MAX)
        mine, direction = self.addresses.find(known), table.codes["direction"]
        ends = {"ingress": table.codes["dst"], "egress": table.codes["src"]}
        own = {way: _among(codes, mine, len(self.addresses.texts)) for way, codes in ends.items()}
        named = {way: direction == self.ways[way] for way in _DIRECTIONS}
        neither = ~named["ingress"] & ~named["egress"]
        decided = good & _among(table.codes["verdict"], self.vocabularies["verdict"].find(ACTIONS), None)
        for way in _DIRECTIONS:
            rows = np.flatnonzero(decided & own[way] & (named[way] | (direction == self.ways[None])))
            keys = ends[way][rows]
            # two-byte numbers are sorted several times faster
            order = np.argsort(keys.astype(np.min_scalar_type(keys.max(initial=0))), kind="stable")
            rows, keys = rows[order], keys[order]
            first = np.flatnonzero(np.diff(keys, prepend=-1))
            codes, count = keys[first], np.diff(first, append=len(keys))
            place = self._spool.append(table.taken(rows, number, self.vocabularies))
            self._runs[way].append(_Run(place, codes, first, count))
        taken = neither & (own["ingress"] | own["egress"])
        for way in _DIRECTIONS:
            taken |= named[way] & own[way]
        readable = int(good.sum())
        self.count += readable
        self.unread += len(good) - readable
        self.strays += int((good & ~taken).sum())

    def lines(self, addresses: Iterable[str], direction: Direction) -> ProgramLines:
        """The lines that a program wrote: pods with these addresses are the source (egress) or destination (ingress).

        Logs before v1.2.2 and CloudWatch records have no direction: then either side may have written the line.
        """
        runs = self._placed[direction]
        wanted = sorted(set(self.addresses.find(addresses).tolist()))
        return ProgramLines(self, [run for code in wanted for run in runs.get(code, ())])

    def side(self, addresses: Iterable[str], direction: Direction) -> FlowSide:
        """All lines of a program at once."""
        lines = self.lines(addresses, direction)
        return self.read(lines.runs)

    def read(self, runs: Sequence[Run]) -> FlowSide:
        """The lines of some runs, in log order."""
        return self._side(self._taken(runs))

    def _taken(self, runs: Sequence[Run]) -> Array:
        # plain bytes are copied at once, rows field by field
        parts = [self._spool.read(_SIDE, *run[1:]).view(np.uint8) for run in runs]
        rows = np.concatenate([np.empty(0, np.uint8), *parts]).view(_SIDE)
        if len({run.batch for run in runs}) < len(runs):
            rows = rows[np.lexsort((rows["row"], rows["batch"]))]
        return rows

    @cached_property
    def _placed(self) -> dict[str, dict[int, list[Run]]]:
        """{direction: {address code: its runs in log order}}."""
        placed: dict[str, dict[int, list[Run]]] = {way: {} for way in _DIRECTIONS}
        for way, runs in self._runs.items():
            for batch, (place, *columns) in enumerate(runs):
                for code, first, size in zip(*(column.tolist() for column in columns), strict=True):
                    placed[way].setdefault(code, []).append(Run(batch, place, first, size))
        return placed

    def _side(self, rows: Array) -> FlowSide:
        column = {name: np.ascontiguousarray(rows[name]) for name in _SIDE.names or ()}
        numbers = [PROTOCOLS.get(text or "", LOST) for text in self.vocabularies["protocol"].texts]
        for name in ("sport", "dport"):
            column[name] = column[name].astype(np.int32)
        return FlowSide(
            **column,
            number=np.array(numbers, np.int16)[column["protocol"]],
        )

    def any_of_tier(self, tier: str, addresses: Iterable[str], direction: Direction) -> bool:
        """Whether a program's lines, those with a direction, bear a tier."""
        code = self.vocabularies["tier"].known(tier)
        if code is None:
            return False
        way = self.ways[direction]
        for runs in self.lines(addresses, direction).stretches:
            rows = self._taken(runs)
            if bool(((rows["tier"] == code) & (rows["direction"] == way)).any()):
                return True
        return False

    def line(self, batch: int, row: int) -> tuple[str | None, Span]:
        """The time of a line as logged, and its place in its artifact."""
        lines = self.batches[batch][1]
        if isinstance(lines, SpooledBatch):
            return lines.line(row)
        where = lines.spans[row]
        span = Span(*(int(where[name]) for name in ("start", "end", "first_line", "last_line")))
        return lines.columns["ts"][row], span

    def artifact(self, batch: int) -> Artifact:
        """The artifact that a batch is of."""
        return self.batches[batch][0]


class _Table:
    """One batch with the codes of the node."""

    def __init__(self, batch: FlowBatch | SpooledBatch, vocabularies: dict[str, Vocabulary]) -> None:
        columns = batch.columns
        size = len(batch)
        self.codes: dict[str, Array] = {}
        for name in TEXTS:
            column = columns.get(name)
            if not isinstance(column, Words):
                column = coded([None] * size if column is None else list(column))
            self.codes[name] = vocabularies[name].places(column.words)[column.array]
        self.numbers = {name: _ports(columns.get(name), size) for name in ("sport", "dport")}
        self.numbers["utc_ns"] = _times(columns.get("utc_ns"), size)

    def taken(self, rows: Array, number: int, vocabularies: dict[str, Vocabulary]) -> Array:
        """Rows as they go to the spool."""
        out = np.empty(len(rows), _SIDE)
        for name in ("src", "dst", "protocol", "tier"):
            out[name] = self.codes[name][rows]
        for name, column in self.numbers.items():
            out[name] = column[rows]
        allowed = np.array([text == "ACCEPT" for text in vocabularies["verdict"].texts])
        out["allowed"] = allowed[self.codes["verdict"][rows]]
        # of the directions a line can have only ingress, egress and none come here: the first codes of all
        out["direction"], out["batch"], out["row"] = self.codes["direction"][rows], number, rows
        return out


class _Families:
    """Which texts are plain IP addresses, and of which family; each is looked at once."""

    def __init__(self, addresses: Vocabulary) -> None:
        self._addresses = addresses
        self._family = np.zeros(0, np.int8)

    def same(self, src: Array, dst: Array) -> Array:
        """Whether both ends are addresses, and of one family."""
        fresh = self._addresses.texts[len(self._family) :]
        self._family = np.concatenate([self._family, np.array([_family(text) for text in fresh], np.int8)])
        ours = self._family[src]
        good: Array = (ours != 0) & (ours == self._family[dst])
        return good


def _family(text: str | None) -> int:
    try:
        return ipaddress.ip_address(text or "").version
    except ValueError:
        return 0


def _among(codes: Array, wanted: Array, size: int | None) -> Array:
    if size is None:
        size = max(int(codes.max(initial=0)), int(wanted.max(initial=0))) + 1
    flags = np.zeros(size, bool)
    flags[wanted] = True
    taken: Array = flags[codes]
    return taken


def _ports(column: Any, size: int) -> Array:
    """Ports in an array that holds what no port can be as well."""
    if isinstance(column, Column):
        return column.array
    values = [LOST] * size if column is None else column
    return np.array(
        [min(max(each, LOST), _PORT_MAX + 1) if isinstance(each, int) else LOST for each in values], np.int32
    )


def _times(column: Any, size: int) -> Array:
    if isinstance(column, Column):
        return column.array
    values = [None] * size if column is None else column
    return np.array([NO_TIME if each is None else each for each in values], np.int64)
