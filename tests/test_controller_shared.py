"""The captured bundles: policies agree with their PolicyEndpoints, and a tarball alone tells the keys by its log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics import analyze

LAB = Path(__file__).parent.parent.parent / "shared" / "lab"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not LAB.is_dir(), reason="the sample collection does not lie beside the repository"),
]
KEYS = ("missing-entry", "stale-entry", "missing-self-ip")
#: truth.json's kinds -> the detectors of keys.
DETECTOR_OF = {
    "missing-from-namespace-map": "missing-entry",
    "missing-entry-in-kernel-map": "missing-entry",
    "egress-catch-all-missing": "missing-entry",
    "stale-in-namespace-map": "stale-entry",
    "extra-entry-in-kernel-map": "stale-entry",
}
#: Bundles whose collector took the maps.
FAULTY = ["bundles/b-*", "bundles/i-*", "bundles2/self-ip-*", "bundles2/drift-*", "bundles2/egress-*"]
HEALTHY = ["bundles/a-*", "bundles/d-*", "bundles/e-*", "bundles2/control-*"]


def folders(patterns: list[str]) -> list[Path]:
    return [path for pattern in patterns for path in sorted(LAB.glob(pattern))]


def tarball(folder: Path) -> list[str]:
    return [str(path) for path in folder.glob("*.tar.gz")]


def keys(document) -> dict[tuple[str, str], list[str]]:
    return {
        (f["detector"], f"{f['pod_identifier']}_{f['map']}"): sorted(f["entries"])
        for f in document["findings"]
        if f["detector"] in KEYS and f["severity"] != "info"
    }


@pytest.mark.parametrize("folder", [path.parent for path in sorted(LAB.glob("bundles2/*/networkpolicies.yaml"))],
                         ids=lambda path: path.name)  # fmt: skip
def test_policies_and_policy_endpoints_agree(folder: Path) -> None:
    document = analyze([*tarball(folder), *map(str, sorted(folder.glob("*.yaml")))]).document

    found = [f for f in document["findings"] if f["detector"] == "stale-policyendpoint"]
    assert [f["title"] for f in found if f["severity"] != "info"] == []


@pytest.mark.parametrize("folder", folders(FAULTY), ids=lambda path: path.name)
def test_keys_of_the_tarball_alone_are_those_planted(folder: Path) -> None:
    planted: dict[tuple[str, str], set[str]] = {}
    for fault in json.loads((folder / "truth.json").read_text())["planted_faults"]:
        if fault["kind"] in DETECTOR_OF:
            planted.setdefault((DETECTOR_OF[fault["kind"]], fault["map"]), set()).update(fault["keys"])

    found = keys(analyze(tarball(folder)).document)

    assert {key: sorted(cidrs) for key, cidrs in planted.items()} == {
        key: cidrs for key, cidrs in found.items() if key[0] != "missing-self-ip"
    }


@pytest.mark.parametrize("folder", folders(FAULTY), ids=lambda path: path.name)
def test_keys_of_the_tarball_alone_are_those_with_the_policies(folder: Path) -> None:
    alone = keys(analyze(tarball(folder)).document)
    with_policies = keys(analyze([*tarball(folder), *map(str, sorted(folder.glob("*.yaml")))]).document)

    assert with_policies == alone


@pytest.mark.parametrize("folder", folders(HEALTHY), ids=lambda path: path.name)
def test_healthy_tarballs_alone_have_no_finding_of_medium_or_above(folder: Path) -> None:
    document = analyze(tarball(folder)).document

    assert [f["title"] for f in document["findings"] if f["severity"] in ("critical", "high", "medium")] == []
