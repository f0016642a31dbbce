"""What missing-self-ip, missing-entry and stale-entry share: when they can answer, and how they word a difference."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from forensics import collect
from forensics.defects import defect, remedy
from forensics.detectors import restart_aliasing
from forensics.effects import Effect, Others, answer_text, summary
from forensics.finding import Answer, Finding, Missing, cannot_tell, clean, found
from forensics.strides import namespace_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from forensics.context import Context
    from forensics.evidence import Citation
    from forensics.keydiff import KeyDiff
    from forensics.podstate import MapState
    from forensics.policy_rules import Direction

MAPS = ("ingress_map", "egress_map")
CITED = 12
_PLAIN = ("TCP", "UDP", "SCTP", "other protocols")


def answer(
    context: Context,
    make: Callable[[Context, KeyDiff], Finding | None],
    *,
    needs_whole: bool,
    all_clear: str,
    clear_by_log: str,
) -> Answer:
    """Ask `make` about both namespace maps; say what is missing where a map is, or the policies and the log are."""
    known = context.intent.known
    findings: list[Finding] = []
    missing: list[Missing] = []
    reasons: list[str] = []
    silent: list[str] = []
    for name in MAPS:
        state = context.dumped(name)
        if state is None:
            missing.append(collect.map_dump(context, name))
            reasons.append(f"no dump of {name}")
            continue
        diff = context.key_diff(state)
        if diff.unknown is not None:
            silent.append(diff.unknown)
            continue
        if needs_whole and diff.partial is not None:
            missing.append(collect.map_dump(context, name))
            reasons.append(f"{name}: {diff.partial}")
        finding = make(context, diff)
        if finding is not None:
            findings.append(finding)
    if findings:
        return found(findings)
    if known.yes and missing:
        return cannot_tell("; ".join(reasons), *missing)
    if known.yes:
        return clean(
            all_clear if context.intent.selected else "no policy selects it: its maps hold nothing of a policy"
        )
    if not silent and not missing:
        return clean(f"by the agent log ({known.why}): {clear_by_log}")
    if all(_empty(context, name) for name in MAPS):
        return _unselected(context, missing, known.why)
    return cannot_tell("; ".join(dict.fromkeys([known.why, *silent, *reasons])), collect.POLICIES, *missing)


def _empty(context: Context, name: str) -> bool:
    state = context.dumped(name)
    return state is not None and state.whole and not state.count


def _unselected(context: Context, missing: list[Missing], why: str) -> Answer:
    """Empty maps and no policy at hand: by design when its pod state is a default, open otherwise."""
    if _never_selected(context):
        return clean("its maps are empty, and the agent log shows its default state and no policy that selects it")
    states = [context.pod.state_of(direction) for direction in ("ingress", "egress")]
    if all(state is not None and state.get(0) in (1, 2) for state in states):
        return clean("its maps are empty and its pod state is the default: no policy has been applied to it")
    return cannot_tell(why, collect.POLICIES, *missing)


def _never_selected(context: Context) -> bool:
    """The log shows how the identifier got its default state, and no policy that found a pod of it since."""
    named, me = context.node.story.events.named, context.pod.identifier
    defaulted = any(event.get("pod_identifier") == me for event in named("default-state"))
    found = named("matching-pod", "policies-for-identifier")
    return defaulted and not any(event.get("pod_identifier") == me for event in found)


def direction_of(state: MapState) -> Direction:
    """The direction of a map, as the policy functions name it."""
    return "egress" if state.direction == "egress" else "ingress"


def effects_of(context: Context, diff: KeyDiff, cidrs: Iterable[str]) -> dict[str, list[Effect]]:
    """What the kernel does to each CIDR's own traffic beside what the policies ask, or the agent by its log."""
    state = diff.state
    direction = direction_of(state)
    paths = context.datapaths(direction, diff.wanted)
    others = {entry.cidr for entry in state.entries} | {key.cidr for key in diff.missing}
    if diff.wanted is None:
        expected = context.intent.expected(direction, ideal=True)
        others |= set(expected.namespace.entries) | set(expected.cluster.entries)
    cluster = context.dumped(f"cp_{direction}_map")
    if cluster is not None:
        others |= {entry.cidr for entry in cluster.entries}
    ordered = Others(others)
    return {cidr: paths.effects(cidr, ordered) for cidr in cidrs}


def verdict_text(effects: Iterable[Effect], *, compared: bool = True) -> str:
    """What the kernel does to packets of one CIDR, in words; differing answers by protocol and port.

    `compared` adds what the policies say where that differs.
    """
    parts: dict[str, list[str]] = {}
    for effect in effects:
        if effect.protocol in _PLAIN:
            text = answer_text(effect.kernel)
            if compared and effect.kind in ("wrongly-denied", "wrongly-allowed"):
                text += f" (policy: {'allowed' if effect.wanted.action == 'OK' else 'denied'})"
            parts.setdefault(text, []).append(effect.traffic)
    if len(parts) == 1:
        return f"all traffic {next(iter(parts))}"
    return "; ".join(f"{', '.join(traffic)} {text}" for text, traffic in parts.items())


def wording(context: Context, effects: dict[str, list[Effect]]) -> tuple[list[str], list[str]]:
    """(wrongly denied, wrongly allowed), one line a CIDR, pods named."""
    denied, allowed = [], []
    for cidr, mine in effects.items():
        if texts := summary(mine, "wrongly-denied"):
            denied.append(f"{context.who(cidr)}: {', '.join(texts)}")
        if texts := summary(mine, "wrongly-allowed"):
            allowed.append(f"{context.who(cidr)}: {', '.join(texts)}")
    return denied, allowed


