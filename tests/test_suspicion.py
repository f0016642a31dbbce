"""A log that proves misdirected writes is no clean bill, though no dump tells which entries they hit."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

import reports
from forensics.analysis import run
from reports import document as doc

CASES = Path(__file__).parent.parent / "corpus" / "cases"
HIT = ["api-5c9d7f4b8-prod", "db-prod", "svc-v2-7bd9f6c5d-team-a", "web-7d4f8c9b6-prod"]


def log_of(case, folder):
    (archive,) = (CASES / case / "input").glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        member = next(each for each in packed if each.name.endswith("network-policy-agent.log"))
        stream = packed.extractfile(member)
        assert stream is not None
        (folder / "network-policy-agent.log").write_bytes(stream.read())
    return run([str(folder)]).document


@pytest.fixture
def incident(tmp_path):
    return log_of("incident", tmp_path)


def test_the_document_names_it_without_a_finding(incident) -> None:
    assert doc.validate(incident) == []
    assert incident["findings"] == []
    ((told),) = incident["summary"]["suspected"]
    assert told["text"] == "namespace rules were written to its cluster-tier maps (KB-101)"
    assert set(told["pod_identifiers"]) <= set(HIT)
    assert "web-7d4f8c9b6-prod" in told["pod_identifiers"]


def test_no_report_calls_it_clean(incident) -> None:
    assert doc.verdict(incident) == "cannot tell"
    assert "nothing wrong" not in json.dumps(incident)
    for form in ("text", "html", "markdown"):
        page = reports.render(form, incident)
        assert "KB-101" in page
        assert "nothing wrong" not in page
    assert "SUSPECT" in reports.render("text", incident)


def test_the_log_of_a_healthy_node_suspects_nothing(tmp_path) -> None:
    document = log_of("healthy-ipv4", tmp_path)

    assert document["summary"]["suspected"] == []
    assert document["summary"]["headline"].startswith("nothing wrong found")


def test_with_the_dumps_it_is_a_finding_and_no_suspicion() -> None:
    document = run([str(CASES / "incident" / "input")]).document

    assert document["findings"]
    assert document["summary"]["suspected"] == []
