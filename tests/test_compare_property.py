"""Random policies: what the agent may shuffle makes no difference; one planted change is found, and only that."""

from __future__ import annotations

import ipaddress

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from small_case import NODE, context, value, written

from forensics.compare import compare
from forensics.datapath import Datapath, Packet
from forensics.partition import cidrs_of
from forensics.semantics import Answer, compare_sides
from formats.address import key_of_cidr

POD = {"name": "web-7d4f8c9b6-abcde", "namespace": "prod", "podIP": "10.1.2.20", "hostIP": NODE}
WEB = {"v1.2.7": "web-7d4f8c9b6-prod", "v1.3.1": "web-7d4f8c9b6-prod", "v1.4.1": "web-7d4f8c9b6@prod"}
OWN = f"{NODE}/32"
CANONICAL = ("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.4.0/24", "10.1.4.7", "10.1.4.8/32", "10.9.0.0/16",
             "192.0.2.0/25", "192.0.2.1", "203.0.113.9/32")  # fmt: skip
#: Host bits set, the node's own address with and without a mask.
AWKWARD = ("10.5.5.5/8", "10.1.4.9/24", f"{NODE}/16", NODE, "10.1.200.1/16")
EXCEPTS = ("10.1.4.0/24", "10.1.4.7/32", "10.77.0.0/16", "192.0.2.128/25")
PORTS = [("TCP", 80, None), ("TCP", 443, None), ("UDP", 53, None), ("TCP", 8000, 8100), ("SCTP", 3868, None)]
PORT = st.sampled_from([*PORTS, ("TCP", 1, None)])
MANY = st.tuples(st.sampled_from(["TCP", "UDP"]), st.integers(1, 60), st.none())
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def port(each):
    return {name: part for name, part in zip(("protocol", "port", "endPort"), each, strict=True) if part is not None}


def items(cidrs, ports, most):
    return st.lists(
        st.builds(
            lambda cidr, listed, out: {
                "cidr": cidr, "ports": [port(each) for each in listed], "except": out if "/" in cidr else []
            },
            st.sampled_from(cidrs),
            st.lists(ports, max_size=most, unique=True),
            st.lists(st.sampled_from(EXCEPTS), max_size=2),
        ),
        min_size=1,
        max_size=5,
    )  # fmt: skip


def endpoints(cidrs, ports=PORT, most=3):
    def made(number, rules, isolation):
        return {
            "kind": "PolicyEndpoint",
            "metadata": {"name": f"p{number}-x", "namespace": "prod"},
            "spec": {
                "policyRef": {"name": f"p{number}", "namespace": "prod"},
                "podSelectorEndpoints": [POD],
                "podIsolation": isolation,
                "ingress": rules,
            },
        }

    one = st.tuples(items(cidrs, ports, most), st.sampled_from([["Ingress"], ["Ingress", "Egress"]]))
    return st.lists(one, min_size=1, max_size=3).map(lambda all_: [made(n, *each) for n, each in enumerate(all_)])


def cluster_endpoints():
    rules = st.lists(
        st.builds(
            lambda cidr, listed, action: {"cidr": cidr, "ports": [port(p) for p in listed], "action": action},
            st.sampled_from(CANONICAL),
            st.lists(PORT, max_size=2, unique=True),
            st.sampled_from(["Accept", "Deny", "Pass"]),
        ),
        max_size=3,
    )
    return st.lists(st.tuples(rules, st.sampled_from(["Admin", "Baseline"]), st.integers(0, 1000)), max_size=2).map(
        lambda all_: [
            {
                "kind": "ClusterPolicyEndpoint",
                "metadata": {"name": f"c{n}-x"},
                "spec": {
                    "policyRef": {"name": f"c{n}"}, "tier": tier, "priority": priority,
                    "podSelectorEndpoints": [POD], "ingress": ingress,
                },
            }
            for n, (ingress, tier, priority) in enumerate(all_)
        ]
    )  # fmt: skip


def chosen(dice):
    """One value the agent may write: any outcome, any part of it that fits, in any order."""

    def pick(admissible):
        outcome = dice.choice(admissible.outcomes)
        room = admissible.limit if admissible.limit is not None else 1000
        pool, fixed = list(outcome.pool), list(outcome.fixed)
        dice.shuffle(pool)
        slots = (fixed + pool)[:room]
        dice.shuffle(slots)
        return slots

    return pick


def judged(objects, maps, version):
    cluster = any(each["kind"] == "ClusterPolicyEndpoint" for each in objects)
    states = {0: 0} if version == "v1.2.7" else {0: 0, 1: 0 if cluster else 1}
    held = {name: entries for name, entries in maps.items() if version != "v1.2.7" or not name.startswith("cp_")}
    made = context(objects, held, identifier=WEB[version], version=version, states=states)
    return compare(made, "ingress"), states


