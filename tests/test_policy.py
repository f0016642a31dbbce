"""Expected entries: hand-reasoned cases per version, a naive reference, and shuffles that must change nothing."""

from __future__ import annotations

import random
import time
from itertools import permutations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from forensics.admissible import AdmissibleSet
from forensics.policy import (
    ABSENT,
    expected_entries,
    expected_map,
    expected_pod_state,
    host_veth,
    identifiers,
    is_selected,
    isolation,
    pod_identifier,
    policies_for,
    wanted_entries,
)
from tests import policy_reference as naive

NODE, NODE6 = "10.1.2.10", "2001:db8:9::10"
POD = {"name": "web-7d4f8c9b6-abcde", "namespace": "prod", "podIP": "10.1.2.20", "hostIP": NODE}
ANY = (254, 0, 0)
DENY = (255, 0, 0)


def rule(cidr, *ports, out=(), **more):
    made = {"cidr": cidr, **more}
    if ports:
        made["ports"] = [dict(zip(("protocol", "port", "endPort"), port, strict=False)) for port in ports]
    if out:
        made["except"] = list(out)
    return made


def endpoint(name, *, policy=None, rows=(POD,), namespace="prod", **spec):
    return {
        "apiVersion": "networking.k8s.aws/v1alpha1",
        "kind": "PolicyEndpoint",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "policyRef": {"name": policy or name.rpartition("-")[0], "namespace": namespace},
            "podSelectorEndpoints": list(rows),
            **spec,
        },
    }


def cluster_endpoint(name, *, tier="Admin", priority=10, rows=(POD,), **spec):
    return {
        "kind": "ClusterPolicyEndpoint",
        "metadata": {"name": name},
        "spec": {
            "policyRef": {"name": name.rpartition("-")[0]},
            "tier": tier,
            "priority": priority,
            "podSelectorEndpoints": list(rows),
            **spec,
        },
    }


def identifier(version):
    return pod_identifier(POD["name"], POD["namespace"], version)


def namespace_map(objects, version="v1.3.1", direction="ingress", node=NODE):
    family = 6 if ":" in node else 4
    return expected_entries(objects, node, identifier(version), direction, version, family)["namespace"]


def cluster_map(objects, version="v1.4.1", direction="ingress", node=NODE):
    return expected_entries(objects, node, identifier(version), direction, version, 4)["cluster"]


def only(*slots):
    return frozenset({tuple(sorted(slots))})


# --- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("web-7d4f8c9b6-abcde", "v1.3.7", "web-7d4f8c9b6-prod"),
        ("web-7d4f8c9b6-abcde", "v1.4.0", "web-7d4f8c9b6@prod"),
        ("db-0", "v1.4.1", "db@prod"),
        ("nginx", "v1.0.1", "nginx-prod"),
        ("kube-proxy-ip-10-0-1-5.ec2.internal", "v1.1.2", "kube-proxy-ip-10-0-1-prod"),
        ("a.b", "v1.1.1", "a.b-prod"),
        ("a.b", "v1.1.2", "a_b-prod"),
    ],
)
def test_pod_identifier_follows_the_version(name, version, expected):
    assert expected == pod_identifier(name, "prod", version)


def test_identifiers_gives_both_separators():
    assert identifiers("web-7d4f8c9b6-abcde", "prod") == ("web-7d4f8c9b6@prod", "web-7d4f8c9b6-prod")


def test_host_veth_is_the_published_check_value():
    assert host_veth("prod", "web-7d4f8c9b6-abcde") == "eni54eda24b143"
    assert host_veth("prod", "web-7d4f8c9b6-abcde", "vlan") == "vlan54eda24b143"
    assert host_veth("prod", "web-7d4f8c9b6-abcde", index=1) != host_veth("prod", "web-7d4f8c9b6-abcde")


# --- which objects count -----------------------------------------------------------------------------------------


def test_every_slice_of_a_policy_counts_when_one_slice_selects_the_pod():
    objects = [
        endpoint("allow-aaaaa", ingress=[rule("10.2.0.1")]),
        endpoint("allow-bbbbb", rows=(), ingress=[rule("10.2.0.2")]),
        endpoint("other-ccccc", rows=(), ingress=[rule("10.2.0.3")]),
    ]

    entries = namespace_map(objects)

    assert {"10.1.2.10/32", "10.2.0.1/32", "10.2.0.2/32"} == set(entries)


def test_to_v104_only_the_slice_with_a_local_row_counts():
    objects = [
        endpoint("allow-aaaaa", ingress=[rule("10.2.0.1")]),
        endpoint("allow-bbbbb", rows=(), ingress=[rule("10.2.0.2")]),
    ]

    assert {"10.1.2.10/32", "10.2.0.1/32"} == set(namespace_map(objects, "v1.0.4"))


