"""pod-state-mismatch: which states are wrong, what packets feel of them, and when it cannot tell."""

from __future__ import annotations

import pytest
from small_case import context
from test_compare import ANY, MINE, OWN, WEB, cluster_endpoint, endpoint, rule

from forensics.detectors.pod_state_mismatch import DETECTOR

MAPS = {"ingress_map": {OWN: [ANY], "10.0.0.7/32": [(6, 80, 0)]}, "cp_ingress_map": {}, "cp_egress_map": {},
        "egress_map": {OWN: [ANY], "0.0.0.0/0": [ANY]}}  # fmt: skip
ASKED = endpoint(rule("10.0.0.7", ("TCP", 80)))


def ask(objects, states, maps=MAPS, **more):
    made = context(objects, maps, identifier=WEB, states=states, **{"pods": (MINE,), **more})
    return DETECTOR.run(made)


def by_map(answer):
    return {finding.map: finding for finding in answer.findings}


def test_the_state_the_policies_lead_to_is_clean():
    assert ask([ASKED, cluster_endpoint()], {0: 0, 1: 1}).outcome == "clean"


def test_a_missing_key_denies_everything():
    answer = ask([ASKED], {0: 0})

    found = by_map(answer)
    assert set(found) == {"ingress_pod_state_map", "egress_pod_state_map"}
    finding = found["ingress_pod_state_map"]
    # what the policies deny anyway is not wrongly denied: TCP 80 of one address, and all of the node's own
    assert finding.details["wrongly_denied"] == ["10.0.0.7/32: TCP 80", "10.1.2.10/32: all traffic"]
    assert found["egress_pod_state_map"].details["wrongly_denied"] == ["0.0.0.0/0: all traffic"]
    assert (finding.severity, finding.entries, finding.defect) == ("critical", [], None)
    assert "key 1, the cluster tier" in finding.summary
    assert [note.note.rpartition(": ")[2] for note in finding.evidence][-1] == "no key 1"


def test_a_missing_key_needs_no_policies_to_be_wrong():
    answer = ask([], {0: 1}, {name: {} for name in MAPS})

    assert answer.outcome == "found"
    assert by_map(answer)["ingress_pod_state_map"].details["wrongly_denied"] == ["0.0.0.0/0: all traffic"]


def test_an_open_state_under_a_policy_is_wrongly_allowed():
    answer = ask([ASKED], {0: 1, 1: 1})

    finding = by_map(answer)["ingress_pod_state_map"]
    # the map decides for the addresses it holds; every other one is let in
    assert finding.details["wrongly_denied"] == []
    assert finding.details["wrongly_allowed"] == ["0.0.0.0/0 but 10.0.0.7/32 and 10.1.2.10/32: all traffic"]
    assert finding.severity == "critical"
    # the egress map admits everything, so its state makes no difference to a packet
    assert by_map(answer)["egress_pod_state_map"].severity == "low"


def test_a_state_left_applied_is_named_and_denies():
    other = endpoint(
        rule("10.0.0.7"), name="other-1", rows=({"name": "db-0", "namespace": "prod", "podIP": "10.1.2.30"},)
    )

    answer = ask([other], {0: 0, 1: 1}, {**MAPS, "ingress_map": {OWN: [ANY]}, "egress_map": {OWN: [ANY]}})

    finding = by_map(answer)["ingress_pod_state_map"]
    assert finding.defect == "KB-307"
    assert finding.details["wrongly_denied"] == ["0.0.0.0/0 but 10.1.2.10/32: all traffic"]


@pytest.mark.parametrize(("mode", "state", "outcome"), [
    ("standard", 1, "clean"), ("standard", 2, "found"), ("strict", 2, "clean"), ("strict", 1, "found"),
    (None, 1, "clean"), (None, 2, "clean"),
])  # fmt: skip
def test_the_default_is_that_of_the_mode(mode, state, outcome):
    other = endpoint(
        rule("10.0.0.7"), name="other-1", rows=({"name": "db-0", "namespace": "prod", "podIP": "10.1.2.30"},)
    )

    answer = ask([other], {0: state, 1: 1}, {name: {} for name in MAPS}, mode=mode)

    assert answer.outcome == outcome


def test_one_key_is_all_that_the_agents_of_v1_2_write():
    held = {name: entries for name, entries in MAPS.items() if not name.startswith("cp_")}

    assert ask([ASKED], {0: 0}, held, version="v1.2.7").outcome == "clean"


def test_before_v1_2_there_is_no_pod_state():
    held = {name: entries for name, entries in MAPS.items() if not name.startswith("cp_")}

    assert ask([ASKED], None, held, version="v1.1.6").outcome == "not-applicable"


def test_which_keys_are_needed_depends_on_a_version_that_must_be_known():
    held = {name: entries for name, entries in MAPS.items() if not name.startswith("cp_")}

    answer = ask([ASKED], {0: 0}, held, version=None)

    assert answer.outcome == "cannot-tell"
    assert any("version" in missing.what for missing in answer.missing)


@pytest.mark.parametrize(("objects", "states"), [([ASKED], None), ([], {0: 1, 1: 1})], ids=["no dump", "no policies"])
def test_what_is_not_at_hand_is_asked_for_once(objects, states):
    answer = ask(objects, states)

    assert answer.outcome == "cannot-tell"
    assert len(answer.missing) == 1
    assert answer.missing[0].command


def test_a_policy_younger_than_the_dump_is_a_note():
    young = endpoint(rule("10.0.0.7", ("TCP", 80)))
    young["metadata"]["annotations"] = {"networking.k8s.aws/last-change-trigger-time": "2026-11-21T05:00:00Z"}
    made = context([young], MAPS, identifier=WEB, states={0: 1, 1: 1})
    made.node.observed_until = "2026-11-21T04:00:00Z"

    answer = DETECTOR.run(made)

    assert {finding.severity for finding in answer.findings} == {"info"}
