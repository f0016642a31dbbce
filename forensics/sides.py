"""The two sides of a comparison: the maps as dumped, and as the policies ask for them, under their pod states.

Where the case lacks a dump or a policy one side stands in for the other, so that nothing is claimed there; each time
that is said.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

from forensics.comparable import tier_known
from forensics.entrydiff import NODE_ENTRIES
from forensics.generations import generation_of
from forensics.policy import expected_pod_state
from forensics.ruleset import ruleset_slots
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
#: The tier that a key of the pod state map speaks for.
TIERS_BY_KEY = ("namespace", "cluster")


def slots_of(state: MapState) -> dict[str, Slots | None]:
    """{CIDR: slots} of a dumped rule map as its tier reads them; None for a value that is not known."""
    fields = ("protocol", "priority", "start_port", "end_port")
    which, slots = state.slots().by_value(*(fields if state.tier == "cluster" else (fields[0], *fields[2:])))
    known = None if state.view is None else state.view.dump.value_known
    shown = repeat(True) if known is None else known.tolist()
    return {
        cidr: slots[value] if there else None
        for cidr, value, there in zip(state.texts, which.tolist(), shown, strict=False)
    }


def own_entry(context: Context) -> str | None:
    """The node's own entry as a CIDR; None where its address is not known."""
    return canonical(context.node.node_ip) if context.node.node_ip else None


def asked(
    context: Context, tier: str, ideal: ExpectedTier, present: Mapping[str, Slots | None] | None, strays: set[str]
) -> dict[bytes, Value | None]:
    """What the policies ask of one map. present: slots_of the dumped map, None without one.

    Entries of the node itself stay where a map has them: the agent leaves its own behind. `strays` are entries that
    belong to the other tier. Where the policies of a tier are not known, the rest of what its map holds is taken as
    asked for (asked_note).
    """
    own = own_entry(context)
    if present is not None and not tier_known(context, tier).yes:
        kept = {cidr: slots for cidr, slots in present.items() if cidr not in strays and _is_cidr(cidr)}
        return {
            key_of_cidr(cidr): None if slots is None else ruleset_slots(slots, tier) for cidr, slots in kept.items()
        }
    entries = ideal.entries
    values = [ruleset_slots(each.wanted, tier) for each in entries.shared]
    out: dict[bytes, Value | None] = {
        key: values[number] for key, number in entries.by_key(node=own is not None).items()
    }
    for cidr, slots in (present or {}).items():
        mine = cidr == own if own is not None else cidr.endswith(_HOSTS)
        if mine and cidr not in ideal.entries and slots == NODE_ENTRIES[tier]:
            out[key_of_cidr(cidr)] = ruleset_slots(slots, tier)
    return out


def asked_note(context: Context, tier: str, present: Mapping[str, Slots | None] | None, strays: set[str]) -> str | None:
    """What had to be assumed of one map's policies."""
    known = tier_known(context, tier)
    if known.yes or not present or all(cidr in strays for cidr in present):
        return None
    return f"{known.why}: what the {tier} map holds is taken as asked for"


def dumped(state: MapState | None, wanted: Mapping[bytes, Value | None]) -> dict[bytes, Value | None]:
    """One map as dumped; a map or an entry that is not shown is taken as asked for (dumped_note)."""
    if state is None:
        return dict(wanted)
    values = state.as_dict()
    out: dict[bytes, Value | None] = {key: values.get(key) for key in state.raw_keys()}
    if state.whole:
        return out
    shown = {cidr_of_key(key) for key in out}
    return out | {key: None for key in wanted if cidr_of_key(key) not in shown}


def dumped_note(context: Context, tier: str, state: MapState | None, name: str, ideal: ExpectedTier) -> str | None:
    """What had to be assumed of one dump."""
    if state is None:
        has_tier = tier == "namespace" or generation_of(context.intent.version).generation.tiers
        return f"no dump of {name}: it is taken as the policies ask" if has_tier else None
    if state.whole or not ideal.entries.keys() - state.cidrs:
        return None
    return f"{name} is not shown whole: addresses it does not show are not judged"


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
        book=context.intent.book,
    )
    if node.enforcing_mode is None:
        admissible = {key: states | _DEFAULTS if states & _DEFAULTS and key == 0 else states
                      for key, states in admissible.items()}  # fmt: skip
    kernel = context.pod.state_of(direction)
    for key, tier in enumerate(TIERS_BY_KEY):
        # without the policies of a tier any state may be right
        if kernel is not None and key in admissible and key in kernel and not tier_known(context, tier).yes:
            admissible[key] = frozenset({kernel[key]})
    if kernel is None:
        wanted = {key: min(states) for key, states in admissible.items()}
        note = f"no dump of {direction}_pod_state_map: it is taken as the policies lead to" if admissible else None
        return dict(wanted), wanted, note
    wanted = {key: kernel[key] if kernel.get(key) in states else min(states) for key, states in admissible.items()}
    return dict(kernel), wanted, None


def _is_cidr(text: str) -> bool:
    return "/" in text
