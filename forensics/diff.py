"""`diff BEFORE AFTER`: two moments, two nodes or two replicas, kernel against kernel.

What the programs now do otherwise, packet by packet; which entries, facts and findings came and went. The policies
are not asked: the difference of two kernels stands on its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from forensics import __version__
from forensics.diffmaps import Seen, pod_diff
from forensics.fold import OVER_TIME
from forensics.pod_names import identifiers
from forensics.problem import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from forensics.analysis import Report
    from forensics.case import Case, Node
    from forensics.finding import Finding

SCHEMA_VERSION = "1"
_FACTS = ("instance_id", "hostname", "node_ip", "agent_version", "cni_version", "enforcing_mode", "family")


class NodePair(NamedTuple):
    """Two nodes that are compared, and why these two."""

    before: Node
    after: Node
    why: str


def run(
    before: str,
    after: str,
    *,
    pod: str | None = None,
    other: str | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> dict[str, Any]:
    """Read and judge two inputs, and compare them; `pod` (NS/NAME or identifier) narrows it, `other` is its partner
    in AFTER when that has another name. Raises UsageError for a pod that is not there, and what analysis.run raises."""
    from forensics.analysis import run as analyse

    reports = analyse([before], progress=progress), analyse([after], progress=progress)
    return diff_document(*reports, pod=pod, other=other)


def diff_document(before: Report, after: Report, *, pod: str | None = None, other: str | None = None) -> dict[str, Any]:
    """The diff document of two finished analyses."""
    pairs = pair_nodes(before.case, after.case)
    if pod is None:
        seen = [couple for pair in pairs for couple in pair_pods(pair)]
    else:
        seen = [(_wanted(before.case, pod, "BEFORE"), _wanted(after.case, other or pod, "AFTER"))]
    rows = [pod_diff(old, new) for old, new in seen]
    alone = _alone(before.case, after.case, seen) if pod is None else {"before": [], "after": []}
    findings = _findings(before.judged.findings, after.judged.findings, seen)
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "npforensics", "version": __version__},
        "kind": "diff",
        "before": _input(before),
        "after": _input(after),
        "summary": _summary(rows, findings, alone),
        "nodes": [_node(pair) for pair in pairs],
        "unpaired_nodes": {
            "before": [node.id for node in before.case.nodes if not any(pair.before is node for pair in pairs)],
            "after": [node.id for node in after.case.nodes if not any(pair.after is node for pair in pairs)],
        },
        "pods": [each for each in rows if not each["same"] or each["maps"] or any(each["policies"].values())],
        "unpaired_pods": alone,
        "findings": findings,
    }


def pair_nodes(before: Case, after: Case) -> list[NodePair]:
    """The same instance, else the same host name or address, else the only node of each side."""
    pairs: list[NodePair] = []
    left, right = list(before.nodes), list(after.nodes)
    for name, why in (("instance_id", "same instance"), ("hostname", "same host name"), ("node_ip", "same address")):
        for node in list(left):
            value = getattr(node, name)
            match = next((each for each in right if value is not None and getattr(each, name) == value), None)
            if match is not None:
                pairs.append(NodePair(node, match, why))
                left.remove(node)
                right.remove(match)
    if len(left) == 1 and len(right) == 1:
        pairs.append(NodePair(left[0], right[0], "the only nodes left on either side"))
    return pairs


def pair_pods(pair: NodePair) -> Iterator[tuple[Seen, Seen]]:
    """By identifier; the `-` and the `@` form of one identifier (agent v1.4.0) are one."""
    rest = dict(pair.after.pods)
    for identifier, state in sorted(pair.before.pods.items()):
        name = identifier if identifier in rest else next((e for e in rest if _same_name(e, identifier)), None)
        if name is not None:
            yield Seen(pair.before, state), Seen(pair.after, rest.pop(name))


def _same_name(left: str, right: str) -> bool:
    return left.replace("@", "-") == right.replace("@", "-")


def _wanted(case: Case, text: str, side: str) -> Seen:
    """The pod identifier meant by NS/NAME or by itself; one with dumps before one without."""
    namespace, slash, name = text.partition("/")
    names = set(identifiers(name, namespace)) if slash else {text}
    found = [Seen(node, state) for node in case.nodes for each, state in node.pods.items() if each in names]
    if not found:
        raise UsageError(f"{side} holds no pod {text}")
    return max(found, key=lambda seen: len(seen.pod.maps))


def _input(report: Report) -> dict[str, Any]:
    document = report.document
    return {
        "inputs": [{"name": each["name"], "sha256": each["sha256"]} for each in document["inputs"]],
        "nodes": len(document["nodes"]),
        "pods": len(document["pods"]),
        "findings": len(document["findings"]),
        "observed_until": max((node["observed_until"] or "" for node in document["nodes"]), default="") or None,
    }


def _node(pair: NodePair) -> dict[str, Any]:
    facts = [(name, getattr(pair.before, name), getattr(pair.after, name)) for name in _FACTS]
    return {
        "before": pair.before.id,
        "after": pair.after.id,
        "why": pair.why,
        "facts": [{"fact": name, "before": old, "after": new} for name, old, new in facts if old != new],
    }


def _alone(before: Case, after: Case, seen: Sequence[tuple[Seen, Seen]]) -> dict[str, list[dict[str, str]]]:
    taken = {id(each.pod) for couple in seen for each in couple}
    return {
        side: [
            {"node": node.id, "pod_identifier": name}
            for node in case.nodes
            for name, state in sorted(node.pods.items())
            if id(state) not in taken
        ]
        for side, case in (("before", before), ("after", after))
    }


def _findings(before: Sequence[Finding], after: Sequence[Finding], seen: Iterable[tuple[Seen, Seen]]) -> dict[str, Any]:
    """Findings of the compared pods that appeared, vanished or hold other entries; those that stayed are counted."""
    couples = {}
    for number, couple in enumerate(seen):
        for each in couple:
            couples[each.node.id, each.pod.identifier] = number
    old, new = (_keyed(findings, couples) for findings in (before, after))
    changed = [
        {
            **_brief(new[key]),
            "entries_appeared": sorted(set(new[key].entries) - set(old[key].entries)),
            "entries_vanished": sorted(set(old[key].entries) - set(new[key].entries)),
        }
        for key in new
        if key in old and set(new[key].entries) != set(old[key].entries)
    ]
    return {
        "appeared": [_brief(new[key]) for key in new if key not in old],
        "vanished": [_brief(old[key]) for key in old if key not in new],
        "changed": changed,
        "stayed": sum(1 for key in new if key in old) - len(changed),
    }


def _keyed(findings: Iterable[Finding], couples: dict[tuple[str, str], int]) -> dict[tuple[Any, ...], Finding]:
    out: dict[tuple[Any, ...], Finding] = {}
    for each in findings:
        couple = couples.get((each.node, each.pod_identifier))
        if couple is not None:
            out.setdefault((couple, each.detector, each.map or "", each.defect or ""), each)
    return out


def _brief(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "detector": finding.detector,
        "defect": finding.defect,
        "severity": finding.severity,
        "node": finding.node,
        "pod_identifier": finding.pod_identifier,
        "map": finding.map,
        "title": finding.title,
        "entries": finding.entries,
    }


def _summary(
    rows: Sequence[dict[str, Any]], findings: dict[str, Any], alone: dict[str, list[dict[str, str]]]
) -> dict[str, Any]:
    kinds = [line["kind"] for each in rows for way in each["directions"] for line in way["lines"]]
    counts = {kind: kinds.count(kind) for kind in OVER_TIME}
    entries = {
        what: sum(len(change[what]) for each in rows for change in each["maps"])
        for what in ("added", "removed", "changed")
    }
    entries["reordered"] = sum(each["reordered"] for each in rows)
    same = all(each["same"] for each in rows)
    return {
        "same": same and not findings["appeared"] and not findings["vanished"] and not any(alone.values()),
        "pods_compared": len(rows),
        "pods_differ": sum(not each["same"] for each in rows),
        "traffic": counts,
        "entries": entries,
        "headline": _headline(rows, counts, entries),
    }


def _headline(rows: Sequence[dict[str, Any]], traffic: dict[str, int], entries: dict[str, int]) -> str:
    if not rows:
        return "nothing to compare: no pod identifier is on both sides"
    differ = sum(not each["same"] for each in rows)
    if not differ:
        return f"no packet is treated differently: {len(rows)} pod identifiers compared"
    moved = ", ".join(f"{n} {what}" for what, n in entries.items() if n and what != "reordered") or "none"
    told = ", ".join(f"{number} {what}" for what, number in traffic.items() if number)
    said = f"traffic differs ({told})" if told else "no packet is treated differently"
    return f"{differ} of {len(rows)} pod identifiers differ; entries: {moved}; {said}"