@pytest.mark.parametrize(("version", "counts"), [("v1.0.8", False), ("v1.1.0", True)])
def test_rows_of_other_nodes_count_from_v110(version, counts):
    elsewhere = {**POD, "name": "web-7d4f8c9b6-zzzzz", "hostIP": "10.1.9.9"}
    objects = [endpoint("allow-aaaaa", rows=[elsewhere], ingress=[rule("10.2.0.1")])]

    assert counts == bool(namespace_map(objects, version))
    assert not expected_map(objects, NODE, identifier(version), "ingress", version, 4).local


@pytest.mark.parametrize(("version", "counts"), [("v1.3.1", True), ("v1.3.2", False)])
def test_host_network_rows_are_skipped_from_v132(version, counts):
    row = {**POD, "podIP": NODE}
    objects = [endpoint("allow-aaaaa", rows=[row], ingress=[rule("10.2.0.1")])]

    assert counts == is_selected(objects, identifier(version), version)


def test_policies_of_one_name_in_two_namespaces_are_apart():
    there = {**POD, "namespace": "dev"}
    objects = [
        endpoint("allow-aaaaa", ingress=[rule("10.2.0.1")]),
        endpoint("allow-bbbbb", namespace="dev", rows=[there], ingress=[rule("10.2.0.2")]),
    ]

    found = policies_for(objects, "web-7d4f8c9b6@prod", "v1.4.1")

    assert [(policy.namespace, policy.name) for policy in found] == [("prod", "allow")]


def test_two_namespaces_under_one_legacy_identifier_leave_either_map():
    one = {"name": "a-x", "namespace": "b-c", "podIP": "10.1.2.20", "hostIP": NODE}
    two = {"name": "a-b-x", "namespace": "c", "podIP": "10.1.2.21", "hostIP": NODE}
    objects = [
        endpoint("p-aaaaa", namespace="b-c", rows=[one], ingress=[rule("10.2.0.1"), rule("10.2.0.3")]),
        endpoint("q-aaaaa", namespace="c", rows=[two], ingress=[rule("10.2.0.2"), rule("10.2.0.3", ("TCP", 80))]),
    ]

    tier = expected_map(objects, NODE, "a-b-c", "ingress", "v1.3.7", 4).namespace

    assert tier.contested == ("b-c", "c")
    assert tier.entries["10.2.0.1/32"].admissible.frozen() == frozenset({(ANY,), ABSENT})
    assert tier.entries["10.2.0.3/32"].admissible.frozen() == frozenset({(ANY,), ((6, 80, 0),)})
    assert tier.entries["10.1.2.10/32"].admissible.certain


def test_lists_are_unwrapped_and_the_newer_copy_of_an_object_wins():
    old = endpoint("allow-aaaaa", ingress=[rule("10.2.0.1")])
    new = endpoint("allow-aaaaa", ingress=[rule("10.2.0.2")])
    old["metadata"]["generation"], new["metadata"]["generation"] = 1, 2

    assert {"10.1.2.10/32", "10.2.0.2/32"} == set(namespace_map([{"kind": "List", "items": [new]}, old]))


def test_malformed_objects_cost_themselves_only():
    objects = [
        "text",
        {"kind": "PolicyEndpoint", "spec": None},
        endpoint("bad-aaaaa", ingress=[None, {"cidr": 7}, {"cidr": "10.0.0.300"}, {"cidr": "10.2.0.1", "ports": "x"}]),
        endpoint("odd-aaaaa", ingress=[{"cidr": "10.2.0.2", "ports": [{"port": [80], "protocol": {}}], "except": [1]}]),
    ]

    tier = expected_map(objects, NODE, "web-7d4f8c9b6-prod", "ingress", "v1.3.1", 4).namespace

    assert {"10.1.2.10/32", "10.2.0.1/32", "10.2.0.2/32"} == set(tier.entries)
    assert [left.reason for left in tier.skipped] == ["unreadable", "unreadable"]


# --- isolation ---------------------------------------------------------------------------------------------------


def test_unselected_identifier_has_no_entries_at_all():
    objects = [endpoint("allow-aaaaa", ingress=[rule("10.2.0.1")])]

    assert expected_entries(objects, NODE, "batch@prod", "ingress", "v1.4.1", 4) == {"namespace": {}, "cluster": {}}


def test_directions_are_isolated_apart():
    objects = [endpoint("deny-aaaaa", podIsolation=["Ingress"])]

    assert isolation(objects, "web-7d4f8c9b6@prod", "ingress") == "isolated"
    assert isolation(objects, "web-7d4f8c9b6@prod", "egress") == "open"
    assert namespace_map(objects) == {"10.1.2.10/32": only(ANY)}
    assert namespace_map(objects, direction="egress") == {"10.1.2.10/32": only(ANY), "0.0.0.0/0": only(ANY)}


