"""Which entries of a rule map were written for the other tier, and how sure that is.

Bytes decide where they can: a value that reads as 12-byte rules and cannot be read as 16-byte ones was written for the
namespace tier. Where both readings are possible (a lone allow-all reads as an admin deny) the surroundings decide:
the agent log's map IDs, the neighbours in the same map, the policies. Nothing is judged by the agent version alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from forensics.podstate import UNNAMED, Entries
from forensics.strides import read_both
from forensics.versions import between
from formats import layouts
from formats.address import canonical
from formats.key_texts import key_texts
from formats.mapview import row_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from forensics.context import Context
    from forensics.podstate import Entry, MapState
    from forensics.policy_rules import Direction
    from forensics.strides import Strides

STRIDE = "stride"
LOG = "log"
NEIGHBOURS = "neighbours"
POLICIES = "policies"
#: Why an entry is judged misplaced -> how sure that is.
CONFIDENCE = {STRIDE: "certain", LOG: "certain", NEIGHBOURS: "high", POLICIES: "high"}
#: Fewer entries than these with zeros behind the buffer may be chance.
_STRAY_ENTRIES = 2


class Misplaced(NamedTuple):
    """An entry that was written for the other tier, and the strongest reason to say so."""

    entry: Entry
    reason: str


class Judgement(NamedTuple):
    """One map's judgement.

    `unclear` are entries that may be misplaced and cannot be decided with what is at hand; `odd` have values that are
    rules of neither tier; `unseen` counts entries that are known to exist and whose values are not shown, None where
    the dump does not say whether more entries follow.
    """

    misplaced: list[Misplaced]
    unclear: Sequence[Entry]
    checked: int
    odd: Sequence[Entry] = ()
    unseen: int | None = 0
    #: it is not known whose map this is, and it reads as a namespace map that was printed by dump-cp-maps
    stray: bool = False


def judge_cluster(context: Context, state: MapState) -> Judgement:
    """Which entries of a cluster map hold namespace rules."""
    return context.judgement(state, _judge_cluster)


def _judge_cluster(context: Context, state: MapState) -> Judgement:
    rows = _known_rows(state)
    if not len(rows):
        return Judgement([], [], 0, unseen=_unseen(state, 0))
    if _stray(context, state, rows):
        return Judgement([], [], len(rows), stray=True)
    readings = _readings(context, state).of(rows)
    namespace, cluster = readings.namespace.sane, readings.cluster.sane
    misplaced = [Misplaced(state.entry(row), STRIDE) for row in rows[namespace & ~cluster].tolist()]
    both = rows[namespace & cluster]
    odd = Entries(state, rows[~namespace & ~cluster].tolist())
    unseen = _unseen(state, len(rows))
    if not len(both):
        return Judgement(misplaced, [], len(rows), odd, unseen)
    # beside a rule that is certainly the cluster tier's, bad neighbours alone prove nothing of an unclear one
    certain = bool((cluster & ~namespace).any())
    more, unclear = _Surroundings(context, state, bool(misplaced), certain=certain).sort(both)
    misplaced = sorted([*misplaced, *more], key=lambda item: item.entry.row)
    return Judgement(misplaced, unclear, len(rows), odd, unseen)


def _readings(context: Context, state: MapState) -> Strides:
    """Both readings of every entry; they say nothing of an entry whose value is not known."""
    distinct = state.distinct
    return read_both(*state.words()) if distinct is None else context.neighbours.reader.read(distinct)


def _stray(context: Context, state: MapState, rows: np.ndarray[Any, Any]) -> bool:
    """Whether this is text without a map's name that may be a namespace map printed at the cluster map's stride.

    Behind byte 288 such a print has zeros in every entry. After a write of the wrong size nearly every entry has
    something there: of 15,115 writes observed 149 had zeros.
    """
    if state.view is None or state.view.raw or len(rows) < _STRAY_ENTRIES:
        return False
    dump = state.view.dump
    if dump.map_name or context.pod.identifier not in (UNNAMED, f"map-{dump.map_id}"):
        return False
    tail = layouts.NAMESPACE_VALUE_SIZE // 4
    words, known = (each[rows] for each in state.words())
    readings = read_both(words, known)
    empty = not bool((words[:, tail:] != 0).any()) and bool(known[:, tail::4].all())
    return (
        empty and bool((readings.namespace.sane & ~readings.cluster.sane).any()) and bool(readings.namespace.sane.all())
    )


def _unseen(state: MapState, shown: int) -> int | None:
    """Entries without a value at hand; None when the dump does not say where it ends."""
    if state.view is None:
        return None
    hidden = state.count - shown + state.view.dump.hidden
    return hidden if hidden or state.view.dump.complete else None


def _known_rows(state: MapState) -> np.ndarray[Any, Any]:
    """The rows of a dump whose values are known."""
    if state.view is None:
        return np.zeros(0, np.intp)
    dump = state.view.dump
    return np.arange(dump.count) if dump.value_known is None else np.flatnonzero(dump.value_known)


class _Surroundings:
    """What stands around entries that can be read both ways."""

    def __init__(self, context: Context, state: MapState, neighbours: bool, *, certain: bool) -> None:
        """`neighbours`: other entries of the map are misplaced; `certain`: others are surely cluster rules."""
        self._state, self._neighbours, self._certain = state, neighbours, certain
        direction: Direction = "egress" if state.direction == "egress" else "ingress"
        intent = context.intent
        expected = intent.expected(direction)
        self._cluster = expected.cluster.entries
        self._namespace = expected.namespace.entries
        self._known = intent.cluster_known.yes
        self._written = {canonical(cidr) for write in context.misdirected(state) for cidr in write.cidrs}
        self._heads = _namespace_heads(context, direction)
        beside = context.dumped(f"{direction}_map")
        #: what the namespace policies ask for and the namespace map lacks: found here, it went to the wrong map
        self._lacked = set(self._namespace)
        if self._lacked and (beside is None or not beside.whole):
            self._lacked = set()
        elif self._lacked and beside is not None:
            self._lacked -= beside.cidrs

    def sort(self, rows: np.ndarray[Any, Any]) -> tuple[list[Misplaced], Entries]:
        """(the misplaced ones among some rows, those that stay undecided)."""
        misplaced: list[Misplaced] = []
        undecided: list[int] = []
        unnamed = {familiar: self._by_value(familiar=familiar) for familiar in (False, True)}
        for row, named, familiar in zip(rows.tolist(), self._named(rows), self._familiar(rows), strict=True):
            reason, open_ = self._decide(self._state.entry(row), familiar=familiar) if named else unnamed[familiar]
            if reason is not None:
                misplaced.append(Misplaced(self._state.entry(row), reason))
            elif open_:
                undecided.append(row)
        return misplaced, Entries(self._state, undecided)

    def _named(self, rows: np.ndarray[Any, Any]) -> list[bool]:
        """Whether a policy or the log names the entry's CIDR; of all others the value alone decides."""
        names = {*self._cluster, *self._namespace, *self._written}
        if not names or self._state.view is None:
            return [False] * len(rows)
        return [cidr in names for cidr in key_texts(self._state.view.dump.keys[rows])]

    def _familiar(self, rows: np.ndarray[Any, Any]) -> list[bool]:
        """Whether the namespace map beside has the rules that the first 288 bytes are."""
        distinct, size = self._state.distinct, layouts.NAMESPACE_VALUE_SIZE
        if distinct is None:
            words, _ = self._state.words()
            return [head in self._heads for head in row_bytes(words[rows, : size // 4].astype("<u4"))]
        whole = distinct.values.shape[1] // 4 * 4
        flags = np.array([value[: min(size, whole)] in self._heads for value in distinct.bytes()], bool)
        found: list[bool] = flags[distinct.which[rows]].tolist()
        return found

    def _decide(self, entry: Entry, *, familiar: bool) -> tuple[str | None, bool]:
        """(the reason it is misplaced, or None; whether it stays undecided)."""
        explained = self._cluster.get(entry.cidr)
        if explained is not None and explained.admissible.admits(self._state.slots()[entry.row]):
            return None, False
        if explained is not None:
            return (POLICIES if self._namespace_rules(entry) else None), False
        if entry.cidr in self._written:
            return LOG, False
        asked = entry.cidr in self._namespace
        moved = entry.cidr in self._lacked and (familiar or self._namespace_rules(entry))
        return self._by_value(familiar=familiar, asked=asked, moved=moved)

    def _by_value(self, *, familiar: bool, asked: bool = False, moved: bool = False) -> tuple[str | None, bool]:
        belongs = asked or familiar
        if self._neighbours and (belongs or self._known or not self._certain):
            return NEIGHBOURS, False
        if moved or (belongs and self._known):
            return POLICIES, False
        return None, True

    def _namespace_rules(self, entry: Entry) -> bool:
        """Whether the entry holds what the namespace policies ask for its CIDR."""
        wanted = self._namespace.get(entry.cidr)
        words = self._state.row_words(entry.row)[0][: layouts.NAMESPACE_VALUE_SIZE // 4]
        slots = [tuple(words[at : at + 3]) for at in range(0, len(words), 3)]
        return wanted is not None and wanted.admissible.admits([slot for slot in slots if any(slot)])


def _namespace_heads(context: Context, direction: str) -> set[bytes]:
    """Values of the namespace map of the same pods and direction."""
    state = context.dumped(f"{direction}_map")
    if state is None or state.distinct is None:
        return set()
    values, which = state.distinct
    held = np.zeros(len(values), bool)
    held[which[_known_rows(state)]] = True
    return set(row_bytes(values[held]))


def judge_namespace(context: Context, state: MapState) -> Judgement:
    """Which entries of a namespace map hold cluster rules: 16-byte bytes, or cluster policies' CIDRs (KB-115)."""
    return context.judgement(state, _judge_namespace)


def _judge_namespace(context: Context, state: MapState) -> Judgement:
    rows = _known_rows(state)
    if not len(rows):
        return Judgement([], [], 0, unseen=_unseen(state, 0))
    readings = _readings(context, state).of(rows)
    raw = ~readings.namespace.sane & readings.cluster.sane
    if state.view is None or not state.view.raw:
        raw[:] = False
    misplaced = [Misplaced(state.entry(row), STRIDE) for row in rows[raw].tolist()]
    misplaced += [Misplaced(entry, reason) for entry, reason in _cluster_rules(context, state, rows[~raw])]
    misplaced.sort(key=lambda item: item.entry.row)
    odd = Entries(state, rows[~readings.namespace.sane & ~raw].tolist())
    return Judgement(misplaced, [], len(rows), odd, _unseen(state, len(rows)))


def _cluster_rules(context: Context, state: MapState, rows: np.ndarray[Any, Any]) -> list[tuple[Entry, str]]:
    """Rows whose entries a cluster policy explains and no namespace policy does, on the versions that write them so."""
    node, intent = context.node, context.intent
    if node.agent_version and not between(node.agent_version, "v1.3.0", "v1.3.1"):
        return []
    direction: Direction = "egress" if state.direction == "egress" else "ingress"
    logged = {
        cidr for write in node.story.writes if write.cluster_rules and write.map_id == state.map_id and state.map_id
        for cidr in write.cidrs if write.said == state.name
    }  # fmt: skip
    expected = intent.expected(direction)
    cluster = set(expected.cluster.entries)
    if not cluster and not logged:
        return []
    namespace = set(expected.namespace.entries) if intent.selected else set()
    if not logged and not intent.known.yes and not _cluster_map_lacks(context, direction, cluster):
        return []
    assert state.view is not None
    out: list[tuple[Entry, str]] = []
    for row, cidr in zip(rows.tolist(), key_texts(state.view.dump.keys[rows]), strict=True):
        named = cidr in logged or cidr in cluster
        if named and cidr not in namespace and not _is_node(context, cidr):
            out.append((state.entry(row), LOG if cidr in logged else POLICIES))
    return out


def _cluster_map_lacks(context: Context, direction: str, wanted: set[str]) -> bool:
    state = context.dumped(f"cp_{direction}_map")
    return state is not None and state.whole and not (state.cidrs & wanted)


def _is_node(context: Context, cidr: str) -> bool:
    node_ip = context.node.node_ip
    return node_ip is not None and cidr.split("/")[0] == node_ip
