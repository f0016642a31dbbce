"""Run every detector over every pod identifier of every node; isolate faults; order what was found."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forensics import collect
from forensics.beside import mapped, workers
from forensics.comparable import NotComparable
from forensics.comparison_rows import comparison_rows
from forensics.context import Context
from forensics.detectors import DETECTORS
from forensics.finding import CANNOT_TELL, CONFIDENCES, SEVERITIES, Answer, Finding, Missing
from forensics.intent import DIRECTIONS
from forensics.neighbours import Neighbours
from forensics.problem import CaseProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forensics.case import Case, Node
    from forensics.detectors.base import Detector
    from forensics.podstate import PodState


#: Map entries and flow lines of a node from which on a second process is worth its start.
_LARGE = 100_000


@dataclass(slots=True, repr=False)
class Outcome:
    """One detector's answer for one pod identifier."""

    detector: str
    node: str
    pod_identifier: str
    answer: Answer


@dataclass(slots=True, repr=False)
class Judged:
    """All answers of a case; findings in report order with ids."""

    outcomes: list[Outcome] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    problems: list[CaseProblem] = field(default_factory=list)
    #: (node, pod identifier): intent against kernel as plain JSON values
    comparisons: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)


@dataclass(slots=True, repr=False)
class _Pod:
    """What was found out of one pod identifier: plain values, so that another process can find it out."""

    policies: list[str]
    outcomes: list[Outcome]
    comparison: dict[str, Any]
    problems: list[CaseProblem]


def judge(case: Case) -> Judged:
    """Ask every detector about every pod identifier."""
    judged = Judged()
    for node in case.nodes:
        identifiers = sorted(node.pods)
        for identifier, pod in zip(identifiers, _pods(case, node, identifiers), strict=True):
            node.pods[identifier].policies = pod.policies
            judged.outcomes += pod.outcomes
            judged.findings += [finding for outcome in pod.outcomes for finding in outcome.answer.findings]
            judged.problems += pod.problems
            judged.comparisons[node.id, identifier] = pod.comparison
    _order(judged.findings)
    return judged


def _pods(case: Case, node: Node, identifiers: list[str]) -> list[_Pod]:
    """Each identifier's answers; the pods of a large node are shared out among the cores."""
    neighbours = Neighbours(node)

    def one(identifier: str) -> _Pod:
        context = Context(case, node, node.pods[identifier], neighbours)
        if not large:
            return _pod(context)
        looks = gc.isenabled()
        gc.disable()  # a look for cycles among the very many objects of one pod finds none and costs more than the pod
        try:
            return _pod(context)
        finally:
            context.forget()
            if looks:
                gc.enable()
            gc.collect(1)  # the tables of this pod hang in cycles, and few objects are enough for megabytes of them

    entries = sum(state.count for pod in node.pods.values() for state in pod.maps.values())
    lines = sum(len(batch) for artifact in node.group.own for batch in artifact.flows)
    large = entries + lines >= _LARGE
    count = workers() if large and len(identifiers) > 1 else 1
    if count == 1:
        return [one(identifier) for identifier in identifiers]
    if lines:
        _ = neighbours.flows  # sorted once, for everybody
    return mapped(one, identifiers, count)


def _pod(context: Context) -> _Pod:
    pod, problems = context.pod, list[CaseProblem]()
    pod.policies = context.intent.policy_names
    outcomes = []
    for detector in DETECTORS:
        answer = _ask(detector, context, problems)
        _orphan(pod, answer)
        outcomes.append(Outcome(detector.id, context.node.id, pod.identifier, answer))
    comparison = _compared(context, problems)
    for state in pod.maps.values():
        state.forget()
    return _Pod(pod.policies, outcomes, comparison, problems)


def _ask(detector: Detector, context: Context, problems: list[CaseProblem]) -> Answer:
    try:
        return detector.run(context)
    except Exception as error:  # noqa: BLE001 - a detector's defect must cost its own answer, never the case
        what = f"detector {detector.id} failed on {context.pod.identifier}: {type(error).__name__}: {error}"
        hint = "this is a defect of npforensics: please report it"
        problems.append(CaseProblem(what, done="answered cannot-tell", lost="this answer", hint=hint))
        return Answer(CANNOT_TELL, "the detector failed")


def _compared(context: Context, problems: list[CaseProblem]) -> dict[str, Any]:
    try:
        return comparison_rows(context)
    except Exception as error:  # noqa: BLE001 - a defect of the comparison must cost its own rows, never the case
        what = f"the comparison failed on {context.pod.identifier}: {type(error).__name__}: {error}"
        hint = "this is a defect of npforensics: please report it"
        problems.append(CaseProblem(what, done="not compared", lost="this comparison", hint=hint))
        return dict.fromkeys(DIRECTIONS, NotComparable("the comparison failed", ()).as_json())


