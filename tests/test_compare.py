"""Intent against kernel: hand-reasoned entries and packets, and every packet of small spaces asked one by one."""

from __future__ import annotations

import ipaddress
import json
import random
import struct

import pytest
from programs import cluster, namespace
from small_case import NODE, context, value

from forensics import collect, fold, traffic
from forensics.classes import canonical_cluster, canonical_namespace
from forensics.compare import Comparison, NotComparable, compare
from forensics.comparison_rows import comparison_rows
from forensics.datapath import Datapath, Packet
from forensics.fold import AGAINST_POLICY, Pods
from forensics.partition import cidrs_of, gaps, merged, partition, texts
from forensics.podstate import PodRef
from forensics.ruleset import Slot
from forensics.semantics import Answer, Difference, Side, compare_sides
from forensics.traffic import Traffic
from formats.address import key_of_cidr

POD = {"name": "web-7d4f8c9b6-abcde", "namespace": "prod", "podIP": "10.1.2.20", "hostIP": NODE}
WEB = "web-7d4f8c9b6-prod"
ANY = (254, 0, 0)
OWN = f"{NODE}/32"
MINE = ("prod", "web-7d4f8c9b6-abcde", "10.1.2.20", True)


def rule(cidr, *ports, out=()):
    made = {"cidr": cidr}
    if ports:
        made["ports"] = [dict(zip(("protocol", "port", "endPort"), port, strict=False)) for port in ports]
    if out:
        made["except"] = list(out)
    return made


def endpoint(*ingress, name="web-1", namespace="prod", rows=(POD,), **spec):
    return {
        "kind": "PolicyEndpoint",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "policyRef": {"name": name.rpartition("-")[0], "namespace": namespace},
            "podSelectorEndpoints": list(rows),
            "ingress": list(ingress),
            **spec,
        },
    }


def cluster_endpoint(*ingress, tier="Admin", priority=10):
    return {
        "kind": "ClusterPolicyEndpoint",
        "metadata": {"name": "cnp-1"},
        "spec": {
            "policyRef": {"name": "cnp"},
            "tier": tier,
            "priority": priority,
            "podSelectorEndpoints": [POD],
            "ingress": list(ingress),
        },
    }


def compared(objects, ingress, *, cp=None, states=None, **more) -> Comparison:
    maps = {"ingress_map": ingress, "cp_ingress_map": cp or {}}
    found = compare(context(objects, maps, identifier=WEB, states=states or {0: 0, 1: 1}, **more), "ingress")
    assert isinstance(found, Comparison)
    return found


def entries(found):
    return [(each.tier, each.kind, each.cidr, each.cause, each.admissible) for each in found.entries]


def packets(found):
    return [
        (fold.kind_of(each, AGAINST_POLICY), texts(each.peers, 4), traffic.text(each.traffic), each.causes)
        for each in found.differences
        if each.traffic.ordinary
    ]


# --- equal maps cost nothing ---------------------------------------------------------------------------------------

EQUAL = {OWN: [ANY], "10.0.0.0/8": [(17, 53, 0), (6, 80, 0)]}
ASKED = endpoint(rule("10.0.0.0/8", ("TCP", 80), ("UDP", 53)))


def test_equal_maps_under_equal_pod_states_are_answered_without_a_question():
    found = compared([ASKED], EQUAL)

    assert found.same
    assert (found.compared.intervals, found.compared.asked) == (0, 0)


@pytest.mark.parametrize(
    ("why", "more"),
    [
        ("another pod state", {"states": {0: 2, 1: 1}}),
        ("a value that is not shown", {"unknown": ("10.0.0.0/8",)}),
        ("a dump that may go on", {"whole": False}),
        ("a program that looks at fewer slots", {"version": "v1.0.4", "states": None}),
    ],
)
def test_what_makes_equal_maps_doubtful_is_compared(why, more):
    found = compared([ASKED], EQUAL, **more)

    assert found.compared.intervals > 0, why


