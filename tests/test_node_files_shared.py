"""Node files against the larger collection beside the repository: pasted introspection, whole collector trees."""

from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path

import pytest

from forensics.decode import decode_bytes

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
SAMPLES = SHARED / "samples"
TARBALLS = sorted((SHARED / "lab").glob("bundles*/*/*.tar.gz"))
INDEX = SAMPLES / "index.jsonl"
ROWS = [json.loads(line) for line in INDEX.read_text().splitlines()] if INDEX.exists() else []
IPAMD = [row for row in ROWS if row["kind"] == "ipamd"]
FOREIGN = [row for row in ROWS if "foreign-cni" in row["tags"]]
NODE_FOLDERS = (
    "ipamd/",
    "containerd/",
    "networking/ip",
    "networking/conntrack",
    "kernel/",
    "kubelet/",
    "cni/",
    "system/",
)

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not ROWS or not TARBALLS, reason="the sample collection does not lie beside the repository"),
]


def of_kind(records, kind):
    return [record for record in records if record["kind"] == kind]


def values(records, name):
    return [record["value"] for record in of_kind(records, "node_fact") if record["fact"] == name]


def read_sample(row):
    return decode_bytes((SAMPLES / row["file"]).read_bytes(), row["file"])


@pytest.mark.parametrize("row", IPAMD, ids=lambda row: row["file"])
def test_pasted_introspection_gives_what_its_index_says(row: dict) -> None:
    wanted = row["expected_parse"]

    got = read_sample(row)

    records = got["records"]
    pods = of_kind(records, "pod")
    if not wanted.get("fragment"):
        answer = of_kind(records, "introspection")[0]
        assert wanted["endpoint"] == answer["endpoint"]
        assert wanted.get("port", answer["port"]) == answer["port"]
        assert wanted.get("schema", answer["schema"]) == answer["schema"]
        assert wanted.get("AssignedIPs", answer["assigned_ips"]) == answer["assigned_ips"]
        assert wanted.get("TotalIPs", answer["total_ips"]) == answer["total_ips"]
        assert wanted.get("truncated", answer["truncated"]) == answer["truncated"]
    for name in ("AWS_VPC_ENI_MTU", "AWS_VPC_K8S_CNI_EXTERNALSNAT"):
        if name in wanted:
            assert {"name": name, "value": wanted[name]} in values(records, "cni_setting")
    if "addresses" in wanted:
        told = [[r["ip"], r["assigned"]] for r in of_kind(records, "ipam_address") if r["assigned"] is not None]
        assert wanted["addresses"] == told
    if "pods" in wanted:
        whole = [pod for pod in pods if pod["ip"] is not None]
        assert [(p["pod"], p["ns"], p["ip"]) for p in wanted["pods"]] == [
            (pod["name"], pod["namespace"], pod["ip"]) for pod in whole
        ]
        for expected, pod in zip(wanted["pods"], whole, strict=True):
            assert expected.get("dev") == pod.get("device_number")
    partial = [(pod["name"], pod["namespace"]) for pod in pods if pod["ip"] is None]
    assert [(p["pod"], p["ns"]) for p in wanted.get("partial_pods", [])] == partial
    assert bool(wanted.get("truncated") or wanted.get("fragment")) <= bool(got["problems"])


@pytest.mark.parametrize("row", FOREIGN, ids=lambda row: row["file"])
def test_other_cnis_are_named(row: dict) -> None:
    records = read_sample(row)["records"]

    named = {record["cni"] for record in of_kind(records, "foreign")}

    assert named in ({"cilium"}, {"calico"})


def test_metrics_of_the_agent() -> None:
    row = next(row for row in ROWS if "metrics" in (row["expected_parse"] or {}))

    records = of_kind(read_sample(row)["records"], "metric")

    got = {f"{record['name']}{{{record['labels']['direction']}}}": record["value"] for record in records}
    assert row["expected_parse"]["metrics"] == got


def members_of(tarball):
    """(path, bytes) of every readable member; a damaged archive ends where it breaks."""
    try:
        with gzip.open(tarball) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for info in archive:
                if info.isreg():
                    yield info.name.removeprefix("./"), archive.extractfile(info).read()
    except (EOFError, tarfile.ReadError, OSError):
        return


@pytest.mark.parametrize("tarball", TARBALLS, ids=lambda path: path.parent.name)
def test_collector_tree_gives_the_node_it_was_made_from(tarball: Path) -> None:
    truth = json.loads((tarball.parent / "truth.json").read_text())
    truth = {**json.loads((SHARED / "lab/bundles/b-seed-ipv4-v1.3.0/truth.json").read_text()), **truth}
    damaged = tarball.parent.name.startswith("f")
    pods = {(pod["namespace"], pod["name"], pod["ip"]) for pod in truth["pods"]}
    veths = {(pod["host_veth"], pod["ip"]) for pod in truth["pods"]}

    read = {path: decode_bytes(data, path) for path, data in members_of(tarball) if path.startswith(NODE_FOLDERS)}

    unknown = [path for path, got in read.items() if got["format"] is None]
    assert unknown == (["ipamd/enis.json"] if tarball.parent.name == "f3-members-damaged" else [])
    for source in ("ipamd/ipam.json", "ipamd/enis.json"):
        told = {(r["namespace"], r["name"], r["ip"] or r["ipv6"]) for r in of_kind(read[source]["records"], "pod")}
        assert told <= pods if damaged else told == pods
    routes = {(r["dev"], r["ip"]) for p in read for r in of_kind(read[p]["records"], "host_interface")}
    assert routes >= veths  # the peers that stand for other nodes have routes too
    everything = [record for got in read.values() for record in got["records"]]
    expected = {
        "node_ip": truth["node_ip"],
        "agent_version": truth["agent_version"],
        "cni_version": truth["cni_version"],
        "instance_id": truth["instance_id"],
        "enforcing_mode": truth["network_policy_mode"],
        "ipv6": truth["ipv6"],
        "veth_prefix": "eni",
    }
    for name, value in expected.items():
        told = set(values(everything, name))
        assert told == {value} or (damaged and not told), name
    problems = {path: got["problems"] for path, got in read.items() if got["problems"]}
    assert list(problems) == (["ipamd/ipam.json"] if tarball.parent.name == "f3-members-damaged" else [])
