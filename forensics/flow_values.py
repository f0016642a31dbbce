"""A verdict and its path as plain values: the entry by its CIDR and key, the slot by its bytes and how they read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forensics.podstate import tier_of_name
from forensics.strides import cluster_text, namespace_text
from forensics.verdict_path import CONNTRACK_MAP
from formats.address import cidr_of_key
from formats.layouts import TIER_NAMES
from formats.mapview import conntrack_fields

if TYPE_CHECKING:
    from forensics.datapath import Step, Verdict

#: Slots of an entry that are spelled out in the path; the rest is counted.
_SPELLED = 4
_STATE_STEPS = ("pod-state", "default")
_NO_STEP = dict.fromkeys(("step", "outcome", "map", "cidr", "key_hex", "slot", "slot_hex", "reads"))
#: The outcome of a conntrack step that could not be taken.
NOT_ASKED = "not-asked"


def verdict_values(verdict: Verdict, *, unasked: str | None = None, assumed: bool = False) -> dict[str, Any]:
    """A verdict as JSON values.

    unasked: why the conntrack map was not asked; None where it was. assumed: whether the pod state was not dumped.
    """
    matched = verdict.matched
    rule = tier_of_name(matched.map or "")
    return {
        "verdict": verdict.action,
        "tier": TIER_NAMES[verdict.tier] if verdict.tier is not None else None,
        "event": verdict.event,
        "reason": matched.reason,
        "map": matched.map,
        "cidr": cidr_of_key(matched.key) if rule and matched.key is not None else None,
        "key_hex": matched.key.hex() if matched.key is not None else None,
        "slot": matched.slot,
        "slot_hex": matched.slot_bytes.hex() if matched.slot_bytes is not None else None,
        "steps": [_step(step, unasked, assumed=assumed) for step in matched.path],
    }


def _step(step: Step, unasked: str | None, *, assumed: bool) -> dict[str, Any]:
    if step.map == CONNTRACK_MAP and unasked is not None:
        return _NO_STEP | {"step": step.name, "outcome": NOT_ASKED, "map": step.map, "reads": unasked}
    tier = tier_of_name(step.map or "")
    return {
        "step": step.name,
        "outcome": step.outcome,
        "map": step.map,
        "cidr": cidr_of_key(step.key) if tier and step.key is not None else None,
        "key_hex": step.key.hex() if step.key is not None else None,
        "slot": step.slot,
        "slot_hex": step.slot_bytes.hex() if step.slot_bytes is not None else None,
        "reads": _reads(step, tier, assumed=assumed),
    }


def _reads(step: Step, tier: str | None, *, assumed: bool) -> str:
    if step.slot is not None and step.slot_bytes is not None:
        return _slot_reads(step.slot_bytes, cluster=tier == "cluster", slot=step.slot)
    if step.map == CONNTRACK_MAP and step.key is not None:
        return _tracked_text(step.key, step.value)
    if tier is not None and step.value is not None and step.name.endswith("lookup"):
        words = [int.from_bytes(step.value[at : at + 4], "little") for at in range(0, len(step.value) // 4 * 4, 4)]
        texts = (cluster_text if tier == "cluster" else namespace_text)(words, [True] * len(words))
        more = [f"and {len(texts) - _SPELLED} more"] if len(texts) > _SPELLED else []
        return "; ".join([*texts[:_SPELLED], *more]) or "no rule"
    if tier is not None and step.name.endswith("lookup"):
        return "no entry covers the address"
    if tier is not None:
        return "no slot matches"
    return f"{step.outcome} (assumed)" if assumed and step.name in _STATE_STEPS else step.outcome


def _tracked_text(key: bytes, value: bytes | None) -> str:
    told = conntrack_fields(key, value)
    flow = f"{told['src']}:{told['sport']} -> {told['dst']}:{told['dport']} {told['protocol']}"
    owner = f", owner {told['owner']}" if told["owner"] is not None else ""
    state = "no entry" if value is None else f"state {told['state']}"
    return f"{flow}{owner}: {state}"


def _slot_reads(part: bytes, *, cluster: bool, slot: int) -> str:
    """How one slot of a value reads in its tier; `slot 3: no rule` for zero bytes."""
    words = [int.from_bytes(part[at : at + 4], "little") for at in range(0, len(part), 4)]
    texts = (cluster_text if cluster else namespace_text)(words, [True] * len(words))
    return texts[0].replace("slot 0:", f"slot {slot}:", 1) if texts else f"slot {slot}: no rule"
