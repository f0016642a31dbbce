"""PodState: all that is known of one pod identifier on one node, joined from dumps, programs, policies and the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from forensics.distinct_values import distinct_values, has_values, one_value
from forensics.slot_rows import SlotRows
from forensics.sorted_search import distinct
from formats import layouts
from formats.address import cidr_of_key
from formats.base import Span
from formats.key_texts import key_texts
from formats.mapview import row_bytes

if TYPE_CHECKING:
    from forensics.artifact import Artifact
    from forensics.distinct_values import Distinct
    from formats.base import MapDump

RULE_MAPS = ("ingress_map", "egress_map", "cp_ingress_map", "cp_egress_map")
STATE_MAPS = ("ingress_pod_state_map", "egress_pod_state_map")
#: The pod identifier of dumps that name neither pin nor ID nor pod.
UNNAMED = "unnamed"
#: Value sizes of the maps of a tier (v1.0.1 to v1.4.1).
TIER_SIZES = {
    "namespace": (layouts.NAMESPACE_VALUE_SIZE, layouts.NAMESPACE_VALUE_SIZE_BEFORE_V105),
    "cluster": (layouts.CLUSTER_VALUE_SIZE,),
}
#: A protocol number no packet has that the CLI could have meant by UNKNOWN: it names 1, 6, 17, 132, 254 and 255.
UNKNOWN_PROTOCOL = 253


def direction_of(map_name: str) -> str:
    """The pod's direction a map is for."""
    return "egress" if "egress" in map_name else "ingress"


def tier_of_name(map_name: str) -> str | None:
    """namespace or cluster for a rule map's name, None for a pod state map."""
    if map_name not in RULE_MAPS:
        return None
    return "cluster" if map_name.startswith("cp_") else "namespace"


def fits(dump: MapDump, tier: str | None) -> bool:
    """Whether a dump can be of a map of the tier: not with the other tier's value size, nor printed at its stride."""
    printed = dump.text_slots
    if tier is not None and printed is not None and len(printed) and not has_values(dump):
        # only dump-cp-maps prints priorities, and a map of either tier can be named to it
        return bool((printed["priority"] >= 0).any()) == (tier == "cluster")
    other = {"namespace": "cluster", "cluster": "namespace"}.get(tier or "")
    return other is None or dump.value_size not in TIER_SIZES[other]


class MapView(NamedTuple):
    """One dump of a map, in its artifact."""

    dump: MapDump
    artifact: Artifact

    @property
    def raw(self) -> bool:
        """Whether it has the value bytes themselves."""
        return has_values(self.dump)


class Entry(NamedTuple):
    """One row of the deciding view: its CIDR (key hex when it is none), its row and whether its value is known."""

    cidr: str
    row: int
    key: bytes
    known: bool


