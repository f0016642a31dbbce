"""Which entries of a rule map were written for the other tier, and how sure that is.

Bytes decide where they can: a value that reads as 12-byte rules and cannot be read as 16-byte ones was written for the
namespace tier. Where both readings are possible (a lone allow-all reads as an admin deny) the surroundings decide:
the agent log's map IDs, the neighbours in the same map, the policies. Nothing is judged by the agent version alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from forensics.podstate import UNNAMED
from forensics.strides import read_both
from forensics.versions import between
from formats import layouts
from formats.address import canonical
from formats.mapview import row_bytes

if TYPE_CHECKING:
    from typing import Any

    from forensics.context import Context
    from forensics.podstate import Entry, MapState
    from forensics.policy_rules import Direction

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
    unclear: list[Entry]
    checked: int
    odd: tuple[Entry, ...] = ()
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
    words, known = state.words()
    if _stray(context, state, words[rows], known[rows]):
        return Judgement([], [], len(rows), stray=True)
    readings = read_both(words, known)
    namespace, cluster = readings.namespace.sane[rows], readings.cluster.sane[rows]
    misplaced = [Misplaced(state.entry(row), STRIDE) for row in rows[namespace & ~cluster].tolist()]
    both = [state.entry(row) for row in rows[namespace & cluster].tolist()]
    odd = tuple(state.entry(row) for row in rows[~namespace & ~cluster].tolist())
    unseen = _unseen(state, len(rows))
    if not both:
        return Judgement(misplaced, [], len(rows), odd, unseen)
    unclear: list[Entry] = []
    # beside a rule that is certainly the cluster tier's, bad neighbours alone prove nothing of an unclear one
    certain = bool((cluster & ~namespace).any())
    surroundings = _Surroundings(context, state, bool(misplaced), words, certain=certain)
    for entry in both:
        reason, undecided = surroundings.decide(entry)
        if reason is not None:
            misplaced.append(Misplaced(entry, reason))
        elif undecided:
            unclear.append(entry)
    misplaced.sort(key=lambda item: item.entry.row)
    return Judgement(misplaced, unclear, len(rows), odd, unseen)


def _stray(context: Context, state: MapState, words: np.ndarray[Any, Any], known: np.ndarray[Any, Any]) -> bool:
    """Whether this is text without a map's name that may be a namespace map printed at the cluster map's stride.

    Behind byte 288 such a print has zeros in every entry. After a write of the wrong size nearly every entry has
    something there: of 15,115 writes observed 149 had zeros.
    """
    if state.view is None or state.view.raw or len(words) < _STRAY_ENTRIES:
        return False
    dump = state.view.dump
    if dump.map_name or context.pod.identifier not in (UNNAMED, f"map-{dump.map_id}"):
        return False
    tail = layouts.NAMESPACE_VALUE_SIZE // 4
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
    """What stands around an entry that can be read both ways."""

    def __init__(
        self, context: Context, state: MapState, neighbours: bool, words: np.ndarray[Any, Any], *, certain: bool
    ) -> None:
        """`neighbours`: other entries of the map are misplaced; `certain`: others are surely cluster rules."""
        self._context, self._neighbours, self._words, self._certain = context, neighbours, words, certain
        direction: Direction = "egress" if state.direction == "egress" else "ingress"
        intent = context.intent
        expected = intent.expected(direction)
        self._cluster = expected.cluster.entries
        self._namespace = expected.namespace.entries
        self._known = intent.cluster_known.yes
        self._written = {canonical(cidr) for write in context.misdirected(state) for cidr in write.cidrs}
        self._slots = state.slots()
        self._heads = _namespace_heads(context, direction)
        beside = context.dumped(f"{direction}_map")
        #: what the namespace policies ask for and the namespace map lacks: found here, it went to the wrong map
        self._lacked = set(self._namespace)
        if self._lacked and (beside is None or not beside.whole):
            self._lacked = set()
        elif self._lacked and beside is not None:
            self._lacked -= beside.cidrs

    def decide(self, entry: Entry) -> tuple[str | None, bool]:
        """(the reason it is misplaced, or None; whether it stays undecided)."""
        explained = self._cluster.get(entry.cidr)
        if explained is not None and explained.admissible.admits(self._slots[entry.row]):
            return None, False
        if explained is not None:
            return (POLICIES if self._namespace_rules(entry) else None), False
        if entry.cidr in self._written:
            return LOG, False
        known_rules = self._head(entry) in self._heads
        belongs = entry.cidr in self._namespace or known_rules
        if self._neighbours and (belongs or self._known or not self._certain):
            return NEIGHBOURS, False
        moved = entry.cidr in self._lacked and (known_rules or self._namespace_rules(entry))
        if moved or (belongs and self._known):
            return POLICIES, False
        return None, True

    def _namespace_rules(self, entry: Entry) -> bool:
        """Whether the entry holds what the namespace policies ask for its CIDR."""
        wanted = self._namespace.get(entry.cidr)
        words = self._words[entry.row][: layouts.NAMESPACE_VALUE_SIZE // 4].reshape(-1, 3).tolist()
        return wanted is not None and wanted.admissible.admits([tuple(slot) for slot in words if any(slot)])

    def _head(self, entry: Entry) -> bytes:
        return bytes(self._words[entry.row][: layouts.NAMESPACE_VALUE_SIZE // 4].astype("<u4").tobytes())


def _namespace_heads(context: Context, direction: str) -> set[bytes]:
    """Values of the namespace map of the same pods and direction."""
    state = context.dumped(f"{direction}_map")
    if state is None or state.view is None or state.view.dump.values is None:
        return set()
    values = state.view.dump.values[_known_rows(state)]
    return set(row_bytes(values))


def judge_namespace(context: Context, state: MapState) -> Judgement:
    """Which entries of a namespace map hold cluster rules: 16-byte bytes, or cluster policies' CIDRs (KB-115)."""
    return context.judgement(state, _judge_namespace)


def _judge_namespace(context: Context, state: MapState) -> Judgement:
    rows = _known_rows(state)
    if not len(rows):
        return Judgement([], [], 0, unseen=_unseen(state, 0))
    words, known = state.words()
    readings = read_both(words, known)
    raw = ~readings.namespace.sane[rows] & readings.cluster.sane[rows]
    if state.view is None or not state.view.raw:
        raw[:] = False
    misplaced = [Misplaced(state.entry(row), STRIDE) for row in rows[raw].tolist()]
    misplaced += [Misplaced(entry, reason) for entry, reason in _cluster_rules(context, state, rows[~raw])]
    misplaced.sort(key=lambda item: item.entry.row)
    odd = tuple(state.entry(row) for row in rows[~readings.namespace.sane[rows] & ~raw].tolist())
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
    namespace = {cidr for cidr, entry in expected.namespace.entries.items()} if intent.selected else set()
    if not logged and not intent.known.yes and not _cluster_map_lacks(context, direction, cluster):
        return []
    out: list[tuple[Entry, str]] = []
    for entry in map(state.entry, rows.tolist()):
        if entry.cidr in namespace or _is_node(context, entry.cidr):
            continue
        if entry.cidr in logged:
            out.append((entry, LOG))
        elif entry.cidr in cluster:
            out.append((entry, POLICIES))
    return out


def _cluster_map_lacks(context: Context, direction: str, wanted: set[str]) -> bool:
    state = context.dumped(f"cp_{direction}_map")
    return state is not None and state.whole and not ({entry.cidr for entry in state.entries} & wanted)


def _is_node(context: Context, cidr: str) -> bool:
    node_ip = context.node.node_ip
    return node_ip is not None and cidr.split("/")[0] == node_ip
