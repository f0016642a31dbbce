"""misplaced-tier-entry: entries that stand in a map of the wrong tier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forensics import collect
from forensics.defects import defect, remedy
from forensics.detectors import cluster_rules, restart_aliasing
from forensics.detectors.addresses import impact_text, verdict_text, wording
from forensics.detectors.base import Detector
from forensics.effects import Others, answer_text
from forensics.finding import Answer, Finding, Missing, cannot_tell, clean, found, not_applicable
from forensics.keydiff import still_frozen
from forensics.meant import meant
from forensics.neighbours import HEAD
from forensics.strides import cluster_text, namespace_text
from forensics.tierjudge import (
    CONFIDENCE,
    LOG,
    NEIGHBOURS,
    POLICIES,
    STRIDE,
    Judgement,
    judge_cluster,
    judge_namespace,
)
from forensics.versions import at_least

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forensics.context import Context
    from forensics.effects import Effect
    from forensics.podstate import Entry, MapState
    from forensics.policy_rules import Direction

_NAMED = 5
_MAPS = ("cp_ingress_map", "cp_egress_map", "ingress_map", "egress_map")
#: Entries whose bytes are cited one by one; the finding's entries[] names all of them.
CITED = 12


def run(context: Context) -> Answer:
    """Judge the four rule maps of a pod identifier."""
    version = context.node.agent_version
    if version and not at_least(version, "v1.3.0") and not any(n.startswith("cp_") for n in context.pod.maps):
        return not_applicable(f"agent {version} has one tier only; the cluster tier came with v1.3.0")
    findings: list[Finding] = []
    missing: list[Missing] = []
    notes: list[str] = []
    logged: list[str] = []
    for name in _MAPS:
        state = context.dumped(name)
        if state is None:
            missing.append(collect.map_dump(context, name))
            logged += _logged(context, name)
            continue
        judgement = judge_cluster(context, state) if state.tier == "cluster" else judge_namespace(context, state)
        if judgement.misplaced:
            findings.append(_finding(context, state, judgement))
        why, wanted = open_questions(context, state, judgement)
        notes += why
        missing += wanted
    if findings:
        return found(findings)
    if missing:
        lacking = [name for name in _MAPS if context.dumped(name) is None]
        why = [*logged, *notes, *([f"no dump of {', '.join(lacking)}"] if lacking else [])]
        answer = cannot_tell("; ".join(why), *dict.fromkeys(missing))
        answer.suspicion = (
            f"namespace rules were written to its cluster-tier maps ({restart_aliasing.DEFECT})" if logged else None
        )
        return answer
    return clean("every entry reads as a rule of its own map's tier")


def _logged(context: Context, name: str) -> list[str]:
    """What the agent's log says of a map that was not dumped: namespace writes that went to it."""
    state = context.pod.maps.get(name)
    writes = context.misdirected(state) if state is not None else []
    if state is None or not writes:
        return []
    count = "a write" if len(writes) == 1 else f"{len(writes)} writes"
    when = restart_aliasing.since(context, state)
    return [
        f"THE AGENT LOG SHOWS {count} meant for {writes[0].said} that went to {name} (map ID {state.map_id}), first "
        f"at {when}: this is {restart_aliasing.DEFECT}, only a dump of the map tells which entries are hit"
    ]


def open_questions(context: Context, state: MapState, judgement: Judgement) -> tuple[list[str], list[Missing]]:
    """What one map's judgement leaves open, in words, and the inputs that would settle it."""
    notes: list[str] = []
    missing: list[Missing] = []
    dump = collect.map_dump(context, state.name)
    if judgement.stray:
        notes.append(
            f"{state.name}: whose map this is is not said, and it reads as a namespace map printed by dump-cp-maps"
        )
        missing.append(dump)
    if judgement.unclear:
        listed = _listed(judgement.unclear)
        verb = "reads as a rule" if len(judgement.unclear) == 1 else "read as rules"
        notes.append(f"{state.name}: {listed} {verb} of either tier, and no policy at hand explains it")
        known = context.intent.cluster_known.yes
        missing += [collect.AGENT_LOG] if known else [collect.CLUSTER_POLICIES]
        if not context.intent.known.yes:
            missing.append(collect.POLICIES)
    if judgement.odd:
        listed = _listed(judgement.odd)
        notes.append(f"{state.name}: the value of {listed} is a rule of neither tier")
        missing.append(dump)
    if judgement.unseen is None:
        notes.append(f"{state.name}: the dump does not say that it is complete")
        missing.append(dump)
    elif judgement.unseen:
        count = "1 value is" if judgement.unseen == 1 else f"{judgement.unseen} values are"
        notes.append(f"{state.name}: {count} not shown")
        missing.append(dump)
    return notes, missing