def test_several_slots_of_which_one_is_reserved_are_compared():
    # before v1.2.4 the value of an except repeats RESERVED with the ports of its network
    asked = endpoint(rule("10.0.0.0/8", ("TCP", 80), out=("10.1.0.0/16",)), rule("10.0.0.0/9", ("TCP", 90)))
    written = {"10.0.0.0/8": [(6, 80, 0)], "10.0.0.0/9": [(6, 80, 0), (6, 90, 0)]}

    found = compared([asked], {OWN: [ANY], **written, "10.1.0.0/16": [(255, 80, 0), (255, 0, 0)]}, version="v1.2.0",
                     states={0: 0})  # fmt: skip

    assert found.same
    assert found.compared.intervals > 0


def test_an_empty_list_of_cluster_policies_says_that_there_are_none():
    listed = {"kind": "ClusterPolicyEndpointList", "metadata": {"name": ""}, "items": []}

    found = compared([ASKED, listed], EQUAL, cp={"192.0.2.0/24": [(6, 101, 80, 0)]}, states={0: 0, 1: 0})

    assert entries(found) == [("cluster", "extra", "192.0.2.0/24", None, False)]
    assert packets(found) == [("wrongly-allowed", ["192.0.2.0/24"], "TCP 80", ("unexplained",))]


def test_maps_that_enforce_nothing_are_not_held_against_policies():
    made = context([ASKED], {"ingress_map": {}, "egress_map": {}}, identifier=WEB, states={0: 0, 1: 1})
    made.pod.superseded_by = "web-7d4f8c9b6@prod"

    told = comparison_rows(made)

    assert {row["compared"] for row in told.values()} == {False}
    assert "web-7d4f8c9b6@prod is in force" in told["ingress"]["why"]


def test_rows_are_plain_values_in_both_directions():
    made = context([ASKED], {"ingress_map": {OWN: [ANY]}, "cp_ingress_map": {}}, identifier=WEB, states={0: 0, 1: 1},
                   pods=[MINE, ("prod", "cart-0", "10.0.0.9", False)])  # fmt: skip

    told = comparison_rows(made)

    assert told["egress"] == {
        "compared": False,
        "why": "no dump of egress_map",
        "missing": [{"what": collect.map_dump(made, "egress_map").what,
                     "command": collect.map_dump(made, "egress_map").command}],
    }  # fmt: skip
    ingress = told["ingress"]
    assert [(line["kind"], line["text"], line["pods"], line["shortfall"]) for line in ingress["lines"]] == [
        (
            "wrongly-denied",
            "10.0.0.0/8 but 10.1.2.10/32: TCP 80; UDP 53",
            ["prod/cart-0", MINE[0] + "/" + MINE[1]],
            False,
        )
    ]
    assert [(each["cidr"], each["kind"], each["lost"]) for each in ingress["entries"]] == [
        ("10.0.0.0/8", "missing", ["TCP 80", "UDP 53"])
    ]
    assert json.loads(json.dumps(told)) == told


def test_cluster_policies_alone_are_compared_with_the_cluster_map():
    asked = [cluster_endpoint({**rule("192.0.2.0/24"), "action": "Deny"})]

    found = compared(asked, {OWN: [ANY], "10.0.0.7/32": [ANY]}, states={0: 0, 1: 0})

    assert entries(found) == [("cluster", "missing", "192.0.2.0/24", None, False)]
    # nothing in the namespace map admits them either: denied all the same, by the wrong tier
    assert packets(found) == [("wrong-tier", ["192.0.2.0/24"], "all traffic", ("unexplained",))]
    assert found.assumptions == [
        "no PolicyEndpoint is in the input: what the namespace map holds is taken as asked for"
    ]


# --- entries and packets, by hand ---------------------------------------------------------------------------------


def test_the_slots_in_another_order_are_no_difference():
    asked = endpoint(rule("10.0.0.0/8", ("TCP", 80), ("UDP", 53)))

    found = compared([asked], {OWN: [ANY], "10.0.0.0/8": [(17, 53, 0), (6, 80, 0)]})

    assert found.entries == []
    assert found.differences == []


