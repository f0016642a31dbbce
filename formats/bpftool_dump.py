"""The parts of one dump as its reader found them, put together: sizes by vote, broken records named, arrays built.

Parts come in text order: a Block of clean entries, a Loose entry, or a Gap. The size of a value is what most complete
records have; a record of another size is damaged and costs its own value only. The last record of a dump that does not
say where it ends has no vote: it may be cut anywhere.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from formats.address import cidr_of_key
from formats.base import ENTRY_SPAN_DTYPE, MapDump, Problem, Span
from formats.bpftool_names import Target, sizes_of_name, type_of_name
from formats.layouts import CLUSTER_VALUE_SIZE, LPM_KEY_SIZES, NAMESPACE_VALUE_SIZE, NAMESPACE_VALUE_SIZE_BEFORE_V105

if TYPE_CHECKING:
    from collections.abc import Iterator

TRIE_VALUES = frozenset({CLUSTER_VALUE_SIZE, NAMESPACE_VALUE_SIZE, NAMESPACE_VALUE_SIZE_BEFORE_V105})
TRIE_KEYS = frozenset(LPM_KEY_SIZES.values())
#: Entries of a size the agent does not use that must follow each other to be a dump of their own.
_OWN_RUN = 3
#: Broken records named one by one; more of one kind are counted in one Problem.
_NAMED = 20
_NO_VALUE = "no value is shown"


@dataclass(slots=True)
class Block:
    """Clean entries in a row."""

    keys: np.ndarray[Any, Any]
    values: np.ndarray[Any, Any]
    spans: np.ndarray[Any, Any]


@dataclass(slots=True)
class Loose:
    """One entry read by itself. `fault` says why its value (or, with an empty key, the entry) cannot be used; `sure` is
    False for the last record of a dump without an end; `fill`: the text says that the rest of the value is zero."""

    key: bytes
    value: bytes | None
    span: Span
    fault: str = ""
    sure: bool = True
    fill: bool = False


@dataclass(slots=True)
class Gap:
    """Entries left out by hand: how many, None when the text does not say."""

    amount: int | None
    span: Span


@dataclass(slots=True)
class Stated:
    """What a `map show` line says of the dumped map."""

    map_id: int | None = None
    name: str | None = None
    map_type: str | None = None
    key_size: int | None = None
    value_size: int | None = None
    #: one of several in a list, so that what follows need not be its dump
    in_list: bool = False


@dataclass(slots=True)
class Draft:
    """One dump in the making."""

    form: str
    target: Target
    hint: Target
    stated: Stated
    parts: list[Block | Loose | Gap] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    found: int | None = None
    ended: bool = False
    #: False when no end can be expected: `map lookup`, a filtered command
    whole: bool = True
    #: only keys are asked for: `map getnext`
    keys_only: bool = False
    start: int = 0
    end: int = 0
    first_line: int = 1
    last_line: int = 1

    @property
    def span(self) -> Span:
        """Where the dump stands."""
        return Span(self.start, self.end, self.first_line, self.last_line)

    def finish(self) -> Iterator[MapDump | Problem]:
        """The dump as MapDumps (more than one where the sizes change for good) and their problems."""
        groups = _segments(self.parts, self.found)
        for index, parts in enumerate(groups):
            last = index == len(groups) - 1
            yield from _close(self, parts, last=last, alone=len(groups) == 1)


def _sizes(part: Block | Loose | Gap) -> tuple[int, int] | None:
    """Key and value size of a part that may vote; None for the others."""
    if isinstance(part, Block):
        return part.keys.shape[1], part.values.shape[1]
    if (
        isinstance(part, Loose)
        and part.key
        and part.value is not None
        and not part.fault
        and part.sure
        and not part.fill
    ):
        return len(part.key), len(part.value)
    return None


def _weight(part: Block | Loose | Gap) -> int:
    return len(part.keys) if isinstance(part, Block) else int(isinstance(part, Loose))


def _segments(parts: list[Block | Loose | Gap], found: int | None) -> list[list[Block | Loose | Gap]]:
    """Parts of dumps that follow each other without a trailer, told apart by a change of sizes that lasts."""
    if found is not None and found == sum(_weight(part) for part in parts):
        return [parts]
    runs: list[tuple[tuple[int, int] | None, int, int]] = []  # sizes, first part, entries
    for index, part in enumerate(parts):
        sizes = _sizes(part)
        if sizes is None and runs:
            continue
        if runs and (runs[-1][0] == sizes or runs[-1][0] is None):
            runs[-1] = (sizes, runs[-1][1], runs[-1][2] + _weight(part))
        else:
            runs.append((sizes, index, _weight(part)))
    cuts = [0]
    current: tuple[int, int] | None = None
    for number, (sizes, first, count) in enumerate(runs):
        if sizes is None or sizes == current:
            continue
        known = sizes[0] in TRIE_KEYS and sizes[1] in TRIE_VALUES
        own = count >= (2 if known else _OWN_RUN) or (number == len(runs) - 1 and count == found and known)
        if current is None or own:
            if current is not None and _outvoted(runs[:number], current) is False:
                cuts.append(first)
            current = sizes if own or current is None else current
    return [parts[a:b] for a, b in zip(cuts, [*cuts[1:], len(parts)], strict=True)]


def _outvoted(runs: list[tuple[tuple[int, int] | None, int, int]], current: tuple[int, int]) -> bool:
    """True when what came before is one record of an unlikely size: the damaged first record of this same dump."""
    before = sum(count for sizes, _, count in runs if sizes == current)
    known = current[0] in TRIE_KEYS and current[1] in TRIE_VALUES
    return before == 1 and not known


def _vote(scores: Counter[int], stated: int | None, named: frozenset[int]) -> int | None:
    if not scores:
        return None
    best = max(scores.values())
    winners = [size for size, score in scores.items() if score == best]
    return max(winners, key=lambda size: (size == stated, size in named, size in TRIE_VALUES, size))


def _close(draft: Draft, parts: list[Block | Loose | Gap], *, last: bool, alone: bool) -> Iterator[MapDump | Problem]:
    stated, notes = draft.stated, list(draft.notes) if last else []
    own = draft.target.map_name or stated.name
    named_keys, named_values = sizes_of_name(own or draft.hint.map_name)
    key_votes: Counter[int] = Counter()
    value_votes: Counter[int] = Counter()
    for part in parts:
        if sizes := _sizes(part):
            key_votes[sizes[0]] += _weight(part)
            value_votes[sizes[1]] += _weight(part)
    if not key_votes:
        key_votes.update(len(p.key) for p in parts if isinstance(p, Loose) and p.key)
    key_size = _vote(key_votes, stated.key_size, named_keys)
    value_size = _vote(value_votes, stated.value_size, named_values)
    if value_size is None:
        value_size = stated.value_size
        notes += _trusted(parts, named_values, value_size)
        value_size = next((len(p.value) for p in parts if isinstance(p, Loose) and p.value and p.sure), value_size)
    for what, votes, size in (("key", key_votes, key_size), ("value", value_votes, value_size)):
        if len(votes) > 1:
            losers = ", ".join(f"{other} by {count}" for other, count in sorted(votes.items()) if other != size)
            notes.append(f"{what} size {size} by {votes[size or 0]} records; other scores: {losers}")
    if not alone:
        notes.append("the value size changes for good in the text: two dumps follow each other without a trailer")
    table = _Table(key_size or 0, value_size)
    for part in parts:
        table.add(part)
    dump = table.dump(draft, _extent(draft, parts, alone=alone), notes)
    dump.key_size, dump.value_size = key_size or stated.key_size, value_size or stated.value_size
    _name(draft, dump)
    problems = [*table.problems(keys_only=draft.keys_only)]
    _count(draft, dump, table, problems, last=last)
    _repeated(dump)
    yield dump
    yield from problems


def _trusted(parts: list[Block | Loose | Gap], named: frozenset[int], stated: int | None) -> list[str]:
    """Nothing could vote: a last record whose size a `map show` line or the map's name confirms is taken as whole."""
    notes = []
    for part in parts:
        if isinstance(part, Loose) and part.value and not part.sure and not part.fault:
            size = len(part.value)
            if size == stated or (stated is None and size in named) or (stated is None and size == CLUSTER_VALUE_SIZE):
                part.sure = True
                notes.append(f"value size {size} taken from one record without a trailer")
    return notes


