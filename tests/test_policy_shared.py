"""Expected entries against maps that real agents wrote: healthy ones equal, planted faults differ and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from forensics.policy import AdmissibleSet, expected_entries, expected_pod_state, wanted_entries

LAB = Path(__file__).parents[2] / "shared" / "lab"
MISSING = {"missing-from-namespace-map", "missing-entry-in-kernel-map", "egress-catch-all-missing"}
EXTRA = {
    "namespace-rules-written-to-cluster-map",
    "namespace-rules-in-cluster-map (left over)",
    "stale-in-namespace-map",
    "extra-entry-in-kernel-map",
    "cluster-rules-in-namespace-map",
}
#: What truth.json says in words only: the node's entry beside misplaced cluster rules, empty cluster maps, and a
#: policy that was edited after the dump.
SAID_IN_WORDS = {
    "h-cnp-via-cni-add-v1.3.0": {
        ("extra", "web-7d4f8c9b6-prod_ingress_map", "10.100.1.10/32"),
        ("extra", "web-7d4f8c9b6-prod_egress_map", "10.100.1.10/32"),
        ("missing", "web-7d4f8c9b6-prod_cp_ingress_map", "10.66.0.0/16"),
        ("missing", "web-7d4f8c9b6-prod_cp_ingress_map", "10.100.1.21/32"),
        ("missing", "web-7d4f8c9b6-prod_cp_egress_map", "0.0.0.0/0"),
    },
    "control-policy-changed-after-dump-v1.4.1": {
        ("extra", "checkout-7d8b6c5f9@apps_ingress_map", "10.161.69.1/32"),
        ("missing", "checkout-7d8b6c5f9@apps_ingress_map", "10.161.69.2/32"),
        ("changed", "checkout-7d8b6c5f9@apps_ingress_map", "10.161.70.0/24"),
        ("missing", "checkout-7d8b6c5f9@apps_ingress_map", "10.161.71.0/24"),
    },
}

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not LAB.is_dir(), reason="the captures beside the repository are not here"),
]


def bundles():
    found = sorted(path.parent for path in LAB.glob("bundles*/*/truth.json"))
    return [path for path in found if any(path.glob("*policyendpoints.yaml"))]


def policies(bundle):
    return [
        document
        for path in sorted(bundle.glob("*policyendpoints.yaml"))
        for document in yaml.safe_load_all(path.open())
    ]


def observed(entries, tier):
    fields = ("protocol", "start_port", "end_port") if tier == "namespace" else (
        "protocol", "priority", "start_port", "end_port")  # fmt: skip
    out = {}
    for cidr, slots in entries.items():
        if isinstance(slots, dict):
            slots = slots["as_cp_slots" if tier == "cluster" else "as_ns_rules"]
        out[cidr] = tuple(sorted(tuple(slot[field] for field in fields) for slot in slots))
    return out


def differences(name, expected, actual):
    for cidr in expected.keys() | actual.keys():
        if cidr not in actual:
            yield "missing", name, cidr
        elif cidr not in expected:
            yield "extra", name, cidr
        elif actual[cidr] not in expected[cidr]:
            yield "changed", name, cidr


def rule_maps(truth):
    for name, each in truth["maps"].items():
        kind = each["map"]
        if kind.endswith(("ingress_map", "egress_map")):
            tier = "cluster" if kind.startswith("cp_") else "namespace"
            yield name, each, tier, "ingress" if "ingress" in kind else "egress"


def compare(bundle, function):
    truth = json.loads((bundle / "truth.json").read_text())
    objects = policies(bundle)
    family = 6 if truth["ipv6"] else 4
    found = set()
    for name, each, tier, direction in rule_maps(truth):
        expected = function(
            objects, truth["node_ip"], each["pod_identifier"], direction, truth["agent_version"], family
        )
        found |= set(differences(name, expected[tier], observed(each["entries"], tier)))
    return truth, found


@pytest.mark.parametrize("bundle", bundles(), ids=lambda path: path.name)
def test_maps_differ_from_the_expectation_by_the_planted_faults_only(bundle):
    truth, found = compare(bundle, expected_entries)

    planted = set(SAID_IN_WORDS.get(bundle.name, ()))
    for fault in truth["planted_faults"]:
        kind = "missing" if fault["kind"] in MISSING else "extra" if fault["kind"] in EXTRA else None
        if kind:
            planted |= {(kind, fault["map"], cidr) for cidr in fault["keys"]}
    assert planted == found


def test_the_skipped_ipv6_address_is_wanted_and_nothing_else_is_missing():
    bundle = LAB / "bundles" / "c-healthy-ipv6-v1.3.1"

    _, found = compare(bundle, wanted_entries)

    assert {("missing", "web-7d4f8c9b6-prod_ingress_map", "2600:1f14:abc:1:2:3:4:5/128")} == {
        each for each in found if each[0] != "changed"
    }


def test_overflowing_values_are_selections_of_what_was_wanted():
    bundle = LAB / "bundles2" / "overflow-24-v1.2.7"
    truth = json.loads((bundle / "truth.json").read_text())
    objects = policies(bundle)
    args = (objects, truth["node_ip"], "transcoder-59c7d6b8f-media", "ingress", truth["agent_version"], 4)

    entries = expected_entries(*args)["namespace"]

    planted = {fault["keys"][0]: fault for fault in truth["planted_faults"] if fault["kind"] == "port-slots-overflow"}
    dumped = observed(truth["maps"]["transcoder-59c7d6b8f-media_ingress_map"]["entries"], "namespace")
    for cidr, fault in planted.items():
        assert isinstance(entries[cidr], AdmissibleSet)
        (wanted,) = iter(entries[cidr])
        lost = {(slot["protocol"], slot["start_port"], slot["end_port"]) for slot in fault["lost_slots"]}
        assert lost == set(wanted) - set(dumped[cidr])
        assert fault["expected"] == len(wanted)


def test_colliding_spellings_leave_one_of_three_values():
    bundle = LAB / "bundles2" / "cidr-collision-v1.3.1"
    truth = json.loads((bundle / "truth.json").read_text())
    args = (policies(bundle), truth["node_ip"], "ui-84c6c9c4fd-analytics", "ingress", truth["agent_version"], 4)

    found = expected_entries(*args)["namespace"]["10.0.0.0/8"]

    low, high = ((6, 443, 0),), ((6, 5432, 0), (6, 6432, 0))
    assert found == {low, high, low + high}
    assert wanted_entries(*args)["namespace"]["10.0.0.0/8"] == {low + high}


@pytest.mark.parametrize("bundle", bundles(), ids=lambda path: path.name)
def test_pod_states_are_admissible_but_for_the_planted_key(bundle):
    truth = json.loads((bundle / "truth.json").read_text())
    objects = policies(bundle)
    missing = {fault["map"] for fault in truth["planted_faults"] if fault["kind"] == "pod-state-key-missing"}

    for name, each in truth["maps"].items():
        if not each["map"].endswith("pod_state_map"):
            continue
        states = expected_pod_state(
            objects, each["pod_identifier"], truth["agent_version"], truth["network_policy_mode"],
            node_ip=truth["node_ip"],
        )  # fmt: skip
        actual = {int(key): value for key, value in each["entries"].items()}
        assert (actual.keys() != states.keys()) == (name in missing), name
        assert all(value in states[key] for key, value in actual.items()), name


def dumped_slots(path):
    out = {}
    for entry in json.loads(path.read_text()):
        key = bytes(int(byte, 16) for byte in entry["key"])
        value = bytes(int(byte, 16) for byte in entry["value"])
        words = [int.from_bytes(value[at : at + 4], "little") for at in range(0, len(value), 4)]
        slots = [tuple(words[at : at + 3]) for at in range(0, len(words), 3)]
        cidr = f"{'.'.join(str(byte) for byte in key[4:])}/{key[0]}"
        out[cidr] = tuple(sorted(slot for slot in slots if any(slot)))
    return out


@pytest.mark.parametrize(
    ("version", "lost", "stale"),
    [("v1.3.1", set(), set()), ("v1.3.0", {"10.100.1.5/32"}, {"10.100.1.22/32"})],
)
def test_seed_policies_against_the_last_dumps(version, lost, stale):
    folder = LAB / "seed" / version
    objects = [json.loads(path.read_text()) for path in sorted(folder.glob("prod__*.json"))]
    found = set()
    for path in sorted((folder / "3-after-new-pod").glob("*gress_map.dump.json")):
        name = path.name.removesuffix(".dump.json")
        if "_cp_" in name:
            continue
        identifier, _, kind = name.rpartition("_")[0].rpartition("_")
        expected = expected_entries(objects, "10.100.1.10", identifier, kind, version, 4)["namespace"]
        found |= set(differences(name, expected, dumped_slots(path)))

    assert lost == {cidr for kind, _, cidr in found if kind == "missing"}
    assert stale >= {cidr for kind, _, cidr in found if kind == "extra"}
    assert not {each for each in found if each[0] == "changed"}
