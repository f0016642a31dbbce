"""Finding: a detector's claim, with what it rests on. Outcome: a detector's answer for one pod, claim or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from forensics.evidence import Citation

SEVERITIES = ("critical", "high", "medium", "low", "info")
CONFIDENCES = ("certain", "high", "medium", "low")

FOUND = "found"
CLEAN = "clean"
CANNOT_TELL = "cannot-tell"
NOT_APPLICABLE = "not-applicable"


class Missing(NamedTuple):
    """An input a detector needs and does not have, and the command that collects it."""

    what: str
    command: str


@dataclass(slots=True)
class Finding:
    """A claim about one pod identifier and, for map detectors, one map; `entries` is complete and canonical."""

    detector: str
    severity: str
    confidence: str
    node: str
    pod_identifier: str
    title: str
    summary: str
    mechanism: str
    impact: str
    remedy: str
    pods: list[str] = field(default_factory=list)
    map: str | None = None
    entries: list[str] = field(default_factory=list)
    defect: str | None = None
    references: list[str] = field(default_factory=list)
    alternatives: list[dict[str, str]] = field(default_factory=list)
    evidence: list[Citation] = field(default_factory=list)
    since: str | None = None
    until: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    #: findings with the same cause share this key; the worst of them becomes the root of its group
    cause: str | None = None
    id: str = ""
    root: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values, as in the result document's findings[]."""
        return {
            "id": self.id,
            "detector": self.detector,
            "defect": self.defect,
            "severity": self.severity,
            "confidence": self.confidence,
            "node": self.node,
            "pod_identifier": self.pod_identifier,
            "pods": self.pods,
            "map": self.map,
            "entries": self.entries,
            "title": self.title,
            "summary": self.summary,
            "mechanism": self.mechanism,
            "impact": self.impact,
            "remedy": self.remedy,
            "references": self.references,
            "alternatives": self.alternatives,
            "evidence": [citation.as_json() for citation in self.evidence],
            "since": self.since,
            "until": self.until,
            "root": self.root,
            "details": self.details,
        }


@dataclass(slots=True)
class Answer:
    """What a detector says of one pod identifier: found, clean, cannot-tell or not-applicable, and why."""

    outcome: str
    why: str
    findings: list[Finding] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    #: what the evidence proves all the same, where it cannot be said which entries it hit
    suspicion: str | None = None


def found(findings: list[Finding], why: str = "") -> Answer:
    """An answer with claims."""
    return Answer(FOUND, why or "; ".join(finding.title for finding in findings), findings)


def clean(why: str) -> Answer:
    """Everything needed was at hand and nothing was wrong."""
    return Answer(CLEAN, why)


def cannot_tell(why: str, *missing: Missing) -> Answer:
    """Something needed was not at hand."""
    return Answer(CANNOT_TELL, why, missing=list(missing))


def not_applicable(why: str) -> Answer:
    """The question makes no sense here (version range, map kind)."""
    return Answer(NOT_APPLICABLE, why)
