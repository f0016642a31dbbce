"""KB-115: cluster-policy rules in a namespace map, written by a pod start on v1.3.0 and v1.3.1.

Source: the EnforceNpToPod handler of aws-network-policy-agent v1.3.0 and v1.3.1 hands cluster rules to the namespace
map's writer, which knows no action and no priority: a deny becomes an allow. Fixed in v1.3.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.defects import defect, remedy
from forensics.detectors.addresses import impact_text, wording
from forensics.effects import Others
from forensics.finding import Finding
from forensics.strides import cluster_text, namespace_text
from forensics.tierjudge import CONFIDENCE, STRIDE, Judgement

if TYPE_CHECKING:
    from forensics.context import Context
    from forensics.podstate import MapState
    from forensics.policy_rules import Direction

DEFECT = "KB-115"


def finding(context: Context, state: MapState, judgement: Judgement, detector: str) -> Finding:
    """The claim about one namespace map."""
    direction: Direction = "egress" if state.direction == "egress" else "ingress"
    entries = [item.entry.cidr for item in judgement.misplaced]
    raw = all(item.reason == STRIDE for item in judgement.misplaced)
    name = context.full_name(state)
    paths = context.datapaths(direction)
    others = Others([*state.cidrs, *context.intent.expected(direction).cluster.entries])
    every = {cidr: paths.effects(cidr, others) for cidr in entries}
    denied, allowed = wording(context, every)
    rows = []
    words, known = state.words()
    for item in judgement.misplaced:
        effects = every[item.entry.cidr]
        value = state.value(item.entry.row)
        rows.append(
            {
                "cidr": item.entry.cidr,
                "map": state.name,
                "key_hex": item.entry.key.hex(),
                "value_hex": value.hex() if value is not None else None,
                "boundary": None,
                "as_namespace": namespace_text(words[item.entry.row].tolist(), known[item.entry.row].tolist()),
                "as_cluster": cluster_text(words[item.entry.row].tolist(), known[item.entry.row].tolist())
                if raw
                else [],
                "trailing": None,
                "effect": "; ".join(f"{effect.traffic} {effect.kind}" for effect in effects if effect.kind != "same"),
            }
        )
    noun = "entry" if len(entries) == 1 else "entries"
    result = Finding(
        detector=detector,
        severity="critical" if allowed or denied else "high",
        confidence=min((CONFIDENCE[item.reason] for item in judgement.misplaced), key=("certain", "high").index),
        node=context.node.id,
        pod_identifier=context.pod.identifier,
        pods=context.pod.titles(),
        map=state.name,
        entries=entries,
        defect=None if raw else DEFECT,
        title=f"{name}: {len(entries)} {noun} of cluster rules in the namespace map",
        summary=_summary(name, entries, denied, allowed),
        mechanism=defect(DEFECT).mechanism,
        impact=impact_text(denied, allowed),
        remedy=remedy(DEFECT, context, map=state.name),
        references=[
            "KB-115: cluster-policy rules written into the namespace map at pod start",
            "fixed in agent v1.3.2",
        ],
        alternatives=[
            {
                "explanation": "a namespace policy with the same CIDRs",
                "why_not": context.intent.known.why
                if context.intent.known.yes
                else "the CIDRs are those of the cluster policy, and the cluster map lacks them",
            }
        ],
        until=context.node.observed_until,
        details={"entries": rows, "wrongly_denied": denied, "wrongly_allowed": allowed},
        cause="cluster-rules-at-pod-start",
    )
    for item in judgement.misplaced[:12]:
        result.evidence.append(context.cite_entry(state, item.entry.row, f"{item.entry.cidr} in {name}"))
    cluster = context.dumped(f"cp_{direction}_map")
    if cluster is not None and not cluster.count:
        result.evidence.append(context.cite_dump(cluster, f"{context.full_name(cluster)} is empty"))
    names = {f"{item.name}" for item in context.node.objects if item.kind == "ClusterPolicyEndpoint"}
    result.evidence += context.cite_policies(names, "asks for these CIDRs in the cluster tier")[:3]
    for write in context.node.story.writes:
        if write.map_id == state.map_id and write.cluster_rules and write.said == state.name:
            result.since = str(write.begin.get("ts"))
            result.evidence.append(context.cite_event(write.begin, "cluster rules, and the namespace map is updated"))
            break
    return result


def _summary(name: str, entries: list[str], denied: list[str], allowed: list[str]) -> str:
    parts = [f"{name} holds {', '.join(entries[:6])} of a cluster policy as plain allow entries."]
    if allowed:
        parts.append(f"WRONGLY ALLOWED: {'; '.join(allowed[:4])}.")
    if denied:
        parts.append(f"Wrongly denied: {'; '.join(denied[:4])}.")
    return " ".join(parts)