def _name(draft: Draft, dump: MapDump) -> None:
    """Name, id and type: the command's and the heading's first; the file's name only where the sizes allow it."""
    target, stated = draft.target, draft.stated
    dump.map_name = target.map_name or stated.name
    dump.map_id = target.map_id if target.map_id is not None else stated.map_id
    hint = draft.hint if dump.map_name is None and target.map_id is None else Target()
    keys, values = sizes_of_name(dump.map_name or hint.map_name)
    fits = (not keys or dump.key_size in keys or not dump.key_size) and (
        not values or dump.value_size in values or not dump.value_size
    )
    if not fits:
        sizes = f"key size {dump.key_size} and value size {dump.value_size}"
        origin = "name" if dump.map_name else "name of the file"
        dump.notes.append(f"{sizes} do not fit the {origin}, {dump.map_name or hint.map_name}")
    if fits and hint.map_name:
        dump.map_name = hint.map_name
    if dump.map_id is None:
        dump.map_id = hint.map_id
    dump.map_type = stated.map_type or (type_of_name(dump.map_name) if fits else None)


def _extent(draft: Draft, parts: list[Block | Loose | Gap], *, alone: bool) -> Span:
    if alone or not parts:
        return draft.span
    spans = [p.span if not isinstance(p, Block) else Span(*map(int, (*p.spans[0],))) for p in parts]
    ends = [p.span if not isinstance(p, Block) else Span(*map(int, (*p.spans[-1],))) for p in parts]
    return Span(spans[0].start, ends[-1].end, spans[0].first_line, ends[-1].last_line)


