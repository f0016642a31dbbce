"""stale-policyendpoint: PolicyEndpoints that are not what the policies, pods and services ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forensics import collect
from forensics.controller_diff import NAMESPACES, PODS, SERVICES
from forensics.controller_stage import TARGETS
from forensics.defects import defect
from forensics.detectors.base import Detector
from forensics.effects import summary
from forensics.evidence import cite
from forensics.finding import Answer, Finding, Missing, cannot_tell, clean, found, not_applicable
from formats.address import canonical, key_of_cidr

if TYPE_CHECKING:
    from forensics.context import Context
    from forensics.controller_diff import Compared, Difference
    from forensics.controller_stage import Concern
    from forensics.evidence import Citation

CITED = 12
_INPUTS = {PODS: collect.CLUSTER_PODS, NAMESPACES: collect.NAMESPACES, SERVICES: collect.SERVICES}
#: kind of difference -> the controller's defect that leaves this trace
_DEFECTS = {
    "extra-peer": "KB-501",
    "gone-peer": "KB-501",
    "gone-target": "KB-501",
    "missing-service": "KB-506",
    "host-network": "KB-507",
}
_GONE = ("gone-peer", "gone-target")
_MECHANISM = (
    "The controller computes a policy's PolicyEndpoints from pods, namespaces and services and writes them to the API; the "
    "agents do what is written there. These PolicyEndpoints are not what the policy asks for with the objects at hand, so "
    "every node that follows them is wrong in the same way, and nothing on a node can mend it."
)
_CLUSTER_FILES = "networkpolicies.yaml, pods.yaml, namespaces.yaml and services.yaml"


def run(context: Context) -> Answer:
    """Every policy that selects, or should select, a pod of the identifier, beside its PolicyEndpoints."""
    stage, identifier = context.neighbours.controller, context.pod.identifier
    lacking = _lacking(context)
    if lacking:
        return cannot_tell(
            f"the input has no {' and no '.join(m.what.split(' of ')[0][4:] for m in lacking)}", *lacking
        )
    concerns = stage.concerns(identifier, context.intent.version)
    differing = [concern for concern in concerns if concern.differences]
    if differing:
        return found([_finding(context, differing)])
    alone = stage.without_policy(identifier, context.intent.version)
    doubts = {need: why for concern in concerns for need, why in concern.compared.doubts.items()}
    if alone:
        return cannot_tell(f"the policy of {', '.join(alone[:3])} is not in the input", collect.NETWORK_POLICIES)
    if doubts:
        return cannot_tell("; ".join(doubts.values()), *(_INPUTS[need] for need in doubts))
    if not concerns:
        return _unconcerned(context)
    names = ", ".join(concern.compared.wanted.policy.title for concern in concerns[:4])
    return clean(f"the PolicyEndpoints are what the controller should make of {names}")


def _lacking(context: Context) -> list[Missing]:
    stage, node = context.neighbours.controller, context.node
    lacking = []
    if not stage.has_policies:
        lacking.append(collect.NETWORK_POLICIES)
    if not (node.has("PolicyEndpoint") or node.has("ClusterPolicyEndpoint")):
        lacking.append(collect.POLICIES)
    if not stage.cluster.has_pods:
        lacking.append(collect.CLUSTER_PODS)
    return lacking


def _unconcerned(context: Context) -> Answer:
    known = {(pod.namespace, pod.name) for pod in context.neighbours.controller.cluster.pods}
    if any((pod.namespace, pod.name) in known for pod in context.pod.pods):
        return clean("no policy at hand selects a pod of it, and no PolicyEndpoint does")
    if not context.pod.pods:
        return not_applicable("no pod of it is known")
    return cannot_tell("no pod of it is among the pods at hand", collect.CLUSTER_PODS)


class _Weighed(NamedTuple):
    """One difference: whose it is, whether it is only delay, and what it does to packets."""

    compared: Compared
    difference: Difference
    young: bool
    denied: list[str]
    allowed: list[str]

    @property
    def severity(self) -> str:
        """info for a delay, high where packets of a present pod go wrong, medium for an address that nobody has now."""
        kind = self.difference.kind
        if self.young:
            return "info"
        if kind in _GONE:
            return "medium"
        if kind == "host-network":
            return "low"
        affected = self.denied or self.allowed or kind in (*TARGETS, "no-endpoint", "isolation", "tier", "priority")
        return "high" if affected else "low"


def _finding(context: Context, concerns: list[Concern]) -> Finding:
    weighed = _weighed(context, concerns)
    entries = sorted({w.difference.cidr for w in weighed if w.difference.cidr}, key=_order)
    directions = {w.difference.direction for w in weighed}
    only = next(iter(directions)) if len(directions) == 1 else None
    cluster = {w.compared.wanted.policy.tier for w in weighed} == {"cluster"}
    number = _number({w.difference.kind for w in weighed if not w.young})
    severities = ("high", "medium", "low", "info")
    policies = list(dict.fromkeys(w.compared.wanted.policy.title for w in weighed))
    denied = list(dict.fromkeys(text for w in weighed for text in w.denied))
    allowed = list(dict.fromkeys(text for w in weighed for text in w.allowed))
    map_name = (f"cp_{only}_map" if cluster else f"{only}_map") if only else None
    result = Finding(
        detector=DETECTOR.id,
        severity=min((w.severity for w in weighed), key=severities.index),
        confidence="medium" if all(w.young for w in weighed) else "high",
        node=context.node.id,
        pod_identifier=context.pod.identifier,
        pods=context.pod.titles(),
        map=map_name,
        entries=entries,
        defect=number,
        title=f"{context.pod.identifier}: PolicyEndpoints differ from {', '.join(policies[:3])}",
        summary="",
        mechanism=defect(number).mechanism if number else _MECHANISM,
        impact="\n".join(
            [*(f"WRONGLY ALLOWED: {text}" for text in allowed), *(f"wrongly denied: {text}" for text in denied)]
        )
        or "no packet is treated differently from what the policies ask",
        remedy=_remedy(weighed),
        references=defect(number).references if number else [],
        evidence=_evidence(weighed),
        until=context.node.observed_until,
    )
    stages = _stages(context, weighed, map_name)
    result.summary = " ".join(_sentences(weighed, denied, allowed, stages))
    result.details = {
        "entries": [],
        "differences": [_row(w) for w in weighed],
        "stages": stages,
        "wrongly_denied": denied,
        "wrongly_allowed": allowed,
    }
    result.alternatives = [
        {
            "explanation": "the objects were collected at different times",
            "why_not": "cannot be ruled out: what differs is younger than the PolicyEndpoints"
            if all(w.young for w in weighed)
            else "what differs is older than the PolicyEndpoints' last change, or older than any delay of the controller",
        },
        *_relabelled(weighed),
        {
            "explanation": "the agent did not follow its PolicyEndpoints",
            "why_not": "not in question here: the policies and the PolicyEndpoints are compared, not the maps",
        },
    ]
    return result


def _relabelled(weighed: list[_Weighed]) -> list[dict[str, str]]:
    pods = sorted({w.difference.pod.title for w in weighed if w.difference.kind == "extra-peer" and w.difference.pod})
    if not pods:
        return []
    return [
        {
            "explanation": f"{', '.join(pods[:3])} was a peer itself and has lost its label since",
            "why_not": "cannot be ruled out, a PolicyEndpoint names no peers; the controller is late either way",
        }
    ]


def _number(kinds: set[str]) -> str | None:
    """The defect that leaves such traces. Where a pod has taken over another's address, its peer is missing as well."""
    numbers = {_DEFECTS.get(kind) for kind in kinds}
    if "KB-501" in numbers and kinds <= {"extra-peer", *_GONE, "missing-peer", "missing-target"}:
        return "KB-501"
    return numbers.pop() if len(numbers) == 1 else None