def test_rules_of_one_policy_end_the_isolation_of_another():
    objects = [endpoint("deny-aaaaa", podIsolation=["Ingress"]), endpoint("allow-aaaaa", ingress=[rule("10.2.0.1")])]

    assert isolation(objects, "web-7d4f8c9b6@prod", "ingress") == "rules"


def test_a_domain_item_is_no_rule_from_v130():
    objects = [endpoint("dns-aaaaa", podIsolation=["Egress"], egress=[{"domainName": "example.com"}])]

    tier = expected_map(objects, NODE, "web-7d4f8c9b6-prod", "egress", "v1.3.1", 4).namespace

    assert tier.isolation == "isolated"
    assert {"10.1.2.10/32"} == set(tier.entries)
    assert [left.reason for left in tier.skipped] == ["no-cidr"]


def test_the_lost_egress_catch_all_is_expected_and_noted():
    objects = [endpoint("allow-aaaaa", podIsolation=["Ingress"], ingress=[rule("10.2.0.1")])]

    notes = {
        version: expected_map(objects, NODE, identifier(version), "egress", version, 4).namespace.notes
        for version in ("v1.2.7", "v1.3.0", "v1.4.0", "v1.4.1")
    }

    assert [bool(note) for note in notes.values()] == [False, True, True, False]
    assert "0.0.0.0/0" in namespace_map(objects, "v1.3.1", "egress")


# --- algorithm A -------------------------------------------------------------------------------------------------


def test_narrower_networks_take_over_wider_ports_unless_excepted():
    objects = [
        endpoint(
            "allow-aaaaa",
            ingress=[
                rule("10.2.0.0/16", ("TCP", 443), out=["10.2.3.0/24"]),
                rule("10.2.1.1", ("TCP", 80)),
                rule("10.2.3.3", ("TCP", 81)),
                rule("0.0.0.0/0", ("UDP", 53)),
            ],
        )
    ]

    entries = namespace_map(objects)

    assert entries == {
        "10.1.2.10/32": only(ANY),
        "0.0.0.0/0": only((17, 53, 0)),
        "10.2.0.0/16": only((6, 443, 0), (17, 53, 0)),
        "10.2.1.1/32": only((6, 80, 0), (6, 443, 0), (17, 53, 0)),
        "10.2.3.0/24": only(DENY),
        "10.2.3.3/32": only((6, 81, 0), (17, 53, 0)),
    }


def test_a_rule_for_the_excepted_network_wins_from_v124():
    objects = [endpoint("allow-aaaaa", ingress=[rule("0.0.0.0/0", out=["10.0.0.0/8"]), rule("10.0.0.0/8")])]

    entries = namespace_map(objects)

    assert entries["10.0.0.0/8"] == only(ANY)


def test_rules_at_the_node_address_are_dropped_whatever_their_mask_until_head():
    objects = [endpoint("allow-aaaaa", ingress=[rule("10.1.2.10/16", ("TCP", 80)), rule("10.1.2.10", ("TCP", 80))])]

    assert namespace_map(objects, "v1.4.1") == {"10.1.2.10/32": only(ANY)}
    assert namespace_map(objects, "HEAD") == {"10.1.2.10/32": only(ANY), "10.1.0.0/16": only((6, 80, 0))}
    wanted = wanted_entries(objects, NODE, "web-7d4f8c9b6@prod", "ingress", "v1.4.1", 4)["namespace"]
    assert wanted == namespace_map(objects, "HEAD")


def test_an_except_replaces_the_node_entry():
    objects = [endpoint("allow-aaaaa", ingress=[rule("10.0.0.0/8", out=["10.1.2.10/32"])])]

    assert namespace_map(objects)["10.1.2.10/32"] == only(DENY)
    wanted = wanted_entries(objects, NODE, "web-7d4f8c9b6-prod", "ingress", "v1.3.1", 4)["namespace"]
    assert wanted["10.1.2.10/32"] == only(ANY)


def test_spellings_of_one_network_collide_until_head():
    objects = [
        endpoint(
            "allow-aaaaa",
            ingress=[rule("10.0.0.0/8", ("TCP", 443)), rule("10.161.0.0/8", ("TCP", 5432)), rule("10.3.0.1")],
        )
    ]
    one, other, union = ((6, 443, 0),), ((6, 5432, 0),), ((6, 443, 0), (6, 5432, 0))

    entry = expected_map(objects, NODE, identifier("v1.3.1"), "ingress", "v1.3.1", 4).namespace.entries["10.0.0.0/8"]

    assert entry.admissible.frozen() == {one, other, union}
    assert entry.texts == ("10.0.0.0/8", "10.161.0.0/8")
    assert namespace_map(objects, "v1.3.1")["10.3.0.1/32"] == only(*union, ANY)
    assert namespace_map(objects, "HEAD")["10.0.0.0/8"] == {union}


