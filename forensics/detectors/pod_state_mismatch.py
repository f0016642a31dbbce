"""pod-state-mismatch: the pod state map lacks a key the program needs, or says other than what the policies lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forensics import collect
from forensics.comparable import NotComparable
from forensics.defects import defect, remedy
from forensics.detectors import addresses
from forensics.detectors.base import Detector
from forensics.finding import Answer, Finding, Missing, cannot_tell, clean, found, not_applicable
from forensics.generations import generation_of
from forensics.intent import DIRECTIONS
from forensics.keydiff import changed_after_dump
from forensics.versions import between

if TYPE_CHECKING:
    from forensics.context import Context
    from forensics.evidence import Citation
    from forensics.podstate import MapState
    from forensics.policy_rules import Direction

_DISCOVERY = "KB-303"
_LEFT_APPLIED = "KB-307"
_STATES = {0: "0, policies applied", 1: "1, default allow", 2: "2, default deny"}
_TIERS = ("namespace", "cluster")


class _Wrong(NamedTuple):
    """What is wrong with one pod state map: keys that are not there, and the value of key 0 with those admissible."""

    state: MapState
    lacking: list[int]
    value: int | None
    admissible: frozenset[int]


def run(context: Context) -> Answer:
    """Judge the pod state maps of both directions."""
    version = context.intent.version
    keys = generation_of(version).generation.pod_state_keys
    if not keys:
        return not_applicable(f"agent {version} has no pod state; it came with v1.2.0")
    findings: list[Finding] = []
    reasons: list[str] = []
    missing: list[Missing] = []
    for direction in DIRECTIONS:
        name = f"{direction}_pod_state_map"
        state = context.dumped(name)
        if state is None or context.pod.state_of(direction) is None:
            reasons.append("the pod state maps were not dumped: the log collector leaves them out")
            missing.append(collect.POD_STATES)
            continue
        wrong = _judge(context, direction, state, keys)
        if wrong.lacking and not state.whole:
            reasons.append(f"the dump of {name} does not say that it is complete")
            missing.append(collect.POD_STATES)
        elif wrong.lacking and not _certain(context, wrong.lacking):
            reasons.append(f"{name} has no key {wrong.lacking[0]}, and which agent version runs is not known")
            missing.append(collect.VERSION)
        elif wrong.lacking or wrong.value is not None:
            findings.append(_finding(context, direction, wrong))
        elif not context.intent.known.yes:
            reasons.append(f"the keys are there; which state is right is not known: {context.intent.known.why}")
            missing.append(collect.POLICIES)
    if findings:
        return found(findings)
    if reasons:
        return cannot_tell("; ".join(dict.fromkeys(reasons)), *dict.fromkeys(missing))
    return clean("the pod state is what the policies lead to, in both directions")


def _judge(context: Context, direction: Direction, state: MapState, keys: tuple[int, ...]) -> _Wrong:
    held = context.pod.state_of(direction) or {}
    lacking = [key for key in keys if key not in held]
    if 0 in lacking or not context.intent.known.yes:
        return _Wrong(state, lacking, None, frozenset())
    from forensics.sides import pod_states

    # Key 1 decides nothing but whether it is there: what it says is no verdict's business.
    _, wanted, _ = pod_states(context, direction)
    value = held[0]
    return _Wrong(state, lacking, None if value == wanted[0] else value, frozenset({wanted[0]}))


def _certain(context: Context, lacking: list[int]) -> bool:
    """Whether the agent in use needs the keys: a map of the cluster tier shows it where the version is not known."""
    return 0 in lacking or context.node.agent_version is not None or any(n.startswith("cp_") for n in context.pod.maps)


def _finding(context: Context, direction: Direction, wrong: _Wrong) -> Finding:
    denied, allowed, rows = _traffic(context, direction, wrong)
    name = context.full_name(wrong.state)
    number = _defect(context, wrong)
    late = not wrong.lacking and changed_after_dump(context)
    said = f"has no key {wrong.lacking[0]}" if wrong.lacking else f"says {_name(wrong.value)}"
    finding = Finding(
        detector=DETECTOR.id,
        severity="critical" if denied or allowed else "low",
        confidence="certain" if context.node.agent_version else "high",
        node=context.node.id,
        pod_identifier=context.pod.identifier,
        pods=context.pod.titles(),
        map=wrong.state.name,
        entries=[],
        defect=number,
        title=f"{name} {said}",
        summary=" ".join(_sentences(context, direction, wrong, denied, allowed)),
        mechanism=defect(number).mechanism if number else _mechanism(wrong),
        impact=addresses.impact_text(denied, allowed),
        remedy=remedy(number, context, map=wrong.state.name) if number else _plain_remedy(context, wrong.state),
        references=defect(number).references if number else [],
        alternatives=_alternatives(wrong, number, late=late),
        until=context.node.observed_until,
        details={"wrongly_denied": denied, "wrongly_allowed": allowed, "traffic": rows},
        cause="crd-discovery" if number == _DISCOVERY else None,
    )
    finding.evidence = _evidence(context, wrong, number)
    if late:
        finding.severity, finding.confidence, finding.defect = "info", "medium", None
        finding.mechanism = (
            "A policy of these pods was written after the last sign of life in this bundle: drift, not a fault."
        )
        finding.remedy = "Nothing to mend. If the state is still the same minutes later, collect again."
        finding.references = []
    return finding


def _traffic(
    context: Context, direction: Direction, wrong: _Wrong
) -> tuple[list[str], list[str], list[dict[str, object]]]:
    """(wrongly denied, wrongly allowed, exact rows): what packets feel of the state, against the policies where they
    are known, else against the same maps with the keys in place."""
    from forensics.fold import AGAINST_POLICY, Pods, fold, line_text, row
    from forensics.semantics import Side, compare_sides

    compared = context.comparison(direction)
    if isinstance(compared, NotComparable):
        held, version = context.pod.state_of(direction) or {}, context.intent.version
        maps = context.kernel_maps(direction)
        filled = {0: held.get(0, 0), 1: held.get(1, 1)}
        now, then = (Side(version, maps["namespace"], maps["cluster"], state) for state in (held, filled))
        found = compare_sides(now, then, context.intent.family).differences
    else:
        found = [each for each in compared.differences if "pod-state" in each.causes]
    pods = Pods(context.node.known_pods)
    lines = [(line.kind, line_text(line, pods)) for line in fold(found, AGAINST_POLICY)]
    return (
        [text for kind, text in lines if kind == AGAINST_POLICY.denied],
        [text for kind, text in lines if kind == AGAINST_POLICY.allowed],
        [row(each, AGAINST_POLICY, ("kernel", "policy"), pods) for each in found],
    )


def _defect(context: Context, wrong: _Wrong) -> str | None:
    """Named only where the bundle shows it: the log's discovery that failed, a state that no policy accounts for."""
    version = context.node.agent_version
    if wrong.lacking == [1] and version and between(version, "v1.3.0", "v1.3.4") and _not_found(context):
        return _DISCOVERY
    left = not wrong.lacking and wrong.value == 0 and not context.intent.selected
    return _LEFT_APPLIED if left and not changed_after_dump(context) else None