def _finding(context: Context, state: MapState, judgement: Judgement) -> Finding:
    if state.tier == "namespace":
        return cluster_rules.finding(context, state, judgement, DETECTOR.id)
    entries = [item.entry.cidr for item in judgement.misplaced]
    direction: Direction = "egress" if state.direction == "egress" else "ingress"
    meant_of = {item.entry.cidr: meant(*state.row_words(item.entry.row)) for item in judgement.misplaced}
    least = context.datapaths(direction, _wanted(context, state, judgement, [m.least for m in meant_of.values()]))
    others = Others(_others(context, state))
    effects = {cidr: least.effects(cidr, others) for cidr in entries}
    most_effects = effects
    if not context.intent.known.yes and not all(each.whole for each in meant_of.values()):
        most = context.datapaths(direction, _wanted(context, state, judgement, [m.most for m in meant_of.values()]))
        most_effects = {cidr: most.effects(cidr, others) for cidr in entries}
    hidden = {cidr for cidr in entries if most_effects[cidr] != effects[cidr]}
    rows = [
        _row(context, state, item.entry, _text(item.entry, effects, most_effects, hidden))
        for item in judgement.misplaced
    ]
    # what the least asks is surely denied wrongly, what even the most does not ask is surely allowed wrongly
    denied, allowed = wording(context, effects)[0], wording(context, most_effects)[1]
    reasons = {item.reason for item in judgement.misplaced}
    confidence = next(level for level in ("certain", "high") if level in {CONFIDENCE[reason] for reason in reasons})
    name = context.full_name(state)
    finding = Finding(
        detector=DETECTOR.id,
        severity="critical" if denied or allowed else "high",
        confidence=confidence,
        node=context.node.id,
        pod_identifier=context.pod.identifier,
        pods=context.pod.titles(),
        map=state.name,
        entries=entries,
        defect=restart_aliasing.DEFECT,
        title=f"{name}: {_count(len(entries))} of namespace rules in the cluster-tier map",
        summary=_summary(context, state, len(entries), denied, allowed, hidden=len(hidden)),
        mechanism=defect(restart_aliasing.DEFECT).mechanism,
        impact=f"{_impact(denied, allowed, hidden)}\n{_beside(context)}",
        remedy=remedy(restart_aliasing.DEFECT, context, map=state.name),
        references=defect(restart_aliasing.DEFECT).references,
        alternatives=_alternatives(context, state, reasons),
        since=restart_aliasing.since(context, state),
        until=context.node.observed_until,
        details={"entries": rows, "wrongly_denied": denied, "wrongly_allowed": allowed},
        cause=restart_aliasing.CAUSE,
    )
    for item in judgement.misplaced[:CITED]:
        finding.evidence.append(context.cite_entry(state, item.entry.row, f"{item.entry.cidr} in {name}"))
    finding.evidence += restart_aliasing.evidence(context, state)
    return finding


def _impact(denied: list[str], allowed: list[str], hidden: set[str]) -> str:
    if hidden and not denied and not allowed:
        return "Which packets are treated differently cannot be told: the dump does not show what the rules were."
    return impact_text(denied, allowed)


def _beside(context: Context) -> str:
    if still_frozen(context):
        return "The namespace map beside it is frozen: later changes of the policies do not reach it."
    version = context.node.agent_version
    return (
        f"Agent {version} writes the namespace map beside it again; the entries here stay until the maps are recreated."
    )


def _text(entry: Entry, least: dict[str, list[Effect]], most: dict[str, list[Effect]], hidden: set[str]) -> str:
    """The effect in words; where rules are hidden, what is sure, and what the kernel does anyway."""
    if entry.cidr not in hidden:
        return _effect_text(least[entry.cidr])
    sure = [effect for effect in least[entry.cidr] if effect.kind == "wrongly-denied"]
    sure += [effect for effect in most[entry.cidr] if effect.kind == "wrongly-allowed"]
    parts = [_effect_text(sure)] if sure else []
    parts.append(
        f"the dump does not show every rule that was meant; the kernel: {verdict_text(most[entry.cidr], compared=False)}"
    )
    return "; ".join(parts)


def _row(context: Context, state: MapState, entry: Entry, effect: str) -> dict[str, Any]:
    """One entry with both readings, what trails it and what the kernel does to traffic of it."""
    row, cidr = entry.row, entry.cidr
    words, known = state.row_words(row)
    value = state.value(row)
    tail = context.neighbours.tail(value) if value is not None else None
    return {
        "cidr": cidr,
        "map": state.name,
        "key_hex": entry.key.hex(),
        "value_hex": value.hex() if value is not None else None,
        "boundary": HEAD,
        "as_namespace": namespace_text(words, known),
        "as_cluster": cluster_text(words, known),
        "trailing": {"kind": tail.kind, "hex": tail.hex, "source": tail.source} if tail else None,
        "effect": effect,
    }


