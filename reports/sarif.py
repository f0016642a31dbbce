"""SARIF 2.1.0: a rule for each detector, a result for each finding, what could not be told as notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reports import document as doc
from reports.json_ import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS: dict[str, str] = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
#: The scale code scanning sorts by: above 9 critical, above 7 high, above 4 medium.
SCORES: dict[str, str] = {"critical": "9.5", "high": "8.0", "medium": "5.0", "low": "2.0", "info": "0.0"}
_CITATIONS = 20
_DOTS = {".": "_", "..": "__"}


def render(document: doc.Document, *, color: bool = False, width: int = 100) -> str:
    """The document as one SARIF run. Colour and width do not matter here."""
    names = doc.unique([*doc.detectors(document), *(finding["detector"] for finding in document["findings"])])
    index = {artifact["id"]: position for position, artifact in enumerate(document["artifacts"])}
    nodes = {node["id"]: doc.node_name(node) for node in document["nodes"]}
    run = {
        "tool": {
            "driver": {
                "name": document["tool"]["name"],
                "version": document["tool"]["version"],
                "rules": [_rule(name, document) for name in names],
            }
        },
        "invocations": [
            {"executionSuccessful": True, "toolExecutionNotifications": list(_notifications(document, names, index))}
        ],
        "artifacts": [_artifact(artifact) for artifact in document["artifacts"]],
        "results": [_result(finding, names, index, nodes) for finding in document["findings"]],
        "columnKind": "unicodeCodePoints",
        "properties": {"summary": document["summary"], "assumptions": document["assumptions"]},
    }
    return dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(name: str, document: doc.Document) -> dict[str, Any]:
    worst = doc.worst(finding for finding in document["findings"] if finding["detector"] == name)
    rule: dict[str, Any] = {
        "id": name,
        "name": "".join(part.capitalize() for part in name.split("-")),
        "shortDescription": {"text": name.replace("-", " ")},
        "properties": {"tags": ["network-policy"]},
    }
    if worst:
        rule["defaultConfiguration"] = {"level": LEVELS[worst]}
        rule["properties"]["security-severity"] = SCORES[worst]
    return rule


def _artifact(artifact: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {"location": _uri(artifact["path"])}
    if artifact["size"] is not None:
        out["length"] = artifact["size"]
    if artifact["sha256"]:
        out["hashes"] = {"sha-256": artifact["sha256"]}
    out["properties"] = {key: artifact[key] for key in ("path", "status", "format", "node")}
    return out


def _result(finding: dict[str, Any], names: list[str], index: dict[str, int], nodes: dict[str, str]) -> dict[str, Any]:
    place = [finding["pod_identifier"], finding["map"]]
    parts = [part for part in (nodes.get(finding["node"], finding["node"]), *place) if part]
    message = f"{finding['title']}\n\n{finding['summary']}\n\nImpact: {finding['impact']}\n\n{finding['remedy']}"
    result: dict[str, Any] = {
        "ruleId": finding["detector"],
        "ruleIndex": names.index(finding["detector"]),
        "level": LEVELS[finding["severity"]],
        "kind": "fail",
        "message": {"text": message},
        "locations": list(_locations(finding["evidence"][:1], parts, index)),
        "relatedLocations": [
            {"id": number, **location}
            for number, location in enumerate(_locations(finding["evidence"][1:_CITATIONS], [], index), 1)
        ],
        "partialFingerprints": {
            "finding/v1": "/".join([finding["detector"], finding["node"] or "", *(part or "" for part in place)])
        },
        "properties": {
            key: finding[key]
            for key in (
                *("id", "severity", "confidence", "defect", "node", "pod_identifier", "pods", "map", "entries"),
                *("since", "until", "root"),
            )
        },
    }
    return result


def _locations(evidence: Iterable[dict[str, Any]], parts: list[str], index: dict[str, int]) -> Iterator[dict[str, Any]]:
    """A location for each citation; the first carries the logical place. One without citations has only that."""
    logical = [{"name": parts[-1], "fullyQualifiedName": "/".join(parts), "kind": "resource"}] if parts else []
    cited = False
    for item in evidence:
        cited = True
        artifact = _uri(item["path"])
        if item["artifact"] in index:
            artifact["index"] = index[item["artifact"]]
        physical: dict[str, Any] = {"artifactLocation": artifact}
        if region := _region(item):
            physical["region"] = region
        location: dict[str, Any] = {"physicalLocation": physical, "message": {"text": item["note"]}}
        if logical:
            location["logicalLocations"] = logical
        yield location
    if not cited and logical:
        yield {"logicalLocations": logical}


def _region(item: dict[str, Any]) -> dict[str, Any]:
    region: dict[str, Any] = {}
    if item["first_line"]:
        region["startLine"] = item["first_line"]
        region["endLine"] = max(item["last_line"] or 0, item["first_line"])
    if item["start"] is not None:
        region["byteOffset"] = item["start"]
        if item["end"] is not None:
            region["byteLength"] = max(0, item["end"] - item["start"])
    if region and item["excerpt"]:
        region["snippet"] = {"text": item["excerpt"]}
    return region


def _notifications(document: doc.Document, names: list[str], index: dict[str, int]) -> Iterator[dict[str, Any]]:
    """Problems as warnings, answers that could not be given and open questions as notes."""
    for problem in document["problems"]:
        lost = f"lost: {problem['lost']}" if problem["lost"] else ""
        said = "; ".join(filter(None, (problem["what"], problem["done"], lost)))
        note: dict[str, Any] = {"level": "warning", "message": {"text": said}}
        if problem["path"]:
            first, last = problem["lines"] or (None, None)
            start, end = problem["bytes"] or (None, None)
            where = {"artifact": problem["artifact"], "path": problem["path"], "note": problem["what"], "excerpt": ""}
            where |= {"first_line": first, "last_line": last, "start": start, "end": end}
            note["locations"] = list(_locations([where], [], index))
        yield note
    for outcome in document["outcomes"]:
        if outcome["outcome"] == "cannot-tell":
            commands = [missing["command"] or missing["what"] for missing in outcome["missing"]]
            place = "/".join(filter(None, (outcome["node"], outcome["pod_identifier"])))
            yield {
                "level": "note",
                "message": {
                    "text": "\n".join([f"cannot tell for {place or 'this input'}: {outcome['why']}", *commands])
                },
                "associatedRule": {"id": outcome["detector"], "index": names.index(outcome["detector"])},
            }
    for question in document["questions"]:
        yield {
            "level": "note",
            "message": {"text": "\n".join([f"{question['question']} {question['why']}", *question["collect"]])},
        }


def _uri(path: str) -> dict[str, Any]:
    """A relative reference that nothing takes for a URL or resolves out of its root; artifacts keep the path."""
    parts = quote(path, safe="/", errors="surrogateescape").split("/")
    kept = [_DOTS.get(part, part) for part in parts]
    return {"uri": "/".join(kept).lstrip("/") or "_"}
