"""The two sides of a comparison: the maps as dumped, and as the policies ask for them, under their pod states.

Where the case lacks a dump or a policy one side stands in for the other, so that nothing is claimed there; each time
that is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.classes import wanted_slots
from forensics.entrydiff import NODE_ENTRIES
from forensics.generations import generation_of
from forensics.policy import expected_pod_state
from formats.address import canonical, cidr_of_key, key_of_cidr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forensics.admissible import Slots
    from forensics.context import Context
    from forensics.podstate import MapState
    from forensics.policy import ExpectedTier
    from forensics.ruleset import Value

_HOSTS = ("/32", "/128")
_DEFAULTS = frozenset({1, 2})


def slots_of(state: MapState) -> dict[str, Slots | None]:
    """{CIDR: slots} of a dumped rule map as its tier reads them; None for a value that is not known."""
    cluster = state.tier == "cluster"
    rows = state.slots()
    out: dict[str, Slots | None] = {}
    for entry in state.entries:
        slots = rows[entry.row]
        made = tuple(slots) if cluster else tuple((protocol, start, end) for protocol, _, start, end in slots)
        out[entry.cidr] = made if entry.known else None
    return out


def own_entry(context: Context) -> str | None:
    """The node's own entry as a CIDR; None where its address is not known."""
    return canonical(context.node.node_ip) if context.node.node_ip else None


def asked(
    context: Context, tier: str, ideal: ExpectedTier, present: Mapping[str, Slots | None] | None, strays: set[str]
) -> tuple[dict[bytes, Value | None], str | None]:
    """What the policies ask of one map, and what had to be assumed. present: slots_of the dumped map, None without one.

    Entries of the node itself stay where a map has them: the agent leaves its own behind. `strays` are entries that
    belong to the other tier.
    """
    own = own_entry(context)
    out: dict[bytes, Value | None] = {
        key_of_cidr(cidr): wanted_slots(entry.admissible.wanted, tier)
        for cidr, entry in ideal.entries.items()
        if entry.kind != "node" or own is not None
    }
    if present is None:
        return out, None
    for cidr, slots in present.items():
        mine = cidr == own if own is not None else cidr.endswith(_HOSTS)
        if mine and cidr not in ideal.entries and slots == NODE_ENTRIES[tier]:
            out[key_of_cidr(cidr)] = wanted_slots(slots, tier)
    if tier == "namespace" or context.intent.cluster_known.yes:
        return out, None
    kept = {cidr: slots for cidr, slots in present.items() if cidr not in strays and _is_cidr(cidr)}
    out = {key_of_cidr(cidr): None if slots is None else wanted_slots(slots, tier) for cidr, slots in kept.items()}
    return (
        out,
        f"{context.intent.cluster_known.why}: what the cluster map holds is taken as asked for" if kept else None,
    )


def dumped(
    context: Context, tier: str, state: MapState | None, wanted: Mapping[bytes, Value | None], name: str
) -> tuple[dict[bytes, Value | None], str | None]:
    """One map as dumped, and what had to be assumed: a map or an entry that is not shown is taken as asked for."""
    if state is None:
        has_tier = tier == "namespace" or generation_of(context.intent.version).generation.tiers
        return dict(wanted), f"no dump of {name}: it is taken as the policies ask" if has_tier else None
    values = state.as_dict()
    out: dict[bytes, Value | None] = {entry.key: values.get(entry.key) for entry in state.entries}
    if state.whole:
        return out, None
    shown = {cidr_of_key(key) for key in out}
    hidden = {key: None for key in wanted if cidr_of_key(key) not in shown}
    return out | hidden, f"{name} is not shown whole: addresses it does not show are not judged" if hidden else None


def pod_states(context: Context, direction: str) -> tuple[dict[int, int], dict[int, int], str | None]:
    """(kernel, policies, assumption): the dumped pod state, and the one the policies lead to; a dumped state that
    they may lead to is theirs as well."""
    node = context.node
    admissible = expected_pod_state(
        node.policy_objects,
        context.pod.identifier,
        context.intent.version,
        node.enforcing_mode or "standard",
        node_ip=node.node_ip,
    )
    if node.enforcing_mode is None:
        admissible = {key: states | _DEFAULTS if states & _DEFAULTS and key == 0 else states
                      for key, states in admissible.items()}  # fmt: skip
    kernel = context.pod.state_of(direction)
    if kernel is None:
        wanted = {key: min(states) for key, states in admissible.items()}
        note = f"no dump of {direction}_pod_state_map: it is taken as the policies lead to" if admissible else None
        return dict(wanted), wanted, note
    wanted = {key: kernel[key] if kernel.get(key) in states else min(states) for key, states in admissible.items()}
    return dict(kernel), wanted, None


def _is_cidr(text: str) -> bool:
    return "/" in text
