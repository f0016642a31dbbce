"""missing-entry: an address that the policies of a tier list and its map lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forensics.detectors import addresses, restart_aliasing
from forensics.detectors.base import Detector
from forensics.detectors.cluster_entries import with_cluster_tier
from forensics.strides import namespace_text
from formats.address import key_of_cidr

if TYPE_CHECKING:
    from forensics.context import Context
    from forensics.finding import Answer, Finding
    from forensics.keydiff import KeyDiff, MissingKey
    from forensics.podstate import MapState

_LISTED = "The policies list"
#: How the policies come to ask for an entry that no rule names.
_SAID = {
    "except": "The policies except",
    "catch-all": "No policy restricts this direction, so everything is to be allowed by",
}


def run(context: Context) -> Answer:
    """Every key the policies ask for and a map lacks."""
    namespace = addresses.answer(
        context,
        _make,
        needs_whole=True,
        all_clear="every address the policies list is in its map",
        clear_by_log="every address of the agent's last write is in its map",
    )
    return with_cluster_tier(context, namespace, DETECTOR.id, "missing")


def _make(context: Context, diff: KeyDiff) -> Finding | None:
    return claim(context, diff, diff.missing, DETECTOR.id) if diff.missing else None


def claim(context: Context, diff: KeyDiff, keys: list[MissingKey], detector: str) -> Finding:
    """The claim that these keys are missing in this map."""
    state = diff.state
    name = context.full_name(state)
    numbers = {key.defect for key in keys if key.defect}
    number = addresses.frozen_by(context, diff) or (numbers.pop() if len(numbers) == 1 else None)
    entries = [key.cidr for key in keys]
    result = addresses.base(context, diff, detector, entries, number)
    effects = addresses.effects_of(context, diff, entries)
    unseen = {cidr for cidr in entries if _unseen(context, state, cidr)}
    judged = {c: e for c, e in effects.items() if c not in diff.unvalued | unseen}
    denied, allowed = addresses.wording(context, judged)
    denied += [
        f"{context.who(cidr)}: whatever its rule admits, the log does not show its ports"
        for cidr in entries
        if cidr in diff.unvalued - unseen and addresses.refused(effects[cidr])
    ]
    texts = {
        cidr: "not known: the value of the entry that decides instead is not shown"
        if cidr in unseen
        else addresses.verdict_text(effects[cidr], compared=cidr not in diff.unvalued)
        for cidr in entries
    }
    rows = [_row(context, diff, key, texts[key.cidr]) for key in keys]
    noun = "address" if len(keys) == 1 else "addresses"
    result.title = f"{name}: {len(keys)} {noun} of {'the agent log' if diff.by_log else 'the policies'} missing"
    result.severity = "high" if denied or allowed else "medium" if (diff.unvalued | unseen) & set(entries) else "low"
    result.summary = " ".join(_sentences(context, diff, keys, denied, allowed, unseen))
    result.impact = addresses.impact_text(denied, allowed)
    if unseen and not denied and not allowed:
        result.impact = "Which packets are treated differently cannot be told: values of wider entries are not shown."
    result.details = {"entries": rows, "wrongly_denied": denied, "wrongly_allowed": allowed}
    result.alternatives = [_alternative(diff, keys)]
    names = {f"{s.namespace}/{s.endpoint}" for key in keys for s in (*key.expected.sources, *key.expected.excepted_by)}
    result.evidence += context.cite_policies(sorted(names), f"lists {', '.join(entries[:4])}")[:4]
    cluster = context.dumped(f"cp_{state.direction}_map")
    if cluster is not None:
        strays = [entry for entry in cluster.entries if entry.cidr in set(entries)][: addresses.CITED]
        result.evidence += [
            context.cite_entry(cluster, stray.row, f"{stray.cidr} turned up in the other tier") for stray in strays
        ]
    if all(key.drift for key in keys):
        addresses.drift_note(result, diff)
    return result


def _alternative(diff: KeyDiff, keys: list[MissingKey]) -> dict[str, str]:
    drift = all(key.drift for key in keys)
    if diff.by_log:
        why = "it is: this is drift" if drift else "the agent wrote these addresses earlier, or to another map"
        return {"explanation": "the agent's last write is younger than the dump", "why_not": why}
    settled = "the policies are not newer than the last sign of life in the bundle, or the log shows them being written"
    why = "they are: this is drift" if drift else settled
    return {"explanation": "the policies are younger than the dump", "why_not": why}


def _sentences(
    context: Context, diff: KeyDiff, keys: list[MissingKey], denied: list[str], allowed: list[str], unseen: set[str]
) -> list[str]:
    listed = ", ".join(context.who(key.cidr) for key in keys[:4]) + (
        f" and {len(keys) - 4} more" if len(keys) > 4 else ""
    )
    said = _SAID.get(kinds.pop(), _LISTED) if len(kinds := {key.expected.kind for key in keys}) == 1 else _LISTED
    said = said if diff.write is None else "By its log the agent last wrote"
    out = [f"{said} {listed}; {context.full_name(diff.state)} lacks {'it' if len(keys) == 1 else 'them'}."]
    strays = [key.cidr for key in keys if key.in_other_tier]
    if strays:
        out.append(f"{len(strays)} of them turned up in the cluster-tier map instead.")
    covers = {key.cidr: addresses.covering(diff.state, key.cidr) for key in keys}
    if all(covers.values()):
        wider = ", ".join(sorted({cover for cover in covers.values() if cover}))
        out.append(f"A wider entry covers {'it' if len(keys) == 1 else 'them'} ({wider}).")
    elif not any(covers.values()):
        out.append("No wider entry covers it." if len(keys) == 1 else "No wider entry covers them.")
    if denied:
        out.append(f"The kernel wrongly denies {'; '.join(denied[:4])}.")
    if allowed:
        out.append(f"The kernel WRONGLY ALLOWS {'; '.join(allowed[:4])}.")
    if unseen:
        out.append(f"What the kernel does to {'it' if len(keys) == 1 else f'{len(unseen)} of them'} is not known:")
        out.append("the dump does not show the value of the entry that decides instead.")
    elif not denied and not allowed and not diff.by_log:
        out.append("No verdict differs from what the policies ask at the moment.")
    elif not denied and not allowed:
        out.append("The log does not show which ports, so it is not known which verdicts differ.")
    if diff.frozen:
        out.append("The map is frozen: since the agent's restart its updates go to the cluster-tier map.")
    return out


def _unseen(context: Context, state: MapState, cidr: str) -> bool:
    """Whether an address that the map lacks is left to an entry, of either tier, whose value is not shown."""
    for each in (state, context.dumped(f"cp_{state.direction}_map")):
        if each is None:
            continue
        decides = cidr if cidr in each.cidrs else addresses.covering(each, cidr)
        if decides is not None and any(entry.cidr == decides and not entry.known for entry in each.entries):
            return True
    return False


def _row(context: Context, diff: KeyDiff, key: MissingKey, effect: str) -> dict[str, Any]:
    cover = addresses.covering(diff.state, key.cidr)
    slots = [number for slot in key.expected.admissible.wanted for number in slot]
    return {
        "cidr": key.cidr,
        "map": diff.state.name,
        "key_hex": key_of_cidr(key.cidr).hex(),
        "value_hex": None,
        "boundary": None,
        "as_namespace": namespace_text(slots, [True] * len(slots)),
        "as_cluster": [],
        "trailing": None,
        "effect": effect,
        "covered_by": cover,
        "in_other_tier": key.in_other_tier,
        "pod": pod.title if (pod := context.node.pod_at(key.cidr)) else None,
    }


DETECTOR = Detector(
    id="missing-entry",
    title="Addresses of the policies that a map lacks",
    about=(
        "Every address or network that the PolicyEndpoints list for a pod identifier and its namespace map lacks, and "
        "that the ClusterPolicyEndpoints list and its cluster map lacks."
    ),
    needs=("whole dumps of the rule maps", "PolicyEndpoints", "ClusterPolicyEndpoints for the cluster tier"),
    run=run,
    defects=(restart_aliasing.DEFECT, "KB-111", "KB-114", "KB-601"),
)
