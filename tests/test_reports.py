"""Every rendering of a result document: from the document alone, safe, the same every time; JSON and SARIF."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from report_documents import FIXTURE, PAYLOADS, ROOT, empty, poisoned, unsafe, without_findings

import reports
from reports import document as doc

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [form.name for form in reports.RENDERERS]


@pytest.fixture
def incident():
    return doc.load(FIXTURE)


def test_renderers_are_named_once() -> None:
    assert NAMES == ["text", "json", "html", "markdown", "sarif"]
    with pytest.raises(ValueError, match="text, json, html"):
        reports.render("pdf", {})


@pytest.mark.parametrize("name", NAMES)
def test_renders_odd_documents(name, incident) -> None:
    bare = copy.deepcopy(incident)
    for finding in bare["findings"]:
        finding |= {"details": {}, "evidence": [], "pods": [], "entries": [], "map": None, "pod_identifier": None}
        finding |= {
            "since": None,
            "until": None,
            "remedy": "",
            "node": "elsewhere",
            "root": "nowhere",
            "references": [],
        }
    for given in (empty(), without_findings(incident), bare):
        assert doc.validate(given) == []
        shown = reports.render(name, given)
        assert shown.endswith("\n")


@pytest.mark.parametrize("name", NAMES)
def test_lone_surrogates_can_be_written(name, incident) -> None:
    shown = reports.render(name, poisoned(incident, "\udc80"))

    assert shown.encode()
    assert "\\udc80" in shown


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_invisible_reaches_any_form(name, payload, incident) -> None:
    bad = poisoned(incident, payload)
    assert doc.validate(bad) == []

    shown = reports.render(name, bad)

    assert unsafe(shown) == set()


@pytest.mark.parametrize("name", NAMES)
def test_rendering_leaves_the_document_alone(name, incident) -> None:
    before = copy.deepcopy(incident)

    reports.render(name, incident, color=True, width=80)

    assert before == incident


_ONLY_THE_DOCUMENT = """
import sys
from reports import RENDERERS, document
loaded = document.load(sys.argv[1])
for form in RENDERERS:
    form.render(loaded)
seen = []
sys.addaudithook(lambda event, args: seen.append((event, str(args[:1]))))
for form in RENDERERS:
    form.render(loaded, color=True)
acts = [one for one in seen if one[0].split(".")[0] in ("open", "socket", "subprocess", "os", "import", "exec")]
assert acts == [], acts
ours = sorted(name for name in sys.modules if name.split(".")[0] in ("forensics", "formats"))
assert ours == [], ours
"""

_HASHES = """
import hashlib, sys
from reports import RENDERERS, document
loaded = document.load(sys.argv[1])
for form in RENDERERS:
    print(form.name, hashlib.sha256(form.render(loaded).encode()).hexdigest())
"""


def run(script: str, tmp_path: Path, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", script, str(FIXTURE)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_renderers_read_only_the_document(tmp_path) -> None:
    run(_ONLY_THE_DOCUMENT, tmp_path)


def test_same_bytes_for_every_hash_seed(tmp_path, incident) -> None:
    here = "".join(
        f"{form.name} {hashlib.sha256(form.render(incident).encode()).hexdigest()}\n" for form in reports.RENDERERS
    )

    assert {here} == {
        run(_HASHES, tmp_path, PYTHONHASHSEED=seed, TZ=zone) for seed, zone in (("0", "UTC"), ("7", "Asia/Tokyo"))
    }


def test_importing_the_package_imports_no_renderer(tmp_path) -> None:
    script = "import sys, reports; print([m for m in ('jinja2', 'msgspec', 'reports.text') if m in sys.modules])"

    assert run(script, tmp_path) == "[]\n"


def test_json_round_trips_with_the_same_bytes(incident) -> None:
    first = reports.render("json", incident)

    assert json.loads(first) == incident
    assert list(json.loads(first)) == list(incident)
    assert reports.render("json", doc.load(first.encode())) == first
    assert first.startswith('{\n  "schema_version": "1",\n')


@pytest.mark.parametrize("payload", [*PAYLOADS.values(), "\udc80", "東京 é\n\t\\"])
def test_json_loses_nothing(payload, incident) -> None:
    bad = poisoned(incident, payload)

    assert json.loads(reports.render("json", bad)) == bad


def test_json_keeps_readable_text_readable(incident) -> None:
    incident["assumptions"] = ["Zürich 東京"]

    assert "Zürich 東京" in reports.render("json", incident)


def test_sarif_has_rules_results_and_locations(incident) -> None:
    run_ = json.loads(reports.render("sarif", incident))["runs"][0]

    rules = [rule["id"] for rule in run_["tool"]["driver"]["rules"]]
    assert rules == ["misplaced-tier-entry", "oversized-value-write", "missing-self-ip", "missing-entry", "stale-entry"]
    assert len(run_["results"]) == 14
    for result, finding in zip(run_["results"], incident["findings"], strict=True):
        assert rules[result["ruleIndex"]] == result["ruleId"] == finding["detector"]
        assert (
            result["level"]
            == {"critical": "error", "high": "error", "medium": "warning", "low": "note"}[finding["severity"]]
        )
        assert len(result["locations"]) == 1
    first = run_["results"][0]["locations"][0]
    assert first["physicalLocation"]["region"]["startLine"] == 1
    assert first["physicalLocation"]["region"]["byteOffset"] == 0
    assert first["logicalLocations"][0]["fullyQualifiedName"].endswith("web-7d4f8c9b6-prod/cp_ingress_map")
    artifact = run_["artifacts"][first["physicalLocation"]["artifactLocation"]["index"]]
    assert artifact["location"]["uri"] == "manual-bpftool/web-7d4f8c9b6-prod_cp_ingress_map.dump.txt"


def test_sarif_says_what_could_not_be_told(incident) -> None:
    notes = json.loads(reports.render("sarif", incident))["runs"][0]["invocations"][0]["toolExecutionNotifications"]

    assert [note["level"] for note in notes] == ["warning", "note", "note", "note", "note"]
    assert notes[1]["associatedRule"]["id"] == "misplaced-tier-entry"


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("a/b c.txt", "a/b%20c.txt"),
        ("../../etc/passwd", "__/__/etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("//192.0.2.1/x", "192.0.2.1/x"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("http://192.0.2.1/", "http%3A//192.0.2.1/"),
        ("a\udc80", "a%80"),
        ("", "_"),
    ],
)
def test_sarif_uri_is_never_a_way_out(path, uri, incident) -> None:
    incident["artifacts"][0]["path"] = path

    artifact = json.loads(reports.render("sarif", incident))["runs"][0]["artifacts"][0]

    assert artifact["location"]["uri"] == uri
    assert artifact["properties"]["path"] == path
