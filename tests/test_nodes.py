"""Nodes are kept apart: the same identifier or map ID on two nodes, or in two clusters, is never merged."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import Any

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


def unpacked(folder: Path, case: str) -> Path:
    """A folder with a case's archive and its members beside it."""
    put(folder, case)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "unpacked", filter="data")
    return folder


def told(document: dict[str, Any]) -> dict[str, Any]:
    findings = [(each["detector"], each["pod_identifier"], each["entries"]) for each in document["findings"]]
    return {"nodes": [node["id"] for node in document["nodes"]], "findings": findings, "timeline": document["timeline"]}


def test_an_archive_beside_its_unpacked_copy_is_one_node(tmp_path: Path) -> None:
    put(tmp_path / "packed", "incident")
    both = unpacked(tmp_path / "both", "incident")

    document = analyze([str(both)]).document

    alone = told(analyze([str(tmp_path / "packed")]).document)
    assert {**told(document), "timeline": len(document["timeline"])} == {**alone, "timeline": len(alone["timeline"])}
    assert all(artifact["node"] is not None for artifact in document["artifacts"] if "unpacked" in artifact["path"])


def test_a_file_that_is_in_the_copy_only_counts(tmp_path: Path) -> None:
    both = unpacked(tmp_path / "both", "incident")
    policies = both / "policyendpoints.yaml"
    policies.rename(both / "unpacked" / "policyendpoints.yaml")

    document = analyze([str(both)]).document

    assert len(document["nodes"]) == 1
    assert any(pod["policies"] for pod in document["pods"])


def test_a_copy_with_one_byte_changed_is_another_node(tmp_path: Path) -> None:
    both = unpacked(tmp_path / "both", "incident")
    log = both / "unpacked" / "var_log" / "aws-routed-eni" / "network-policy-agent.log"
    log.write_bytes(log.read_bytes() + b"\n")

    assert len(analyze([str(both)]).document["nodes"]) == 2


def test_trees_without_an_instance_are_never_taken_for_copies(tmp_path: Path) -> None:
    both = unpacked(tmp_path / "both", "incident")
    (both / "unpacked" / "system" / "instance-id.txt").unlink()

    assert len(analyze([str(both)]).document["nodes"]) == 2
