"""missing-entry and stale-entry in the cluster tier: what they claim, what they leave to others, what they cannot tell."""

from __future__ import annotations

from small_case import context, value
from test_compare import ANY, MINE, OWN, WEB, cluster_endpoint, endpoint, rule

from forensics.detectors import missing_entry, stale_entry

NAMESPACE = {OWN: [ANY], "10.0.0.7/32": [(6, 80, 0)]}
ASKED = endpoint(rule("10.0.0.7", ("TCP", 80)))
OPEN = {OWN: [ANY], "0.0.0.0/0": [ANY]}


def ask(detector, cluster_rules, cp, **more):
    objects = [ASKED, cluster_endpoint(*cluster_rules)]
    maps = {"ingress_map": NAMESPACE, "cp_ingress_map": cp, "egress_map": OPEN, "cp_egress_map": {}}
    if cp is None:
        del maps["cp_ingress_map"]
    made = context(objects, maps, identifier=WEB, pods=(MINE,), **{"states": {0: 0, 1: 0}, "version": "v1.3.1", **more})
    return detector.DETECTOR.run(made)


def deny(cidr, *ports):
    return {**rule(cidr, *ports), "action": "Deny"}


def allow(cidr, *ports):
    return {**rule(cidr, *ports), "action": "Accept"}


def test_a_missing_deny_lets_in_what_the_namespace_tier_admits():
    answer = ask(missing_entry, [deny("10.0.0.0/24")], {})

    (finding,) = answer.findings
    assert (finding.map, finding.entries, finding.severity) == ("cp_ingress_map", ["10.0.0.0/24"], "high")
    # the namespace tier admits TCP 80 of one address of it and nothing of the others
    assert finding.details["wrongly_allowed"] == ["10.0.0.7/32: TCP 80"]
    assert finding.details["wrongly_denied"] == []
    assert finding.details["entries"][0]["as_cluster"] == ["slot 0: ANY priority 10 DENY any port"]


def test_a_stale_allow_lets_in_what_nobody_asks_for():
    answer = ask(
        stale_entry, [deny("192.0.2.0/24")], {"192.0.2.0/24": [(254, 100, 0, 0)], "10.0.0.0/24": [(6, 101, 22, 0)]}
    )

    (finding,) = answer.findings
    assert (finding.map, finding.entries, finding.severity) == ("cp_ingress_map", ["10.0.0.0/24"], "high")
    assert finding.details["wrongly_allowed"] == ["10.0.0.0/24: TCP 22"]


def test_a_map_as_asked_is_clean_in_both_tiers():
    held = {"192.0.2.0/24": [(6, 101, 443, 0)]}

    for detector in (missing_entry, stale_entry):
        answer = ask(detector, [allow("192.0.2.0/24", ("TCP", 443))], held)

        assert answer.outcome == "clean"
        assert "in the cluster tier too" in answer.why


def test_what_is_misplaced_is_not_stale_as_well():
    stray = value([(6, 8080, 0), (17, 53, 0)]).ljust(384, b"\0")

    answer = ask(stale_entry, [deny("192.0.2.0/24")], {"192.0.2.0/24": [(254, 100, 0, 0)], "10.0.0.7/32": stray})

    assert answer.findings == []


def test_what_may_be_of_either_tier_is_left_open():
    # TCP, priority 0, DENY as a cluster rule; all TCP allowed as a namespace rule; nothing around it decides
    answer = ask(stale_entry, [], {"10.0.0.99/32": [(6, 0, 0, 0)]})

    assert answer.outcome == "cannot-tell"
    assert "10.0.0.99/32 may be of either tier" in answer.why


def test_without_a_dump_of_the_map_it_is_asked_for():
    answer = ask(missing_entry, [deny("192.0.2.0/24")], None)

    assert answer.outcome == "cannot-tell"
    assert [missing.what for missing in answer.missing] == [f"a raw dump of {WEB}_cp_ingress_map"]


def test_a_cut_dump_hides_what_may_be_missing():
    answer = ask(missing_entry, [deny("192.0.2.0/24")], {"192.0.2.0/24": [(254, 100, 0, 0)]}, whole=False)

    assert answer.outcome == "cannot-tell"
    assert answer.findings == []


def test_agents_without_the_tier_are_judged_by_their_namespace_maps():
    made = context([ASKED], {"ingress_map": NAMESPACE, "egress_map": OPEN}, identifier=WEB, pods=(MINE,),
                   states={0: 0}, version="v1.2.7")  # fmt: skip

    answer = missing_entry.DETECTOR.run(made)

    assert (answer.outcome, answer.why) == ("clean", "every address the policies list is in its map")
