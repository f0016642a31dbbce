"""The decision on a new flow, from value bytes alone."""

from __future__ import annotations

import pytest
import vectors
from hypothesis import given
from hypothesis import strategies as st
from programs import ANY, ICMP, RESERVED, SCTP, TCP, UDP, cluster, namespace

from forensics import ruleset
from forensics.datapath import evaluate_new_flow
from forensics.generations import generation_of


def test_ports_count_only_where_there_are_ports() -> None:
    value = namespace((ICMP, 8, 0), (47, 0, 0))
    generation = generation_of("v1.3.0").generation

    answers = [evaluate_new_flow(generation, 4, value, None, {0: 0, 1: 0}, p, 8).action for p in (ICMP, 47)]

    assert answers == ["SHOT", "OK"]


@pytest.mark.parametrize(("version", "action"), [("v1.2.3", "OK"), ("v1.2.4", "SHOT")])
def test_any_with_ports(version: str, action: str) -> None:
    generation = generation_of(version).generation

    assert action == evaluate_new_flow(generation, 4, namespace((ANY, 80, 0)), None, {0: 0}, TCP, 81).action


@pytest.mark.parametrize(
    ("slots", "answer"),
    [
        ([(TCP, 10001, 0, 0)], ("OK", 1)),  # priority 1000 is still admin
        ([(TCP, 10011, 0, 0)], ("OK", 3)),  # 1001 is baseline
        ([(TCP, 655360, 0, 0)], ("SHOT", 3)),  # 65536 with a lower action than PASS replaces the start
        ([(TCP, 655361, 0, 0)], ("OK", 3)),
        ([(TCP, 655362, 0, 0)], ("SHOT", 4)),  # equal to the start: no candidate
        ([(TCP, 655370, 0, 0)], ("SHOT", 4)),
        ([(TCP, 12, 0, 0), (TCP, 21, 0, 0)], ("SHOT", 4)),  # a winning PASS hides the ALLOW behind it
        ([(TCP, 11, 0, 0), (TCP, 10, 0, 0)], ("SHOT", 1)),  # a tie goes to the lower action
        ([(TCP, 0xFFFFFFFF, 0, 0)], ("SHOT", 4)),
        ([(ANY, 11, 443, 0)], ("OK", 1)),  # ANY ignores ports in the cluster tier
        ([(TCP, 11, 70, 80)], ("OK", 1)),
        ([(TCP, 11, 70, 79)], ("SHOT", 4)),
        ([(TCP, 11, 81, 70)], ("SHOT", 4)),
    ],
)
def test_candidates(slots, answer) -> None:
    generation = generation_of("v1.3.0").generation

    got = evaluate_new_flow(generation, 4, None, cluster(*slots), {0: 2, 1: 0}, TCP, 80)

    assert answer == (got.action, got.tier)


def test_stores_the_pair_of_states() -> None:
    pairs = {(n, c): ruleset.conntrack_pair(n, c) for n in range(4) for c in range(4)}

    assert {k: v for k, v in pairs.items() if v != 7} == {(1, 1): 2, (1, 2): 3, (1, 0): 4, (0, 1): 5, (0, 2): 6}


def test_every_reason_is_listed() -> None:
    seen = {
        program.verdict(vectors.packet_of(record)).matched.reason
        for record in vectors.records(vectors.THIN, "packets")[::61]
        for program in [vectors.datapath_of(vectors.states(vectors.THIN)[record["s"]])]
    }

    assert seen <= set(ruleset.REASONS)


SLOT = st.tuples(
    st.sampled_from([0, ICMP, TCP, UDP, SCTP, ANY, RESERVED, 300]),
    st.integers(0, 70000),
    st.integers(0, 70000),
)


@given(
    slots=st.lists(SLOT, max_size=4),
    ruled=st.lists(st.tuples(SLOT, st.sampled_from([0, 1, 2, 11, 10001, 20000, 20001])), max_size=4),
    protocol=st.integers(0, 255),
    dport=st.integers(0, 65535),
    states=st.sampled_from([{0: 0, 1: 0}, {0: 1, 1: 0}, {0: 2, 1: 0}]),
)
def test_every_packet_is_judged_as_its_class(slots, ruled, protocol, dport, states) -> None:
    here = namespace(*slots)
    there = cluster(*((slot[0], raw, slot[1], slot[2]) for slot, raw in ruled))
    protocols, ports = ruleset.packet_classes([here], [there])
    generation = generation_of("v1.3.0").generation

    unnamed = next(p for p in protocols if p not in {s[0] for s in slots} | {s[0][0] for s in ruled} | {0, 6, 17, 132})
    of_class = protocol if protocol in protocols else unnamed
    run = max(port for port in ports if port <= dport)

    assert evaluate_new_flow(generation, 4, here, there, states, of_class, run) == evaluate_new_flow(
        generation, 4, here, there, states, protocol, dport
    )


def test_packet_classes_of_one_namespace_slot() -> None:
    # {tcp,80,90} and zero slots: protocol 0 is named too, 1 stands for all that are not. Runs start at 0, next to 0 (a
    # zero slot's bounds), at 80, after 80, and after 90.
    protocols, ports = ruleset.packet_classes([namespace((TCP, 80, 90))], [])

    assert protocols == (0, 1, TCP, UDP, SCTP)
    assert ports == (0, 1, 80, 81, 91)


def test_packet_classes_at_the_limits() -> None:
    slots = [(RESERVED, 65535, 65534), (256, 65536, 65535), (0, 7, 7), (1, 7, 7), (2, 7, 7)]
    protocols, ports = ruleset.packet_classes([], [cluster(*((slot[0], 11, slot[1], slot[2]) for slot in slots))])

    assert protocols == (0, 1, 2, 3, TCP, UDP, SCTP, RESERVED)
    assert ports == (0, 1, 7, 8, 65535)


def test_slots_as_they_are_read() -> None:
    assert ruleset.namespace_slots(namespace((TCP, 80, 90)))[:2] == ((TCP, 80, 90, -1), (0, 0, 0, -1))
    assert ruleset.cluster_slots(cluster((TCP, 1001, 80, 90)))[0] == (TCP, 80, 90, 1001)
    assert len(ruleset.namespace_slots(b"")) == len(ruleset.cluster_slots(bytes(999))) == 24
