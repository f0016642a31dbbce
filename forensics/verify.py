"""Re-read every citation of a report: do the bytes still say what the report quotes?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forensics.bundle import read_bundle
from forensics.evidence import excerpt
from forensics.problem import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from forensics.artifact import Artifact


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked, and what does not hold, one line each."""

    citations: int
    failures: tuple[str, ...]

    def text(self) -> str:
        """For people: the count, or every failure."""
        if not self.failures:
            return f"{self.citations} citations re-read, all hold\n"
        lines = "".join(f"{failure}\n" for failure in self.failures)
        return f"{lines}{len(self.failures)} of {self.citations} citations do not hold\n"


def verify(report: Path, inputs: Sequence[str]) -> Verified:
    """Check a JSON report against its inputs. Raises UsageError when the report cannot be read."""
    try:
        document = json.loads(report.read_bytes())
        findings = document["findings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{report}: not a JSON report of this tool ({error})") from None
    held = {artifact.shown_path: artifact for artifact in read_bundle(inputs).artifacts}
    digests = {row["id"]: row["sha256"] for row in document["artifacts"]}
    citations = [(finding, citation) for finding in findings for citation in finding["evidence"]]
    failures = tuple(text for finding, citation in citations for text in _check(finding, citation, held, digests))
    return Verified(len(citations), failures)


def _check(
    finding: dict[str, Any], citation: dict[str, Any], held: dict[str, Artifact], digests: dict[str, str]
) -> Iterator[str]:
    path = citation["path"]
    where = f"{finding['id']}: {path} lines {citation['first_line']}-{citation['last_line']}"
    artifact = held.get(path)
    if artifact is None:
        yield f"{where}: not in the inputs"
    elif artifact.sha256 != digests.get(citation["artifact"]):
        yield f"{where}: the member has other bytes than the one the report was made from"
    elif citation["excerpt"] is not None and artifact.data is not None:
        found = excerpt(artifact.data, citation["start"], citation["end"])
        if found != citation["excerpt"]:
            yield f"{where}: the bytes say something else than the report quotes"