def test_many_spellings_are_bounded_instead_of_listed():
    texts = [f"10.{octet}.0.0/8" for octet in range(7)]
    objects = [endpoint("allow-aaaaa", ingress=[rule(text, ("TCP", 80 + i)) for i, text in enumerate(texts)])]

    admissible = namespace_map(objects, "v1.4.1")["10.0.0.0/8"]

    assert ((6, 83, 0),) in admissible
    assert tuple((6, 80 + i, 0) for i in range(7)) in admissible
    assert ((6, 80, 0), (6, 85, 0)) in admissible
    assert ((6, 99, 0),) not in admissible


def test_overflow_admits_every_selection_that_fits_and_no_other():
    ports = [("TCP", 1000 + i) for i in range(30)]
    objects = [endpoint("allow-aaaaa", ingress=[rule("10.2.0.1", *ports)])]
    wanted = [(6, 1000 + i, 0) for i in range(30)]

    admissible = namespace_map(objects)["10.2.0.1/32"]

    assert isinstance(admissible, AdmissibleSet)
    assert frozenset({tuple(wanted)}) == frozenset(iter(admissible))
    assert tuple(wanted[:24]) in admissible
    assert tuple(wanted[6:]) in admissible
    assert tuple(wanted[:23]) not in admissible
    assert tuple(wanted) not in admissible
    assert tuple([*wanted[:23], (6, 9, 0)]) not in admissible
    assert tuple([*wanted[:23], wanted[0]]) not in admissible


def test_exactly_24_ports_are_no_overflow():
    objects = [endpoint("allow-aaaaa", ingress=[rule("10.2.0.1", *[("TCP", 1000 + i) for i in range(24)])])]

    assert namespace_map(objects)["10.2.0.1/32"] == only(*[(6, 1000 + i, 0) for i in range(24)])


@pytest.mark.parametrize(("version", "number"), [("v1.2.3", 6), ("v1.2.4", 254)])
def test_a_port_without_protocol_is_tcp_then_any(version, number):
    objects = [endpoint("allow-aaaaa", ingress=[{"cidr": "10.2.0.1", "ports": [{"port": 80}]}])]

    assert namespace_map(objects, version)["10.2.0.1/32"] == only((number, 80, 0))


# --- families ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "kept"), [("v1.1.4", False), ("v1.3.1", False), ("v1.3.2", True)])
def test_an_ipv6_rule_without_double_colon_is_dropped_until_v132(version, kept):
    objects = [endpoint("allow-aaaaa", ingress=[rule("2001:db8:1:2:3:4:5:6"), rule("2001:db8::1")])]

    entries = namespace_map(objects, version, node=NODE6)

    assert kept == ("2001:db8:1:2:3:4:5:6/128" in entries)
    assert "2001:db8::1/128" in entries
    wanted = wanted_entries(objects, NODE6, identifier(version), "ingress", version, 6)["namespace"]
    assert "2001:db8:1:2:3:4:5:6/128" in wanted


def test_nothing_is_inherited_from_an_ipv6_32():
    objects = [endpoint("allow-aaaaa", ingress=[rule("2001:db8::/32", ("TCP", 80)), rule("2001:db8::1", ("TCP", 81))])]

    assert namespace_map(objects, "v1.4.1", node=NODE6)["2001:db8::1/128"] == only((6, 81, 0))
    wanted = wanted_entries(objects, NODE6, "web-7d4f8c9b6@prod", "ingress", "v1.4.1", 6)["namespace"]
    assert wanted["2001:db8::1/128"] == only((6, 80, 0), (6, 81, 0))


def test_excepts_of_the_other_family_make_phantom_keys_or_end_the_update():
    four = [endpoint("allow-aaaaa", ingress=[rule("0.0.0.0/0", out=["fd00::/8"]), rule("::/0", out=["fd00:1::/48"])])]
    six = [endpoint("allow-aaaaa", ingress=[rule("::/0"), rule("0.0.0.0/0", out=["10.1.0.0/16"])])]

    tier = expected_map(four, NODE, "web-7d4f8c9b6@prod", "ingress", "v1.4.1", 4).namespace

    assert tier.entries["253.0.0.0/8"].admissible.frozen() == only(DENY)
    assert tier.refused == ("fd00:1::/48",)
    assert namespace_map(six, "v1.4.1", node=NODE6)["a01::/16"] == only(DENY)
    assert set(wanted_entries(four, NODE, "web-7d4f8c9b6@prod", "ingress", "v1.4.1", 4)["namespace"]) == {
        "10.1.2.10/32",
        "0.0.0.0/0",
    }