def _weighed(context: Context, concerns: list[Concern]) -> list[_Weighed]:
    stage, out = context.neighbours.controller, []
    for concern in concerns:
        for difference in concern.differences:
            denied, allowed = _effects(context, difference)
            young = stage.is_young(difference, concern.compared)
            out.append(_Weighed(concern.compared, difference, young, denied, allowed))
    return out


def _effects(context: Context, difference: Difference) -> tuple[list[str], list[str]]:
    """(wrongly denied, wrongly allowed) traffic of the address, by what the PolicyEndpoints lead to."""
    if difference.direction is None or difference.cidr is None or canonical(difference.cidr) != difference.cidr:
        return [], []
    family = 6 if ":" in difference.cidr else 4
    if family != context.intent.family:
        return [], []
    sides = context.neighbours.controller.sides(context.pod, difference.direction)
    host = difference.cidr.endswith(("/32", "/128"))
    effects = sides.paths.effects(difference.cidr, () if host else sides.cidrs - {difference.cidr})
    who = context.who(difference.cidr)
    denied, allowed = (
        [f"{difference.direction} {who}: {', '.join(texts)}"] if (texts := summary(effects, kind)) else []
        for kind in ("wrongly-denied", "wrongly-allowed")
    )
    return denied, allowed


def _order(cidr: str) -> tuple[int, bytes, str]:
    try:
        return (0, key_of_cidr(cidr), cidr)
    except ValueError:
        return (1, b"", cidr)


