"""Nodes are kept apart: the same identifier or map ID on two nodes, or in two clusters, is never merged."""

from __future__ import annotations

import shutil
from pathlib import Path

from forensics import analyze

CASES = Path(__file__).parent.parent / "corpus" / "cases"


def put(target: Path, case: str) -> None:
    shutil.copytree(CASES / case / "input", target)


def test_two_clusters_in_two_folders(tmp_path: Path) -> None:
    put(tmp_path / "blue", "incident")
    put(tmp_path / "green", "healthy-ipv4")

    document = analyze([str(tmp_path)]).document

    hit = {finding["node"] for finding in document["findings"]}
    versions = {node["id"]: node["agent_version"] for node in document["nodes"]}
    assert sorted(versions.values()) == ["v1.3.0", "v1.3.1"]
    assert {versions[node] for node in hit} == {"v1.3.0"}
    assert len({node["id"] for node in document["nodes"]}) == 2


def test_the_same_two_as_two_inputs(tmp_path: Path) -> None:
    put(tmp_path / "blue", "incident")
    put(tmp_path / "green", "healthy-ipv4")

    document = analyze([str(tmp_path / "blue"), str(tmp_path / "green")]).document

    assert len(document["nodes"]) == 2
    assert {pod["pod_identifier"] for pod in document["pods"] if pod["node"] == document["nodes"][0]["id"]} == {
        pod["pod_identifier"] for pod in document["pods"] if pod["node"] == document["nodes"][1]["id"]
    }


def test_order_of_inputs_changes_no_finding(tmp_path: Path) -> None:
    put(tmp_path / "blue", "incident")
    paths = sorted(str(path) for path in (tmp_path / "blue").iterdir())

    forward, backward = analyze(paths).document, analyze(paths[::-1]).document

    assert forward == backward


def test_one_policy_file_serves_the_nodes_beside_it(tmp_path: Path) -> None:
    put(tmp_path / "case", "incident")
    tarball = next((CASES / "healthy-ipv4" / "input").glob("*.tar.gz"))
    shutil.copy(tarball, tmp_path / "case" / ("other-" + tarball.name))

    document = analyze([str(tmp_path / "case")]).document

    told = {
        o["node"] for o in document["outcomes"] if o["detector"] == "missing-entry" and o["outcome"] != "cannot-tell"
    }
    assert told == {node["id"] for node in document["nodes"]}


def test_loose_dumps_of_two_moments_are_two_nodes(tmp_path: Path) -> None:
    put(tmp_path / "before", "incident-loose-dumps")
    put(tmp_path / "after", "incident-loose-dumps")
    name = "web-7d4f8c9b6-prod_cp_ingress_map.dump.txt"
    (tmp_path / "after" / name).write_text("Found 0 elements\n")

    document = analyze([str(tmp_path)]).document

    assert len(document["nodes"]) == 2
    web = [f["node"] for f in document["findings"] if f["pod_identifier"].startswith("web-")]
    assert len(set(web)) == 1