class _Table:
    """The arrays of a dump whose sizes are decided, and what did not fit them."""

    def __init__(self, key_size: int, value_size: int | None) -> None:
        self.key_size = key_size
        self.value_size = value_size
        self.keys: list[np.ndarray[Any, Any]] = []
        self.values: list[np.ndarray[Any, Any]] = []
        self.spans: list[np.ndarray[Any, Any]] = []
        self.known: list[np.ndarray[Any, Any]] = []
        self.faults: dict[str, list[Span]] = {}
        self.left_out: dict[str, list[Span]] = {}
        self.named: list[Problem] = []
        self.lost = 0
        self.gap = 0
        self.gap_unknown = False

    def add(self, part: Block | Loose | Gap) -> None:
        """Take the next part."""
        if isinstance(part, Gap):
            self.gap += part.amount or 0
            self.gap_unknown |= part.amount is None
        elif isinstance(part, Loose):
            self._add_loose(part)
        elif (part.keys.shape[1], part.values.shape[1]) == (self.key_size, self.value_size):
            self._append(part.keys, part.values, part.spans, known=True)
        else:
            for row in range(len(part.keys)):
                span = Span(*map(int, (*part.spans[row],)))
                self._add_loose(Loose(part.keys[row].tobytes(), part.values[row].tobytes(), span))

    def _append(
        self, keys: np.ndarray[Any, Any], values: np.ndarray[Any, Any], spans: np.ndarray[Any, Any], *, known: bool
    ) -> None:
        self.keys.append(keys)
        self.values.append(values)
        self.spans.append(spans)
        self.known.append(np.full(len(keys), known))

    def _add_loose(self, part: Loose) -> None:
        if not part.key or len(part.key) != self.key_size:
            self.lost += 1
            what = part.fault or f"key of {len(part.key)} bytes in a dump with keys of {self.key_size}"
            spans = self.left_out.setdefault(what, [])
            spans.append(part.span)
            if len(spans) <= _NAMED:
                self.named.append(Problem(what, part.span, "record left out", "one entry"))
            return
        value, fault = part.value, part.fault
        if value is not None and part.fill and self.value_size is not None and len(value) <= self.value_size:
            value = value.ljust(self.value_size, b"\0")
        if not fault and value is None:
            fault = _NO_VALUE
        elif not fault and value is not None and len(value) != self.value_size:
            fault = self._wrong_size(part, value)
        known = not fault
        row = np.zeros((1, self.value_size or 0), np.uint8)
        if known and value is not None:
            row[0] = np.frombuffer(value, np.uint8)
        else:
            self._blame(part, fault)
        spans = np.array([tuple(part.span)], ENTRY_SPAN_DTYPE)
        self._append(np.frombuffer(part.key, np.uint8)[None, :], row, spans, known=known)

    def _wrong_size(self, part: Loose, value: bytes) -> str:
        if self.value_size is None or not part.sure:
            return f"value ends after {len(value)} bytes at the end of the dump"
        return f"value has {len(value)} bytes in a dump with values of {self.value_size}"

    def _blame(self, part: Loose, fault: str) -> None:
        self.faults.setdefault(fault, []).append(part.span)
        if fault != _NO_VALUE and len(self.faults[fault]) <= _NAMED:
            key = cidr_of_key(part.key) or part.key.hex()
            self.named.append(
                Problem(f"{fault} ({key})", part.span, "key kept, value not used", "the value of one entry")
            )

    def problems(self, *, keys_only: bool) -> Iterator[Problem]:
        """What was lost, in the order of the text; many of one kind are counted."""
        yield from self.named
        for fault, spans in self.left_out.items():
            if (rest := len(spans) - _NAMED) > 0:
                where = Span(spans[0].start, spans[-1].end, spans[0].first_line, spans[-1].last_line)
                yield Problem(f"{fault} ({rest} more records)", where, "records left out", f"{rest} entries")
        for fault, spans in self.faults.items():
            if fault == _NO_VALUE and keys_only:
                continue
            rest = len(spans) - (0 if fault == _NO_VALUE else _NAMED)
            if rest > 0:
                where = Span(spans[0].start, spans[-1].end, spans[0].first_line, spans[-1].last_line)
                what = f"{fault} ({rest} {'entry' if rest == 1 else 'entries'})"
                yield Problem(what, where, "keys kept, values not used", f"{rest} values")

    def dump(self, draft: Draft, span: Span, notes: list[str]) -> MapDump:
        """The MapDump of what was added."""
        known = np.concatenate(self.known) if self.known else np.zeros(0, bool)
        keys = np.concatenate(self.keys) if self.keys else np.zeros((0, self.key_size), np.uint8)
        values = np.concatenate(self.values) if self.values else np.zeros((0, self.value_size or 0), np.uint8)
        spans = np.concatenate(self.spans) if self.spans else np.zeros(0, ENTRY_SPAN_DTYPE)
        return MapDump(
            draft.form,
            keys,
            None if self.value_size is None and len(keys) else values,
            spans,
            span,
            value_known=None if bool(known.all()) else known,
            notes=notes,
        )


