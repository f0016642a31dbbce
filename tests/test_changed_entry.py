"""changed-entry: what it claims, how loud, and when it stays silent or cannot tell."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from small_case import NODE, context, value
from test_compare import ANY, OWN, WEB, cluster_endpoint, endpoint, rule

from forensics.defects import defect, remedy
from forensics.detectors.changed_entry import DETECTOR
from reports.document import remedy_of

CASES = Path(__file__).parent.parent / "corpus" / "cases"
STATES = {0: 0, 1: 1}


def ask(objects, ingress, *, cp=None, states=STATES, egress=None, **more):
    maps = {
        "ingress_map": ingress,
        "cp_ingress_map": cp or {},
        "egress_map": egress or {OWN: [ANY], "0.0.0.0/0": [ANY]},
    }
    made = context(objects, {**maps, "cp_egress_map": {}}, identifier=WEB, states=states, **more)
    return DETECTOR.run(made), made


NO_CLUSTER = cluster_endpoint()


def test_lost_slots_that_packets_feel_are_high():
    ports = [("TCP", port) for port in range(100, 130)]
    kept = [(6, port, 0) for port in range(106, 130)]

    answer, _ = ask([endpoint(rule("10.9.0.0/16", *ports)), NO_CLUSTER], {OWN: [ANY], "10.9.0.0/16": kept})

    (finding,) = answer.findings
    assert (finding.severity, finding.defect, finding.entries) == ("high", "KB-106", ["10.9.0.0/16"])
    assert "lacks TCP 100, TCP 101, TCP 102, TCP 103, TCP 104, TCP 105 of the 30 rules" in finding.summary
    assert finding.details["wrongly_denied"] == ["10.9.0.0/16: TCP 100-105"]
    assert finding.details["entries"][0]["effect"] == "wrongly-denied 10.9.0.0/16: TCP 100-105"


def test_lost_slots_that_a_range_covers_are_low():
    ports = [("TCP", 1, 999), *[("TCP", port) for port in range(100, 130)]]
    kept = [(6, 1, 999), *[(6, port, 0) for port in range(107, 130)]]

    answer, _ = ask([endpoint(rule("10.9.0.0/16", *ports)), NO_CLUSTER], {OWN: [ANY], "10.9.0.0/16": kept})

    (finding,) = answer.findings
    assert (finding.severity, finding.defect) == ("low", "KB-106")
    assert "No verdict differs" in finding.summary


def test_an_entry_changed_behind_the_agent_has_no_defect():
    answer, _ = ask([endpoint(rule("10.0.0.7", ("TCP", 80))), NO_CLUSTER], {OWN: [ANY], "10.0.0.7/32": [ANY]})

    (finding,) = answer.findings
    assert (finding.severity, finding.defect) == ("high", None)
    assert finding.details["wrongly_allowed"] == ["10.0.0.7/32: TCP on every port but 80; UDP; SCTP; other protocols"]
    assert "its own memory" in finding.mechanism


def test_a_changed_cluster_rule_is_of_the_cluster_map():
    asked = [endpoint(rule("10.0.0.7")), cluster_endpoint({**rule("10.0.0.7", ("TCP", 80)), "action": "Deny"})]

    answer, _ = ask(
        asked, {OWN: [ANY], "10.0.0.7/32": [ANY]}, cp={"10.0.0.7/32": [(6, 101, 80, 0)]}, states={0: 0, 1: 0},
        version="v1.4.1", mode=None,
    )  # fmt: skip

    finding = next(each for each in answer.findings if each.map == "cp_ingress_map")
    assert finding.details["wrongly_allowed"] == ["10.0.0.7/32: TCP 80"]
    assert "priority 10 DENY" in finding.summary
    assert finding.details["entries"][0]["as_cluster"]
    assert finding.details["entries"][0]["as_namespace"] == []


def test_what_stands_in_the_wrong_tier_is_another_detectors_claim():
    stray = value([(6, 8080, 0), (17, 53, 0)]).ljust(384, b"\0")
    asked = [endpoint(rule("10.0.0.7", ("TCP", 8080), ("UDP", 53))), NO_CLUSTER]

    answer, _ = ask(asked, {OWN: [ANY], "10.0.0.7/32": [(6, 8080, 0), (17, 53, 0)]}, cp={"10.0.0.7/32": stray})

    assert answer.outcome == "clean"


def test_missing_and_extra_entries_are_other_detectors_claims():
    answer, _ = ask([endpoint(rule("10.0.0.7")), NO_CLUSTER], {OWN: [ANY], "10.0.0.9/32": [ANY]})

    assert answer.outcome == "clean"


def test_a_policy_younger_than_the_case_is_a_note():
    young = endpoint(rule("10.0.0.7", ("TCP", 80)))
    young["metadata"]["annotations"] = {"networking.k8s.aws/last-change-trigger-time": "2026-11-21T05:00:00Z"}
    maps = {"ingress_map": {OWN: [ANY], "10.0.0.7/32": [ANY]}, "cp_ingress_map": {}}
    made = context([young, NO_CLUSTER], maps, identifier=WEB, states=STATES)
    made.node.observed_until = "2026-11-21T04:00:00Z"

    answer = DETECTOR.run(made)

    (finding,) = answer.findings
    assert (finding.severity, finding.defect) == ("info", None)


@pytest.mark.parametrize("lacking", ["policies", "dump", "values"])
def test_what_is_not_at_hand_is_asked_for(lacking):
    objects = [] if lacking == "policies" else [endpoint(rule("10.0.0.7")), NO_CLUSTER]
    maps = {"ingress_map": {OWN: [ANY], "10.0.0.7/32": [ANY]}, "cp_ingress_map": {}, "egress_map": {}}
    if lacking == "dump":
        del maps["ingress_map"]
    made = context(
        objects, maps, identifier=WEB, states=STATES, unknown=("10.0.0.7/32",) if lacking == "values" else ()
    )

    answer = DETECTOR.run(made)

    assert answer.outcome == "cannot-tell"
    assert answer.missing
    assert all(missing.command for missing in answer.missing)


def test_empty_maps_without_policies_hold_nothing_changed():
    maps = {name: {} for name in ("ingress_map", "egress_map", "cp_ingress_map", "cp_egress_map")}

    assert DETECTOR.run(context([], maps, identifier=WEB, states={0: 1, 1: 1})).outcome == "clean"


def test_it_has_a_positive_a_negative_and_a_cannot_tell_case():
    told = [tomllib.loads(path.read_text()) for path in CASES.glob("*/case.toml")]
    expects = [row for case in told for row in case.get("expect", []) if row["detector"] == DETECTOR.id]
    outcomes = {row["outcome"] for case in told for row in case.get("outcome", []) if row["detector"] == DETECTOR.id}

    assert expects
    assert {"clean", "cannot-tell"} <= outcomes


def test_the_overflow_remedy_ends_with_commands_that_confirm():
    made = context([], {}, identifier=WEB)

    parts = remedy_of(remedy("KB-106", made, map="ingress_map"))

    assert any(f"{WEB}_ingress_map" in text for command, text in parts.confirm if command)
    assert NODE not in defect("KB-106").mechanism