def _not_found(context: Context) -> bool:
    return any(event.name == "crd-check" and event.get("result") == "not found" for event in context.node.story.events)


def _name(value: int | None) -> str:
    return _STATES.get(value or 0, f"{value}, which no program knows")


def _sentences(
    context: Context, direction: Direction, wrong: _Wrong, denied: list[str], allowed: list[str]
) -> list[str]:
    name = context.full_name(wrong.state)
    pods = ", ".join(context.pod.titles()) or context.pod.identifier
    if wrong.lacking:
        tier = _TIERS[wrong.lacking[0]]
        out = [
            f"{name} lacks key {wrong.lacking[0]}, the {tier} tier's state.",
            f"Without it the program drops every {direction} packet of {pods}, whatever its maps say.",
        ]
    else:
        wanted = " or ".join(_name(value) for value in sorted(wrong.admissible))
        policies = ", ".join(context.intent.policy_names) or "no policy selects it"
        out = [f"{name} says {_name(wrong.value)}; the policies lead to {wanted} ({policies})."]
    return out + addresses.verdict_sentences(denied, allowed)


def _mechanism(wrong: _Wrong) -> str:
    if wrong.lacking:
        return (
            "The programs read both keys before anything else and drop the packet when one is missing. The agent "
            "writes them when a pod starts; it does not write them again for pods that run already."
        )
    return (
        "The namespace map counts only under state 0: under a default state the pod is open (1) or closed (2) for "
        "every address the map does not hold. The agent sets the state when a pod starts and when a policy comes or "
        "goes."
    )


