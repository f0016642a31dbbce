"""The main job: inputs in, a report out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from forensics.bundle import read_bundle
from forensics.case import Overrides, build_case
from forensics.document import document
from forensics.engine import judge
from forensics.finding import SEVERITIES
from forensics.problem import NothingReadable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forensics.budget import Budget
    from forensics.case import Case
    from forensics.engine import Judged


class Report(NamedTuple):
    """A finished analysis: the result document, and the case it came from."""

    document: dict[str, Any]
    case: Case
    judged: Judged

    @property
    def findings(self) -> list[dict[str, Any]]:
        """findings[] of the document."""
        found: list[dict[str, Any]] = self.document["findings"]
        return found

    def at_least(self, level: str) -> bool:
        """Whether there is a finding at or above a severity. Raises ValueError for a level that is none."""
        bound = SEVERITIES.index(level)
        return any(SEVERITIES.index(finding["severity"]) <= bound for finding in self.findings)


def run(
    inputs: Sequence[str],
    *,
    overrides: Overrides | None = None,
    budget: Budget | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> Report:
    """Read, join, judge and write down. Raises UsageError and NothingReadable (forensics.problem)."""
    return report_of(read_case(inputs, overrides=overrides, budget=budget, progress=progress))


def report_of(case: Case) -> Report:
    """Judge what was read, and write it down."""
    judged = judge(case)
    return Report(document(case, judged), case, judged)


def read_case(
    inputs: Sequence[str],
    *,
    overrides: Overrides | None = None,
    budget: Budget | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> Case:
    """Read and join, without judging. Raises UsageError and NothingReadable (forensics.problem)."""
    bundle = read_bundle(inputs, budget, progress)
    if not any(artifact.identity.formats for artifact in bundle.artifacts):
        count = len(bundle.artifacts)
        what = "the file is" if count == 1 else f"none of {count} files is"
        nor = "not recognised" if count == 1 else "recognised"
        raise NothingReadable(
            f"nothing readable in {', '.join(inputs)}: {what} {nor}; `npforensics formats` lists what is"
        )
    return build_case(bundle, overrides)
