"""What missing-entry and stale-entry say of the cluster tier: its maps beside the ClusterPolicyEndpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics import collect
from forensics.comparable import NotComparable
from forensics.finding import CANNOT_TELL, CLEAN, Answer, Finding, Missing, cannot_tell, clean, found
from forensics.generations import generation_of
from forensics.intent import DIRECTIONS
from forensics.tierjudge import judge_cluster

if TYPE_CHECKING:
    from forensics.context import Context

CLUSTER = "cluster"


def with_cluster_tier(context: Context, namespace: Answer, detector: str, kind: str) -> Answer:
    """The answer for both tiers. `namespace` is that for the namespace maps; kind as of an EntryDifference.

    A clean answer says whether it speaks for the cluster tier too.
    """
    if not generation_of(context.intent.version).generation.tiers:
        return namespace
    findings: list[Finding] = []
    reasons: list[str] = []
    missing: list[Missing] = []
    judged = 0
    for direction in DIRECTIONS:
        state = context.dumped(f"cp_{direction}_map")
        compared = None if state is None else context.comparison(direction)
        if compared is None or isinstance(compared, NotComparable) or not context.intent.cluster_known.yes:
            continue
        assert state is not None
        if any(each.tier == CLUSTER and each.kind == kind for each in compared.entries):
            from forensics.detectors.entry_claims import claims

            findings += claims(context, compared, detector, kind, (CLUSTER,))
        if (unclear := judge_cluster(context, state).unclear) and kind == "extra":
            listed = ", ".join(entry.cidr for entry in unclear[:4])
            reasons.append(f"cp_{direction}_map: {listed} may be of either tier")
            missing.append(collect.CLUSTER_POLICIES)
        if not state.whole:
            reasons.append(f"the dump of cp_{direction}_map does not show all of it")
            missing.append(collect.map_dump(context, f"cp_{direction}_map"))
        judged += state.whole
    if findings:
        return found([*namespace.findings, *findings])
    if namespace.outcome == CLEAN:
        return _clean(context, namespace, judged, reasons, missing)
    if namespace.outcome == CANNOT_TELL and reasons:
        return cannot_tell("; ".join([namespace.why, *reasons]), *namespace.missing, *missing)
    return namespace


def _clean(context: Context, namespace: Answer, judged: int, reasons: list[str], missing: list[Missing]) -> Answer:
    intent = context.intent
    selecting = [policy for policy in intent.policies if policy.tier == CLUSTER]
    if intent.cluster_listed and selecting and not reasons:
        for direction in DIRECTIONS:
            if context.dumped(f"cp_{direction}_map") is None:
                reasons.append(f"cluster policies select it, and there is no dump of cp_{direction}_map")
                missing.append(collect.map_dump(context, f"cp_{direction}_map"))
    if reasons:
        return cannot_tell("; ".join(reasons), *missing)
    if judged:
        return clean(f"{namespace.why}, in the cluster tier too")
    return clean(f"{namespace.why}; the cluster tier is not judged: {_unjudged(context)}")


def _unjudged(context: Context) -> str:
    known = context.intent.cluster_known
    return "no dump of its maps" if known.yes else known.why