def test_a_missing_address_is_what_its_wider_network_makes_of_it():
    asked = endpoint(rule("10.0.0.0/8", ("TCP", 80)), rule("10.0.0.7", ("TCP", 90)))

    found = compared([asked], {OWN: [ANY], "10.0.0.0/8": [(6, 80, 0)]})

    assert entries(found) == [("namespace", "missing", "10.0.0.7/32", None, False)]
    assert packets(found) == [("wrongly-denied", ["10.0.0.7/32"], "TCP 90", ("unexplained",))]


def test_an_extra_address_lets_in_what_nobody_asked_for():
    found = compared([endpoint(rule("10.0.0.7"))], {OWN: [ANY], "10.0.0.7/32": [ANY], "192.0.2.9/32": [(6, 22, 23)]})

    assert entries(found) == [("namespace", "extra", "192.0.2.9/32", None, False)]
    assert packets(found) == [("wrongly-allowed", ["192.0.2.9/32"], "TCP 22-23", ("unexplained",))]


def test_one_changed_port_is_two_runs_of_packets():
    found = compared([endpoint(rule("10.0.0.7", ("TCP", 80)))], {OWN: [ANY], "10.0.0.7/32": [(6, 81, 0)]})

    (each,) = found.entries
    assert (each.lost, each.gained) == (((6, 80, 0),), ((6, 81, 0),))
    assert packets(found) == [
        ("wrongly-allowed", ["10.0.0.7/32"], "TCP 81", ("unexplained",)),
        ("wrongly-denied", ["10.0.0.7/32"], "TCP 80", ("unexplained",)),
    ]


def test_overflow_names_what_was_lost_and_is_no_deviation():
    ports = [("TCP", port) for port in range(100, 130)]
    kept = [(6, port, 0) for port in range(106, 130)]

    found = compared([endpoint(rule("10.9.0.0/16", *ports))], {OWN: [ANY], "10.9.0.0/16": kept})

    assert entries(found) == [("namespace", "changed", "10.9.0.0/16", "overflow", True)]
    assert [(6, port, 0) for port in range(100, 106)] == list(found.entries[0].lost)
    assert packets(found) == [("wrongly-denied", ["10.9.0.0/16"], "TCP 100-105", ("overflow",))]
    assert found.deviations == []


def test_fewer_slots_than_fit_are_no_overflow():
    ports = [("TCP", port) for port in range(100, 130)]
    kept = [(6, port, 0) for port in range(107, 130)]

    found = compared([endpoint(rule("10.9.0.0/16", *ports))], {OWN: [ANY], "10.9.0.0/16": kept})

    assert entries(found) == [("namespace", "changed", "10.9.0.0/16", None, False)]


def test_colliding_spellings_leave_one_of_two():
    asked = endpoint(rule("10.0.0.0/8", ("TCP", 443)), rule("10.9.0.0/8", ("TCP", 5432)))

    found = compared([asked], {OWN: [ANY], "10.0.0.0/8": [(6, 443, 0)]})

    assert entries(found) == [("namespace", "changed", "10.0.0.0/8", "collision", True)]
    lost = [each for each in packets(found) if each[2] == "TCP 5432"]
    assert lost == [("wrongly-denied", ["10.0.0.0-10.1.2.9", "10.1.2.11-10.255.255.255"], "TCP 5432", ("collision",))]


def test_a_rule_that_begins_with_the_nodes_address_is_left_out_with_its_network():
    asked = endpoint(rule(f"{NODE}/24", ("TCP", 80)))

    found = compared([asked], {OWN: [ANY]})

    assert entries(found) == [("namespace", "missing", "10.1.2.0/24", "node-ip", True)]
    assert packets(found) == [
        ("wrongly-denied", ["10.1.2.0/29", "10.1.2.8/31", "10.1.2.11-10.1.2.255"], "TCP 80", ("node-ip",))
    ]


