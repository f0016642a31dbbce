"""One section of dump-maps text, from its heading to whatever ends it, and what becomes of it: a MapDump, an error
record or, when the CLI destroyed what it printed, nothing but the report of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from formats.base import MapDump, Problem, Span
from formats.nacli_errors import (
    CRASHED,
    CRASHED_OTHERWISE,
    HEADER_ONLY,
    NO_HASH,
    NOTHING_PRINTED,
    OVERRUN,
    Troubles,
    error_record,
)
from formats.nacli_names import Target, map_kind
from formats.nacli_table import Part, RuleTable, ValueTable, impossible, repeated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.nacli_entry import Entry

Array = np.ndarray[Any, Any]

LOSSY = "only slot 0 shown (lossy form of v1.0.6 and earlier): keys and values are of low trust"
STRIDE = "dump-cp-maps output; if the map is a namespace map the slots are re-cut at 16 bytes"
WRONG_STRIDE = "wrong-stride: dump-cp-maps output of a namespace map, by its name: the slots are re-cut at 16 bytes"
KEYS_ONLY = "keys only: the text shows no slots, no value is known"
FOREIGN_KEYS = "every key looks like an IPv4 key printed by the IPv6 binary: the CLI and the map are not of one family"
FOREIGN_PREFIX = "no key is possible: the IPv4 binary was run on an IPv6 map, whose keys it cuts"
_TYPES = {1: "hash", 9: "lru_hash", 11: "lpm_trie", 27: "ringbuf"}


class Section:
    """What one command printed. `kind` is rules, state or flows once an entry came; spans are absolute."""

    def __init__(self, target: Target, start: int, first_line: int, *, header: bool = False) -> None:
        self.target = target
        self.header = header
        self.start, self.first_line = start, first_line
        self.end, self.last_line = start, first_line
        self.kind: str | None = None
        self.walk: int | None = None
        self.rules = RuleTable()
        self.values = ValueTable()
        self.cluster: bool | None = None
        self.lossy = False
        self.new_form = False  # `Key:` of v1.3.0 and later, whose cluster maps exist
        self.first_bad: str | None = None  # why the first key cannot be the map's: "zero" or "prefix"
        self.first_starred = False
        self.keys_seen = 0
        self.bare = 0
        self.damaged = 0
        self.ended = False
        self.empty: str | None = None
        self.partial = False
        self.crash: str | None = None
        self.said = False
        self.gap_unknown = False
        self.hidden = 0
        self.notes: list[str] = []
        self.troubles = Troubles()

    @property
    def span(self) -> Span:
        """Where it stands."""
        return Span(self.start, self.end, self.first_line, self.last_line)

    @property
    def count(self) -> int:
        """Entries taken so far."""
        return self.rules.count + self.values.count

    def close(self) -> Iterator[Item]:
        """What the section gives."""
        if self.crash is not None:
            wrong_command = self.kind in (None, "rules") and not self.cluster
            yield from self._discarded(self.crash, CRASHED if wrong_command else CRASHED_OTHERWISE)
        elif self.kind is None:
            yield from self._without_entries()
        elif self.kind == "rules":
            yield from self._rule_dump()
        elif self.count or self.hidden:
            yield self._value_dump()
        yield from self._endings()
        yield from self.troubles.close()

    def _without_entries(self) -> Iterator[Item]:
        if self.empty is not None:
            yield self._empty_dump()
        elif self.said:
            return
        elif self.walk == 1:
            yield error_record("(no output after the first line)", self.target.map_id, self.span, NO_HASH)
        elif self.walk is not None:
            yield error_record("(no output after the first line)", self.target.map_id, self.span, HEADER_ONLY)
        elif self.header:
            yield error_record("(no output)", self.target.map_id, self.span, NOTHING_PRINTED)

    def _empty_dump(self) -> MapDump:
        dump = self._dump(Part(np.zeros((0, 0), np.uint8), *ValueTable().arrays()[1:]), values=None)
        dump.map_type = "hash" if self.empty == "hash" else _TYPES.get(self.walk or 0)
        dump.tier = "cluster" if self.target.verb == "dump-cp-maps" and self.empty != "hash" else None
        dump.complete = True
        dump.text_slots = RuleTable().arrays().content
        return dump

    def _dump(self, part: Part, values: Array | None) -> MapDump:
        known = None if bool(part.known.all()) else part.known
        dump = MapDump("text", part.keys, values, part.spans, self.span, value_known=known, notes=self.notes)
        dump.map_id, dump.map_name = self.target.map_id, self.target.map_name
        dump.hidden = self.hidden
        dump.complete = self.ended and not self.gap_unknown
        return dump

    def _value_dump(self) -> MapDump:
        part = self.values.arrays()
        dump = self._dump(part, part.content)
        dump.key_size, dump.value_size = self.values.key_size or None, self.values.value_size or None
        dump.map_type = "hash" if self.kind == "state" else "lru_hash"
        if self.kind == "flows" and dump.value_size == 1 and dump.key_size in (16, 38):
            self.notes.append("the text does not show the value's size: its first byte is what is printed")
        return dump

    def _rule_dump(self) -> Iterator[Item]:
        part = self.rules.arrays()
        if why := self._garbled(part):
            yield from self._discarded("dump-maps printed what is not in the map", why)
            return
        if not self.count and not self.hidden:
            return
        part = self._without_repeats(part)
        dump = self._dump(part, values=None)
        dump.text_slots = part.content
        dump.key_size, dump.map_type = self.rules.key_size or None, "lpm_trie"
        if self.cluster is None:
            self.cluster = self.target.verb == "dump-cp-maps"
        dump.tier = "cluster" if self.cluster else "namespace"
        self._annotate(part)
        yield dump

    def _garbled(self, part: Part) -> str:
        """Why the section cannot be what the map holds; empty when it can.

        A kernel prints the shortest prefixes last and every map holds the node's own address, so 0.0.0.0/0 is never the
        first of a healthy dump: it is what an overrun leaves of the key.
        """
        if self.lossy and self.first_bad:
            return OVERRUN
        if self.cluster:
            return ""
        if self.count and map_kind(self.target.map_name) == "cluster":
            return CRASHED
        if self.ended or not self.first_bad or not (self.walk is not None or self.new_form):
            return ""
        lone = self.keys_seen == 1 and self.first_starred
        return CRASHED if self.first_bad == "prefix" or lone or impossible(part.content) else ""

    def _discarded(self, what: str, why: str) -> Iterator[Item]:
        self.ended = True
        self.troubles = Troubles()
        yield error_record(what, self.target.map_id, self.span, why)
        lost = "the map's content: this text does not have it"
        yield Problem("crash of the CLI, no rule of this section is real", self.span, "section discarded", lost, why)

    def _without_repeats(self, part: Part) -> Part:
        again = repeated(part.keys) if self.rules.key_size else np.zeros(0, bool)
        count = int(again.sum())
        if not count:
            return part
        if not self.lossy:
            self.notes.append(f"{count} keys stand twice: two runs were joined, or the map changed meanwhile")
            return part
        kept = np.flatnonzero(~again)
        slots = part.content[~again[part.content["entry"]]]
        slots["entry"] = np.searchsorted(kept, slots["entry"])
        what = f"the CLI went in circles: {count} keys were printed again"
        self.troubles.add(what, self.span, "the first of each kept", "the entries it never reached")
        return Part(part.keys[kept], part.spans[kept], part.known[kept], slots)

    def _annotate(self, part: Part) -> None:
        if self.lossy:
            self.notes.append(LOSSY)
        if self.cluster and (kind := map_kind(self.target.map_name)) != "cluster":
            self.notes.append(WRONG_STRIDE if kind == "namespace" else STRIDE)
        if self.count and not part.known.any() and not self.damaged:
            self.notes.append(KEYS_ONLY)
            self.target = self.target._replace(filtered=True)
        elif self.bare:
            what = "an entry shows its key and no slots" if self.bare == 1 else f"{self.bare} entries show no slots"
            self.troubles.add(what, self.span, "keys kept", f"{self.bare} values")
        if not self.count and self.first_bad == "prefix":
            self.notes.append(FOREIGN_PREFIX)
        if self.rules.key_size == 20 and self.count and not part.keys[:, 8:].any():
            prefixes = np.ascontiguousarray(part.keys[:, :4]).view("<u4").reshape(-1)
            if bool((prefixes <= 32).all()) and bool((prefixes == 32).any()):
                self.notes.append(FOREIGN_KEYS)

    def _endings(self) -> Iterator[Problem]:
        if self.ended or self.empty or self.kind is None or self.crash is not None:
            return
        lost = "entries after the last one, if there were any"
        if self.partial:
            yield Problem("the CLI stopped before the end of the map", self.span, "entries before it kept", lost)
        elif not self.target.filtered:
            what = "no end line ('Done reading all entries'): the dump may be cut"
            yield Problem(what, self.span, "entries before the end kept", lost)

    def take(self, entry: Entry) -> None:
        """A closed entry of a rule map: to the table, or to the problems."""
        self.keys_seen += 1
        if self.keys_seen == 1:
            self.first_starred = entry.starred
            if entry.key is None:
                self.first_bad = "prefix"
            elif not any(entry.key[4:]):
                self.first_bad = "zero"
        self.lossy |= entry.lossy
        if entry.key is None:
            self.hidden += 1
            self.troubles.add(entry.fault, entry.span, "record left out", "one entry", entry.text)
            return
        if entry.cluster is not None and self.cluster not in (None, entry.cluster):
            entry.hurt("fields of another form than the entries before")
        elif entry.cluster is not None or entry.doubled:
            self.cluster = self.cluster if self.cluster is not None else bool(entry.cluster or entry.doubled)
        known = not entry.damage and (bool(entry.slots) or entry.starred)
        self.bare += not known and not entry.damage
        if entry.damage:
            self.damaged += 1
            detail = f"{entry.text}: {entry.damage}"
            self.troubles.add(
                "an entry's value is damaged", entry.span, "key kept, value not used", "one value", detail
            )
        self.rules.add(entry.key, entry.span, entry.slots if known else [], known=known)