@pytest.mark.parametrize(
    ("version", "written"), [("v1.2.3", True), ("v1.2.4", False), ("v1.2.5", False), ("v1.2.6", True)]
)
def test_the_ipv6_catch_all_was_lost_in_two_versions(version, written):
    objects = [endpoint("allow-aaaaa", podIsolation=["Ingress"], ingress=[rule("2001:db8::1")])]

    assert written == ("::/0" in namespace_map(objects, version, "egress", NODE6))
    wanted = wanted_entries(objects, NODE6, identifier(version), "egress", version, 6)["namespace"]
    assert "::/0" in wanted


# --- algorithm B -------------------------------------------------------------------------------------------------


def test_before_v124_an_open_catch_all_turns_every_slot_to_any():
    objects = [endpoint("allow-aaaaa", ingress=[rule("0.0.0.0/0"), rule("10.2.0.1", ("TCP", 80), ("UDP", 80))])]

    entries = namespace_map(objects, "v1.2.3")

    assert entries["0.0.0.0/0"] == only(ANY)
    assert entries["10.2.0.1/32"] == only(ANY, (254, 80, 0), (254, 80, 0))


def test_before_v124_ports_of_the_catch_all_go_to_every_entry_and_stay_double_in_their_own():
    objects = [
        endpoint("a-aaaaa", ingress=[rule("0.0.0.0/0", ("TCP", 443)), rule("10.2.0.1", ("TCP", 80))]),
        endpoint("b-aaaaa", ingress=[rule("0.0.0.0/0", ("TCP", 443))]),
    ]

    entries = namespace_map(objects, "v1.2.3")

    assert entries["0.0.0.0/0"] == only((6, 443, 0), (6, 443, 0))
    assert entries["10.2.0.1/32"] == only((6, 80, 0), (6, 443, 0))


def test_before_v124_excepts_carry_the_ports_and_a_later_rule_overwrites_them():
    objects = [
        endpoint(
            "allow-aaaaa",
            ingress=[rule("10.0.0.0/8", ("TCP", 80), out=["10.2.0.0/16", "10.3.0.0/16"]), rule("10.3.0.0/16")],
        )
    ]

    entries = namespace_map(objects, "v1.2.3")

    assert entries["10.2.0.0/16"] == only(DENY, (255, 80, 0))
    assert entries["10.3.0.0/16"] == only(ANY, (6, 80, 0))


def test_before_v104_excepts_of_the_catch_all_are_lost():
    objects = [endpoint("allow-aaaaa", ingress=[rule("0.0.0.0/0", out=["10.0.0.0/8"])])]

    assert "10.0.0.0/8" not in namespace_map(objects, "v1.0.2")
    assert namespace_map(objects, "v1.0.4")["10.0.0.0/8"] == only(DENY)


def test_before_v104_a_rule_for_the_node_replaces_its_entry():
    objects = [endpoint("allow-aaaaa", ingress=[rule(NODE, ("TCP", 80))])]

    assert namespace_map(objects, "v1.0.2")["10.1.2.10/32"] == only((6, 80, 0))
    assert namespace_map(objects, "v1.0.4")["10.1.2.10/32"] == only(ANY)


def test_eight_slots_before_v105_in_the_listed_order():
    objects = [endpoint("allow-aaaaa", ingress=[rule("10.2.0.1", *[("TCP", 80 + i) for i in range(10)])])]

    assert namespace_map(objects, "v1.0.4")["10.2.0.1/32"] == only(*[(6, 80 + i, 0) for i in range(8)])


def test_start_port_is_carried_over_until_v107():
    objects = [endpoint("allow-aaaaa", ingress=[rule("10.2.0.1", ("TCP", 80), ("UDP",), ("SCTP", 9))])]

    assert namespace_map(objects, "v1.0.7")["10.2.0.1/32"] == only((6, 80, 0), (17, 80, 0), (132, 9, 0))
    assert namespace_map(objects, "v1.0.8")["10.2.0.1/32"] == only((6, 80, 0), (17, 0, 0), (132, 9, 0))


def test_equal_ports_are_merged_from_v108():
    objects = [endpoint(f"p{i}-aaaaa", ingress=[rule("10.2.0.1", ("TCP", 80))]) for i in range(2)]

    assert namespace_map(objects, "v1.0.7")["10.2.0.1/32"] == only((6, 80, 0), (6, 80, 0))
    assert namespace_map(objects, "v1.0.8")["10.2.0.1/32"] == only((6, 80, 0))


