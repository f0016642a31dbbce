"""The parts of one dump as its reader found them, put together: sizes by vote, broken records named, arrays built.

Parts come in text order: a Block of clean entries, a Loose entry, or a Gap. The size of a value is what most complete
records have; a record of another size is damaged and costs its own value only. The last record of a dump that does not
say where it ends has no vote: it may be cut anywhere.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from formats.base import MapDump, Problem, Span
from formats.bpftool_names import Target, sizes_of_name, type_of_name
from formats.bpftool_parts import TRIE_KEYS, TRIE_VALUES, Block, Gap, Loose, Stated, segments, sizes_of, weight
from formats.bpftool_table import NAMED, Table
from formats.layouts import CLUSTER_VALUE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator


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
        groups = segments(self.parts, self.found)
        for index, parts in enumerate(groups):
            last = index == len(groups) - 1
            yield from _close(self, parts, last=last, alone=len(groups) == 1)


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
        if sizes := sizes_of(part):
            key_votes[sizes[0]] += weight(part)
            value_votes[sizes[1]] += weight(part)
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
    table = Table(key_size or 0, value_size)
    for part in parts:
        table.add(part)
    dump = table.dump(draft.form, _extent(draft, parts, alone=alone), notes)
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


def _count(draft: Draft, dump: MapDump, table: Table, problems: list[Problem], *, last: bool) -> None:
    """Trailer against what is shown: sets found, hidden and complete, and says what does not add up."""
    dump.hidden = table.gap + table.lost
    if draft.errors and last:
        shown = "; ".join(draft.errors[:NAMED])
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
