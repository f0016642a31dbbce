"""What the tc program of a generation decides for a new flow, from the bytes of two map values and the pod state.

Pure functions: no map, no address, no conntrack. forensics/datapath.py finds the values by longest prefix and deals
with conntrack. Source: evaluateByLookUp (v1.2.x), evaluateClusterPolicyByLookUp, evaluateNamespacePolicyByLookUp and
evaluateFlow (v1.3.0) of tc.v4ingress.bpf.c; a zero slot is a slot like any other to all of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from forensics.packet import TRANSPORT_HEADER
from formats.layouts import (
    ADMIN_PRIORITY_LIMIT,
    CLUSTER_SLOT_DTYPE,
    NAMESPACE_SLOT_DTYPE,
    PROTOCOL_ANY,
    PROTOCOL_RESERVED,
    SLOTS,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from forensics.generations import Generation

POLICIES_APPLIED, DEFAULT_ALLOW, DEFAULT_DENY = 0, 1, 2
DENY, ALLOW, PASS = 0, 1, 2
TIER_ERROR, TIER_ADMIN, TIER_NAMESPACE, TIER_BASELINE, TIER_DEFAULT = range(5)
#: MAX_RULE_PRIORITY of the program: where both candidates start, together with PASS.
PRIORITY_NONE = 65536
#: GET_CT_VAL: (network policy state, cluster policy state) -> conntrack value; 7 for (0, 0) and every other pair.
_STATE_PAIRS = {(1, 1): 2, (1, 2): 3, (1, 0): 4, (0, 1): 5, (0, 2): 6}
_PAIR_OTHER = 7

#: Every `Decision.reason`; those of conntrack and of unread packets are added by the datapath.
REASONS = (
    "unread", "pod-state-missing", "conntrack-forward", "conntrack-reverse", "admin-deny", "admin-allow",
    "namespace-allow", "namespace-reserved", "namespace-no-slot", "namespace-miss", "baseline-deny", "baseline-allow",
    "baseline-undefined", "default-allow", "default-deny", "default-undefined",
)  # fmt: skip


class Slot(NamedTuple):
    """A slot of a value. `priority` is the raw u32 (priority*10+action) of the cluster tier, -1 in the namespace's."""

    protocol: int
    start_port: int
    end_port: int
    priority: int = -1


#: A value: its bytes, or its slots when they are not bytes of a map. Slots are all evaluated, in their order, as by a
#: program without a slot limit; a zero slot counts only where it is among them.
Value = bytes | tuple[Slot, ...]


def ruleset_slots(slots: Iterable[tuple[int, ...]], tier: str) -> tuple[Slot, ...]:
    """Slots of an expectation, (protocol, start, end) or (protocol, raw priority, start, end), as a value."""
    if tier == "cluster":
        return tuple(Slot(protocol, start, end, raw) for protocol, raw, start, end in slots)
    return tuple(Slot(protocol, start, end) for protocol, start, end in slots)


class Decision(NamedTuple):
    """What a new flow gets. `stores` is the state written to conntrack (None: nothing is written).

    `tier` is None where the program sends no event, and before v1.3.0. The slots are indexes into the value: the
    namespace slot that decided (also a RESERVED one), and the winning admin and baseline candidates of the cluster
    value, whether or not they decided.
    """

    action: str
    event: bool
    tier: int | None
    reason: str
    stores: int | None = None
    namespace_slot: int | None = None
    admin_slot: int | None = None
    baseline_slot: int | None = None


class Cluster(NamedTuple):
    """The two candidates of a cluster value: (priority, action, slot); slot None where no slot matched."""

    admin: tuple[int, int, int | None]
    baseline: tuple[int, int, int | None]


_NO_CLUSTER = Cluster((PRIORITY_NONE, PASS, None), (PRIORITY_NONE, PASS, None))