@pytest.mark.parametrize(
    ("version", "bare", "spelled"),
    [("v1.0.4", False, False), ("v1.0.5", False, True), ("v1.1.2", False, True), ("v1.1.3", True, True)],
)
def test_bare_addresses_inherit_from_v113_and_spelled_ones_from_v105(version, bare, spelled):
    objects = [
        endpoint(
            "allow-aaaaa",
            ingress=[
                rule("10.2.0.0/16", ("TCP", 443)),
                rule("10.2.0.1", ("TCP", 80)),
                rule("10.2.0.2/32", ("TCP", 80)),
            ],
        )
    ]

    entries = namespace_map(objects, version)

    assert bare == (entries["10.2.0.1/32"] == only((6, 80, 0), (6, 443, 0)))
    assert spelled == (entries["10.2.0.2/32"] == only((6, 80, 0), (6, 443, 0)))


# --- cluster tier ------------------------------------------------------------------------------------------------


def test_cluster_slots_carry_priority_and_action():
    objects = [
        cluster_endpoint(
            "cnp-aaaaa",
            ingress=[
                rule("10.66.0.0/16", action="Deny"),
                rule("172.16.0.0/12", ("TCP", 1, 1023), ("UDP", 53), action="Pass"),
            ],
        ),
        cluster_endpoint("base-aaaaa", tier="Baseline", priority=100, ingress=[rule("0.0.0.0/0", action="Accept")]),
    ]

    entries = cluster_map(objects)

    assert entries == {
        "0.0.0.0/0": only((254, 21001, 0, 0)),
        "10.66.0.0/16": only((254, 100, 0, 0), (254, 21001, 0, 0)),
        "172.16.0.0/12": only((6, 102, 1, 1023), (17, 102, 53, 0), (254, 21001, 0, 0)),
    }
    assert cluster_map(objects, "v1.2.7") == {}
    assert cluster_map(objects, direction="egress") == {}


def test_head_writes_the_node_into_selected_cluster_maps():
    objects = [cluster_endpoint("cnp-aaaaa", ingress=[rule("10.66.0.0/16", action="Deny")])]

    assert cluster_map(objects, "HEAD", "egress") == {"10.1.2.10/32": only((254, 1, 0, 0))}
    assert cluster_map([], "HEAD") == {}


def test_equal_cluster_rules_stay_double_with_a_protocol_and_merge_without():
    objects = [
        cluster_endpoint(
            f"c{i}-aaaaa",
            ingress=[rule("10.2.0.0/16", ("TCP", 80), action="Accept"), rule("10.3.0.0/16", action="Accept")],
        )
        for i in range(2)
    ]

    entries = cluster_map(objects)

    assert entries["10.2.0.0/16"] == only((6, 101, 80, 0), (6, 101, 80, 0))
    assert entries["10.3.0.0/16"] == only((254, 101, 0, 0))


def test_cluster_rules_inherit_through_the_closest_wider_network_once():
    objects = [
        cluster_endpoint(
            "cnp-aaaaa",
            ingress=[
                rule("10.0.0.0/8", ("TCP", 80), action="Deny"),
                rule("10.2.0.0/16", ("TCP", 81), action="Deny"),
                rule("10.2.0.1", ("TCP", 82), action="Deny"),
            ],
        )
    ]

    expected = expected_map(objects, NODE, "web-7d4f8c9b6@prod", "ingress", "v1.4.1", 4).cluster

    entry = expected.entries["10.2.0.1/32"]
    assert entry.admissible.frozen() == only((6, 100, 80, 0), (6, 100, 81, 0), (6, 100, 82, 0))
    assert entry.inherited_from == ("10.2.0.0/16",)
    assert [(source.policy, source.endpoint, source.item) for source in entry.sources] == [("cnp", "cnp-aaaaa", 2)]


# --- pod state ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objects", "version", "mode", "expected"),
    [
        ([], "v1.1.6", "standard", {}),
        ([], "v1.2.7", "standard", {0: {1}}),
        ([], "v1.4.1", "strict", {0: {2}, 1: {1}}),
        ([endpoint("p-aaaaa")], "v1.4.1", "strict", {0: {0}, 1: {1}}),
        ([cluster_endpoint("c-aaaaa", egress=[rule("10.0.0.0/8")])], "v1.4.1", "standard", {0: {1}, 1: {0}}),
        ([cluster_endpoint("c-aaaaa")], "v1.4.1", "standard", {0: {1}, 1: {0, 1}}),
    ],
)
def test_pod_state_by_mode_and_policies(objects, version, mode, expected):
    assert expected == expected_pod_state(objects, identifier(version), version, mode)


def test_pod_state_of_an_identifier_selected_elsewhere_is_open():
    elsewhere = {**POD, "hostIP": "10.1.9.9"}

    states = expected_pod_state([endpoint("p-aaaaa", rows=[elsewhere])], identifier("v1.4.1"), "v1.4.1", node_ip=NODE)

    assert states == {0: {0, 1}, 1: {1}}


# --- reasons -----------------------------------------------------------------------------------------------------