def test_ports_that_a_left_out_network_would_have_passed_on_have_its_cause():
    asked = endpoint(rule(f"{NODE}/24", ("TCP", 80)), rule("10.1.2.77", ("TCP", 90)))

    found = compared([asked], {OWN: [ANY], "10.1.2.77/32": [(6, 90, 0)]})

    assert ("namespace", "changed", "10.1.2.77/32", "node-ip", True) in entries(found)


def test_an_ipv6_address_without_colons_together_is_left_out_to_v1_3_1():
    node, long = "2001:db8:9::10", "2001:db8:1:2:3:4:5:6"
    asked = endpoint(rule(long, ("TCP", 80)))
    maps = {"ingress_map": {f"{node}/128": [ANY]}, "cp_ingress_map": {}}

    found = compare(
        context([asked], maps, identifier=WEB, node_ip=node, family=6, states={0: 0, 1: 1}, version="v1.3.1"), "ingress"
    )

    assert isinstance(found, Comparison)
    assert [("namespace", "missing", f"{long}/128", "family", True)] == entries(found)
    assert [f"{long}/128"] == texts(found.differences[0].peers, 6)


def test_the_lost_catch_all_of_egress_has_its_cause():
    asked = endpoint(rule("10.0.0.7"), podIsolation=["Ingress"])
    maps = {"egress_map": {OWN: [ANY]}, "cp_egress_map": {}}

    found = compare(context([asked], maps, identifier=WEB, states={0: 0, 1: 1}), "egress")

    assert isinstance(found, Comparison)
    assert entries(found) == [("namespace", "missing", "0.0.0.0/0", "catch-all-lost", False)]
    assert packets(found)[0][::2] == ("wrongly-denied", "all traffic")


def test_namespace_rules_in_the_cluster_map_are_charged_to_the_other_tier():
    asked = endpoint(rule("10.0.0.7", ("TCP", 8080)))
    maps = {
        "ingress_map": {OWN: [ANY], "10.0.0.7/32": [(6, 8080, 0)]},
        "cp_ingress_map": {"10.0.0.7/32": value([(6, 8080, 0)]).ljust(384, b"\0")},
    }
    made = context([asked, cluster_endpoint(rule("192.0.2.1"))], maps, identifier=WEB, states={0: 0, 1: 0})
    made.pod.maps["cp_ingress_map"].value_size = 384

    found = compare(made, "ingress")

    assert isinstance(found, Comparison)
    assert ("cluster", "extra", "10.0.0.7/32", "other-tier", False) in entries(found)
    assert ("wrongly-denied", ["10.0.0.7/32"], "TCP 8080", ("other-tier",)) in packets(found)


def test_a_lone_cluster_rule_that_is_missing_is_charged_to_its_entry():
    asked = [endpoint(rule("10.0.0.7")), cluster_endpoint({**rule("10.0.0.7"), "action": "Deny"})]

    found = compared(asked, {OWN: [ANY], "10.0.0.7/32": [ANY]}, cp={}, states={0: 0, 1: 0}, version="v1.4.1")

    assert entries(found) == [("cluster", "missing", "10.0.0.7/32", None, False)]
    assert packets(found) == [("wrongly-allowed", ["10.0.0.7/32"], "all traffic", ("unexplained",))]


def test_the_right_verdict_by_the_wrong_tier_is_said_apart():
    asked = [endpoint(rule("10.0.0.7")), cluster_endpoint({**rule("10.0.0.7"), "action": "Accept"})]

    found = compared(asked, {OWN: [ANY], "10.0.0.7/32": [ANY]}, cp={}, states={0: 0, 1: 0}, version="v1.4.1")

    (each,) = [each for each in found.differences if each.traffic.ordinary]
    assert ("wrong-tier", Answer("OK", 2), Answer("OK", 1)) == (
        fold.kind_of(each, AGAINST_POLICY),
        each.left,
        each.right,
    )


def test_the_nodes_own_entry_may_stay_when_the_last_policy_went():
    other = endpoint(rule("10.0.0.7"), rows=({**POD, "name": "api-5c9d7f4b8-qk2zt"},))

    found = compared([other], {OWN: [ANY]}, states={0: 1, 1: 1}, pods=[MINE])

    assert found.entries == []
    assert found.differences == []


