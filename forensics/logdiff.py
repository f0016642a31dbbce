"""A namespace map's keys beside those in the agent's log: what keydiff finds by policies, where none is at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.admissible import Admissible, Outcome
from forensics.intent import value_of
from forensics.keydiff import MissingKey, StaleKey, begun
from forensics.logkeys import Unknown, log_keys
from forensics.policy import ExpectedEntry
from forensics.policy_slots import ALLOW_ALL
from forensics.tierjudge import judge_cluster, judge_namespace
from formats import layouts
from formats.address import canonical, key_of_cidr

if TYPE_CHECKING:
    from forensics.context import Context
    from forensics.keydiff import KeyDiff
    from forensics.logkeys import LogKeys
    from forensics.podstate import MapState
    from forensics.policy_rules import Direction


def log_diff(context: Context, state: MapState) -> KeyDiff:
    """Compare one dumped namespace map with the last write that the log shows for it."""
    direction: Direction = "egress" if state.direction == "egress" else "ingress"
    diff = begun(context, state)
    diff.by_log = True
    logged = log_keys(context, direction)
    if isinstance(logged, Unknown):
        diff.unknown = logged.why
        return diff
    diff.write = logged.write
    node = canonical(context.node.node_ip or "")
    maybe_node = _like_the_nodes(state) if node is None else {node}
    claimed = {item.entry.key for item in judge_namespace(context, state).misplaced}
    if diff.partial is None:
        _missing(context, diff, logged, node)
    for row, cidr in enumerate(state.texts):
        known = cidr in logged.texts or cidr in logged.unlogged or state.key(row) in claimed
        if not known and cidr not in maybe_node:
            diff.stale.append(StaleKey(state.entry(row), cidr in logged.young))
    if diff.missing or diff.stale:
        _content(context, diff, logged, claimed)
    return diff


def _missing(context: Context, diff: KeyDiff, logged: LogKeys, node: str | None) -> None:
    present = diff.state.cidrs
    cluster = context.dumped(f"cp_{diff.state.direction}_map")
    elsewhere = cluster.cidrs if cluster is not None else set()
    for cidr in sorted(logged.texts.keys() - present - {node}, key=key_of_cidr):
        slots = logged.slots.get(cidr)
        admissible = Admissible([Outcome(slots, ())] if slots else [], None)
        entry = ExpectedEntry(cidr, "rule", admissible, (), (), (), (logged.texts[cidr],))
        left_out = logged.defects.get(cidr)
        key = MissingKey(cidr, entry, left_out, cidr in elsewhere, cidr in logged.young and left_out is None)
        diff.missing.append(key)


def _content(context: Context, diff: KeyDiff, logged: LogKeys, claimed: set[bytes]) -> None:
    """The map as the log asks for it: entries that belong there keep their values, missing ones get theirs if known."""
    strays = _strays(context, diff.state)
    gone = claimed | {key.entry.key for key in diff.stale}
    content = {key: value for key, value in diff.state.as_dict().items() if key not in gone}
    unvalued = set()
    for missing in diff.missing:
        slots = logged.slots.get(missing.cidr)
        key = key_of_cidr(missing.cidr)
        value = value_of(slots, "namespace") if slots else strays.get(key)
        if value is None and missing.defect != "KB-114":
            unvalued.add(missing.cidr)
        content[key] = value or value_of([ALLOW_ALL], "namespace")
    cluster = context.dumped(f"cp_{diff.state.direction}_map")
    rest = {k: v for k, v in cluster.as_dict().items() if k not in strays} if cluster is not None else {}
    diff.wanted = {"namespace": content, "cluster": rest}
    diff.unvalued = frozenset(unvalued)


def _strays(context: Context, state: MapState) -> dict[bytes, bytes | None]:
    """Namespace rules that went to the cluster map: their first 288 bytes are the value that is missing here."""
    cluster = context.dumped(f"cp_{state.direction}_map")
    if cluster is None:
        return {}
    out: dict[bytes, bytes | None] = {}
    for item in judge_cluster(context, cluster).misplaced:
        value = cluster.value(item.entry.row)
        out[item.entry.key] = value[: layouts.NAMESPACE_VALUE_SIZE] if value is not None else None
    return out


def _like_the_nodes(state: MapState) -> set[str]:
    """Entries that may be the node's own, where the node's address is not known: lone allow-alls of one address."""
    slots = state.slots()
    return {
        entry.cidr
        for entry in state.entries
        if entry.cidr.endswith("/128" if len(entry.key) == layouts.LPM_KEY_SIZES[6] else "/32")
        and [(slot[0], slot[2], slot[3]) for slot in slots[entry.row]] == [ALLOW_ALL]
    }
