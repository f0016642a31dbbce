"""oversized-value-write: a value written from a buffer of another size than the map's."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from forensics import collect
from forensics.defects import defect, remedy
from forensics.detectors import restart_aliasing
from forensics.detectors.base import Detector
from forensics.detectors.misplaced_tier_entry import open_questions
from forensics.finding import Answer, Finding, Missing, cannot_tell, clean, found, not_applicable
from forensics.neighbours import HEAD, TAIL
from forensics.podstate import TIER_SIZES, fits
from forensics.strides import cluster_text, namespace_text
from forensics.tierjudge import CONFIDENCE, Misplaced, judge_cluster
from forensics.versions import at_least

if TYPE_CHECKING:
    from forensics.context import Context
    from forensics.podstate import MapState

_CLUSTER = ("cp_ingress_map", "cp_egress_map")
_CITED = 12


def run(context: Context) -> Answer:
    """Look for 288-byte buffers in 384-byte values, and for maps whose value size is the other tier's."""
    version = context.node.agent_version
    findings = [finding for name in ("ingress_map", "egress_map", *_CLUSTER) if (finding := _wrong_size(context, name))]
    if not findings and version and not at_least(version, "v1.3.0") and not _has_cluster_maps(context):
        return not_applicable(f"agent {version} has values of one size only")
    missing: list[Missing] = []
    notes: list[str] = []
    for name in _CLUSTER:
        state = context.dumped(name)
        if state is None:
            missing.append(collect.map_dump(context, name))
            continue
        judgement = judge_cluster(context, state)
        if judgement.misplaced:
            findings.append(_finding(context, state, judgement.misplaced))
        why, wanted = open_questions(context, state, judgement)
        notes += why
        missing += wanted
    if findings:
        return found(findings)
    if missing:
        lacking = [name for name in _CLUSTER if context.dumped(name) is None]
        why = [*notes, *([f"no dump of {', '.join(lacking)}"] if lacking else [])]
        return cannot_tell("; ".join(why), *dict.fromkeys(missing))
    return clean("every value fills its slots of 16 bytes from the first on, and none ends at byte 288")


def _has_cluster_maps(context: Context) -> bool:
    return any(name in context.pod.maps for name in _CLUSTER)


def _finding(context: Context, state: MapState, misplaced: list[Misplaced]) -> Finding:
    rows = [_row(context, state, item) for item in misplaced]
    entries = [item.entry.cidr for item in misplaced]
    tails = Counter(row["trailing"]["kind"] for row in rows if row["trailing"])
    name = context.full_name(state)
    what = ", ".join(f"{kind} ({count})" for kind, count in tails.most_common()) or "only partly shown by the text form"
    reasons = {CONFIDENCE[item.reason] for item in misplaced}
    count = "1 value" if len(entries) == 1 else f"{len(entries)} values"
    result = Finding(
        detector=DETECTOR.id,
        severity="high",
        confidence="certain" if "certain" in reasons else "high",
        node=context.node.id,
        pod_identifier=context.pod.identifier,
        pods=context.pod.titles(),
        map=state.name,
        entries=entries,
        defect=restart_aliasing.DEFECT,
        title=f"{name}: {count} of {HEAD} bytes written into {HEAD + TAIL}-byte values",
        summary=(
            f"{count} of {name} {'was' if len(entries) == 1 else 'were'} written from a buffer of {HEAD} bytes; the kernel copied {HEAD + TAIL}, "
            f"so {TAIL} bytes that never were rules follow at offset {HEAD} and are read as slots 18 to 23. "
            f"What trails: {what}."
        ),
        mechanism=defect(restart_aliasing.DEFECT).mechanism,
        impact=(
            f"Slots 18 to 23 of these entries are evaluated too: a neighbour's rules or an allow-all there decide packets. "
            f"The {TAIL} bytes may show memory of the agent: handle the dump accordingly."
        ),
        remedy=remedy(restart_aliasing.DEFECT, context, map=state.name),
        references=defect(restart_aliasing.DEFECT).references,
        alternatives=[
            {
                "explanation": "the dump was cut or read with the wrong size",
                "why_not": "every value has the map's full size, and only its first 288 bytes make sense at 12",
            }
        ],
        since=restart_aliasing.since(context, state),
        until=context.node.observed_until,
        details={"entries": rows, "boundary": HEAD, "trailing": dict(sorted(tails.items()))},
        cause=restart_aliasing.CAUSE,
    )
    for item in misplaced[:_CITED]:
        result.evidence.append(context.cite_entry(state, item.entry.row, f"{item.entry.cidr} in {name}"))
    result.evidence += restart_aliasing.evidence(context, state)
    return result


def _row(context: Context, state: MapState, item: Misplaced) -> dict[str, Any]:
    row = item.entry.row
    words, known = state.row_words(row)
    value = state.value(row)
    tail = context.neighbours.tail(value) if value is not None else None
    trailing = {"kind": tail.kind, "hex": tail.hex, "source": tail.source} if tail else _printed_tail(state, row)
    return {
        "cidr": item.entry.cidr,
        "map": state.name,
        "key_hex": item.entry.key.hex(),
        "value_hex": value.hex() if value is not None else None,
        "boundary": HEAD,
        "as_namespace": namespace_text(words, known),
        "as_cluster": cluster_text(words, known),
        "trailing": trailing,
        "effect": "",
    }


def _printed_tail(state: MapState, row: int) -> dict[str, Any] | None:
    """What the text form shows of slots 18 to 23: enough to say that something trails, not what all of it is."""
    words, known = state.row_words(row)
    begin = HEAD // 4
    shown = cluster_text(words[begin:], known[begin:])
    if not shown:
        return None
    return {"kind": "printed as further slots", "hex": None, "source": "; ".join(shown)}


def _wrong_size(context: Context, name: str) -> Finding | None:
    """A map whose value size is not its tier's: the dump is of another map, or the map was made for another tier."""
    state = context.pod.maps.get(name)
    if state is None or state.view is None or state.tier is None or fits(state.view.dump, state.tier):
        return None
    size = state.view.dump.value_size
    other = "cluster" if state.tier == "namespace" else "namespace"
    if size not in TIER_SIZES[other]:
        return None
    full = context.full_name(state)
    return Finding(
        detector=DETECTOR.id,
        severity="medium",
        confidence="medium",
        node=context.node.id,
        pod_identifier=context.pod.identifier,
        pods=context.pod.titles(),
        map=name,
        entries=[entry.cidr for entry in state.entries],
        title=f"{full}: values of {size} bytes, which is the {other} tier's size",
        summary=f"A dump named {full} has values of {size} bytes; a {state.tier}-tier map has {TIER_SIZES[state.tier][0]}.",
        mechanism="The agent creates each map with its tier's value size, so a dump of another size is of another map.",
        impact="Nothing can be said of this map's rules until the dump is known to be its own.",
        remedy=f"Dump the map again by its pin:\n$ {collect.map_dump(context, name).command}",
        evidence=[context.cite_dump(state, f"values of {size} bytes")],
        alternatives=[
            {"explanation": "the file is misnamed", "why_not": "cannot be ruled out: this is the likely cause"}
        ],
        details={"entries": []},
        cause=f"value-size-{full}",
    )


DETECTOR = Detector(
    id="oversized-value-write",
    title="Values written from a buffer of another size",
    about="288 bytes in a 384-byte value with what trails at offset 288, and value sizes that are the other tier's.",
    needs=("raw dumps of the cluster-tier maps (the text form shows only part of what trails)",),
    run=run,
    defects=("KB-101",),
)
