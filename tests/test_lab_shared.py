"""The captured bundles of the sample collection, whole: what was planted is found map by map, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from forensics import analyze

LAB = Path(__file__).parent.parent.parent / "shared" / "lab"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not LAB.is_dir(), reason="the sample collection does not lie beside the repository"),
]
DETECTORS_OF = {
    "namespace-rules-written-to-cluster-map": ("misplaced-tier-entry", "oversized-value-write"),
    "namespace-rules-in-cluster-map (left over)": ("misplaced-tier-entry", "oversized-value-write"),
    "cluster-rules-in-namespace-map": ("misplaced-tier-entry",),
    "missing-from-namespace-map": ("missing-entry",),
    "missing-entry-in-kernel-map": ("missing-entry",),
    "egress-catch-all-missing": ("missing-entry",),
    "stale-in-namespace-map": ("stale-entry",),
    "extra-entry-in-kernel-map": ("stale-entry",),
}
JUDGED = {name for names in DETECTORS_OF.values() for name in names}
FAULTY = ["bundles/b-*", "bundles/i-*", "bundles/h-*", "bundles2/self-ip-*", "bundles2/drift-*", "bundles2/egress-*"]
HEALTHY = ["bundles/a-*", "bundles/d-*", "bundles/e-*", "bundles2/control-*"]
DAMAGED = ["bundles/f*"]


def folders(patterns: list[str]) -> list[Path]:
    return [path for pattern in patterns for path in sorted(LAB.glob(pattern))]


def planted(folder: Path) -> dict[tuple[str, str], set[str]]:
    truth = json.loads((folder / "truth.json").read_text())
    out: dict[tuple[str, str], set[str]] = {}
    for fault in truth["planted_faults"]:
        for detector in DETECTORS_OF.get(fault["kind"], ()):
            out.setdefault((detector, fault["map"]), set()).update(fault["keys"])
    return out


def found(document, detectors=JUDGED) -> dict[tuple[str, str], set[str]]:
    out: dict[tuple[str, str], set[str]] = {}
    for finding in document["findings"]:
        if finding["detector"] in detectors and finding["severity"] != "info":
            name = f"{finding['pod_identifier']}_{finding['map']}"
            out.setdefault((finding["detector"], name), set()).update(finding["entries"])
    return out


def inputs(folder: Path, *, dumps: bool) -> list[str]:
    paths = [*folder.glob("*.tar.gz"), *folder.glob("*.yaml")]
    return [str(path) for path in sorted(paths) + (sorted(folder.glob("manual-*")) if dumps else [])]


@pytest.mark.parametrize("dumps", [False, True], ids=["tarball and policies", "with the loose dumps"])
@pytest.mark.parametrize("folder", folders(FAULTY), ids=lambda path: path.name)
def test_planted_faults_and_no_others(folder: Path, dumps: bool) -> None:
    document = analyze(inputs(folder, dumps=dumps)).document

    assert planted(folder) == found(document)


@pytest.mark.parametrize("folder", folders(FAULTY[:1]), ids=lambda path: path.name)
def test_loose_dumps_alone(folder: Path) -> None:
    document = analyze([str(folder / "manual-bpftool")]).document
    tiers = {"misplaced-tier-entry", "oversized-value-write"}

    assert {key: value for key, value in planted(folder).items() if key[0] in tiers} == found(document)
    others = {
        o["outcome"] for o in document["outcomes"] if o["detector"] not in tiers and "web-" in o["pod_identifier"]
    }
    assert others <= {"cannot-tell", "not-applicable"}


@pytest.mark.parametrize("whole", [False, True], ids=["tarball and policies", "whole folder"])
@pytest.mark.parametrize("folder", folders(HEALTHY), ids=lambda path: path.name)
def test_healthy_bundles_have_no_finding_of_medium_or_above(folder: Path, whole: bool) -> None:
    document = analyze([str(folder)] if whole else inputs(folder, dumps=False)).document

    serious = [f["title"] for f in document["findings"] if f["severity"] in ("critical", "high", "medium")]
    assert serious == []


@pytest.mark.parametrize("folder", folders(["bundles/c-*"]), ids=lambda path: path.name)
def test_ipv6_bundle_misses_one_address(folder: Path) -> None:
    document = analyze([str(folder)]).document

    got = [(f["detector"], f["map"], f["entries"]) for f in document["findings"] if f["severity"] != "info"]
    assert [("missing-entry", "ingress_map", ["2600:1f14:abc:1:2:3:4:5/128"])] == got


@pytest.mark.parametrize("folder", folders(["bundles2/self-ip-*"]), ids=lambda path: path.name)
def test_own_address_of_the_new_replica(folder: Path) -> None:
    truth = json.loads((folder / "truth.json").read_text())
    document = analyze(inputs(folder, dumps=False)).document

    assert {
        ("missing-self-ip", f"{truth['new_replica']['pod_identifier']}_ingress_map"): {
            f"{truth['new_replica']['ip']}/32"
        }
    } == found(document, {"missing-self-ip"})


@pytest.mark.parametrize("folder", folders(DAMAGED), ids=lambda path: path.name)
def test_damaged_bundles_give_a_report_with_problems(folder: Path) -> None:
    document = analyze([str(folder)]).document

    assert document["problems"]
    assert document["coverage"]["parsed_bytes"] > 0


def test_the_articles_three_excerpts_give_the_incident() -> None:
    document = analyze([str(LAB.parent / "samples" / "bpftool" / "003.txt")]).document

    got = {(f["detector"], f["defect"], f["map"]): f["entries"] for f in document["findings"]}
    assert {
        ("misplaced-tier-entry", "KB-101", "cp_ingress_map"): ["10.100.1.5/32"],
        ("oversized-value-write", "KB-101", "cp_ingress_map"): ["10.100.1.5/32"],
    } == got


def test_two_nodes_are_never_merged(tmp_path: Path) -> None:
    for name, pattern in (("one", "bundles/a-*"), ("two", "bundles/b-*")):
        source = folders([pattern])[0]
        (tmp_path / name).mkdir()
        for path in inputs(source, dumps=False):
            shutil.copy(path, tmp_path / name)

    document = analyze([str(tmp_path)]).document

    assert len(document["nodes"]) == 2
    hit = {finding["node"] for finding in document["findings"] if finding["severity"] == "critical"}
    assert len(hit) == 1
    assert {node["agent_version"] for node in document["nodes"] if node["id"] in hit} == {"v1.3.0"}