def test_a_pod_state_that_no_policy_leads_to_is_a_cause_of_its_own():
    asked = endpoint(rule("10.0.0.7"))

    found = compared([asked], {OWN: [ANY], "10.0.0.7/32": [ANY]}, states={0: 1, 1: 1})

    assert found.entries == []
    assert {("pod-state",)} == {each.causes for each in found.differences}


def test_a_pod_state_key_that_is_missing_denies_everything():
    asked = endpoint(rule("10.0.0.7"))

    found = compared([asked], {OWN: [ANY], "10.0.0.7/32": [ANY]}, states={0: 0})

    assert found.entries == []
    assert {(fold.kind_of(each, AGAINST_POLICY), each.left) for each in found.differences} == {
        ("wrongly-denied", Answer("SHOT", 0)),
        ("wrong-tier", Answer("SHOT", 0)),
    }
    assert {each.causes for each in found.differences} == {("pod-state",)}


def test_left_over_entries_of_v1_2_are_by_design_and_have_no_effect():
    other = endpoint(rule("10.0.0.7"), rows=({**POD, "name": "api-5c9d7f4b8-qk2zt"},))

    found = compared([other], {OWN: [ANY], "10.0.0.9/32": [ANY]}, states={0: 1}, version="v1.2.7", pods=[MINE])

    assert entries(found) == [("namespace", "extra", "10.0.0.9/32", "left-over", True)]
    assert found.differences == []


# --- what is not known -------------------------------------------------------------------------------------------


def test_an_address_that_a_cut_dump_may_hide_is_not_judged():
    asked = endpoint(rule("10.0.0.7"), rule("10.0.0.8"))

    found = compared([asked], {OWN: [ANY], "10.0.0.7/32": [ANY]}, whole=False)

    assert found.entries == []
    assert found.differences == []
    assert texts(found.compared.undecided, 4) == ["10.0.0.8/32"]
    assert any("not shown whole" in note for note in found.assumptions)


def test_a_value_that_is_not_known_is_not_judged():
    asked = endpoint(rule("10.0.0.7", ("TCP", 80)))

    found = compared([asked], {OWN: [ANY], "10.0.0.7/32": [(6, 81, 0)]}, unknown=("10.0.0.7/32",))

    assert (found.entries, found.differences) == ([], [])
    assert texts(found.compared.undecided, 4) == ["10.0.0.7/32"]


def test_without_policies_nothing_is_compared():
    found = compare(context([], {"ingress_map": {OWN: [ANY]}}, identifier=WEB), "ingress")

    assert isinstance(found, NotComparable)
    assert found.missing


def test_a_map_that_was_not_dumped_is_taken_as_asked_and_said():
    maps = {"ingress_map": {OWN: [ANY], "10.0.0.7/32": [ANY]}}

    found = compare(context([endpoint(rule("10.0.0.7"))], maps, identifier=WEB), "ingress")

    assert isinstance(found, Comparison)
    assert found.differences == []
    assert {"no dump of cp_ingress_map", "no dump of ingress_pod_state_map"} <= {
        note.split(":")[0] for note in found.assumptions
    }


def test_without_the_nodes_address_a_lone_allow_all_is_not_judged():
    asked = endpoint(rule("10.0.0.7", ("TCP", 80)))
    kernel = {OWN: [ANY], "10.0.0.7/32": [(6, 80, 0)], "192.0.2.1/32": [(6, 1, 0)]}

    found = compared([asked], kernel, node_ip=None)

    assert entries(found) == [("namespace", "extra", "192.0.2.1/32", None, False)]
    assert [each[1] for each in packets(found)] == [["192.0.2.1/32"]]


