"""stale-entry: an entry that no policy of its map's tier explains any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.detectors import addresses, restart_aliasing
from forensics.detectors.base import Detector
from forensics.detectors.cluster_entries import with_cluster_tier
from forensics.versions import between

if TYPE_CHECKING:
    from forensics.context import Context
    from forensics.finding import Answer, Finding
    from forensics.keydiff import KeyDiff


def run(context: Context) -> Answer:
    """Every entry of the rule maps that the policies do not ask for."""
    namespace = addresses.answer(
        context,
        _make,
        needs_whole=True,
        all_clear="every entry is asked for by a policy",
        clear_by_log="every entry shown is of the agent's last write",
    )
    return with_cluster_tier(context, namespace, DETECTOR.id, "extra")


def _make(context: Context, diff: KeyDiff) -> Finding | None:
    if not diff.stale or _left_by_design(context, diff):
        return None
    state = diff.state
    entries = [key.entry.cidr for key in diff.stale]
    number = addresses.frozen_by(context, diff)
    result = addresses.base(context, diff, DETECTOR.id, entries, number)
    effects = addresses.effects_of(context, diff, entries)
    denied, allowed = addresses.wording(context, effects)
    name = context.full_name(state)
    noun = "entry" if len(entries) == 1 else "entries"
    by = "the agent log does not list" if diff.by_log else "no policy explains"
    result.title = f"{name}: {len(entries)} stale {noun} that {by}"
    result.severity = "high" if allowed or denied else "low"
    listed = ", ".join(context.who(cidr) for cidr in entries[:4])
    more = f" and {len(entries) - 4} more" if len(entries) > 4 else ""
    lacks = "the agent's last write does not list" if diff.by_log else "no PolicyEndpoint of these pods lists"
    parts = [f"{name} holds {listed}{more}, which {lacks}."]
    if allowed:
        parts.append(f"The kernel WRONGLY ALLOWS {'; '.join(allowed[:4])}.")
    if denied:
        parts.append(f"The kernel wrongly denies {'; '.join(denied[:4])}.")
    if not allowed and not denied:
        parts.append(
            f"No verdict differs from what {'the log asks' if diff.by_log else 'the policies ask'} at the moment."
        )
    if diff.frozen:
        parts.append("The map is frozen: since the agent's restart deletes go to the cluster-tier map and fail.")
    result.summary = " ".join(parts)
    result.impact = addresses.impact_text(denied, allowed)
    result.details = {
        "entries": [
            addresses.entry_row(context, state, key.entry.row, addresses.verdict_text(effects[key.entry.cidr]))
            for key in diff.stale
        ],
        "wrongly_denied": denied,
        "wrongly_allowed": allowed,
    }
    result.alternatives = [_alternative(context, diff)]
    result.evidence = [
        context.cite_entry(state, key.entry.row, f"{key.entry.cidr} in {name}") for key in diff.stale[: addresses.CITED]
    ] + result.evidence[1:]
    if all(key.drift for key in diff.stale):
        addresses.drift_note(result, diff)
    return result


def _alternative(context: Context, diff: KeyDiff) -> dict[str, str]:
    if diff.by_log:
        why = "the counts of the last write fit the CIDRs it lists; collect the PolicyEndpoints to be certain"
        return {"explanation": "lines of the agent's log are missing", "why_not": why}
    return {
        "explanation": "a policy that is not in the input asks for it",
        "why_not": context.intent.known.why + "; collect all namespaces (-A) to rule it out",
    }


def _left_by_design(context: Context, diff: KeyDiff) -> bool:
    """v1.2.0 to v1.2.7 leave a map as it was when the last policy goes: the pod state alone opens or closes the pod."""
    version = context.node.agent_version
    state = context.pod.state_of(diff.state.direction)
    governed = state is None or state.get(0) in (1, 2)
    return bool(version and between(version, "v1.2.0", "v1.2.7") and governed and not context.intent.selected)


DETECTOR = Detector(
    id="stale-entry",
    title="Entries that no policy explains",
    about=(
        "Entries of a namespace map that no PolicyEndpoint of its pods lists, and of a cluster map that no "
        "ClusterPolicyEndpoint does: what is wrongly still allowed."
    ),
    needs=("dumps of the rule maps", "PolicyEndpoints", "ClusterPolicyEndpoints for the cluster tier"),
    run=run,
    defects=(restart_aliasing.DEFECT,),
)
