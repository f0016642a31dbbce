"""Real agents' maps against their policies: the healthy ones differ in nothing, the others in what was planted."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import pytest

from forensics import fold, traffic
from forensics.analysis import run
from forensics.compare import Comparison, compare
from forensics.context import Context
from forensics.diff import diff_document
from forensics.entrydiff import CAUSES
from forensics.fold import AGAINST_POLICY
from forensics.intent import DIRECTIONS
from forensics.neighbours import Neighbours
from forensics.partition import texts
from reports.diff_text import render

LAB = Path(__file__).parents[2] / "shared" / "lab"
HEALTHY = (
    "bundles/a-healthy-ipv4-v1.3.1",
    "bundles/d-cnp-healthy-v1.4.1",
    "bundles/e-strict-v1.3.1",
    "bundles2/control-cnp-many-priorities-v1.4.1",
    "bundles2/control-self-ip-story-v1.3.1",
    "bundles2/control-strict-never-selected-v1.4.1",
)
SEED = ("bundles/b-seed-ipv4-v1.3.0", "bundles/i-upgraded-v1.3.0-to-v1.3.1-same-probes",
        "bundles2/self-ip-v1.3.0-private-cidrs")  # fmt: skip

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not LAB.is_dir(), reason="the captures beside the repository are not here"),
]


@lru_cache(maxsize=4)
def report(name):
    return run([str(LAB / name)])


def truth(name):
    return json.loads((LAB / name / "truth.json").read_text())


def comparisons(name):
    case = report(name).case
    for node in case.nodes:
        neighbours = Neighbours(node)
        for identifier in sorted(node.pods):
            made = Context(case, node, node.pods[identifier], neighbours)
            for direction in DIRECTIONS:
                found = compare(made, direction)
                if isinstance(found, Comparison):
                    yield identifier, direction, found


def entries(name):
    return {
        (f"{identifier}_{'cp_' if each.tier == 'cluster' else ''}{direction}_map", each.kind, each.cidr, each.cause)
        for identifier, direction, found in comparisons(name)
        for each in found.entries
    }


def packets(name):
    return {
        (identifier, direction, fold.kind_of(each, AGAINST_POLICY), tuple(texts(each.peers, each.family)),
         traffic.text(each.traffic, each.family), each.causes)
        for identifier, direction, found in comparisons(name)
        for each in found.differences
        if each.traffic.ordinary
    }  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_maps_differ_in_no_entry_and_no_packet(name):
    found = list(comparisons(name))

    assert found
    assert all(not each.entries and not each.differences for _, _, each in found)


def test_the_ipv6_node_differs_by_its_one_skipped_rule():
    name, long = "bundles/c-healthy-ipv6-v1.3.1", "2600:1f14:abc:1:2:3:4:5/128"

    assert entries(name) == {("web-7d4f8c9b6-prod_ingress_map", "missing", long, "family")}
    ((*_, peers, said, causes),) = packets(name)
    assert ((long,), ("family",)) == (peers, causes)
    # Port 8080 comes from a wider network that the map does hold.
    assert said == "TCP on every port but 8080; UDP; SCTP; other protocols"


@pytest.mark.parametrize("name", SEED)
def test_the_incident_differs_where_truth_says(name):
    kinds = {"missing-from-namespace-map": "missing", "stale-in-namespace-map": "extra"}
    planted = set()
    for fault in truth(name)["planted_faults"]:
        kind = "extra" if fault["kind"].startswith("namespace-rules") else kinds.get(fault["kind"])
        if kind:
            planted |= {(fault["map"], kind, cidr) for cidr in fault["keys"]}

    found = entries(name)

    assert planted == {each[:3] for each in found}
    assert {each[3] for each in found} <= {"other-tier", "stale"}


def test_a_collision_costs_one_workload_the_other_texts_ports():
    name = "bundles2/cidr-collision-v1.3.1"

    assert entries(name) == {("ui-84c6c9c4fd-analytics_ingress_map", "changed", "10.0.0.0/8", "collision")}
    around = ("10.0.0.0-10.161.8.43", "10.161.8.45-10.255.255.255")
    assert packets(name) == {
        ("ui-84c6c9c4fd-analytics", "ingress", "wrongly-denied", around, "TCP 5432, 6432", ("collision",))
    }


def test_an_overflow_costs_exactly_the_slots_that_truth_names():
    name = "bundles2/overflow-24-v1.2.7"
    planted = {
        fault["keys"][0]: fault for fault in truth(name)["planted_faults"] if fault["kind"] == "port-slots-overflow"
    }

    found = {each.cidr: each for _, _, made in comparisons(name) for each in made.entries}

    assert planted.keys() == found.keys()
    for cidr, fault in planted.items():
        lost = {(slot["protocol"], slot["start_port"], slot["end_port"]) for slot in fault["lost_slots"]}
        assert (lost, (), fault["expected"]) == (set(found[cidr].lost), found[cidr].gained, len(found[cidr].wanted))
        assert (found[cidr].cause, found[cidr].admissible) == ("overflow", True)
    denied = {(peers, said) for _, _, kind, peers, said, _ in packets(name) if kind == "wrongly-denied"}
    tcp, udp = "TCP 20000, 20010, 20120, 20140, 20170", "UDP 20030"
    assert ((("10.161.90.18/32",), f"{tcp}; {udp}; SCTP 3868")) in denied
    assert {kind for _, _, kind, *_ in packets(name)} == {"wrongly-denied"}


def test_a_lost_catch_all_denies_everything_but_the_node():
    name = "bundles2/egress-catchall-v1.3.1"

    assert entries(name) == {("cart-6f5b8c7d94-shop_egress_map", "missing", "0.0.0.0/0", "catch-all-lost")}
    around = ("0.0.0.0-10.161.30.13", "10.161.30.15-255.255.255.255")
    assert packets(name) == {
        ("cart-6f5b8c7d94-shop", "egress", "wrongly-denied", around, "all traffic", ("catch-all-lost",))
    }


def test_planted_entries_are_found_without_a_cause():
    name = "bundles2/drift-planted-entry-v1.4.1"
    pod, planted, gone = "invoices-6bb7d9c8f5@billing", "10.161.200.200/32", "10.161.23.5/32"

    assert entries(name) == {
        (f"{pod}_ingress_map", "extra", planted, None),
        (f"{pod}_ingress_map", "missing", gone, None),
    }
    assert {(kind, peers) for _, _, kind, peers, *_ in packets(name)} == {
        ("wrongly-allowed", (planted,)),
        ("wrongly-denied", (gone,)),
    }


def test_a_policy_newer_than_the_dump_is_drift_and_nothing_else():
    name = "bundles2/control-policy-changed-after-dump-v1.4.1"
    drift = truth(name)["expected_drift"]

    wanted = {(drift["map"], "missing", cidr, "drift") for cidr in drift["only_in_policyendpoint"]}
    wanted |= {(drift["map"], "extra", cidr, "drift") for cidr in drift["only_in_map"]}
    wanted |= {(drift["map"], "changed", cidr, "drift") for cidr in drift["changed"]}

    assert entries(name) == wanted
    assert {each[5] for each in packets(name)} == {("drift",)}


def test_a_missing_pod_state_key_denies_everything_and_is_no_entrys_fault():
    name = "bundles2/missing-key1-v1.3.4"

    assert entries(name) == set()
    assert {(kind, peers, said, causes) for _, _, kind, peers, said, causes in packets(name)} == {
        ("wrongly-denied", ("0.0.0.0/0",), "all traffic", ("pod-state",))
    }


@pytest.mark.parametrize("name", [*HEALTHY, *SEED])
def test_probes_that_truth_saw_are_told_the_same_way(name):
    """A probe that timed out against a policy that allows it lies in what is said to be wrongly denied."""
    made = list(comparisons(name))
    for probe in truth(name).get("probes", []):
        if probe.get("expected_by_policy") != "allow" or probe.get("result") != "TimeoutError":
            continue
        hit = [
            each
            for _, direction, found in made
            for each in found.differences
            if _inside(probe["src" if direction == "ingress" else "dst"], each.peers)
            and each.traffic.holds(6, probe["port"])
            and not each.left.allows
        ]
        assert hit, probe


def _inside(address, spans):
    import ipaddress

    number = int(ipaddress.ip_address(address))
    return any(first <= number <= last for first, last in spans)


def test_every_cause_that_is_named_is_in_the_table():
    names = ("bundles/b-seed-ipv4-v1.3.0", "bundles2/overflow-24-v1.2.7")
    causes = {each[3] for name in names for each in entries(name)}

    assert causes - {None} <= CAUSES.keys()


# --- diff -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bundles/a-healthy-ipv4-v1.3.1", "bundles/b-seed-ipv4-v1.3.0"])
def test_a_case_does_not_differ_from_itself(name):
    document = diff_document(report(name), report(name))

    assert document["summary"]["same"]
    assert (document["pods"], document["findings"]["appeared"], document["findings"]["vanished"]) == ([], [], [])
    assert document["summary"]["pods_compared"] == 7


def test_the_upgrade_alone_lets_the_incidents_peers_back_in_partly():
    document = diff_document(report(SEED[0]), report(SEED[1]))

    (node,) = document["nodes"]
    facts = {each["fact"]: (each["before"], each["after"]) for each in node["facts"]}
    assert facts["agent_version"] == ("v1.3.0", "v1.3.1")
    web = next(each for each in document["pods"] if each["before"]["pod_identifier"] == "web-7d4f8c9b6-prod")
    (change,) = web["maps"]
    assert [each["cidr"] for each in change["added"]] == ["10.100.1.5/32"]
    assert [each["cidr"] for each in change["removed"]] == ["10.100.1.22/32"]
    db = next(each for each in document["pods"] if each["before"]["pod_identifier"] == "db-prod")
    lines = [(line["kind"], line["text"]) for way in db["directions"] for line in way["lines"]]
    peer = "10.100.1.5/32 (prod/frontend-6b8f5d7c9-t9w5k)"
    assert ("newly-allowed", f"{peer}: TCP 6000-6023") in lines
    assert {each["detector"] for each in document["findings"]["vanished"]} == {"missing-entry", "stale-entry"}
    assert document["findings"]["appeared"] == []


def test_the_two_forms_of_one_identifier_are_one_pod():
    document = diff_document(report(HEALTHY[0]), report(HEALTHY[1]))

    assert document["summary"]["pods_compared"] == 7
    assert document["unpaired_pods"] == {"before": [], "after": []}
    text = render(document)
    assert "web-7d4f8c9b6-prod → web-7d4f8c9b6@prod" in text
    assert "10.66.0.0/16: all traffic" in text
    assert "\x1b" not in text


def test_two_pods_of_one_case_side_by_side():
    document = diff_document(report(HEALTHY[0]), report(HEALTHY[0]), pod="prod/web-7d4f8c9b6-abcde", other="db-prod")

    (pod,) = document["pods"]
    assert (pod["before"]["pod_identifier"], pod["after"]["pod_identifier"]) == ("web-7d4f8c9b6-prod", "db-prod")
    assert not pod["same"]


def documented(name):
    """{(map, kind, cidr)} of the document's comparisons, and the kinds of its traffic."""
    document = report(name).document
    found, kinds = set(), set()
    for pod in document["pods"]:
        for direction, told in pod["comparison"].items():
            kinds |= {line["kind"] for line in told.get("lines", ())}
            for each in told.get("entries", ()):
                tier = "cp_" if each["tier"] == "cluster" else ""
                found.add((f"{pod['pod_identifier']}_{tier}{direction}_map", each["kind"], each["cidr"]))
    return found, kinds