def _wanted(
    context: Context, state: MapState, judgement: Judgement, values: list[bytes]
) -> dict[str, dict[bytes, bytes]] | None:
    """The maps as they were meant: by the policies (None), or without them the same entries in their own map."""
    if context.intent.known.yes:
        return None
    kernel = context.kernel_maps(state.direction)
    moved, kept = dict(kernel["namespace"]), dict(kernel["cluster"])
    for item, value in zip(judgement.misplaced, values, strict=True):
        kept.pop(item.entry.key, None)
        moved[item.entry.key] = value
    return {"namespace": moved, "cluster": kept}


def _others(context: Context, state: MapState) -> set[str]:
    """Every CIDR of both dumped maps and of the policies: a wider entry speaks for what none of them covers."""
    direction: Direction = "egress" if state.direction == "egress" else "ingress"
    dumped = [context.dumped(name) for name in (f"{direction}_map", state.name)]
    others = {cidr for each in dumped if each is not None for cidr in each.cidrs}
    if context.intent.known.yes:
        others |= set(context.intent.expected(direction, ideal=True).namespace.entries)
    return others


def _effect_text(effects: list[Effect]) -> str:
    parts: dict[str, list[str]] = {}
    for effect in effects:
        if effect.kind != "same" and effect.protocol in ("TCP", "UDP", "SCTP", "other protocols"):
            answer = f"{answer_text(effect.kernel)}, should be {answer_text(effect.wanted)}"
            parts.setdefault(answer, []).append(effect.traffic)
    if not parts:
        return "no packet is treated differently from what was meant"
    return "; ".join(f"{', '.join(traffic)}: {answer}" for answer, traffic in parts.items())


def _summary(
    context: Context, state: MapState, count: int, denied: list[str], allowed: list[str], *, hidden: int
) -> str:
    pods = ", ".join(context.pod.titles()) or context.pod.identifier
    parts = [
        f"{_count(count)} of {context.full_name(state)} {'holds' if count == 1 else 'hold'} namespace rules, written 12 bytes a slot and read 16."
    ]
    parts.append(f"The kernel consults them first for every new {state.direction} flow of {pods}.")
    if denied:
        parts.append(f"Wrongly denied: {_some(denied)}.")
    if allowed:
        parts.append(f"WRONGLY ALLOWED: {_some(allowed)}.")
    if hidden:
        parts.append(
            f"The dump does not show all that {'it was' if count == 1 else 'they were'} meant to be: more may be denied or allowed wrongly."
        )
    elif not denied and not allowed:
        parts.append("No verdict differs from what the policies ask at the moment, only the tier that gives it.")
    if not context.intent.known.yes:
        parts.append("Without the PolicyEndpoints this compares with the same rules in their own map.")
    beside = f"{state.direction}_map"
    if context.dumped(beside) is None:
        parts.append(f"No dump of {beside} is at hand: it is taken to lack {'the address' if count == 1 else 'them'}.")
    return " ".join(parts)


def _listed(entries: Sequence[Entry]) -> str:
    return _some([entry.cidr for entry in entries[:_NAMED]], _NAMED, len(entries))


def _some(texts: list[str], limit: int = 4, count: int | None = None) -> str:
    """The first few of `count` texts, of all there are by default."""
    more = (len(texts) if count is None else count) - limit
    return "; ".join(texts[:limit]) + (f" and {more} more" if more > 0 else "")


def _count(number: int) -> str:
    return "1 entry" if number == 1 else f"{number} entries"


#: Why an entry is no cluster policy's, by the reason it was judged misplaced.
_NO_CLUSTER_RULE = {
    STRIDE: "as cluster rules they have impossible priorities, protocols or gaps between slots",
    LOG: "the agent log shows the namespace map's content being written to this map's ID",
    NEIGHBOURS: "they stand among entries of this map that cannot be cluster rules",
    POLICIES: "the namespace policies or the namespace map have the same rules, and no cluster policy at hand lists them",
}


def _alternatives(context: Context, state: MapState, reasons: set[str]) -> list[dict[str, str]]:
    out = []
    known = context.intent.cluster_known
    explanation = "a cluster policy put these entries here"
    why = "; ".join(text for reason, text in _NO_CLUSTER_RULE.items() if reason in reasons)
    out.append({"explanation": explanation, "why_not": f"{why}; {known.why}" if known.yes else why})
    raw = state.view is not None and state.view.raw
    why = "raw bytes with their own count" if raw else "the text form prints whole slots, and they rotate by 12 bytes"
    out.append({"explanation": "the dump was read or pasted wrongly", "why_not": why})
    return out


DETECTOR = Detector(
    id="misplaced-tier-entry",
    title="Entries in a map of the wrong tier",
    about=(
        "Cluster-tier values that read as 12-byte namespace slots and not as 16-byte ones, entries no cluster policy "
        "explains, and cluster rules in a namespace map."
    ),
    needs=("dumps of the four rule maps", "ClusterPolicyEndpoints where both readings are possible"),
    run=run,
    defects=("KB-101", "KB-115"),
)