def _orphan(pod: PodState, answer: Answer) -> None:
    """Maps under a legacy `-` pin beside a live `@` one enforce nothing: what is in them is worth a note at most."""
    if pod.superseded_by is None:
        return
    for finding in answer.findings:
        finding.severity = "info"
        finding.cause = None
        finding.summary = f"These maps are orphans, {pod.superseded_by} is in force. {finding.summary}"


def _order(findings: list[Finding]) -> None:
    """Root causes first, then severity. A cause's root is its worst finding; the others name it and follow it."""
    roots: dict[tuple[str, str], Finding] = {}
    for finding in sorted(findings, key=_weight):
        if finding.cause is not None:
            roots.setdefault((finding.node, finding.cause), finding)
    ordered = sorted(findings, key=lambda finding: _place(finding, roots))
    findings[:] = ordered
    for number, finding in enumerate(findings, 1):
        finding.id = f"f{number:03d}"
    for finding in findings:
        root = roots.get((finding.node, finding.cause)) if finding.cause is not None else None
        finding.root = root.id if root is not None and root is not finding else None


def _weight(finding: Finding) -> tuple[int, int, str, str, str, str]:
    return (
        SEVERITIES.index(finding.severity),
        CONFIDENCES.index(finding.confidence),
        finding.detector if finding.detector != "misplaced-tier-entry" else "",
        finding.node,
        finding.pod_identifier,
        finding.map or "",
    )


def _place(
    finding: Finding, roots: dict[tuple[str, str], Finding]
) -> tuple[bool, tuple[int, int, str, str, str, str], bool, tuple[int, int, str, str, str, str]]:
    root = roots.get((finding.node, finding.cause)) if finding.cause is not None else None
    head = root if root is not None else finding
    return (root is None, _weight(head), finding is not head, _weight(finding))


def questions(judged: Judged, case: Case) -> Iterator[tuple[str | None, str, str, tuple[str, ...]]]:
    """(node, question, why, commands) of everything that could not be told, equal ones merged."""
    merged: dict[tuple[str | None, str], tuple[list[str], dict[str, None]]] = {}
    many = _nodes_without_many_maps(judged)
    for outcome in judged.outcomes:
        if outcome.answer.outcome != CANNOT_TELL:
            continue
        for missing in _condensed(outcome, many):
            pods, commands = merged.setdefault((outcome.node, missing.what), ([], {}))
            text = f"{outcome.detector} for {outcome.pod_identifier}"
            if text not in pods:
                pods.append(text)
            commands[missing.command] = None
    for (name, what), (pods, commands) in merged.items():
        shown = ", ".join(pods[:4]) + (f" and {len(pods) - 4} more" if len(pods) > 4 else "")
        yield name, f"Missing: {what}.", f"Without it: cannot tell {shown}.", tuple(commands)
    for node in case.nodes:
        yield from _node_questions(node, asked={what for name, what in merged if name == node.id})


#: More missing maps than these on one node are asked for with one command.
_MANY_MAPS = 4


def _nodes_without_many_maps(judged: Judged) -> set[str]:
    asked: dict[str, set[str]] = {}
    for outcome in judged.outcomes:
        for missing in outcome.answer.missing:
            if outcome.answer.outcome == CANNOT_TELL and collect.is_map_dump(missing):
                asked.setdefault(outcome.node, set()).add(missing.what)
    return {node for node, maps in asked.items() if len(maps) > _MANY_MAPS}


def _condensed(outcome: Outcome, many: set[str]) -> list[Missing]:
    if outcome.node not in many:
        return outcome.answer.missing
    every = [collect.EVERY_MAP if collect.is_map_dump(missing) else missing for missing in outcome.answer.missing]
    return list(dict.fromkeys(every))


def _node_questions(node: Node, asked: set[str]) -> Iterator[tuple[str | None, str, str, tuple[str, ...]]]:
    if node.agent_version_source is None or not node.facts.best("agent_version"):
        command = "kubectl get pods -n kube-system -l k8s-app=aws-node -o yaml | grep image:"
        yield node.id, "Which agent version runs here?", "Known defects and the datapath depend on it.", (command,)
    if not node.story.events:
        command = "cp /var/log/aws-routed-eni/network-policy-agent*.log* ."
        why = "No agent log is in the input: neither the first nor the last sign can be told."
        yield node.id, "Since when?", why, (command,)
    has_states = any(pod.state_of("ingress") is not None for pod in node.pods.values())
    if node.pods and not has_states and collect.POD_STATES.what not in asked:
        why = "The collector leaves it out; verdicts here assume that policies are applied."
        question = "What is each pod's state: open, closed or under policy?"
        yield node.id, question, why, (collect.POD_STATES.command,)