def _count(draft: Draft, dump: MapDump, table: _Table, problems: list[Problem], *, last: bool) -> None:
    """Trailer against what is shown: sets found, hidden and complete, and says what does not add up."""
    dump.hidden = table.gap + table.lost
    if draft.errors and last:
        shown = "; ".join(draft.errors[:_NAMED])
        dump.notes.append(f"{len(draft.errors)} keys listed whose lookup failed, not entries: {shown}")
    ended, found = (draft.ended, draft.found) if last else (False, None)
    dump.found = found
    dump.complete = ended and not table.gap_unknown
    if table.gap_unknown:
        dump.notes.append("entries were cut out of the text without saying how many")
    if found is None:
        if not ended and draft.whole and (dump.count or table.lost):
            what = "no 'Found N elements' line" if draft.form == "hex" else "the JSON ends before its closing bracket"
            lost = "entries after the last one, if there were any"
            problems.append(Problem(f"{what}: the dump may be cut", dump.span, "entries before the end kept", lost))
        return
    missing = found - dump.count - dump.hidden
    if missing > 0:
        dump.hidden += missing
    if missing and not (missing > 0 and table.gap_unknown):
        shown = f"{dump.count} shown" + (f" and {dump.hidden - max(missing, 0)} left out" if table.gap else "")
        what = f"trailer says {found}, {shown}"
        lost = f"{missing} entries" if missing > 0 else ""
        problems.append(Problem(what, dump.span, "what is shown was read", lost))


def _repeated(dump: MapDump) -> None:
    """Notes keys that stand twice in a trie's dump, which no kernel prints."""
    if dump.count < 2 or dump.key_size not in TRIE_KEYS or dump.map_type not in (None, "lpm_trie"):
        return
    if dump.map_type is None and dump.value_size not in TRIE_VALUES:
        return
    words = np.ascontiguousarray(dump.keys).view("<u4").astype(np.uint64)
    mixed = np.zeros(dump.count, np.uint64)
    for column in range(words.shape[1]):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + words[:, column]
    mixed.sort()
    if bool((mixed[1:] == mixed[:-1]).any()):
        double = dump.count - len({key.tobytes() for key in dump.keys})
        if double:
            dump.notes.append(f"{double} keys stand twice: two runs were joined, or the map changed meanwhile")