def test_pods_of_two_namespaces_under_one_identifier_are_compared_with_the_one_that_fits():
    shared = {"name": "w-5c9d7f4b8-aaaaa", "namespace": "b-c", "podIP": "10.1.2.21", "hostIP": NODE}
    twin = {"name": "w-5c9d7f4b8-b-aaaaa", "namespace": "c", "podIP": "10.1.2.22", "hostIP": NODE}
    mine = endpoint(rule("10.0.0.7"), name="one-1", namespace="b-c", rows=(shared,))
    theirs = endpoint(rule("10.0.0.8"), name="two-1", namespace="c", rows=(twin,))
    maps = {"ingress_map": {OWN: [ANY], "10.0.0.8/32": [ANY]}, "cp_ingress_map": {}}

    made = context([mine, theirs], maps, identifier="w-5c9d7f4b8-b-c", states={0: 0, 1: 1})
    found = compare(made, "ingress")

    assert isinstance(found, Comparison)
    assert found.entries == []
    assert found.differences == []
    assert found.assumptions == ["pods of namespace b-c share this identifier: compared with the policies of c only"]


# --- every packet of a small space --------------------------------------------------------------------------------

PROTOCOLS = (0, 1, 2, 6, 17, 58, 132, 254, 255)
VERSIONS = ("v1.0.4", "v1.1.0", "v1.2.3", "v1.2.7", "v1.3.0", "v1.4.1")


def _slot(dice):
    return dice.choice((0, 1, 6, 6, 17, 132, 254, 255)), dice.choice((0, 0, 3, 10, 20)), dice.choice((0, 0, 5, 12, 30))


def _cluster_slot(dice):
    protocol, start, end = _slot(dice)
    return protocol, dice.choice((0, 1, 2, 10, 11, 12, 10000, 10011, 20000, 20001, 20002, 655362)), start, end


def _key(dice, base):
    length = dice.choice((0, 8, 28, 29, 30, 31, 32, 32))
    if base.version == 6 and length:
        length += 96
    return struct.pack("<I", length) + (int(base) + dice.randrange(16)).to_bytes(4 if base.version == 4 else 16, "big")


def _maps(dice, base, like=None):
    made = ({}, {}) if like is None else ({**like[0]}, {**like[1]})
    for entries, build, slot in ((made[0], namespace, _slot), (made[1], cluster, _cluster_slot)):
        keys = [_key(dice, base) for _ in range(dice.randrange(4))] if like is None else list(entries)
        for key in keys:
            if like is None or dice.random() < 0.4:
                entries[key] = build(*(slot(dice) for _ in range(dice.randrange(4))))
    return made


@pytest.mark.parametrize("seed", range(60))
def test_every_packet_of_a_small_space_is_told_as_the_programs_tell_it(seed):
    dice = random.Random(seed)
    version = dice.choice(VERSIONS)
    base = ipaddress.ip_address(dice.choice(("10.0.0.0", "2001:db8::")))
    left = _maps(dice, base)
    right = _maps(dice, base, left if dice.random() < 0.5 else None)
    states = [{key: dice.choice((0, 1, 2)) for key in (0, 1) if dice.random() < 0.95} for _ in range(2)]
    if dice.random() < 0.5:
        states[1] = states[0]

    found = compare_sides(Side(version, *left, states[0]), Side(version, *right, states[1]), base.version)

    programs = [
        Datapath(version, base.version, "ingress", {"ingress_map": maps[0], "cp_ingress_map": maps[1]}, state)
        for maps, state in zip((left, right), states, strict=True)
    ]
    pod = ipaddress.ip_address("10.9.8.7" if base.version == 4 else "2001:db8:9::7")
    for number in (0, *range(int(base) - 1, int(base) + 17), (1 << (32 if base.version == 4 else 128)) - 1):
        peer = type(base)(number)
        for protocol in PROTOCOLS:
            for port in (*range(41), 65535) if protocol in (6, 17, 132) else (0,):
                packet = Packet(peer, pod, protocol, 1024, port)
                answers = tuple(Answer(each.action, each.tier) for each in (p.verdict(packet) for p in programs))
                told = [
                    (each.left, each.right)
                    for each in found.differences
                    if any(first <= number <= last for first, last in each.peers) and each.traffic.holds(protocol, port)
                ]
                assert told == ([] if answers[0] == answers[1] else [answers]), (version, peer, protocol, port)


