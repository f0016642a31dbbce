"""Every corpus case is found to be what its case.toml says: these findings, these entries, and no others."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from forensics import analyze

CASES = Path(__file__).parent.parent / "corpus" / "cases"
FOLDERS = sorted(path.parent for path in CASES.glob("*/case.toml"))
SERIOUS = ("critical", "high", "medium", "low")


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda path: path.name)
def case(request: pytest.FixtureRequest):
    wanted = tomllib.loads((request.param / "case.toml").read_text())
    return wanted, analyze([str(request.param / "input")])


def test_findings_are_those_of_the_case_and_no_others(case) -> None:
    wanted, report = case
    expected = {(row["detector"], row["pod"], row["map"]): sorted(row["entries"]) for row in wanted.get("expect", [])}

    got = {
        (finding["detector"], finding["pod_identifier"], finding["map"]): sorted(finding["entries"])
        for finding in report.findings
        if finding["severity"] in SERIOUS and finding["detector"] in wanted["detectors"]
    }

    assert expected == got


def test_outcomes_are_those_of_the_case(case) -> None:
    wanted, report = case

    for row in wanted.get("outcome", []):
        got = {
            outcome["outcome"]
            for outcome in report.document["outcomes"]
            if outcome["detector"] == row["detector"] and row["pod"] in ("*", outcome["pod_identifier"])
        }

        assert {row["outcome"]} == got, row


def test_facts_of_the_node(case) -> None:
    wanted, report = case
    node = report.document["nodes"][0]

    assert wanted["node"] == {key: node[key] for key in wanted["node"]}


def test_defects_named(case) -> None:
    wanted, report = case

    got = {finding["defect"] for finding in report.findings if finding["defect"]}

    assert set(wanted.get("defects", [])) == got


def test_texts_a_reader_needs(case) -> None:
    wanted, report = case
    text = json.dumps(report.document, ensure_ascii=False)

    for phrase in wanted.get("says", []):
        assert phrase in text, phrase


def test_every_finding_cites_bytes_that_are_there(case) -> None:
    _, report = case
    held = {artifact.id: artifact for artifact in report.case.bundle.artifacts}

    for finding in report.findings:
        assert finding["evidence"], finding["title"]
        for citation in finding["evidence"]:
            artifact = held[citation["artifact"]]
            assert 0 <= citation["start"] < citation["end"] <= artifact.size
            if citation["excerpt"] is not None and "more lines" not in citation["excerpt"]:
                raw = artifact.data[citation["start"] : citation["end"]].decode("utf-8", "backslashreplace")
                assert citation["excerpt"] == "\n".join(raw.splitlines())


def test_coverage_adds_up(case) -> None:
    _, report = case
    coverage = report.document["coverage"]

    assert coverage["bytes"] == coverage["parsed_bytes"] + coverage["unread_bytes"]
    for artifact in report.document["artifacts"]:
        assert artifact["size"] == artifact["parsed_bytes"] + artifact["unread_bytes"]
    assert coverage["artifacts"] == sum(coverage["by_status"].values())