def evaluate_new_flow(
    generation: Generation,
    family: int,
    namespace_value: Value | None,
    cluster_value: Value | None,
    pod_state: Mapping[int, int],
    protocol: int,
    dport: int,
) -> Decision:
    """The verdict on a packet without a conntrack entry, from the two entries its address found.

    namespace_value, cluster_value: the value of the longest prefix entry, None where the map has none; bytes are read
    by the layout the program declares, whatever their size. dport counts only for TCP, UDP and SCTP.
    Address, owner and interface do not matter to a new flow, so this also answers for a whole class of packets;
    `packet_classes` lists the classes. Before v1.3.0 cluster_value is not looked at.
    """
    dport = dport if protocol in TRANSPORT_HEADER else 0
    if any(key not in pod_state for key in generation.pod_state_keys):
        return Decision("SHOT", True, TIER_ERROR if generation.tiers else None, "pod-state-missing")
    if generation.tiers:
        return _tiered(generation, family, namespace_value, cluster_value, pod_state, protocol, dport)
    state = pod_state[0] if generation.pod_state_keys else POLICIES_APPLIED
    if state == DEFAULT_DENY:
        return Decision("SHOT", True, None, "default-deny")
    if state == DEFAULT_ALLOW:
        return Decision("OK", True, None, "default-allow", stores=0)
    if namespace_value is None:
        return Decision("SHOT", True, None, "namespace-miss")
    return _namespace(generation, family, namespace_value, protocol, dport, stores=1, tier=None)


def conntrack_pair(network_state: int, cluster_state: int) -> int:
    """The conntrack value of v1.3.0 and later for the two pod states (GET_CT_VAL)."""
    return _STATE_PAIRS.get((network_state, cluster_state), _PAIR_OTHER)


def _tiered(
    generation: Generation,
    family: int,
    namespace_value: Value | None,
    cluster_value: Value | None,
    pod_state: Mapping[int, int],
    protocol: int,
    dport: int,
) -> Decision:
    network = pod_state[0]
    stores = conntrack_pair(network, pod_state[1])
    found = _NO_CLUSTER if cluster_value is None else cluster_candidates(cluster_value, protocol, dport)
    priority, action, _ = found.admin
    if priority <= ADMIN_PRIORITY_LIMIT and action == DENY:
        decided = Decision("SHOT", True, TIER_ADMIN, "admin-deny")
    elif priority <= ADMIN_PRIORITY_LIMIT and action == ALLOW:
        decided = Decision("OK", True, TIER_ADMIN, "admin-allow", stores)
    elif namespace_value is not None:
        decided = _namespace(generation, family, namespace_value, protocol, dport, stores, TIER_NAMESPACE)
    elif network == POLICIES_APPLIED:
        decided = Decision("SHOT", True, TIER_NAMESPACE, "namespace-miss")
    else:
        decided = _below_namespace(found.baseline[1], network, stores)
    if found is _NO_CLUSTER:
        return decided
    return decided._replace(admin_slot=found.admin[2], baseline_slot=found.baseline[2])


def _below_namespace(baseline_action: int, network: int, stores: int) -> Decision:
    """Baseline, then the pod's default. The undefined cases fall out of the program's switch: dropped, no event."""
    if baseline_action == DENY:
        return Decision("SHOT", True, TIER_BASELINE, "baseline-deny")
    if baseline_action == ALLOW:
        return Decision("OK", True, TIER_BASELINE, "baseline-allow", stores)
    if baseline_action != PASS:
        return Decision("SHOT", False, None, "baseline-undefined")
    if network == DEFAULT_ALLOW:
        return Decision("OK", True, TIER_DEFAULT, "default-allow", stores)
    if network == DEFAULT_DENY:
        return Decision("SHOT", True, TIER_DEFAULT, "default-deny")
    return Decision("SHOT", False, None, "default-undefined")


def _namespace(
    generation: Generation, family: int, value: Value, protocol: int, dport: int, stores: int, tier: int | None
) -> Decision:
    """The slots in order; the first that says anything decides. RESERVED denies at once and hides all after it."""
    for index, slot in _speaking(value, NAMESPACE_SLOT_DTYPE, generation.slots_examined[family], protocol):
        if slot.protocol == PROTOCOL_RESERVED:
            return Decision("SHOT", True, tier, "namespace-reserved", namespace_slot=index)
        ports = _port_matches(slot, dport)
        if slot.protocol == PROTOCOL_ANY and (ports or not generation.any_honours_ports):
            return Decision("OK", True, tier, "namespace-allow", stores, namespace_slot=index)
        if slot.protocol == protocol and ports:
            return Decision("OK", True, tier, "namespace-allow", stores, namespace_slot=index)
    return Decision("SHOT", True, tier, "namespace-no-slot")