def test_an_entry_names_its_rules_excepts_and_wider_networks():
    objects = [
        endpoint("wide-aaaaa", ingress=[rule("10.0.0.0/8", ("TCP", 80), out=["10.2.0.0/16"])]),
        endpoint("host-aaaaa", ingress=[rule("10.3.0.1"), rule("10.2.0.9")]),
    ]

    entries = expected_map(objects, NODE, identifier("v1.3.1"), "ingress", "v1.3.1", 4).namespace.entries

    assert [source.endpoint for source in entries["10.3.0.1/32"].sources] == ["host-aaaaa"]
    assert entries["10.3.0.1/32"].inherited_from == ("10.0.0.0/8",)
    assert entries["10.2.0.9/32"].inherited_from == ()
    assert [source.policy for source in entries["10.2.0.0/16"].excepted_by] == ["wide"]
    assert [entry.kind for entry in entries.values()] == ["rule", "node", "except", "rule", "rule"]


@pytest.mark.parametrize(
    ("node", "version", "family"), [("nonsense", "v1.3.1", 4), (NODE6, "v1.3.1", 4), (NODE, "newest", 4)]
)
def test_unusable_arguments_are_refused(node, version, family):
    with pytest.raises(ValueError, match=r"not an"):
        expected_map([], node, "web@prod", "ingress", version, family)


# --- against the naive reference ---------------------------------------------------------------------------------

