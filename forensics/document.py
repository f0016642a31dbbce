"""The result document: everything a case told, as plain values in one stable order. Renderers read nothing else."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from forensics import __version__
from forensics.detectors import DETECTORS
from forensics.engine import questions
from forensics.finding import SEVERITIES
from forensics.problem import CaseProblem
from forensics.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forensics.artifact import Artifact
    from forensics.case import Case, Node
    from forensics.engine import Judged
    from forensics.podstate import PodState

SCHEMA_VERSION = "1"
_OUTCOMES = ("found", "clean", "cannot-tell", "not-applicable")


def document(case: Case, judged: Judged) -> dict[str, Any]:
    """The whole result document (reports/result.schema.json)."""
    owner = {artifact.id: node.id for node in case.nodes for artifact in (*node.group.own, *node.group.copies)}
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "npforensics", "version": __version__},
        "inputs": _inputs(case),
        "assumptions": [*case.assumptions, *(f"{node.id}: {text}" for node in case.nodes for text in node.assumptions)],
        "summary": _summary(case, judged),
        "nodes": [_node(node) for node in case.nodes],
        "artifacts": [_artifact(artifact, owner.get(artifact.id)) for artifact in case.bundle.artifacts],
        "pods": [_pod(node, pod, judged) for node in case.nodes for _, pod in sorted(node.pods.items())],
        "findings": [finding.as_json() for finding in judged.findings],
        "outcomes": _outcomes(judged),
        "timeline": timeline(case, judged),
        "coverage": _coverage(case.bundle.artifacts),
        "questions": [
            {"id": f"q{number:02d}", "node": node, "question": question, "why": why, "collect": list(commands)}
            for number, (node, question, why, commands) in enumerate(questions(judged, case), 1)
        ],
        "problems": [problem.as_json() for problem in _problems(case, judged)],
    }


def _inputs(case: Case) -> list[dict[str, Any]]:
    alone = len(case.bundle.inputs) == 1
    rows = [
        {
            "name": None if alone and entry.kind != "file" else entry.label,
            "members": len(entry.artifacts),
            "bytes": sum(artifact.size for artifact in entry.artifacts),
            "sha256": entry.digest,
        }
        for entry in case.bundle.inputs
    ]
    return sorted(rows, key=lambda row: (row["name"] or "", row["sha256"]))


def _summary(case: Case, judged: Judged) -> dict[str, Any]:
    severities = Counter(finding.severity for finding in judged.findings)
    detectors = {detector.id: dict.fromkeys(_OUTCOMES, 0) for detector in DETECTORS}
    for outcome in judged.outcomes:
        detectors[outcome.detector][outcome.answer.outcome] += 1
    serious = [finding for finding in judged.findings if finding.severity in SEVERITIES[:3]]
    affected = {(finding.node, finding.pod_identifier) for finding in serious}
    return {
        "worst": next((severity for severity in SEVERITIES if severities[severity]), None),
        "findings": {severity: severities[severity] for severity in SEVERITIES},
        "pods": sum(len(node.pods) for node in case.nodes),
        "pods_affected": len(affected),
        "nodes": len(case.nodes),
        "headline": _headline(judged, len(affected), detectors),
        "suspected": list(_suspected(judged)),
        "detectors": detectors,
    }


def _suspected(judged: Judged) -> Iterator[dict[str, Any]]:
    """What is proven without a finding to hang it on: of which node, what, for which pod identifiers."""
    said: dict[tuple[str, str], list[str]] = {}
    for outcome in judged.outcomes:
        if outcome.answer.suspicion is not None:
            said.setdefault((outcome.node, outcome.answer.suspicion), []).append(outcome.pod_identifier)
    for (node, text), pods in said.items():
        yield {"node": node, "text": text, "pod_identifiers": pods}


def _headline(judged: Judged, affected: int, detectors: dict[str, dict[str, int]]) -> str:
    serious = [finding for finding in judged.findings if finding.severity in SEVERITIES[:3]]
    unknown = sum(counts["cannot-tell"] for counts in detectors.values())
    if serious:
        first = serious[0]
        who = "1 pod identifier" if affected == 1 else f"{affected} pod identifiers"
        cause = f" ({first.defect})" if first.defect else ""
        return f"{first.title}{cause}; {who} affected"
    suspected = list(_suspected(judged))
    if suspected:
        count = len({(each["node"], pod) for each in suspected for pod in each["pod_identifiers"]})
        who = "1 pod identifier" if count == 1 else f"{count} pod identifiers"
        return f"the agent log proves it for {who}: {suspected[0]['text']}; which entries are hit only dumps can tell"
    if unknown:
        return f"nothing wrong found; {unknown} questions cannot be answered from this input"
    if not judged.outcomes:
        return "no pod and no map in this input: nothing could be judged"
    return "nothing wrong found, every question answered"


def _node(node: Node) -> dict[str, Any]:
    maps = sum(1 for pod in node.pods.values() for state in pod.maps.values() if state.view is not None)
    names = ("region", "availability_zone", "kernel", "agent_image", "cni_image", "collector_version")
    return {
        "id": node.id,
        "instance_id": node.instance_id,
        "node_ip": node.node_ip,
        "hostname": node.hostname,
        "agent_version": node.agent_version,
        "agent_version_source": node.agent_version_source,
        "cni_version": node.cni_version,
        "enforcing_mode": node.enforcing_mode,
        "family": node.family,
        "kernel": _text(node.facts.value("kernel")),
        "cluster": _text(node.facts.value("cluster_name")),
        "observed_until": node.observed_until,
        "pods": len(node.pods),
        "maps": maps,
        "facts": [
            {"fact": fact.fact, "value": _text(fact.value), "source": fact.artifact.shown_path if fact.artifact else ""}
            for name in names
            if (fact := node.facts.best(name)) is not None
        ],
    }


def _text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else str(value)


def _artifact(artifact: Artifact, node: str | None) -> dict[str, Any]:
    return {
        "id": artifact.id,
        "node": node,
        "path": artifact.shown_path,
        "size": artifact.size,
        "sha256": artifact.sha256,
        "format": artifact.identity.name,
        "formats": [form.name for form in artifact.identity.formats],
        "why": artifact.identity.why,
        "status": artifact.status,
        "records": artifact.count,
        "problems": len(artifact.problems),
        "parsed_bytes": artifact.parsed_bytes,
        "unread_bytes": artifact.size - artifact.parsed_bytes,
    }


def _pod(node: Node, pod: PodState, judged: Judged) -> dict[str, Any]:
    mine = {
        outcome.detector: outcome.answer.outcome
        for outcome in judged.outcomes
        if outcome.node == node.id and outcome.pod_identifier == pod.identifier
    }
    states = {
        direction: {str(key): value for key, value in sorted(state.items())} if state is not None else None
        for direction in ("ingress", "egress")
        for state in (pod.state_of(direction),)
    }
    return {
        "node": node.id,
        "pod_identifier": pod.identifier,
        "pods": [{"namespace": p.namespace, "name": p.name, "ip": p.ip, "local": p.local} for p in pod.pods],
        "maps": [
            {
                "map": state.name,
                "direction": state.direction,
                "tier": state.tier,
                "map_id": state.map_id,
                "key_size": state.key_size,
                "value_size": state.value_size,
                "entries": state.count if state.view is not None else None,
                "hidden": state.view.dump.hidden if state.view is not None else None,
                "form": state.view.dump.form if state.view is not None else None,
                "artifact": state.view.artifact.id if state.view is not None else None,
            }
            for _, state in sorted(pod.maps.items())
        ],
        "pod_state": states,
        "policies": pod.policies,
        "comparison": judged.comparisons[node.id, pod.identifier],
        "outcomes": mine,
    }


def _outcomes(judged: Judged) -> list[dict[str, Any]]:
    return [
        {
            "detector": outcome.detector,
            "node": outcome.node,
            "pod_identifier": outcome.pod_identifier,
            "outcome": outcome.answer.outcome,
            "why": outcome.answer.why,
            "missing": [{"what": missing.what, "command": missing.command} for missing in outcome.answer.missing],
            "findings": [finding.id for finding in outcome.answer.findings],
        }
        for outcome in judged.outcomes
    ]


def _coverage(artifacts: list[Artifact]) -> dict[str, Any]:
    size = sum(artifact.size for artifact in artifacts)
    parsed = sum(artifact.parsed_bytes for artifact in artifacts)
    counts = Counter(artifact.status for artifact in artifacts)
    return {
        "artifacts": len(artifacts),
        "by_status": {name: counts[name] for name in ("parsed", "partly", "recognised-unused", "unknown", "refused")},
        "bytes": size,
        "parsed_bytes": parsed,
        "unread_bytes": size - parsed,
    }


def _problems(case: Case, judged: Judged) -> list[CaseProblem]:
    out = list(case.bundle.problems)
    for artifact in case.bundle.artifacts:
        out += [CaseProblem.of(problem, artifact.id, artifact.shown_path) for problem in artifact.problems]
    for node in case.nodes:
        out += node.problems
    return out + judged.problems