def _plain_remedy(context: Context, state: MapState) -> str:
    pod = context.pod.identifier
    return "\n".join(
        [
            "Touch a policy that selects the pods (an annotation will do): the agent sets the state anew when it works on it.",
            f"If nothing selects them, or the state stays, delete every pod of {pod} on this node: the maps go with the last.",
            "Disturbs: connections of the deleted pods.",
            "Confirm on the node:",
            f"$ {collect.map_dump(context, state.name).command.split(' > ')[0]}",
        ]
    )


def _alternatives(wrong: _Wrong, number: str | None, *, late: bool) -> list[dict[str, str]]:
    out = [{"explanation": "the dump is cut", "why_not": "it says that it is complete"}] if wrong.lacking else []
    if wrong.lacking and number is None:
        out.append(
            {
                "explanation": "the discovery of the cluster policies failed when the agent started (KB-303)",
                "why_not": "no log line at hand shows it, or the agent is another version",
            }
        )
    if wrong.lacking == [1]:
        out.append(
            {
                "explanation": "a map of one entry, left by an agent before v1.3.0, has no room for key 1",
                "why_not": "`bpftool map show` would say max_entries 1"
                if number is None
                else "the log shows the discovery that failed",
            }
        )
    if not wrong.lacking:
        why = "they are: this is drift" if late else "they are not newer than the last sign of life in the bundle"
        out.append({"explanation": "the policies are younger than the dump", "why_not": why})
        out.append(
            {
                "explanation": "the agent has just attached new probes: the default holds until the first reconcile",
                "why_not": "that takes seconds; collect again to rule it out",
            }
        )
    return out


def _evidence(context: Context, wrong: _Wrong, number: str | None) -> list[Citation]:
    name = context.full_name(wrong.state)
    out = [
        context.cite_entry(wrong.state, entry.row, f"key {int.from_bytes(entry.key, 'little')} of {name}")
        for entry in wrong.state.entries
    ]
    if wrong.lacking:
        out.append(context.cite_dump(wrong.state, f"{name} as dumped: no key {wrong.lacking[0]}"))
    if number == _DISCOVERY:
        said = ("not found", "now available")
        events = [e for e in context.node.story.events if e.name == "crd-check" and e.get("result") in said]
        out += [context.cite_event(event, f"the agent says: CRD {event.get('result')}") for event in events]
    elif not wrong.lacking:
        names = {f"{e.namespace}/{e.name}" for policy in context.intent.policies for e in policy.endpoints}
        out += context.cite_policies(sorted(names), "selects these pods")[:4]
    return out


DETECTOR = Detector(
    id="pod-state-mismatch",
    title="A pod state that drops, opens or closes a pod against its policies",
    about=(
        "Pod state maps that lack a key the program needs, or whose state is not the one the policies and the "
        "enforcing mode lead to. Names the traffic that is treated differently because of it."
    ),
    needs=("dumps of the pod state maps", "PolicyEndpoints", "the enforcing mode"),
    run=run,
    defects=(_DISCOVERY, _LEFT_APPLIED),
)