@pytest.mark.parametrize("seed", range(30))
def test_more_slots_than_a_value_has_are_asked_as_one_long_value(seed):
    """A list of 24 + n slots against the same slots split over values that the program can hold."""
    dice = random.Random(seed)
    slots = [Slot(dice.choice((6, 17, 132)), dice.randrange(1, 60), 0) for _ in range(30)]
    key = key_of_cidr("10.0.0.1/32")
    packed = [namespace(*((s.protocol, s.start_port, s.end_port) for s in slots[at : at + 24])) for at in (0, 24)]

    found = compare_sides(Side("v1.3.1", {key: packed[0]}, {}, {0: 0, 1: 1}),
                          Side("v1.3.1", {key: tuple(slots)}, {}, {0: 0, 1: 1}), 4)  # fmt: skip

    programs = [Datapath("v1.3.1", 4, "ingress", {"ingress_map": {key: each}}, {0: 0, 1: 1}) for each in packed]
    for protocol in (6, 17, 132):
        for port in range(62):
            packet = Packet("10.0.0.1", "10.9.8.7", protocol, 1024, port)
            first, rest = (program.verdict(packet).action for program in programs)
            told = any(each.traffic.holds(protocol, port) for each in found.differences)
            assert told == (first == "SHOT" and rest == "OK")


def test_a_thousand_equal_entries_are_asked_about_once():
    kernel = {key_of_cidr(f"10.0.{n >> 8}.{n & 255}/32"): namespace((6, 81, 0)) for n in range(1000)}
    asked = {key: (Slot(6, 80, 0),) for key in kernel}

    found = compare_sides(Side("v1.3.1", kernel, {}, {0: 0, 1: 1}), Side("v1.3.1", asked, {}, {0: 0, 1: 1}), 4)

    assert [each.peers for each in found.differences] == [((10 << 24, (10 << 24) + 999),)] * 2
    assert found.asked < 20


# --- canonical values -----------------------------------------------------------------------------------------------


def test_order_and_repetition_do_not_make_another_value():
    assert canonical_namespace(namespace((6, 80, 0), (17, 53, 0), (6, 80, 0)), 24) == canonical_namespace(
        (Slot(17, 53, 0), Slot(6, 80, 0)), 24
    )


def test_a_full_value_has_no_slot_that_is_not_in_use():
    full = namespace(*((6, port, 0) for port in range(1, 25)))

    assert Slot(0, 0, 0) not in canonical_namespace(full, 24)
    assert Slot(0, 0, 0) in canonical_namespace(namespace((6, 1, 0)), 24)
    assert Slot(0, 0, 0, 0) in canonical_cluster(cluster((6, 11, 1, 0)))


def test_nothing_behind_a_reserved_slot_counts():
    hidden = canonical_namespace(namespace((6, 80, 0), (255, 0, 0), (6, 81, 0)), 24)

    assert (Slot(6, 80, 0), Slot(255, 0, 0)) == hidden


def test_slots_the_program_does_not_look_at_do_not_count():
    assert canonical_namespace(namespace((6, 1, 0), (6, 2, 0)), 1) == (Slot(6, 1, 0),)


# --- ranges and words ---------------------------------------------------------------------------------------------


def test_nested_prefixes_are_cut_into_disjoint_intervals():
    keys = [key_of_cidr(cidr) for cidr in ("10.0.0.0/30", "10.0.0.1/32", "10.0.0.2/31")]

    cut = partition([keys], 4)

    base = 10 << 24
    assert [0, base, base + 1, base + 2, base + 4] == cut.starts
    assert cut.rows.tolist() == [[-1, 0, 1, 2, -1]]
    assert (base + 4, (1 << 32) - 1) == cut.span(4)


