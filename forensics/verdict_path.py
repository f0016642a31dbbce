"""A verdict and the way to it: what the program looked at, step by step, and the entry and slot that decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forensics.ruleset import cluster_slots
from formats import layouts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forensics.ruleset import Decision

CONNTRACK_MAP = "aws_conntrack_map"


class Step(NamedTuple):
    """One thing the program did, in order.

    | name | outcome |
    | --- | --- |
    | unread | why the packet passes before a map is read |
    | pod-state | MISSING, or the states read, as `POLICIES_APPLIED` or `POLICIES_APPLIED, DEFAULT_ALLOW` |
    | conntrack-forward | miss; hit; rewritten; stale; ignored (forensics.conntrack.forward_use) |
    | conntrack-reverse | miss, hit, ignored |
    | cluster-lookup, namespace-lookup | hit, miss |
    | admin, baseline | DENY, ALLOW, PASS, UNDEFINED-n for action n, none (no slot matched); admin also BASELINE |
    | namespace-slot | ALLOW, RESERVED, none (no slot matched) |
    | default | DEFAULT_ALLOW, DEFAULT_DENY, UNDEFINED (the state is in the pod-state step) |

    map, key, value: the map and the entry looked at (key is what was asked for where there is no entry);
    slot, slot_bytes: the slot that spoke, by index, and its bytes.
    """

    name: str
    outcome: str
    map: str | None = None
    key: bytes | None = None
    value: bytes | None = None
    slot: int | None = None
    slot_bytes: bytes | None = None


class Matched(NamedTuple):
    """What decided. `reason` is one of ruleset.REASONS; `map`, `key`, `value`, `slot`, `slot_bytes` are the entry and
    the slot that decided (None where the lack of one did). The entries consulted on the way are there as well, with
    the cluster's winning admin and baseline slots. `path` names each step taken.
    """

    reason: str
    path: tuple[Step, ...]
    map: str | None = None
    key: bytes | None = None
    value: bytes | None = None
    slot: int | None = None
    slot_bytes: bytes | None = None
    namespace_key: bytes | None = None
    namespace_slot: int | None = None
    cluster_key: bytes | None = None
    admin_slot: int | None = None
    baseline_slot: int | None = None


class Verdict(NamedTuple):
    """The program's answer. `tier` is None without an event and before v1.3.0. `conntrack` is what it changes in the
    conntrack map: (key, value written) or (key, None) for an entry deleted; a write of the same bytes counts too.
    """

    action: str
    event: bool
    tier: int | None
    conntrack: tuple[tuple[bytes, bytes | None], ...]
    matched: Matched


class Consulted(NamedTuple):
    """An entry that the program looks up: the map, and the key and value it finds there; both None for a miss."""

    map: str
    key: bytes | None = None
    value: bytes | None = None

    def lookup(self, name: str) -> Step:
        """The step of looking the entry up."""
        return Step(name, "miss" if self.key is None else "hit", *self)

    def spoke(self, name: str, outcome: str, slot: int | None, stride: int) -> Step:
        """The step in which a slot of the entry speaks (None: no slot does); `stride` is the slot's size in bytes."""
        cut = None if slot is None or self.value is None else self.value[slot * stride : (slot + 1) * stride]
        return Step(name, outcome, *self, slot, cut)


def unread(why: str) -> Verdict:
    """The verdict on a packet that the program lets through before it reads a map."""
    return Verdict("OK", False, None, (), Matched("unread", (Step("unread", why),)))


def established(path: tuple[Step, ...], writes: tuple[tuple[bytes, bytes | None], ...]) -> Verdict:
    """The verdict on a packet that the last step of the path, at a conntrack entry, lets through."""
    last = path[-1]
    return Verdict("OK", False, None, writes, Matched(last.name, path, last.map, last.key, last.value))


def looked_up(
    decision: Decision,
    path: tuple[Step, ...],
    writes: tuple[tuple[bytes, bytes | None], ...],
    namespace: Consulted | None,
    cluster: Consulted | None,
) -> Verdict:
    """The verdict of a decision over the entries found; None for a map that the program does not look into here.

    The path ends at the step that decided, so a namespace entry behind a deciding admin slot is not in it.
    """
    decider = decision.reason.partition("-")[0]
    steps = (*path, *_steps(decision, decider, path, namespace, cluster))
    reached = namespace.key if namespace is not None and decider != "admin" else None
    matched = Matched(
        decision.reason,
        steps,
        *steps[-1][2:],
        reached,
        decision.namespace_slot,
        cluster.key if cluster is not None else None,
        decision.admin_slot,
        decision.baseline_slot,
    )
    return Verdict(decision.action, decision.event, decision.tier, writes, matched)


def _steps(
    decision: Decision, decider: str, path: tuple[Step, ...], namespace: Consulted | None, cluster: Consulted | None
) -> Iterator[Step]:
    if decider == "pod":
        return
    if cluster is not None:
        yield cluster.lookup("cluster-lookup")
        yield _candidate(cluster, "admin", decision.admin_slot)
    if decider == "admin":
        return
    if namespace is not None:
        yield namespace.lookup("namespace-lookup")
        if namespace.key is not None:
            outcome = _SLOT_OUTCOMES[decision.reason]
            yield namespace.spoke("namespace-slot", outcome, decision.namespace_slot, layouts.NAMESPACE_STRIDE)
    if decider == "namespace":
        return
    if cluster is not None:
        yield _candidate(cluster, "baseline", decision.baseline_slot)
    if decider == "default":
        yield Step("default", _DEFAULT_OUTCOMES[decision.reason], path[0].map, _NETWORK_STATE_KEY)


def _candidate(cluster: Consulted, name: str, slot: int | None) -> Step:
    outcome = "none"
    if slot is not None and cluster.value is not None:
        priority, action = divmod(cluster_slots(cluster.value)[slot].priority, 10)
        outcome = layouts.ACTION_NAMES.get(action, f"UNDEFINED-{action}")
        if name == "admin" and priority > layouts.ADMIN_PRIORITY_LIMIT:
            outcome = "BASELINE"
    return cluster.spoke(name, outcome, slot, layouts.CLUSTER_STRIDE)


_SLOT_OUTCOMES = {"namespace-allow": "ALLOW", "namespace-reserved": "RESERVED", "namespace-no-slot": "none"}
_DEFAULT_OUTCOMES = {
    "default-allow": "DEFAULT_ALLOW",
    "default-deny": "DEFAULT_DENY",
    "default-undefined": "UNDEFINED",
}
_NETWORK_STATE_KEY: bytes = layouts.POD_STATE_KEY.build({"key": 0})
