"""The command line as a person meets it: exit statuses, one clear line for bad input, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from forensics import cli

ROOT = Path(__file__).parent.parent
INCIDENT = ROOT / "corpus" / "cases" / "incident" / "input"
HEALTHY = ROOT / "corpus" / "cases" / "healthy-ipv4" / "input"


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "forensics.cli", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, env={**os.environ, "NO_COLOR": "1"}, check=False)


def one_line(done: subprocess.CompletedProcess[bytes]) -> str:
    text = done.stderr.decode()
    assert text.count("\n") == 1, text
    assert text.startswith("npforensics: ")
    assert "Traceback" not in text
    return text


@pytest.fixture
def bad(tmp_path: Path) -> dict[str, Path]:
    files = {
        "empty": b"",
        "binary": bytes(range(256)) * 20,
        "wrong.yaml": b"apiVersion: networking.k8s.aws/v1alpha1\nkind: PolicyEndpoint\nmetadata:\n  name: x\nspec: [\n",
        "prose.txt": b"It does not work since Tuesday. Please help.\n",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    return {name: tmp_path / name for name in files}


def test_healthy_case_ends_with_zero() -> None:
    assert run("analyze", str(HEALTHY), "--fail-on", "info").returncode == 0


@pytest.mark.parametrize(("level", "status"), [("critical", 1), ("info", 1), ("never", 0)])
def test_fail_on(level: str, status: int) -> None:
    assert run("analyze", str(INCIDENT), "--fail-on", level).returncode == status


@pytest.mark.parametrize(
    "arguments",
    [
        ("analyze", "/does/not/exist"),
        ("analyze", str(INCIDENT), "--format", "pdf"),
        ("analyze", str(INCIDENT), "--fail-on", "sometimes"),
        ("analyze", str(INCIDENT), "--agent-version", "newest"),
        ("analyze", str(INCIDENT), "--node-ip", "10.0.0"),
        ("analyze", str(INCIDENT), "-o", "/does/not/exist/report.txt"),
        ("detectors", "no-such-detector"),
        ("decode", "/does/not/exist"),
        ("scan", "/does/not/exist", "--out", "/tmp/x"),
        ("nonsense",),
        ("analyze",),
    ],
    ids=lambda arguments: " ".join(arguments)[-40:],
)
def test_usage_errors_are_one_line_and_two(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)

    one_line(done)
    assert done.returncode == 2


def test_empty_input_is_nothing_readable(bad: dict[str, Path]) -> None:
    done = run("analyze", str(bad["empty"]))

    assert "nothing readable" in one_line(done)
    assert done.returncode == 2


@pytest.mark.parametrize("name", ["binary", "prose.txt"])
def test_unrecognised_input_is_nothing_readable(bad: dict[str, Path], name: str) -> None:
    done = run("analyze", str(bad[name]))

    assert "recognised" in one_line(done)
    assert done.returncode == 2


def test_wrong_yaml_is_a_problem_at_its_line(bad: dict[str, Path]) -> None:
    done = run("analyze", str(bad["wrong.yaml"]), str(HEALTHY), "--format", "json")

    problems = [p for p in json.loads(done.stdout)["problems"] if p["path"] == "wrong.yaml"]
    assert done.returncode == 0
    assert problems
    assert all(problem["lines"] for problem in problems)


def test_standard_input_is_a_case() -> None:
    tarball = next(INCIDENT.glob("*.tar.gz")).read_bytes()

    done = run("analyze", "-", "--format", "json", stdin=tarball)

    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert document["summary"]["worst"] == "critical"


def test_decode_gives_the_contract_also_when_nothing_is_recognised(bad: dict[str, Path]) -> None:
    done = run("decode", str(bad["prose.txt"]), "--format", "json")

    (artifact,) = json.loads(done.stdout)["artifacts"]
    assert done.returncode == 0
    assert artifact["path"] == "prose.txt"
    assert artifact["format"] is None
    assert artifact["records"] == []
    assert artifact["problems"] == []


def test_decode_prints_map_entries() -> None:
    dump = ROOT / "corpus" / "cases" / "incident-loose-dumps" / "input" / "web-7d4f8c9b6-prod_ingress_map.dump.txt"

    done = run("decode", str(dump), "--format", "json")

    entries = [r for r in json.loads(done.stdout)["artifacts"][0]["records"] if r["kind"] == "map_entry"]
    assert entries[0]["map_name"] == "web-7d4f8c9b6-prod_ingress_map"
    assert {"10.100.1.10/32", "10.0.0.0/8"} <= {entry["cidr"] for entry in entries}
    assert entries[0]["slots"] == [{"slot": 0, "protocol": "ANY", "start_port": 0, "end_port": 0}]
    assert entries[0]["value_size"] == 288


@pytest.mark.parametrize("form", ["text", "json", "html", "markdown", "sarif"])
def test_without_output_the_document_alone_goes_to_standard_output(form: str) -> None:
    done = run("analyze", str(INCIDENT), "--format", form)

    assert done.stderr == b""
    assert b"KB-101" in done.stdout
    assert b"\x1b" not in done.stdout


def test_scan_writes_tables(tmp_path: Path) -> None:
    import polars as pl

    root = tmp_path / "archive"
    for name, source in (("bad", INCIDENT), ("good", HEALTHY)):
        (root / name).mkdir(parents=True)
        tarball = next(source.glob("*.tar.gz"))
        (root / name / tarball.name).write_bytes(tarball.read_bytes())
    (root / "broken.tar.gz").write_bytes(b"\x1f\x8b\x08 not really")

    done = run("scan", str(root), "--out", str(tmp_path / "tables"), "--workers", "1")

    bundles = pl.read_parquet(tmp_path / "tables" / "bundles.parquet")
    findings = pl.read_parquet(tmp_path / "tables" / "findings.parquet")
    assert done.returncode == 0, done.stderr
    assert bundles.height == 3
    assert bundles["error"].null_count() == 2
    assert findings.filter(pl.col("bundle").str.starts_with("good")).height == 0
    assert "misplaced-tier-entry" in findings["detector"].to_list()


def test_detectors_and_formats_are_listed() -> None:
    assert b"missing-self-ip" in run("detectors").stdout
    assert b"KB-101" in run("detectors", "misplaced-tier-entry").stdout
    assert b"agent-log" in run("formats").stdout
    assert json.loads(run("formats", "--format", "json").stdout)[0]["name"]


def test_schema_describes_the_document() -> None:
    import jsonschema

    schema = json.loads(run("schema").stdout)
    document = json.loads(run("analyze", str(INCIDENT), "--format", "json").stdout)

    jsonschema.validate(document, schema)


def test_verify_re_reads_every_citation(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    run("analyze", str(INCIDENT), "--format", "json", "-o", str(report))

    done = run("verify", str(report), str(INCIDENT))

    assert done.returncode == 0
    assert b"citations re-read, all hold" in done.stdout


def test_verify_notices_a_report_that_says_otherwise(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    run("analyze", str(INCIDENT), "--format", "json", "-o", str(report))
    document = json.loads(report.read_text())
    document["findings"][0]["evidence"][0]["start"] += 1
    report.write_text(json.dumps(document))

    done = run("verify", str(report), str(INCIDENT))

    assert done.returncode == 1
    assert b"1 of " in done.stdout


def test_progress_has_no_thread_before_the_first_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forks that share the work are made before the first member is read, and only where there is no other thread."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = cli._progress()

    with progress as show:
        assert show is not None
        assert progress._status is None
        show("a.log", 1)
        assert progress._status is not None