@pytest.mark.parametrize(
    ("span", "cidrs"),
    [
        ((0, (1 << 32) - 1), ["0.0.0.0/0"]),
        ((10, 10), ["0.0.0.10/32"]),
        ((1, 6), ["0.0.0.1/32", "0.0.0.2/31", "0.0.0.4/31", "0.0.0.6/32"]),
        ((256, 767), ["0.0.1.0/24", "0.0.2.0/24"]),
    ],
)
def test_a_span_is_its_fewest_cidrs(span, cidrs):
    assert cidrs == cidrs_of(span, 4)
    assert cidrs == [str(net) for net in ipaddress.summarize_address_range(*map(ipaddress.IPv4Address, span))]


def test_spans_that_touch_are_one_and_gaps_are_what_is_left():
    assert merged([(8, 9), (3, 5), (1, 2)]) == ((1, 5), (8, 9))
    assert gaps(((1, 5), (8, 9)), 0, 12) == ((0, 0), (6, 7), (10, 12))


EVERY = ((0, 65535),)
REST = merged((number, number) for number in traffic.other_protocols(4))


@pytest.mark.parametrize(
    ("packets_", "said"),
    [
        (Traffic(EVERY, EVERY, EVERY, REST), "all traffic"),
        (Traffic(EVERY, EVERY, EVERY, ((1, 5), (7, 16), (18, 131), (133, 253))), "all traffic"),
        (Traffic(tcp=((80, 80), (443, 443))), "TCP 80, 443"),
        (Traffic(tcp=((0, 442), (444, 65535))), "TCP on every port but 443"),
        (Traffic(udp=((0, 32767),)), "UDP 0-32767"),
        (Traffic(EVERY, (), (), REST), "TCP; other protocols"),
        (Traffic(others=((1, 1),)), "ICMP"),
        (Traffic(others=((0, 0),)), "protocol 0"),
        (Traffic(tcp=((1, 1),), others=((0, 0),)), "TCP 1"),
        (Traffic(others=((47, 47), (50, 51))), "protocols 47, 50-51"),
    ],
)
def test_traffic_in_words(packets_, said):
    assert said == traffic.text(packets_)


def test_packets_that_nobody_sends_are_not_ordinary():
    assert not Traffic(others=((0, 0), (254, 255))).ordinary
    assert Traffic(others=((1, 1),)).ordinary


# --- folding --------------------------------------------------------------------------------------------------------

DENIED, ALLOWED = Answer("SHOT", 2), Answer("OK", 2)


def differs(peers, tcp, left=DENIED, right=ALLOWED, causes=()):
    return Difference(4, peers, Traffic(tcp=tcp), left, right, causes)


def test_equal_traffic_of_neighbours_is_one_line():
    lines = fold.fold(
        [differs(((1, 1),), ((80, 80),)), differs(((2, 2),), ((80, 80),), Answer("SHOT", 1))], AGAINST_POLICY
    )

    assert [line.peers for line in lines] == [((1, 2),)]


def test_a_crowd_is_ten_lines_and_the_last_says_that_it_is_not_exact():
    crowd = [differs(((n * 4, n * 4),), ((n + 1, n + 1),)) for n in range(100)]

    lines = fold.fold(crowd, AGAINST_POLICY)

    assert len(lines) == 10
    assert [line.partly for line in lines] == [False] * 9 + [True]
    assert sum(last - first + 1 for first, last in lines[-1].peers) == 91
    assert fold.line_text(lines[-1], Pods(())).count("parts of TCP") == 1


def test_pods_are_named_behind_their_addresses():
    pods = Pods([PodRef("prod", "db-0", "10.0.0.5", True), PodRef("prod", "db-1", "10.0.0.9", True)])
    base = 10 << 24

    assert pods.behind(((base + 4, base + 6),), 4) == ["prod/db-0"]
    assert pods.who(((base + 5, base + 5),), 4) == "10.0.0.5/32 (prod/db-0)"
    assert pods.behind(((base, base + 100),), 6) == []


def test_a_network_with_a_hole_is_said_so():
    base = 10 << 24

    assert Pods(()).who(((base, base + 4), (base + 6, base + (1 << 24) - 1)), 4) == "10.0.0.0/8 but 10.0.0.5/32"
