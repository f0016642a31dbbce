"""What packets of one address get: more rules than a value has slots, and protocols the programs do not read."""

from __future__ import annotations

from small_case import context, value
from test_compare import ANY, OWN, WEB, endpoint, rule

from forensics.datapath import Datapath, Packet
from forensics.effects import Datapaths, summary
from forensics.ruleset import Slot
from formats.address import key_of_cidr

APPLIED = {0: 0, 1: 1}


def test_the_policy_side_holds_every_rule_beyond_the_slots():
    ports = [("TCP", port) for port in range(100, 130)]
    kept = [(6, port, 0) for port in range(106, 130)]
    asked = endpoint(rule("10.9.0.0/16", *ports))
    maps = {"ingress_map": {OWN: [ANY], "10.9.0.0/16": kept}, "cp_ingress_map": {}}
    made = context([asked], maps, identifier=WEB, states=APPLIED)

    effects = made.datapaths("ingress").effects("10.9.0.0/16")

    assert summary(effects, "wrongly-denied") == ["TCP 100-105"]
    assert summary(effects, "wrongly-allowed") == []


def test_a_value_with_room_stays_bytes():
    made = context([endpoint(rule("10.0.0.7", ("TCP", 80)))], {}, identifier=WEB)

    values = made.intent.values("ingress")["namespace"]

    assert values[key_of_cidr("10.0.0.7/32")] == value([(6, 80, 0)])


def test_rules_beyond_what_an_old_program_looks_at_are_slots():
    ports = [("TCP", port) for port in range(100, 110)]
    made = context([endpoint(rule("10.0.0.7", *ports))], {}, identifier=WEB, version="v1.0.4")

    values = made.intent.values("ingress")["namespace"]

    assert set(values[key_of_cidr("10.0.0.7/32")]) == {Slot(6, port, 0) for port in range(100, 110)}


def test_icmpv6_is_no_question_to_the_ipv6_programs():
    key, icmp = key_of_cidr("2001:db8::7/128"), value([(58, 0, 0)])
    sides = {"namespace": {}, "cluster": {}}, {"namespace": {key: icmp}, "cluster": {}}

    effects = Datapaths("v1.3.1", 6, *sides, APPLIED, APPLIED).effects("2001:db8::7/128")

    assert [summary(effects, kind) for kind in ("wrongly-denied", "wrongly-allowed")] == [[], []]
    assert "protocol 58" not in {effect.protocol for effect in effects}
    # the programs say the same: they let it through unread, whether or not a slot names it
    for held in ({}, {key: icmp}):
        program = Datapath("v1.3.1", 6, "ingress", {"ingress_map": held}, APPLIED)
        assert program.verdict(Packet("2001:db8::7", "2001:db8::1", 58, 0, 0)).action == "OK"


def test_protocol_58_is_a_question_to_the_ipv4_programs():
    key, slot = key_of_cidr("10.0.0.7/32"), value([(58, 0, 0)])
    sides = {"namespace": {}, "cluster": {}}, {"namespace": {key: slot}, "cluster": {}}

    effects = Datapaths("v1.3.1", 4, *sides, APPLIED, APPLIED).effects("10.0.0.7/32")

    denied = [effect.protocol for effect in effects if effect.kind == "wrongly-denied"]
    assert "protocol 58" in denied