def kernel(objects, version, dice):
    return written(objects, identifier=WEB[version], direction="ingress", version=version, choose=chosen(dice))


VERSIONS = st.sampled_from(sorted(WEB))
HOW = st.sampled_from(["drop", "add", "port", "byte"])


@SETTINGS
@given(endpoints(CANONICAL), cluster_endpoints(), VERSIONS, st.randoms(use_true_random=False))
def test_nothing_that_the_agent_may_shuffle_is_a_difference(objects, cluster, version, dice):
    objects = objects + (cluster if version != "v1.2.7" else [])

    found, _ = judged(objects, kernel(objects, version, dice), version)

    assert (found.entries, found.differences) == ([], [])
    # equal maps are answered without a question; asked about every class they say the same
    assert compare_sides(*found.sides, found.family).differences == []


@SETTINGS
@given(endpoints(CANONICAL + AWKWARD, MANY, 30), VERSIONS, st.randoms(use_true_random=False))
def test_whatever_the_agent_loses_has_a_cause_and_is_no_deviation(objects, version, dice):
    found, _ = judged(objects, kernel(objects, version, dice), version)

    assert found.deviations == []
    assert all(each.causes and "unexplained" not in each.causes for each in found.differences)
    assert not {each.cause for each in found.entries} - {"overflow", "collision", "node-ip", "version"}


def host_bits(cidr):
    net = ipaddress.ip_network(cidr)
    return int(net.network_address), int(net.broadcast_address)


@SETTINGS
@given(
    endpoints(CANONICAL), VERSIONS, st.randoms(use_true_random=False), st.sampled_from(["drop", "add", "port", "byte"])
)
def test_one_planted_change_is_found_and_only_that(objects, version, dice, how):
    maps = kernel(objects, version, dice)
    clean = dict(maps["ingress_map"])
    target = dice.choice(sorted(cidr for cidr in clean if cidr != OWN) or [OWN])
    assume(target != OWN)
    entries = dict(clean)
    if how == "drop":
        del entries[target]
    elif how == "add":
        target = "198.51.100.77/32"
        entries[target] = [(6, 7777, 0)]
    elif how == "port":
        slot = dice.randrange(len(entries[target]))
        entries[target] = list(entries[target])
        protocol, start, end = entries[target][slot]
        entries[target][slot] = (6 if protocol > 253 else protocol, start + 7, end)
    else:
        raw = bytearray(value(entries[target]))
        raw[dice.randrange(12 * 24)] ^= 1 << dice.randrange(8)
        entries[target] = bytes(raw)

    found, states = judged(objects, {**maps, "ingress_map": entries}, version)

    assert [target] == [each.cidr for each in found.deviations]
    assert found.shortfalls == []
    first, last = host_bits(target)
    for each in found.differences:
        assert all(first <= begin and end <= last for begin, end in each.peers)
        assert each.causes == ("unexplained",)
    _agree_with_the_programs(found, clean, entries, target, states, version, dice)


def _agree_with_the_programs(found, clean, entries, target, states, version, dice):
    """Packets to and beside what was found: the two programs differ there and nowhere else."""
    programs = [
        Datapath(version, 4, "ingress",
                 {"ingress_map": {key_of_cidr(cidr): each if isinstance(each, bytes) else value(each)
                                  for cidr, each in held.items()}}, states)
        for held in (entries, clean)
    ]  # fmt: skip
    first, last = host_bits(target)
    edges = {first, last, (first - 1) % (1 << 32), (last + 1) % (1 << 32), int(ipaddress.ip_address("10.1.4.7"))}
    edges |= {begin for each in found.differences for begin, _ in each.peers}
    ports = {0, 1, 80, 443, 8000, 8101, 7777, 65535, dice.randrange(65536)}
    ports |= {edge for each in found.differences for runs in each.traffic[:3] for run in runs for edge in run}
    for number in sorted(edges):
        peer = ipaddress.ip_address(number)
        for protocol in (0, 1, 6, 17, 132, 254):
            for number_of_port in sorted(ports) if protocol in (6, 17, 132) else (0,):
                packet = Packet(peer, "10.1.2.20", protocol, 1024, number_of_port)
                answers = tuple(Answer(each.action, each.tier) for each in (p.verdict(packet) for p in programs))
                told = [
                    (each.left, each.right)
                    for each in found.differences
                    if any(a <= number <= b for a, b in each.peers) and each.traffic.holds(protocol, number_of_port)
                ]
                assert told == ([] if answers[0] == answers[1] else [answers])


@given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1))
def test_spans_as_cidrs_are_those_of_the_standard_library(one, other):
    span = min(one, other), max(one, other)

    listed = [str(net) for net in ipaddress.summarize_address_range(*map(ipaddress.IPv4Address, span))]

    assert listed == cidrs_of(span, 4)