CIDRS4 = (
    "0.0.0.0/0", "10.0.0.0/8", "10.9.9.9/8", "10.1.0.0/16", "10.1.2.3/16", "10.1.2.0/24", "10.1.2.3", "10.1.2.3/32",
    "10.1.2.10", "10.1.2.10/16", "192.168.0.0/16", "fd00::/8", "::/0",
)  # fmt: skip
CIDRS6 = (
    "::/0", "2001:db8::/32", "2001:db8::1/32", "2001:db8:1::/48", "2001:db8:1:0:0:0:0:7/48", "2001:db8:1::3",
    "2001:db8:1:2:3:4:5:6", "2001:db8:9::10", "2001:db8:9::10/48", "fd00::/8", "0.0.0.0/0",
)  # fmt: skip
EXCEPTS = {4: ("10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "10.1.9.9/16"), 6: ("2001:db8:1::/48", "2001:db8:1::/64")}
PORTS = ({}, {"protocol": "TCP", "port": 80}, {"protocol": "UDP", "port": 53}, {"port": 80},
         {"protocol": "TCP", "port": 1, "endPort": 90}, {"protocol": "ODD", "port": 80})  # fmt: skip


@st.composite
def cases(draw, most, *, cluster=False):
    """A family and up to `most` rules; excepts lie strictly inside their CIDR, as the API server demands."""
    family = draw(st.sampled_from([4, 4, 6]))
    made = []
    for _ in range(draw(st.integers(1, most))):
        cidr = draw(st.sampled_from(CIDRS4 if family == 4 else CIDRS6))
        ports = [dict(port) for port in draw(st.lists(st.sampled_from(PORTS), max_size=2))]
        out = []
        if not cluster:
            text = naive.masked(cidr, family == 6)
            inside = [
                each
                for each in EXCEPTS[family]
                if naive.lies_in(each, text) and naive.length(each) > naive.length(text)
            ]
            out = draw(st.lists(st.sampled_from(inside), max_size=2, unique=True)) if inside else []
        item = {"cidr": cidr, "ports": ports, "except": out}
        if cluster:
            item["action"] = draw(st.sampled_from(["Deny", "Accept", "Pass"]))
        made.append(item)
    return family, made


def spread(items, family, make=endpoint):
    here = {**POD, "hostIP": node_of(family)}
    return [make(f"p{i}-aaaaa", rows=[here], ingress=items[i::3]) for i in range(3)]


def union_over_orders(algorithm, rules, *args):
    total = {}
    for order in permutations(rules):
        for key, values in algorithm(order, *args).items():
            total.setdefault(key, set()).update(values)
    return total


def node_of(family):
    return NODE if family == 4 else NODE6


@settings(max_examples=250, deadline=None)
@given(cases(4), st.sampled_from(["v1.2.4", "v1.2.7", "v1.3.1", "v1.3.2", "v1.4.1", "v1.4.2"]))
def test_algorithm_a_is_the_reference_over_all_orders(case, version):
    family, items = case
    rules = [(item["cidr"], item["ports"], item["except"]) for item in items]

    expected = union_over_orders(naive.algorithm_a, rules, node_of(family), family == 6, naive.version(version))
    actual = namespace_map(spread(items, family), version, node=node_of(family))

    assert expected == {cidr: set(found) for cidr, found in actual.items()}


@settings(max_examples=250, deadline=None)
@given(cases(4), st.sampled_from(["v1.0.8", "v1.1.2", "v1.1.3", "v1.1.4", "v1.2.3"]))
def test_algorithm_b_is_the_reference_over_all_orders(case, version):
    family, items = case
    # Bare addresses of the other family made these versions crash before v1.1.4.
    assume(family == 4 or all(":" in item["cidr"] or "/" in item["cidr"] for item in items))
    rules = [(item["cidr"], item["ports"], item["except"]) for item in items]

    expected = union_over_orders(naive.algorithm_b, rules, node_of(family), family == 6, naive.version(version))
    actual = namespace_map(spread(items, family), version, node=node_of(family))

    assert expected == {cidr: set(found) for cidr, found in actual.items()}


@settings(max_examples=250, deadline=None)
@given(cases(4, cluster=True), st.sampled_from(["v1.3.0", "v1.3.2", "v1.4.1", "v1.4.2"]))
def test_the_cluster_tier_is_the_reference_over_all_orders(case, version):
    family, items = case
    rules = [(item["cidr"], item["ports"], item["action"], 10) for item in items]
    objects = spread(items, family, make=cluster_endpoint)

    expected = union_over_orders(naive.cluster, rules, node_of(family), family == 6, naive.version(version))
    actual = expected_entries(objects, node_of(family), identifier(version), "ingress", version, family)["cluster"]

    assert expected == {cidr: set(found) for cidr, found in actual.items()}


@settings(max_examples=100, deadline=None)
@given(
    cases(12), st.sampled_from(["v1.0.8", "v1.2.3", "v1.3.1", "v1.4.1", "v1.4.2"]), st.randoms(use_true_random=False)
)
def test_shuffling_objects_rules_and_ports_changes_nothing(case, version, chance):
    family, items = case
    node = node_of(family)
    shuffled = [
        {**item, "ports": chance.sample(item["ports"], len(item["ports"])), "except": item["except"][::-1]}
        for item in items
    ]
    chance.shuffle(shuffled)
    objects, others = spread(items, family), spread(shuffled, family)[::-1]

    first = expected_map(objects, node, identifier(version), "ingress", version, family).namespace.entries
    second = expected_map(others, node, identifier(version), "ingress", version, family).namespace.entries

    assert {cidr: entry.admissible for cidr, entry in first.items()} == {
        cidr: entry.admissible for cidr, entry in second.items()
    }


@settings(max_examples=60, deadline=None)
@given(
    cases(14), st.sampled_from(["v1.0.8", "v1.2.3", "v1.2.4", "v1.3.1", "v1.4.1"]), st.randoms(use_true_random=False)
)
def test_whatever_order_the_agent_took_is_admitted(case, version, chance):
    family, items = case
    assume(family == 4 or all(":" in item["cidr"] or "/" in item["cidr"] for item in items))
    chance.shuffle(items)
    rules = [(item["cidr"], item["ports"], item["except"]) for item in items]
    agent = naive.version(version)
    algorithm = naive.algorithm_a if agent >= (1, 2, 4) else naive.algorithm_b

    actual = namespace_map(spread(items, family), version, node=node_of(family))

    written = algorithm(rules, node_of(family), family == 6, agent)
    assert set(written) == set(actual)
    for cidr, values in written.items():
        assert all(value in actual[cidr] for value in values), cidr


@settings(max_examples=60, deadline=None)
@given(cases(14, cluster=True), st.sampled_from(["v1.3.0", "v1.4.1", "v1.4.2"]), st.randoms(use_true_random=False))
def test_whatever_order_the_agent_took_is_admitted_in_the_cluster_tier(case, version, chance):
    family, items = case
    chance.shuffle(items)
    rules = [(item["cidr"], item["ports"], item["action"], 10) for item in items]
    objects = spread(items, family, make=cluster_endpoint)

    actual = expected_entries(objects, node_of(family), identifier(version), "ingress", version, family)["cluster"]

    written = naive.cluster(rules, node_of(family), family == 6, naive.version(version))
    assert set(written) == set(actual)
    for cidr, values in written.items():
        assert all(value in actual[cidr] for value in values if len(value) <= 24), cidr


# --- size --------------------------------------------------------------------------------------------------------


def test_ten_thousand_entries_with_full_values_take_well_under_two_seconds():
    chance = random.Random(7)
    items = [
        rule(f"10.{i >> 8}.{i & 255}.7", *[("TCP", 1000 + chance.randrange(40)) for _ in range(24)])
        for i in range(10_000)
    ]
    items += [rule(f"10.{i}.0.0/16", ("TCP", 443)) for i in range(40)] + [rule("0.0.0.0/0", ("UDP", 53))]
    objects = [endpoint(f"p-{i:05d}", policy="p", ingress=items[i::60]) for i in range(60)]

    start = time.process_time()
    entries = namespace_map(objects, "v1.4.1")
    spent = time.process_time() - start

    assert len(entries) == 10_042
    assert spent < 4.0, f"{spent:.2f} s"
