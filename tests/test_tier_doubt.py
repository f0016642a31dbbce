"""Where bytes alone decide nothing: cannot-tell rather than clean, and found where something else proves it."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import render_bpftool
import render_nacli

from forensics.analysis import run
from forensics.case import Overrides

POD, NODE = "till-86c9d7f5b-store", "192.168.9.1"
OLD, NEW = "192.168.9.5", "192.168.9.6"
RULE_MAPS = ("ingress_map", "egress_map", "cp_ingress_map", "cp_egress_map")
TIER_DETECTORS = ("misplaced-tier-entry", "oversized-value-write")


def key(address: str, length: int = 32) -> bytes:
    return struct.pack("<I", length) + bytes(map(int, address.split(".")))


def rules(*slots: tuple[int, int, int], size: int = 288) -> bytes:
    return b"".join(struct.pack("<III", *slot) for slot in slots).ljust(size, b"\0")


ANY, WEB = rules((254, 0, 0)), rules((6, 8081, 0))


def maps(**content: dict[bytes, bytes]) -> dict[str, str]:
    """All four rule maps as hex files; those not named are empty."""
    return {f"{POD}_{name}.txt": render_bpftool.plain(list(content.get(name, {}).items())) for name in RULE_MAPS}


def row(address: str) -> dict:
    return {"name": f"till-86c9d7f5b-{address[-1] * 5}", "namespace": "store", "podIP": address, "hostIP": NODE}


def endpoint(*ingress: dict) -> str:
    reference = {"name": "till", "namespace": "store"}
    made = {
        "apiVersion": "networking.k8s.aws/v1alpha1",
        "kind": "PolicyEndpoint",
        "metadata": {"name": "till-x", "namespace": "store"},
        "spec": {
            "policyRef": reference,
            "podSelector": {},
            "podIsolation": ["Ingress"],
            "podSelectorEndpoints": [row(OLD)],
            "ingress": list(ingress),
        },
    }
    return json.dumps(made)


def analysed(folder: Path, files: dict[str, str], version: str | None = "v1.3.0") -> dict:
    for name, text in files.items():
        (folder / name).write_text(text)
    return run([str(folder)], overrides=Overrides(version, NODE)).document


def outcomes(document: dict, *detectors: str) -> set[str]:
    return {each["outcome"] for each in document["outcomes"] if each["detector"] in (detectors or TIER_DETECTORS)}


@pytest.mark.parametrize("value", [ANY, WEB], ids=["allow-all", "tcp/8081"])
def test_a_lone_value_of_either_tier_is_not_called_clean(tmp_path: Path, value: bytes) -> None:
    document = analysed(tmp_path, maps(cp_ingress_map={key(NEW): value.ljust(384, b"\0")}))

    assert outcomes(document) == {"cannot-tell"}
    assert document["findings"] == []
    asked = {command for question in document["questions"] for command in question["collect"]}
    assert "kubectl get clusterpolicyendpoints -o yaml > clusterpolicyendpoints.yaml" in asked


def test_policies_prove_it_when_the_namespace_map_lacks_what_turned_up_here(tmp_path: Path) -> None:
    files = maps(ingress_map={key(NODE): ANY, key(OLD): ANY}, cp_ingress_map={key(NEW): ANY.ljust(384, b"\0")}) | {
        "policies.yaml": endpoint({"cidr": OLD}, {"cidr": NEW})
    }

    document = analysed(tmp_path, files)

    found = {each["detector"]: (each["map"], each["entries"]) for each in document["findings"]}
    assert found["misplaced-tier-entry"] == found["oversized-value-write"] == ("cp_ingress_map", [f"{NEW}/32"])
    why = next(each["alternatives"][0]["why_not"] for each in document["findings"] if each["map"] == "cp_ingress_map")
    assert "impossible priorities" not in why


def test_a_rule_surely_of_the_cluster_tier_beside_it_is_left_alone(tmp_path: Path) -> None:
    """Bad neighbours prove nothing of an unclear entry where real cluster rules stand beside it."""
    real = struct.pack("<8I", 6, 511, 443, 0, 6, 511, 80, 0).ljust(384, b"\0")
    unclear = struct.pack("<4I", 254, 1001, 0, 0).ljust(384, b"\0")
    bad = rules((6, 443, 0), (6, 80, 0), size=384)
    content = {key("10.0.0.0", 8): real, key("172.16.0.0", 12): unclear, key(NEW): bad}

    document = analysed(tmp_path, maps(cp_ingress_map=content))

    found = [each["entries"] for each in document["findings"] if each["detector"] == "misplaced-tier-entry"]
    assert found == [[f"{NEW}/32"]]


def test_values_that_are_not_shown_are_not_called_clean(tmp_path: Path) -> None:
    files = maps()
    files[f"{POD}_cp_ingress_map.txt"] = "[... 12 more entries ...]\nFound 12 elements\n"
    shown = render_bpftool.plain(
        [(key("10.0.0.0", 8), struct.pack("<8I", 6, 511, 443, 0, 6, 511, 80, 0).ljust(384, b"\0"))]
    )
    files[f"{POD}_cp_egress_map.txt"] = shown.replace("Found 1 element", "[... 12 more entries ...]\nFound 13 elements")

    document = analysed(tmp_path, files)

    assert outcomes(document) == {"cannot-tell"}


def test_a_value_of_neither_tier_is_not_called_clean(tmp_path: Path) -> None:
    garbage = struct.pack("<4I", 77, 4_000_000_000, 5, 9).ljust(384, b"\1")

    document = analysed(tmp_path, maps(cp_ingress_map={key(NEW): garbage}))

    assert outcomes(document) == {"cannot-tell"}


def test_loose_namespace_dumps_do_not_say_that_there_is_no_cluster_tier(tmp_path: Path) -> None:
    files = {name: text for name, text in maps(ingress_map={key(NODE): ANY}).items() if "cp_" not in name}

    document = analysed(tmp_path, files, version=None)

    assert document["nodes"][0]["agent_version"] is None
    assert outcomes(document) == {"cannot-tell"}


@pytest.mark.parametrize(("name", "size"), [("cp_ingress_map", 288), ("ingress_map", 384)])
def test_a_dump_of_the_other_tiers_size_is_named_and_not_judged(tmp_path: Path, name: str, size: int) -> None:
    content = {key(NODE): ANY.ljust(size, b"\0"), key(OLD): rules((6, 80, 0), (6, 443, 0), size=size)}

    document = analysed(tmp_path, maps(**{name: content}) | {"policies.yaml": endpoint({"cidr": NEW})})

    about = [each for each in document["findings"] if each["map"] == name]
    assert [(each["detector"], each["severity"]) for each in about] == [("oversized-value-write", "medium")]
    assert f"values of {size} bytes" in about[0]["title"]


def test_a_namespace_map_printed_by_dump_cp_maps_is_no_incident(tmp_path: Path) -> None:
    content = [(key(NODE), ANY), (key(OLD), rules((6, 80, 0), (6, 443, 0))), (key(NEW), rules((6, 80, 0)))]
    command = "$ ./aws-eks-na-cli ebpf dump-cp-maps 222\n"
    pin = f"/sys/fs/bpf/globals/aws/programs/{POD}_handle_ingress"
    listing = render_nacli.program(pin, "ingress", 12, [("ingress_map", 222), ("cp_ingress_map", 221)])
    named, unnamed = tmp_path / "named", tmp_path / "unnamed"
    for folder in (named, unnamed):
        folder.mkdir()
        (folder / "dump.txt").write_text(command + render_nacli.rules(content, "v1.3.0-cp"))

    documents = [analysed(named, {"loaded.txt": listing}), analysed(unnamed, {})]

    for document in documents:
        assert document["findings"] == []
        assert outcomes(document) == {"cannot-tell"}


def test_an_upgraded_agent_does_not_leave_the_namespace_map_frozen(tmp_path: Path) -> None:
    bad = rules((6, 443, 0), (6, 80, 0), size=384)
    files = maps(ingress_map={key(NODE): ANY}, cp_ingress_map={key(NEW): bad})

    impacts = {}
    for version in ("v1.3.0", "v1.3.1"):
        document = analysed(tmp_path, files, version)
        impacts[version] = next(f["impact"] for f in document["findings"] if f["detector"] == "misplaced-tier-entry")

    assert "frozen" in impacts["v1.3.0"]
    assert "frozen" not in impacts["v1.3.1"]
    assert "stay until the maps are recreated" in impacts["v1.3.1"]


def test_an_empty_egress_map_is_not_the_lost_catch_all(tmp_path: Path) -> None:
    """KB-114 leaves the node's entry; a map without any was never written."""
    policies = {"policies.yaml": endpoint({"cidr": OLD})}
    defects = []
    for content in ({}, {key(NODE): ANY}):
        document = analysed(tmp_path, maps(ingress_map={key(NODE): ANY, key(OLD): ANY}, egress_map=content) | policies)
        defects += [f["defect"] for f in document["findings"] if f["map"] == "egress_map"]

    assert defects == [None, "KB-114"]