def refused(effects: Iterable[Effect]) -> bool:
    """Whether the kernel lets nothing through that anybody sends."""
    plain = [effect for effect in effects if effect.protocol in _PLAIN]
    return bool(plain) and all(effect.kernel.action == "SHOT" for effect in plain)


def verdict_sentences(denied: list[str], allowed: list[str]) -> list[str]:
    """What the kernel does otherwise than the policies ask, for a summary; the first of each kind."""
    out = []
    if denied:
        out.append(f"The kernel wrongly denies {'; '.join(denied[:4])}.")
    if allowed:
        out.append(f"The kernel WRONGLY ALLOWS {'; '.join(allowed[:4])}.")
    return out or ["No verdict differs from what the policies ask at the moment."]


def impact_text(denied: list[str], allowed: list[str]) -> str:
    """One line for each thing that goes wrong; what is wrongly allowed as loud as what is denied."""
    lines = [f"WRONGLY ALLOWED: {text}" for text in allowed] + [f"wrongly denied: {text}" for text in denied]
    return "\n".join(lines) or "no packet is treated differently from what the policies ask"


def covering(state: MapState, cidr: str) -> str | None:
    """The longest wider entry of the map that contains a CIDR; None when there is none."""
    network = ipaddress.ip_network(cidr)
    present = state.cidrs
    for length in sorted(state.prefix_lengths, reverse=True):
        if length < network.prefixlen and (wider := str(network.supernet(new_prefix=length))) in present:
            return wider
    return None


def base(context: Context, diff: KeyDiff, detector: str, entries: list[str], number: str | None) -> Finding:
    """A finding of this family with everything that does not depend on the kind of difference."""
    state = diff.state
    finding = Finding(
        detector=detector,
        severity="high",
        confidence=_confidence(context, diff),
        node=context.node.id,
        pod_identifier=context.pod.identifier,
        pods=context.pod.titles(),
        map=state.name,
        entries=entries,
        defect=number,
        title="",
        summary="",
        mechanism=defect(number).mechanism if number else "",
        impact="",
        remedy=remedy(number, context, map=state.name) if number else _plain_remedy(context, state),
        references=defect(number).references if number else [],
        until=context.node.observed_until,
        cause=restart_aliasing.CAUSE if number == restart_aliasing.DEFECT else None,
    )
    finding.evidence.append(context.cite_dump(state, f"{context.full_name(state)} as dumped"))
    finding.evidence += _cite_write(context, diff)
    if number == restart_aliasing.DEFECT:
        cluster = context.dumped(f"cp_{state.direction}_map")
        if cluster is not None:
            finding.since = restart_aliasing.since(context, cluster)
            finding.evidence += restart_aliasing.evidence(context, cluster)
    return finding


def _confidence(context: Context, diff: KeyDiff) -> str:
    if diff.by_log:
        return "medium"
    return "certain" if context.node.agent_version and context.node.node_ip else "high"


def _cite_write(context: Context, diff: KeyDiff) -> list[Citation]:
    """The first line of the write that is the yardstick, and its result."""
    if diff.write is None:
        return []
    lines = [context.cite_event(diff.write.begin, f"the agent's last write of {diff.write.said}: its CIDRs follow")]
    if diff.write.result is not None:
        lines.append(context.cite_event(diff.write.result, "its result"))
    return lines


def _plain_remedy(context: Context, state: MapState) -> str:
    pod = context.pod.identifier
    return "\n".join(
        [
            "Touch a policy that selects the pods (an annotation will do) and see in the agent log whether this map is written: "
            "'ID of map to update' must name its id, 'Bulk refresh' must count the change. From v1.2.4 on the agent compares "
            "with its own memory, so an entry changed behind its back is not repaired that way.",
            f"If the difference stays, recreate the maps: delete every pod of {pod} on this node; the last one takes them along.",
            "Disturbs: connections of the deleted pods.",
            "Confirm on the node:",
            f"$ {collect.map_dump(context, state.name).command.split(' > ')[0]}",
        ]
    )


def drift_note(finding: Finding, diff: KeyDiff) -> None:
    """Turn a finding into a note: the policy is younger than everything in the bundle, or the write than the dump."""
    finding.severity = "info"
    finding.confidence = "medium"
    finding.cause = None
    finding.defect = None
    finding.mechanism = (
        "The agent changed this at the very end of its log: the dump may have been taken before. Drift, not a fault."
        if diff.by_log
        else "A policy of these pods was written after the last sign of life in this bundle: drift, not a fault."
    )
    finding.remedy = "Nothing to mend. If the difference is still there minutes later, collect again."
    finding.references = []


def frozen_by(context: Context, diff: KeyDiff) -> str | None:
    """KB-101 when the map's updates go to the cluster map."""
    return restart_aliasing.DEFECT if diff.frozen else None


def entry_row(context: Context, state: MapState, row: int, effect: str) -> dict[str, Any]:
    """The details of an entry that stands in the map."""
    words, known = state.words()
    entry, value = state.entries[row], state.value(row)
    return {
        "cidr": entry.cidr,
        "map": state.name,
        "key_hex": entry.key.hex(),
        "value_hex": value.hex() if value is not None else None,
        "boundary": None,
        "as_namespace": namespace_text(words[row].tolist(), known[row].tolist()),
        "as_cluster": [],
        "trailing": None,
        "effect": effect,
    }
