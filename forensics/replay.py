"""Flow-log replay: each logged verdict of a pod held against the answer that its captured maps give to the packet.

    FlowRows -> lines of one identifier and direction -> Datapath.answers -> explained, corrupt, or unexplained and why

Arrays only: a Python object exists for a line only when a finding quotes it, and of many lines a stretch at a time is
in memory. Each line is taken as the first packet of
its flow, because the programs log nothing for tracked flows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from forensics.captured import Captured
from forensics.context import Context
from forensics.flow_answers import Answered, answered, packets
from forensics.pod_names import identifiers
from forensics.replay_classes import CLASSES, classify
from forensics.replay_examples import Examples, first_time
from forensics.replay_past import Past
from forensics.replay_reasons import REASONS, reasons
from forensics.sorted_search import distinct
from forensics.wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import polars as pl

    from forensics.datapath import Datapath
    from forensics.finding import Missing
    from forensics.flow_rows import FlowRows, FlowSide, ProgramLines
    from forensics.policy_rules import Direction

Array = np.ndarray[Any, Any]
_ADMITTED = "OK"


@dataclass
class Replay:
    """What the captured maps say to the flow lines of one pod identifier and direction.

    `count` lines are listed: those that the maps do not explain, or explain only by a misplaced entry. `listed` holds
    the ones that a finding may tell of, in log order (forensics.replay_examples); `why` is the place of each one's
    reason in REASONS, `kinds` of its class in CLASSES (-1 for ACCEPT). `denied` counts every DENY line by its class,
    `counts` the listed ones by their reason. `since` is the time of the first listed line that has one, as logged.
    """

    direction: Direction
    total: int = 0
    count: int = 0
    listed: Answered | None = None
    why: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    kinds: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    denied: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    since: str | None = None
    missing: tuple[Missing, ...] = ()

    def __len__(self) -> int:
        return self.count

    @property
    def worst_first(self) -> Array:
        """The lines of `listed`, those of the worst reason first, else in log order."""
        return np.argsort(self.why, kind="stable")

    def line(self, row: int) -> dict[str, Any]:
        """One line of `listed` as plain values: what was logged, what the maps say (`action`, `tier_now`, `map`,
        `cidr`), `policy` (OK, SHOT or None), `why`, `class`, and its place (`at`, `batch`, `row`)."""
        assert self.listed is not None
        kind = int(self.kinds[row])
        names = list(CLASSES)
        return {
            **self.listed.line(row),
            "why": list(REASONS)[int(self.why[row])],
            "class": names[kind] if kind >= 0 else None,
        }


def replay(context: Context, flows: FlowRows, direction: Direction) -> Replay:
    """Replay the lines of one identifier and direction."""
    out = Replay(direction)
    lines = flows.lines(addresses_of(context), direction)
    out.total = lines.count
    if not out.total:
        return out
    captured = Captured(context, direction)
    state = captured.state_or_inferred()
    if captured.missing or (state is None and captured.generation.pod_state_keys):
        out.missing = captured.missing
        return out
    asked = _Asked(captured, flows, lines, captured.datapath(state or {}))
    past = asked.past()
    denied, counts = np.zeros(len(CLASSES), np.int64), np.zeros(len(REASONS), np.int64)
    examples = Examples()
    for some in asked.some():
        _policy(context, flows, some, direction)
        kinds = np.full(len(some), -1)
        denials = np.flatnonzero(~some.side.allowed)
        if len(denials):
            kinds[denials] = classify(context, flows, some.rows(denials), past, direction)
            denied += np.bincount(kinds[denials], minlength=len(CLASSES))
        rows = np.flatnonzero(~some.explained | some.misplaced)
        if len(rows):
            listed = some.rows(rows)
            why = reasons(context, captured, flows, listed, past)
            counts += np.bincount(why, minlength=len(REASONS))
            examples.add(listed, why, kinds[rows])
            out.count += len(rows)
            out.since = out.since or first_time(listed)
    out.denied, out.counts = _counted(denied, CLASSES), _counted(counts, REASONS)
    if out.count:
        out.listed, out.why, out.kinds = examples.joined()
    return out


class _Stretch(NamedTuple):
    """What is kept of a stretch of lines: bits for those that the maps explain, for those to be listed and for those to
    be looked at again, and the answers themselves where they are few enough."""

    explained: Array
    listed: Array
    again: Array
    kept: Answered | None


class _Asked:
    """The lines of one program, asked about once; what the passes after that need is kept in three bits a line."""

    def __init__(self, captured: Captured, flows: FlowRows, lines: ProgramLines, datapath: Datapath) -> None:
        self._captured, self._flows, self._lines, self._datapath = captured, flows, lines, datapath
        self._first = np.cumsum([0, *lines.sizes])
        self._stretches = [self._ask(at) for at in range(len(lines))]

    def _ask(self, at: int) -> _Stretch:
        every = answered(self._captured.context, self._flows, self._lines[at], self._datapath, int(self._first[at]))
        _other_side(self._captured.context, self._flows, every, self._captured.direction)
        listed = ~every.explained | every.misplaced
        kept = every if len(self._lines) == 1 else None
        again = listed | ~every.side.allowed
        return _Stretch(np.packbits(every.explained), np.packbits(listed), np.packbits(again), kept)

    def past(self) -> Past:
        """What the lines to be looked at again have before and after them."""
        again = sum(int(np.bitwise_count(each.again).sum()) for each in self._stretches)
        past = Past(again)
        if again:
            for at, each in enumerate(self._stretches):
                side, _ = self._side(at)
                past.ask(side, _bits(each.listed, len(side)))
            for at in range(len(self._stretches)):
                past.see(*self._side(at))
        return past

    def some(self) -> Iterator[Answered]:
        """The lines that are not as the maps say, that a misplaced entry decides, or that are denied."""
        for at, each in enumerate(self._stretches):
            side, explained = self._side(at)
            rows = np.flatnonzero(_bits(each.again, len(side)))
            if not len(rows):
                continue
            if each.kept is not None:
                yield each.kept.rows(rows)
                continue
            found = answered(self._captured.context, self._flows, side.rows(rows), self._datapath)
            found.at, found.explained = (rows + self._first[at]).astype(np.int32), explained[rows]
            yield found

    def _side(self, at: int) -> tuple[FlowSide, Array]:
        """A stretch, and which lines of it the maps explain."""
        kept = self._stretches[at].kept
        side = self._lines[at] if kept is None else kept.side
        return side, _bits(self._stretches[at].explained, len(side))


def _bits(packed: Array, count: int) -> Array:
    bits: Array = np.unpackbits(packed, count=count).view(bool)
    return bits


def addresses_of(context: Context) -> list[str]:
    """The addresses of the identifier's pods on this node, as logs print them."""
    pods = context.pod.local_pods or [pod for pod in context.pod.pods if pod.local is None]
    return [pod.ip for pod in pods if pod.ip]