def test_stale_entries_may_stand_among_those_not_shown(tmp_path: Path) -> None:
    files = maps(ingress_map={key(NODE): ANY, key(OLD): ANY}, egress_map={key(NODE): ANY, key("0.0.0.0", 0): ANY})
    name = f"{POD}_ingress_map.txt"
    files[name] = files[name].replace("Found 2 elements", "[... 188 more entries ...]\nFound 190 elements")

    document = analysed(tmp_path, files | {"policies.yaml": endpoint({"cidr": OLD})})

    assert outcomes(document, "stale-entry") == {"cannot-tell"}


def test_a_missing_address_under_a_wider_entry_without_a_value_has_no_known_effect(tmp_path: Path) -> None:
    files = maps(egress_map={key(NODE): ANY, key("0.0.0.0", 0): ANY})
    keys = [key(NODE), key("192.168.0.0", 16)]
    files[f"{POD}_ingress_map.txt"] = "".join(f"key:\n{each.hex(' ')}\n" for each in keys) + "Found 2 elements\n"

    document = analysed(
        tmp_path,
        files | {"policies.yaml": endpoint({"cidr": "192.168.0.0/16"}, {"cidr": NEW, "ports": [{"port": 80}]})},
    )

    finding = next(each for each in document["findings"] if each["detector"] == "missing-entry")
    assert finding["entries"] == [f"{NEW}/32"]
    assert finding["details"]["wrongly_denied"] == finding["details"]["wrongly_allowed"] == []
    assert "not known" in finding["details"]["entries"][0]["effect"]
