"""The answers of forensics.datapath for many packets at once, over arrays only: no Python loop per packet.

Written apart from the scalar rules on purpose, so that the two can be held against each other. Each packet is judged
alone against the same state: a flow that one packet would open is not open for the next.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.flow_table import FlowTable, flow_keys
from forensics.prefix_ranges import RangeTable
from forensics.ruleset import (
    ALLOW,
    DEFAULT_ALLOW,
    DEFAULT_DENY,
    DENY,
    PASS,
    POLICIES_APPLIED,
    REASONS,
    TIER_ADMIN,
    TIER_BASELINE,
    TIER_DEFAULT,
    TIER_ERROR,
    TIER_NAMESPACE,
    conntrack_pair,
)
from forensics.slot_table import cluster_tables, namespace_table, slot_rows
from formats.layouts import ADMIN_PRIORITY_LIMIT, CLUSTER_SLOT_DTYPE, NAMESPACE_SLOT_DTYPE, dtype_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forensics.datapath import Datapath
    from forensics.packet_arrays import PacketColumns
    from forensics.prefix_ranges import Words
    from forensics.slot_table import SlotTable

Array = np.ndarray[Any, Any]
#: Rows judged together: small enough that the working arrays stay in the cache.
_CHUNK = 32768
_KEEP, _WRITE, _DELETE = range(3)
_PRIORITY_STEP = 10
#: Stands for no row, no slot, no tier and no state; null in the frame.
_NONE = -1
#: Reason -> passes, event, tier.
_OUTCOMES = {
    "unread": (True, False, _NONE),
    "pod-state-missing": (False, True, TIER_ERROR),
    "conntrack-forward": (True, False, _NONE),
    "conntrack-reverse": (True, False, _NONE),
    "admin-deny": (False, True, TIER_ADMIN),
    "admin-allow": (True, True, TIER_ADMIN),
    "namespace-allow": (True, True, TIER_NAMESPACE),
    "namespace-reserved": (False, True, TIER_NAMESPACE),
    "namespace-no-slot": (False, True, TIER_NAMESPACE),
    "namespace-miss": (False, True, TIER_NAMESPACE),
    "baseline-deny": (False, True, TIER_BASELINE),
    "baseline-allow": (True, True, TIER_BASELINE),
    "baseline-undefined": (False, False, _NONE),
    "default-allow": (True, True, TIER_DEFAULT),
    "default-deny": (False, True, TIER_DEFAULT),
    "default-undefined": (False, False, _NONE),
}
REASON_CODES = {reason: code for code, reason in enumerate(REASONS)}
_PASSES, _EVENT = (np.array([_OUTCOMES[reason][part] for reason in REASONS]) for part in range(2))
_TIER = np.array([_OUTCOMES[reason][2] for reason in REASONS], np.int8)
#: Reason by the action of the candidate that decides; actions 3 to 9 are undefined.
_BASELINE_REASON = np.full(_PRIORITY_STEP, REASON_CODES["baseline-undefined"])
_BASELINE_REASON[[DENY, ALLOW]] = REASON_CODES["baseline-deny"], REASON_CODES["baseline-allow"]
_DEFAULT_REASON = {DEFAULT_ALLOW: "default-allow", DEFAULT_DENY: "default-deny"}


class Answers:
    """The columns being filled for n packets."""

    def __init__(self, count: int, *, tiers: bool) -> None:
        self.tiers = tiers
        self.reason = np.full(count, REASON_CODES["unread"], dtype=np.int16)
        self.namespace_row = np.full(count, _NONE, dtype=np.int32)
        self.namespace_slot = np.full(count, _NONE, dtype=np.int16)
        self.cluster_row = np.full(count, _NONE, dtype=np.int32)
        self.admin_slot = np.full(count, _NONE, dtype=np.int16)
        self.baseline_slot = np.full(count, _NONE, dtype=np.int16)
        self.change = np.full(count, _KEEP, dtype=np.int8)
        self.state = np.full(count, _NONE, dtype=np.int16)

    @property
    def passes(self) -> Array:
        """Whether the program lets each packet through."""
        passes: Array = _PASSES[self.reason]
        return passes

    @property
    def event(self) -> Array:
        """Whether the program logs each packet."""
        event: Array = _EVENT[self.reason]
        return event

    @property
    def tier(self) -> Array:
        """The tier each packet is logged with, -1 for none."""
        tier: Array = _TIER[self.reason] if self.tiers else np.full(len(self.reason), _NONE, np.int8)
        return tier

    def is_reason(self, name: str) -> Array:
        """Which packets were decided for this reason."""
        same: Array = self.reason == REASON_CODES[name]
        return same


class Batch:
    """The tables of one Datapath, built when the first frame is asked for and kept with it."""

    def __init__(self, datapath: Datapath) -> None:
        self._datapath = datapath
        self.generation = datapath.generation
        self.family = datapath.family
        self._namespace = datapath.entries(datapath.namespace_map)
        self._cluster = datapath.entries(datapath.cluster_map)
        self._found: tuple[Words, Array] | None = None
        self._key_dtype = dtype_of(self.generation.conntrack_key[self.family])

    def answers(self, packets: PacketColumns) -> Answers:
        """The answer to each packet."""
        count = len(packets.read)
        answers = Answers(count, tiers=self.generation.tiers)
        for start in range(0, count, _CHUNK):
            self._judge(packets, np.flatnonzero(packets.read[start : start + _CHUNK]) + start, answers)
        return answers

    def conntrack_keys(self, packets: PacketColumns) -> Array:
        """The key bytes of each packet's own flow."""
        count = len(packets.read)
        keys = self._keys(packets, np.arange(count), reply=False)
        rows: Array = keys.view(np.uint8).reshape(count, keys.dtype.itemsize)[:, : self._key_dtype.itemsize]
        return rows

    def _judge(self, packets: PacketColumns, live: Array, answers: Answers) -> None:
        """Fill in the answers of the rows in `live`."""
        settled = self._settled_by_pod_state()
        if settled is not None:
            answers.reason[live] = REASON_CODES[settled]
            return
        stale = live[:0]
        if self._datapath.conntrack:
            live, stale = self._established(packets, live, answers)
        live = np.concatenate([live, stale])
        self._look_up(packets, live, answers)
        passes = _PASSES[answers.reason[live]]
        answers.change[live[passes]] = _WRITE
        answers.state[live[passes]] = self._stores
        answers.change[stale[~_PASSES[answers.reason[stale]]]] = _DELETE

    @cached_property
    def _network_state(self) -> int:
        return self._datapath.pod_state[0] if self.generation.pod_state_keys else POLICIES_APPLIED

    def _settled_by_pod_state(self) -> str | None:
        if not set(self.generation.pod_state_keys) <= set(self._datapath.pod_state):
            return "pod-state-missing"
        if not self.generation.tiers and self._network_state == DEFAULT_DENY:
            return "default-deny"
        return None

    @cached_property
    def _stores(self) -> int:
        """The state a new flow is stored with."""
        if self.generation.tiers:
            return conntrack_pair(self._network_state, self._datapath.pod_state[1])
        return 0 if self._network_state == DEFAULT_ALLOW else 1

    def _keys(self, packets: PacketColumns, rows: Array, *, reply: bool) -> Array:
        src, dst = _taken(packets.src, rows), _taken(packets.dst, rows)
        sport, dport = packets.sport[rows], packets.dport[rows]
        fields: dict[str, Any] = {"protocol": packets.protocol[rows], "ifindex": packets.ifindex[rows]}
        fields["owner"] = dst if self._datapath.direction == "ingress" else src
        if reply:
            src, sport, dst, dport = dst, dport, src, sport
        return flow_keys(self._key_dtype, {**fields, "src": src, "sport": sport, "dst": dst, "dport": dport})

    @cached_property
    def _flows(self) -> tuple[FlowTable, Array]:
        """The conntrack entries that any packet can find, and what their values say: a state, or the owner's end."""
        size = self._key_dtype.itemsize
        entries = [(key, value) for key, value in self._datapath.conntrack.items() if len(key) == size]
        width = 4 if self.family == 4 else 16
        if self.generation.conntrack_value is None:
            said = [int.from_bytes(value.ljust(width, b"\0")[width - 4 : width], "big") for _, value in entries]
        else:
            said = [self.generation.conntrack_state(value) for _, value in entries]
        return FlowTable([key for key, _ in entries], self._key_dtype), np.array(said, dtype=np.uint64)

    def _established(self, packets: PacketColumns, live: Array, answers: Answers) -> tuple[Array, Array]:
        """Settle what conntrack lets through; the rows that are new flows, and those whose entry is stale."""
        table, said = self._flows
        found = table.find(self._keys(packets, live, reply=False))
        hit, rewritten, stale = self._worth(packets, live, found, said)
        answers.reason[live[hit | rewritten]] = REASON_CODES["conntrack-forward"]
        answers.change[live[rewritten]] = _WRITE
        answers.state[live[rewritten]] = 0
        new = live[~(hit | rewritten | stale)]
        found = table.find(self._keys(packets, new, reply=True))
        answered = (found >= 0) & self._owned(packets, new, found, said)
        answers.reason[new[answered]] = REASON_CODES["conntrack-reverse"]
        return new[~answered], live[stale]

    def _owned(self, packets: PacketColumns, rows: Array, found: Array, said: Array) -> Array:
        """Whether the entries found count: up to v1.0.4 only those whose value ends as the owner's address does."""
        if self.generation.conntrack_value is not None or not len(said):
            return np.ones(len(rows), dtype=bool)
        owner = packets.dst if self._datapath.direction == "ingress" else packets.src
        end: Array = owner[-1][rows] & owner[-1].dtype.type(0xFFFFFFFF)
        return np.equal(said[found], end)

    def _worth(self, packets: PacketColumns, live: Array, found: Array, said: Array) -> tuple[Array, Array, Array]:
        """Of the flows' own entries: which let the packet through, which of those are set to 0, which are stale."""
        there, none = found >= 0, np.zeros(len(live), dtype=bool)
        if not len(said):
            return none, none, none
        if not self.generation.pod_state_keys:
            return there & self._owned(packets, live, found, said), none, none
        state = said[found]
        if self.generation.tiers:
            same = state == self._stores
            return there & same, none, there & ~same
        fresh, applied = there & (state == 0), there & (state == 1)
        if self._network_state == DEFAULT_ALLOW:
            return fresh, applied, none
        return (applied, none, fresh) if self._network_state == POLICIES_APPLIED else (none, none, none)

    @cached_property
    def _ranges(self) -> RangeTable:
        return RangeTable([self._namespace, self._cluster], self.family)

    @cached_property
    def _namespace_slots(self) -> tuple[Array, SlotTable, Array]:
        """The value of each entry by number, the slots that can allow, and each value's first RESERVED slot."""
        which, values = _distinct(self._namespace)
        examined = self.generation.slots_examined[self.family]
        rows = slot_rows(values, NAMESPACE_SLOT_DTYPE)
        return which, *namespace_table(rows, examined, any_honours_ports=self.generation.any_honours_ports)

    @cached_property
    def _cluster_slots(self) -> tuple[Array, SlotTable, SlotTable, Array]:
        """The value of each entry by number, the admin and baseline candidates, and the reason with which each admin
        candidate decides; `unread` for one that leaves it to the next tier."""
        which, values = _distinct(self._cluster)
        admin, baseline = cluster_tables(slot_rows(values, CLUSTER_SLOT_DTYPE))
        priority, action = np.divmod(admin.raw, _PRIORITY_STEP)
        decided = np.select(
            [
                (priority <= ADMIN_PRIORITY_LIMIT) & (action == DENY),
                (priority <= ADMIN_PRIORITY_LIMIT) & (action == ALLOW),
            ],
            [REASON_CODES["admin-deny"], REASON_CODES["admin-allow"]],
            REASON_CODES["unread"],
        )
        return which, admin, baseline, decided

    def _look_up(self, packets: PacketColumns, live: Array, answers: Answers) -> None:
        if not self.generation.tiers and self._network_state == DEFAULT_ALLOW:
            answers.reason[live] = REASON_CODES["default-allow"]
            return
        ranges = self._ranges_of(packets, live)
        cluster_row = self._ranges.rows[1][ranges]
        below, action = self._ask_cluster(packets, live, cluster_row, answers)
        live, ranges, action = live[below], ranges[below], action[below]
        namespace_row = self._ranges.rows[0][ranges]
        answers.namespace_row[live] = namespace_row
        hit = namespace_row >= 0
        self._ask_namespace(packets, live[hit], namespace_row[hit], answers)
        live, action = live[~hit], action[~hit]
        if self._network_state == POLICIES_APPLIED or not self.generation.tiers:
            answers.reason[live] = REASON_CODES["namespace-miss"]
            return
        default = REASON_CODES[_DEFAULT_REASON.get(self._network_state, "default-undefined")]
        answers.reason[live] = np.where(action == PASS, default, _BASELINE_REASON[action])

    def _ranges_of(self, packets: PacketColumns, live: Array) -> Array:
        """The range of each packet's peer; where the distinct addresses are known, each of them is looked up once."""
        ingress = self._datapath.direction == "ingress"
        if packets.distinct is None:
            return self._ranges.find(_taken(packets.src if ingress else packets.dst, live))
        words, src, dst = packets.distinct
        if self._found is None or self._found[0] is not words:
            self._found = words, self._ranges.find(words)
        found: Array = self._found[1][(src if ingress else dst)[live]]
        return found

    def _ask_cluster(
        self, packets: PacketColumns, live: Array, cluster_row: Array, answers: Answers
    ) -> tuple[Array, Array]:
        """Settle what an admin slot decides. Which rows go on, and the baseline action of every row."""
        action = np.full(len(live), PASS)
        below = np.ones(len(live), dtype=bool)
        hit = np.flatnonzero(cluster_row >= 0)
        if not len(hit):
            return below, action
        which, admin, baseline, decided = self._cluster_slots
        rows = live[hit]
        answers.cluster_row[rows] = cluster_row[hit]
        asked = (which[cluster_row[hit]], packets.protocol[rows], packets.dport[rows])
        at = admin.first(*asked)
        won = at >= 0
        answers.admin_slot[rows[won]] = admin.slot[at[won]]
        reasons = decided[at[won]]
        answers.reason[rows[won]] = reasons
        below[hit[won]] = reasons == REASON_CODES["unread"]
        at = baseline.first(*asked)
        won = at >= 0
        answers.baseline_slot[rows[won]] = baseline.slot[at[won]]
        action[hit[won]] = baseline.raw[at[won]] % _PRIORITY_STEP
        return below, action

    def _ask_namespace(self, packets: PacketColumns, rows: Array, namespace_row: Array, answers: Answers) -> None:
        if not len(rows):
            return
        which, table, reserved_at = self._namespace_slots
        value = which[namespace_row]
        at = table.first(value, packets.protocol[rows], packets.dport[rows])
        allowed, reserved = at >= 0, reserved_at[value]
        answers.namespace_slot[rows] = reserved
        answers.namespace_slot[rows[allowed]] = table.slot[at[allowed]]
        denied = np.where(reserved >= 0, REASON_CODES["namespace-reserved"], REASON_CODES["namespace-no-slot"])
        answers.reason[rows] = np.where(allowed, REASON_CODES["namespace-allow"], denied)


def _taken(words: Words, rows: Array) -> Words:
    return tuple(word[rows] for word in words)


def _distinct(entries: Mapping[bytes, bytes]) -> tuple[Array, list[bytes]]:
    """The number of each entry's value, and the values by number: equal values are judged by one table row."""
    numbers: dict[bytes, int] = {}
    which = [numbers.setdefault(value, len(numbers)) for value in entries.values()]
    return np.array(which, dtype=np.int64), list(numbers)
