"""Kubernetes objects as people paste them and as the lab's API gave them, against what the collections say of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from forensics.decode import decode_bytes
from formats.base import Record
from formats.k8s_block import NOT_SIMPLE, parse
from formats.k8s_events import build
from formats.k8s_objects import FORMAT as K8S_OBJECTS
from formats.source import Source

SHARED = Path(__file__).parent.parent.parent / "shared"
INDEX = SHARED / "samples" / "index.jsonl"
SAMPLES = (
    [row for row in map(json.loads, INDEX.read_text().splitlines()) if row["kind"] == "policy"]
    if INDEX.exists()
    else []
)
LAB = sorted((SHARED / "lab").glob("bundles*/*/*.yaml")) if SHARED.exists() else []

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not INDEX.exists(), reason="the sample collection does not lie beside the repository"),
]


def _slash(cidr: str) -> str:
    return cidr if "/" in cidr else cidr + "/32"


def _rules(spec: dict[str, Any], direction: str) -> list[dict[str, Any]]:
    return spec.get(direction) or []


def _pairs(rule: dict[str, Any]) -> list[list[Any]]:
    out = []
    for port in rule.get("ports") or []:
        port = port.get("portNumber", port)
        out.append([port["protocol"], port["port"]])
    return out


def _flat(spec: dict[str, Any], direction: str) -> list[list[Any]]:
    return [[_slash(rule["cidr"]), *pair] for rule in _rules(spec, direction) for pair in _pairs(rule)]


def _peers(spec: dict[str, Any], key: str) -> list[str]:
    return [value for rule in _rules(spec, "egress") for peer in rule.get("to", []) for value in peer.get(key, [])]


def _rule_matches(wanted: dict[str, Any], rule: dict[str, Any]) -> bool:
    views = {
        "cidr": rule.get("cidr"),
        "except": rule.get("except"),
        "action": rule.get("action"),
        "ports": _pairs(rule) or "all",
        "networks": [value for peer in rule.get("to", []) for value in peer.get("networks", [])],
    }
    return all(views[key] == value for key, value in wanted.items())


def _check_rules(wanted: list[Any], spec: dict[str, Any], direction: str) -> None:
    if wanted and isinstance(wanted[0], dict):
        rules = _rules(spec, direction)
        assert len(wanted) == len(rules)
        assert all(map(_rule_matches, wanted, rules))
    else:
        assert wanted == _flat(spec, direction)


def _check_object(wanted: dict[str, Any], record: dict[str, Any]) -> None:
    assert record["object_kind"] == wanted["kind"]
    spec = record["object"].get("spec") or {}
    views = {
        "name": record["name"],
        "apiVersion": record["api_version"],
        "isolation": spec.get("podIsolation"),
        "tier": spec.get("tier"),
        "priority": spec.get("priority"),
        "networks": _peers(spec, "networks"),
        "domain_names": _peers(spec, "domainNames"),
        "actions": [rule.get("action") for rule in _rules(spec, "ingress")],
        "egress_actions": [rule.get("action") for rule in _rules(spec, "egress")],
        "policyRef": "/".join(spec.get("policyRef", {}).get(key, "") for key in ("namespace", "name")),
        "rules": len(_rules(spec, "ingress")) + len(_rules(spec, "egress")),
        "protocols": sum(len(rule.get("protocols", [])) for rule in _rules(spec, "ingress")),
        "named_ports": [port.get("port") for rule in _rules(spec, "ingress") for port in rule.get("ports", [])],
        "spec": record["object"].get("spec"),
    }
    for key, value in wanted.items():
        if key in ("ingress", "egress") and isinstance(value, list):
            _check_rules(value, spec, key)
        elif key in ("ingress", "egress"):
            assert value == len(_rules(spec, key))
        elif key == "pods":
            rows = spec.get("podSelectorEndpoints") or []
            renamed = [{"ns" if k == "namespace" else k: v for k, v in row.items()} for row in rows]
            assert len(value) == len(renamed)
            assert all(pod.items() <= row.items() for pod, row in zip(value, renamed, strict=True))
        elif key == "invalid":
            assert record["valid"] is False
        elif key in views:
            assert value == views[key], key


def _check_table(wanted: dict[str, Any], named: list[dict[str, Any]]) -> None:
    kind = {"policyendpoints": "PolicyEndpoint", "networkpolicies": "NetworkPolicy"}[wanted["table"]]
    rows = [list(record["columns"].values()) for record in named if record["object_kind"] == kind]
    assert wanted["rows"] == (len(rows) if isinstance(wanted["rows"], int) else rows)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda row: row["file"])
def test_a_sample_gives_what_a_correct_parser_extracts(sample: dict[str, Any]) -> None:
    wanted = sample["expected_parse"]

    got = decode_bytes((SHARED / "samples" / sample["file"]).read_bytes(), "-")

    records = got["records"]
    whole = [r for r in records if r["kind"] == "k8s_object" and r["object"] is not None]
    named = [r for r in records if "columns" in r]
    if "table" in wanted:
        _check_table(wanted, named)
        flags = {r["value"]["name"]: r["value"]["value"] for r in records if r.get("fact") == "agent_flag"}
        assert wanted.get("env", {}).items() <= flags.items()
    elif "documents" in wanted:
        assert (wanted["documents"], wanted["tables"]) == (len(whole), len({record["object_kind"] for record in named}))
    elif "policies" in wanted:
        for policy, record in zip(wanted["policies"], whole, strict=False):
            _check_object(policy, record)
        assert len(whole) == len(wanted["policies"]) + bool(wanted.get("truncated_third"))
        assert not wanted.get("truncated_third") or whole[-1]["valid"] is False
    else:
        assert len(whole) == 1
        _check_object(wanted, whole[0])
        if wanted.get("unsupported_group"):
            assert whole[0]["valid"] is None
            assert got["problems"]


@pytest.mark.parametrize("path", LAB, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_lab_list_is_what_pyyaml_reads(path: Path) -> None:
    data = path.read_bytes()
    reference = yaml.load(data, Loader=yaml.CSafeLoader)["items"]

    items = list(K8S_OBJECTS.read(Source(path.name, data)))

    assert all(isinstance(item, Record) for item in items)
    assert reference == [item.data["object"] for item in items]
    assert not any(item.data["valid"] is False for item in items)
    for item in items:
        cited = data[item.span.start : item.span.end].decode()
        assert [item.data["object"]] == yaml.safe_load(cited)
        assert data.count(b"\n", 0, item.span.start) + 1 == item.span.first_line
        assert data.count(b"\n", 0, item.span.end) + 1 == item.span.last_line


@pytest.mark.parametrize("path", LAB, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_fast_reader_and_libyaml_agree_on_the_lab(path: Path) -> None:
    text = path.read_text()

    fast = parse(text, {})

    slow = build(text.encode())
    assert slow.faults == []
    assert fast is not NOT_SIMPLE
    assert fast == slow.value