def cluster_candidates(value: Value, protocol: int, dport: int) -> Cluster:
    """The winning admin and baseline candidates of a cluster value. ANY ignores ports; all slots are looked at.

    Baseline slots run for admin too: a high priority that wins there only means that no admin slot matched.
    """
    admin, baseline = _NO_CLUSTER
    for index, slot in _speaking(value, CLUSTER_SLOT_DTYPE, SLOTS, protocol):
        if slot.protocol != PROTOCOL_ANY and not (slot.protocol == protocol and _port_matches(slot, dport)):
            continue
        priority, action = divmod(slot.priority, 10)
        if (priority, action) < admin[:2]:
            admin = (priority, action, index)
        if priority > ADMIN_PRIORITY_LIMIT and (priority, action) < baseline[:2]:
            baseline = (priority, action, index)
    return Cluster(admin, baseline)


def _port_matches(slot: Slot, dport: int) -> bool:
    return slot.start_port == 0 or dport == slot.start_port or slot.start_port < dport <= slot.end_port


def namespace_slots(value: Value, count: int = SLOTS) -> tuple[Slot, ...]:
    """The first `count` slots of a namespace value; missing bytes read as zero, bytes too many not at all."""
    return value if isinstance(value, tuple) else _slots(value, NAMESPACE_SLOT_DTYPE, count)


def cluster_slots(value: Value) -> tuple[Slot, ...]:
    """All slots of a cluster value; missing bytes read as zero, bytes too many not at all."""
    return value if isinstance(value, tuple) else _slots(value, CLUSTER_SLOT_DTYPE, SLOTS)


def _speaking(value: Value, dtype: np.dtype[Any], count: int, protocol: int) -> Iterable[tuple[int, Slot]]:
    """The slots that may say something to a protocol, with their places; of rules without a limit all."""
    return enumerate(value) if isinstance(value, tuple) else _chosen(value, dtype, count, protocol)


@lru_cache(maxsize=8192)
def _chosen(value: bytes, dtype: np.dtype[Any], count: int, protocol: int) -> tuple[tuple[int, Slot], ...]:
    meant = (protocol, PROTOCOL_ANY, PROTOCOL_RESERVED)
    return tuple((index, slot) for index, slot in enumerate(_slots(value, dtype, count)) if slot.protocol in meant)


@lru_cache(maxsize=8192)
def _slots(value: bytes, dtype: np.dtype[Any], count: int) -> tuple[Slot, ...]:
    size = dtype.itemsize * count
    rows = np.frombuffer(value[:size].ljust(size, b"\0"), dtype)
    columns = [rows[name].tolist() for name in Slot._fields if name in (dtype.names or ())]
    return tuple(Slot(*fields) for fields in zip(*columns, strict=True))


def packet_classes(
    namespace_values: Iterable[Value], cluster_values: Iterable[Value]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Protocols and destination ports that stand for all others against these values.

    Any two packets agree on every value when they have the same protocol (or both have one that is not listed as
    named, for which one representative is in the list) and their ports lie in the same run; a run starts at each port
    listed and ends before the next. So a semantic comparison needs only this grid.
    """
    slots = [slot for value in namespace_values for slot in namespace_slots(value)]
    slots += [slot for value in cluster_values for slot in cluster_slots(value)]
    named = {slot.protocol for slot in slots if slot.protocol <= 0xFF} | set(TRANSPORT_HEADER)
    others = [number for number in range(0x100) if number not in named]
    starts = {0}
    for slot in slots:
        starts |= {slot.start_port, slot.start_port + 1, slot.end_port + 1}
    return tuple(sorted(named | set(others[:1]))), tuple(sorted(port for port in starts if port <= 0xFFFF))