def _stages(context: Context, weighed: list[_Weighed], map_name: str | None) -> list[dict[str, object]]:
    """How many differences each stage has made; null where the second one cannot be told."""
    names = [map_name] if map_name in ("ingress_map", "egress_map") else ["ingress_map", "egress_map"]
    states = [context.dumped(name) for name in names]
    second = None
    if context.intent.known.yes and all(state is not None for state in states):
        diffs = [context.key_diff(state) for state in states if state is not None]
        second = sum(len(diff.missing) + len(diff.stale) for diff in diffs)
    return [
        {"stage": "policy to PolicyEndpoint", "differences": len(weighed)},
        {"stage": "PolicyEndpoint to map", "differences": second},
    ]


def _sentences(
    weighed: list[_Weighed], denied: list[str], allowed: list[str], stages: list[dict[str, object]]
) -> list[str]:
    shown = [f"{w.compared.wanted.policy.title}: {w.difference.text}" for w in weighed[:4]]
    out = ["; ".join(shown) + (f"; and {len(weighed) - 4} more differences." if len(weighed) > 4 else ".")]
    if all(w.young for w in weighed):
        edited = any(w.compared.edited for w in weighed)
        out.append(
            "The PolicyEndpoints were made of another version of the policy; when it was edited is not in the input."
            if edited
            else "What differs is younger than the PolicyEndpoints: the controller may not have come to it yet."
        )
    if allowed:
        out.append(f"The pods WRONGLY ALLOW {'; '.join(allowed[:4])}.")
    if denied:
        out.append(f"The pods wrongly deny {'; '.join(denied[:4])}.")
    if stages[1]["differences"] == 0:
        out.append("The maps hold what the PolicyEndpoints say: the controller made the difference, not the agent.")
    return out


def _remedy(weighed: list[_Weighed]) -> str:
    if all(w.young for w in weighed):
        return "Nothing to mend yet. If the difference is still there minutes later, collect again."
    touch = []
    for policy in {w.compared.wanted.policy.title: w.compared.wanted.policy for w in weighed}.values():
        where = f" -n {policy.namespace}" if policy.namespace else ""
        touch.append(
            f"$ kubectl annotate {policy.kind.lower()}{where} {policy.name} npforensics/touched=$(date +%s) --overwrite"
        )
    return "\n".join(
        [
            "Touch the policy: the controller then computes its PolicyEndpoints anew.",
            *touch,
            "Disturbs: nothing beyond the corrected rules. The controller runs in the control plane: if it does not come "
            "back to the policy, that is a case for AWS support with these objects.",
            f"Confirm: collect {_CLUSTER_FILES} and the PolicyEndpoints again; they agree.",
            f"$ {collect.POLICIES.command.split(' > ')[0]}",
        ]
    )


def _evidence(weighed: list[_Weighed]) -> list[Citation]:
    out = []
    for one in {w.compared.wanted.policy.title: w.compared for w in weighed}.values():
        source = one.wanted.policy.source
        out.append(cite(source.artifact, source.record.span, f"{one.wanted.policy.title}: what is asked"))
        out += [
            cite(s.artifact, s.record.span, f"{s.kind} {s.name}: what the controller made of it") for s in one.sources
        ]
    for w in weighed:
        pod = w.difference.pod
        if pod is not None:
            out.append(cite(pod.source.artifact, pod.source.record.span, f"Pod {pod.title}: {w.difference.text}"))
    return list(dict.fromkeys(out))[:CITED]


def _row(weighed: _Weighed) -> dict[str, object]:
    difference = weighed.difference
    return {
        "policy": weighed.compared.wanted.policy.title,
        "kind": difference.kind,
        "direction": difference.direction,
        "cidr": difference.cidr,
        "pod": difference.pod.title if difference.pod is not None else None,
        "text": difference.text,
        "delay": weighed.young,
    }


DETECTOR = Detector(
    id="stale-policyendpoint",
    title="PolicyEndpoints that are not what the policies ask for",
    about=(
        "Peers, ports, targets and isolation that the controller should have put into the PolicyEndpoints of a pod "
        "identifier, and those that are there: the stage before the agent's."
    ),
    needs=(
        "NetworkPolicies",
        "PolicyEndpoints",
        "pods",
        "namespaces where selectors ask for them",
        "services for egress",
    ),
    run=run,
    defects=("KB-501", "KB-506", "KB-507"),
)