@pytest.mark.parametrize("name", HEALTHY)
def test_the_document_of_a_healthy_node_differs_nowhere(name):
    document = report(name).document
    told = [each for pod in document["pods"] for each in pod["comparison"].values() if each["compared"]]

    assert told
    assert all(each["same"] for each in told)


FAULT_KINDS = {
    "cidr-texts-collide-on-one-key": "changed",
    "port-slots-overflow": "changed",
    "egress-catch-all-missing": "missing",
    "missing-entry-in-kernel-map": "missing",
    "extra-entry-in-kernel-map": "extra",
    "namespace-rules-written-to-cluster-map": "extra",
    "missing-from-namespace-map": "missing",
    "stale-in-namespace-map": "extra",
}
FAULTY = ("cidr-collision-v1.3.1", "overflow-24-v1.2.7", "egress-catchall-v1.3.1", "drift-planted-entry-v1.4.1",
          "self-ip-v1.3.0-private-cidrs")  # fmt: skip


@pytest.mark.parametrize("name", FAULTY)
def test_the_document_of_a_faulty_node_differs_where_truth_says_and_nowhere_else(name):
    planted = {
        (fault["map"], FAULT_KINDS[fault["kind"]], cidr)
        for fault in truth(f"bundles2/{name}")["planted_faults"]
        if fault["kind"] in FAULT_KINDS
        for cidr in fault["keys"]
    }

    found, kinds = documented(f"bundles2/{name}")

    assert found == planted
    assert kinds


def test_pods_without_their_state_key_lose_everything_in_the_document():
    name = "bundles2/missing-key1-v1.3.4"
    hit = {fault["map"].rsplit("_", 4)[0] for fault in truth(name)["planted_faults"] if fault["map"]}

    told = {pod["pod_identifier"]: pod["comparison"] for pod in report(name).document["pods"]}

    differ = {pod for pod, ways in told.items() if any(way["compared"] and not way["same"] for way in ways.values())}
    # no PolicyEndpoint speaks for the other pod's namespace
    judged = {pod for pod in hit if told[pod]["ingress"]["compared"]}
    assert judged == {"thumbs-5f6d8c9b74-web"} == differ
    for pod in judged:
        for way in told[pod].values():
            assert way["entries"] == []
            assert ["wrongly-denied 0.0.0.0/0: all traffic"] == [f"{e['kind']} {e['text']}" for e in way["lines"]]
