"""changed-entry: an entry that is there and does not hold what the policies ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics import collect
from forensics.comparable import NotComparable
from forensics.detectors import restart_aliasing
from forensics.detectors.base import Detector
from forensics.finding import Answer, Finding, Missing, cannot_tell, clean, found
from forensics.generations import generation_of
from forensics.intent import DIRECTIONS

if TYPE_CHECKING:
    from forensics.context import Context

_CLUSTER = "cluster"


def run(context: Context) -> Answer:
    """Compare the slots of every entry of the four rule maps with what the policies ask."""
    findings: list[Finding] = []
    missing: list[Missing] = []
    reasons: list[str] = []
    for direction in DIRECTIONS:
        for name in (f"{direction}_map", f"cp_{direction}_map"):
            why, lacking = _unreadable(context, name)
            reasons += why
            missing += lacking
        compared = context.comparison(direction)
        if isinstance(compared, NotComparable):
            if not _all_empty(context, direction):
                reasons.append(compared.why)
                missing += compared.missing
            continue
        if compared.entries:
            # only here: without a difference none of it is needed
            from forensics.detectors.entry_claims import claims

            findings += claims(context, compared, DETECTOR.id, "changed")
    if findings:
        return found(findings)
    if reasons:
        return cannot_tell("; ".join(dict.fromkeys(reasons)), *dict.fromkeys(missing))
    return clean("every entry shown holds what the policies ask, or what the agent may make of it")


def _unreadable(context: Context, name: str) -> tuple[list[str], list[Missing]]:
    """Why the entries of a map cannot be judged, and what would help."""
    state = context.dumped(name)
    if state is None:
        if name.startswith("cp_") and not generation_of(context.intent.version).generation.tiers:
            return [], []
        return [f"no dump of {name}"], [collect.map_dump(context, name)]
    if not state.all_known:
        return [f"{name}: the values of some entries are not shown"], [collect.map_dump(context, name)]
    if state.tier == _CLUSTER and state.count and not context.intent.cluster_known.yes:
        return [context.intent.cluster_known.why], [collect.CLUSTER_POLICIES]
    return [], []


def _all_empty(context: Context, direction: str) -> bool:
    states = [context.dumped(name) for name in (f"{direction}_map", f"cp_{direction}_map")]
    return all(state is None or (state.whole and not state.count) for state in states)


DETECTOR = Detector(
    id="changed-entry",
    title="Entries that do not hold what the policies ask",
    about=(
        "Entries of the rule maps whose slots are none that the agent may have written, or that lack rules the "
        "policies ask: more rules than slots, spellings of one network on one key. Names the lost slots and the exact "
        "traffic that is treated differently."
    ),
    needs=("dumps of the rule maps with their values", "PolicyEndpoints", "ClusterPolicyEndpoints"),
    run=run,
    defects=(restart_aliasing.DEFECT, "KB-102", "KB-106", "KB-111"),
)