def _other_side(context: Context, flows: FlowRows, every: Answered, direction: Direction) -> None:
    """Without a direction in the log the program of the other end may have written a line that this one does not."""
    other: Direction = "egress" if direction == "ingress" else "ingress"
    unnamed = flows.vocabularies["direction"].code(None)
    rows = np.flatnonzero((every.side.direction == unnamed) & ~every.explained)
    if not len(rows):
        return
    peers = every.side.src[rows] if direction == "ingress" else every.side.dst[rows]
    texts = flows.addresses.texts
    for identifier, owned in _pods_at(context, {texts[code] for code in distinct(peers).tolist()}).items():
        side = Context(context.case, context.node, context.node.pods[identifier], context.neighbours)
        captured = Captured(side, other)
        state = captured.state_or_inferred()
        if captured.missing or (state is None and captured.generation.pod_state_keys):
            continue
        mine = rows[np.isin(peers, flows.addresses.find(owned))]
        told = answered(side, flows, every.side.rows(mine), captured.datapath(state or {}))
        every.explained[mine[told.explained]] = True


def _pods_at(context: Context, addresses: set[str | None]) -> dict[str, list[str]]:
    """{identifier with maps here: those of its pods' addresses}."""
    out: dict[str, list[str]] = {}
    for ref in context.node.known_pods:
        if ref.ip and ref.ip in addresses and ref.local is not False:
            name = next((each for each in identifiers(ref.name, ref.namespace) if each in context.node.pods), None)
            if name is not None:
                out.setdefault(name, []).append(ref.ip)
    return out


def _policy(context: Context, flows: FlowRows, some: Answered, direction: Direction) -> None:
    """What the policies ask for each line; stays unknown where they are not known."""
    if context.intent.known.yes:
        asked = packets(flows, some.side, context.intent.family)
        some.policy[:] = wanted_passes(Wanted(context, direction), asked)


def wanted_passes(wanted: Wanted, asked: Any) -> Array:
    """Whether the policies let each packet through, over every layer of the wanted rules."""
    if wanted.unprogrammed:
        return np.ones(len(asked.read), bool)
    first, *rest = (layer.answers(asked) for layer in wanted.layers)
    passes = first.passes
    undecided = first.is_reason("namespace-no-slot")
    for answers in rest:
        passes = np.where(undecided, passes | answers.passes, passes)
    return passes


def wanted_actions(wanted: Wanted, frame: Mapping[str, Any]) -> pl.Series:
    """OK or SHOT for each packet of a frame, as wanted_passes."""
    import polars as pl

    from forensics.packet_columns import packet_columns

    passes = wanted_passes(wanted, packet_columns(frame, wanted.family))
    return pl.Series(["SHOT", _ADMITTED], dtype=pl.String).gather(passes.astype(np.int64))


def _counted(found: Array, names: Mapping[str, str]) -> dict[str, int]:
    return {name: int(count) for name, count in sorted(zip(names, found, strict=True)) if count}