@dataclass(slots=True, repr=False)
class MapState:
    """One map of a pod identifier. `view` is the one that decides: raw bytes before text, whole before cut."""

    name: str
    map_id: int | None = None
    key_size: int | None = None
    value_size: int | None = None
    views: list[MapView] = field(default_factory=list)
    view: MapView | None = None
    disagreements: list[str] = field(default_factory=list)
    _entries: list[Entry] | None = None
    _slots: SlotRows | None = None
    _texts: list[str] | None = None
    _cidrs: set[str] | None = None
    _distinct: Distinct | None = None
    _text_words: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None = None

    @property
    def direction(self) -> str:
        """ingress or egress, the pod's."""
        return direction_of(self.name)

    @property
    def tier(self) -> str | None:
        """namespace or cluster."""
        return tier_of_name(self.name)

    @property
    def entries(self) -> list[Entry]:
        """Entries of the deciding view in dump order; empty without one."""
        if self._entries is None:
            self._entries = [] if self.view is None else _entries(self.view.dump, self.texts)
        return self._entries

    def entry(self, row: int) -> Entry:
        """One entry of the deciding view."""
        if self._entries is not None:
            return self._entries[row]
        assert self.view is not None
        key, known = self.key(row), self.view.dump.value_known
        return Entry(cidr_of_key(key) or key.hex(), row, key, known is None or bool(known[row]))

    def forget(self) -> None:
        """Let go of what was made from the dump's arrays; it is made again when somebody asks."""
        self._entries = self._slots = self._texts = self._cidrs = self._distinct = None
        self._text_words = None
        for view in self.views:
            view.dump.forget()

    @property
    def whole(self) -> bool:
        """Whether the deciding view shows every entry: only then an absent key is a missing key."""
        if self.view is None:
            return False
        dump = self.view.dump
        return dump.complete and dump.hidden == 0

    @property
    def count(self) -> int:
        """Number of entries of the deciding view."""
        return self.view.dump.count if self.view is not None else 0

    @property
    def all_known(self) -> bool:
        """Whether the value of every entry shown could be read."""
        return self.view is None or self.view.dump.value_known is None or bool(self.view.dump.value_known.all())

    def open_hosts(self) -> set[str]:
        """CIDRs of single hosts whose value is one allow-all slot and nothing else, as the tier reads it."""
        if self.view is None or not self.count:
            return set()
        size = self.view.dump.keys.shape[1]
        host = "/128" if size == layouts.LPM_KEY_SIZES[6] else "/32"
        slots = self.slots()
        rows = slots.lone(layouts.PROTOCOL_ANY)
        return {cidr for row in rows if (cidr := self.entry(row).cidr).endswith(host)}

    def span(self, row: int) -> Span:
        """Where an entry stands in the deciding view's artifact."""
        assert self.view is not None
        where = self.view.dump.spans[row]
        return Span(*(int(where[name]) for name in ("start", "end", "first_line", "last_line")))

    @property
    def texts(self) -> list[str]:
        """The CIDR of every entry in dump order, key hex where it is none."""
        if self._texts is None:
            self._texts = [] if self.view is None else key_texts(self.view.dump.keys)
        return self._texts

    @property
    def cidrs(self) -> set[str]:
        """CIDRs of all entries."""
        if self._cidrs is None:
            self._cidrs = set(self.texts)
        return self._cidrs

    @property
    def prefix_lengths(self) -> list[int]:
        """The prefix lengths that occur."""
        if self.view is None or self.view.dump.keys.shape[1] not in layouts.LPM_KEY_SIZES.values():
            return []
        lengths = distinct(np.ascontiguousarray(self.view.dump.keys[:, :4]).view("<u4"))
        return [int(length) for length in lengths]

    def key(self, row: int) -> bytes:
        """The key bytes of an entry."""
        assert self.view is not None
        return bytes(self.view.dump.keys[row].tobytes())

    def raw_keys(self) -> list[bytes]:
        """The key bytes of every entry in dump order."""
        return [] if self.view is None else row_bytes(self.view.dump.keys)

    def value(self, row: int) -> bytes | None:
        """The value bytes of an entry; None where only text is known."""
        if self.view is None or not self.view.raw:
            return None
        known = self.view.dump.value_known
        return None if known is not None and not known[row] else one_value(self.view.dump, row)

    @property
    def distinct(self) -> Distinct | None:
        """The values of the deciding view once each; None where only text is known."""
        if self._distinct is None and self.view is not None and self.view.raw:
            self._distinct = distinct_values(self.view.dump)
        return self._distinct

    def row_words(self, row: int) -> tuple[list[int], list[bool]]:
        """One row of words()."""
        if self.view is None or not self.view.raw:
            words, known = self.words()
            return words[row].tolist(), known[row].tolist()
        value, shown = one_value(self.view.dump, row), self.view.dump.value_known
        numbers: list[int] = np.frombuffer(value, "<u4", len(value) // 4).tolist()
        return numbers, [shown is None or bool(shown[row])] * len(numbers)

    def words(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """(uint32[n, w] words of every value, bool[n, w] which of them are known).

        Text forms skip slots whose first word is 0: that word is then known to be 0 and the rest of the slot is not.
        An UNKNOWN protocol is a word that is not known.
        """
        assert self.view is not None
        dump = self.view.dump
        if dump.values is not None:
            size = dump.values.shape[1] // 4 * 4
            words = np.ascontiguousarray(dump.values[:, :size]).view("<u4")
            known = np.ones(words.shape, bool)
            if dump.value_known is not None:
                known[~dump.value_known] = False
            return words, known
        if self._text_words is None:
            self._text_words = text_words(dump, cluster=self.tier == "cluster")
        return self._text_words

    def as_dict(self) -> dict[bytes, bytes]:
        """{key: value bytes} for the datapath; text forms are rebuilt, UNKNOWN protocols as one no packet has."""
        if self.view is None:
            return {}
        dump, distinct = self.view.dump, self.distinct
        if distinct is not None:
            keys, values, which = row_bytes(dump.keys), distinct.bytes(), distinct.which.tolist()
            if dump.value_known is None:
                return dict(zip(keys, map(values.__getitem__, which), strict=True))
            return {keys[row]: values[which[row]] for row in np.flatnonzero(dump.value_known).tolist()}
        words, known = self.words()
        stride = 4 if self.tier == "cluster" else 3
        filled = np.where(known, words, 0).astype("<u4")
        unknown_protocol = ~known[:, ::stride]
        filled[:, ::stride][unknown_protocol] = UNKNOWN_PROTOCOL
        return {entry.key: filled[entry.row].tobytes() for entry in self.entries if entry.known}

    def slots(self) -> SlotRows:
        """{row: [(protocol, priority, start, end)]} of non-zero slots as the map's own tier reads them."""
        if self._slots is None:
            dump = self.view.dump if self.view is not None else None
            self._slots = SlotRows(dump, self.distinct, cluster=self.tier == "cluster")
        return self._slots


def _entries(dump: MapDump, texts: list[str]) -> list[Entry]:
    known = [True] * dump.count if dump.value_known is None else dump.value_known.tolist()
    rows = zip(texts, range(dump.count), row_bytes(dump.keys), known, strict=True)
    # as Entry does it, without a call of Python's for each of very many
    return list(map(tuple.__new__, repeat(Entry), rows))


class Entries(Sequence[Entry]):
    """Some rows of a map as entries, each made when somebody asks for it."""

    def __init__(self, state: MapState, rows: list[int]) -> None:
        self._state, self._rows = state, rows

    @overload
    def __getitem__(self, at: int) -> Entry: ...

    @overload
    def __getitem__(self, at: slice) -> list[Entry]: ...

    def __getitem__(self, at: int | slice) -> Entry | list[Entry]:
        if isinstance(at, slice):
            return [self._state.entry(row) for row in self._rows[at]]
        return self._state.entry(self._rows[at])

    def __len__(self) -> int:
        return len(self._rows)


def text_words(dump: MapDump, *, cluster: bool) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """words() of a text view: [n, 96] for the cluster tier, [n, 72] for the namespace tier."""
    stride = 4 if cluster else 3
    words = np.zeros((dump.count, layouts.SLOTS * stride), "<u4")
    known = np.zeros(words.shape, bool)
    known[:, ::stride] = True
    slots = dump.text_slots
    if slots is not None and len(slots):
        at = slots["entry"].astype(int) * words.shape[1] + slots["slot"].astype(int) * stride
        fields = (
            ("protocol", "priority", "start_port", "end_port") if cluster else ("protocol", "start_port", "end_port")
        )
        for offset, name in enumerate(fields):
            number = slots[name]
            words.reshape(-1)[at + offset] = np.where(number < 0, 0, number).astype("<u4")
            known.reshape(-1)[at + offset] = number >= 0
    if dump.value_known is not None:
        known[~dump.value_known] = False
    return words, known


class PodRef(NamedTuple):
    """A pod behind an identifier. `local` is True when it runs on this node, None when that is not known."""

    namespace: str
    name: str
    ip: str | None
    local: bool | None

    @property
    def title(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"


@dataclass(slots=True, repr=False)
class PodState:
    """One pod identifier on one node."""

    node: str
    identifier: str
    maps: dict[str, MapState] = field(default_factory=dict)
    pods: list[PodRef] = field(default_factory=list)
    programs: dict[str, int | None] = field(default_factory=dict)
    policies: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: A legacy `-` pin that lives beside the `@` one of the same pods: it enforces nothing.
    superseded_by: str | None = None

    def map(self, name: str) -> MapState:
        """The named map, made empty when nothing is known of it yet."""
        return self.maps.setdefault(name, MapState(name))

    def dumped(self, name: str) -> MapState | None:
        """The named map when a dump of it is at hand, and not one that bears its name with another tier's values."""
        state = self.maps.get(name)
        return state if state is not None and state.view is not None and fits(state.view.dump, state.tier) else None

    def state_of(self, direction: str) -> dict[int, int] | None:
        """{0: namespace state, 1: cluster state} of a direction; None without a dump of its pod state map."""
        state = self.dumped(f"{direction}_pod_state_map")
        if state is None or state.view is None or state.view.dump.values is None:
            return None
        return {
            int.from_bytes(e.key, "little"): int(state.view.dump.values[e.row][0]) for e in state.entries if e.known
        }

    @property
    def local_pods(self) -> list[PodRef]:
        """Pods that are known to run on this node."""
        return [pod for pod in self.pods if pod.local]

    def titles(self) -> list[str]:
        """namespace/name of the local pods, of all pods when none is known to be local."""
        return sorted({pod.title for pod in (self.local_pods or self.pods)})
