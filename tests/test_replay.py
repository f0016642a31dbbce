"""Flow-log replay: which lines the captured maps explain, why the others are not, and what kind of denial a line is."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from forensics import analyze, flow_rows, replay_examples
from forensics.analysis import read_case
from forensics.captured import Captured
from forensics.context import Context
from forensics.datapath import Packet
from forensics.detectors.unexplained_flow import DETECTOR
from forensics.flow_rows import FlowRows
from forensics.neighbours import Neighbours
from forensics.replay import replay
from forensics.replay_examples import LISTED
from formats.base import ENTRY_SPAN_DTYPE, FlowBatch, Record, Span
from formats.log_time import utc_ns

CASES = Path(__file__).parent.parent / "corpus" / "cases"
LAB = Path(__file__).parents[2] / "shared" / "lab"
HEALTHY = sorted(path.name for path in CASES.glob("healthy-*"))
API, WEB, FRONTEND = "api-5c9d7f4b8-prod", "web-7d4f8c9b6-prod", "frontend-6b8f5d7c9-prod"
#: After everything that the corpus cases of this day have logged.
LATER = "2026-11-22T00:00:00.000Z"
COLUMNS = ("ts", "src", "sport", "dst", "dport", "protocol", "verdict", "direction", "tier")


def line(src, sport, dst, dport, verdict, direction="ingress", tier=None, protocol="TCP", ts=LATER) -> tuple:
    return (ts, src, sport, dst, dport, protocol, verdict, direction, tier)


def context_with(case: str, identifier: str, *lines: tuple) -> Context:
    """The context of an identifier whose node's logs hold these flow lines and no others."""
    found = read_case([str(CASES / case / "input")])
    node = found.nodes[0]
    for artifact in node.group.own:
        artifact.flows = []
    columns = {name: [each[at] for each in lines] for at, name in enumerate(COLUMNS)}
    columns["utc_ns"] = [utc_ns(each[0]) for each in lines]
    spans = np.zeros(len(lines), ENTRY_SPAN_DTYPE)
    spans["start"], spans["end"] = np.arange(len(lines)), np.arange(len(lines)) + 1
    spans["first_line"] = spans["last_line"] = np.arange(len(lines)) + 1
    node.group.own[0].flows = [FlowBatch(columns, spans, Span(0, 1, 1, 1))]
    return Context(found, node, node.pods[identifier], Neighbours(node))


def replayed(context: Context, direction: str = "ingress"):
    return replay(context, context.neighbours.flows, direction)


def shown(out, name: str) -> list:
    return [out.line(row)[name] for row in range(len(out))]


def flow_findings(report) -> list[dict]:
    return [finding for finding in report.findings if finding["detector"] == DETECTOR.id]


def test_traffic_that_met_a_misplaced_entry_is_named_with_it() -> None:
    report = analyze([str(CASES / "incident" / "input")])

    (web,) = [each for each in flow_findings(report) if each["pod_identifier"] == WEB]
    assert web["severity"] == "medium"
    (flow,) = web["details"]["flows"]
    assert (flow["src"], flow["dport"], flow["verdict"], flow["tier"]) == ("10.100.1.5", 8080, "DENY", "ADMIN")
    assert flow["captured"] == {
        "verdict": "SHOT",
        "tier": "ADMIN",
        "map": "cp_ingress_map",
        "cidr": "10.100.1.5/32",
    }
    assert (flow["policy"], flow["reason"], flow["class"]) == ("OK", "corruption", "against-policy")
    root = next(each for each in report.findings if each["id"] == web["root"])
    assert root["detector"] == "misplaced-tier-entry"
    assert '"Dest IP: 10.100.1.20' in web["evidence"][0]["excerpt"] or "10.100.1.20" in web["evidence"][0]["excerpt"]


@pytest.mark.parametrize("case", HEALTHY)
def test_healthy_nodes_have_nothing_of_the_kind(case: str) -> None:
    report = analyze([str(CASES / case / "input")])

    assert {each["severity"] for each in flow_findings(report)} <= {"info"}


def test_a_clean_answer_counts_lines_and_denials() -> None:
    report = analyze([str(CASES / "healthy-ipv4" / "input")])

    (answer,) = [
        each
        for each in report.document["outcomes"]
        if each["detector"] == DETECTOR.id and each["pod_identifier"] == "svc-v2-7bd9f6c5d-team-a"
    ]
    assert (answer["outcome"], answer["why"]) == (
        "clean",
        "flow lines replayed: 3, each as the maps say. Denied: 3 real-block.",
    )


def test_lines_from_before_a_map_write_are_told_apart() -> None:
    report = analyze([str(CASES / "egress-catch-all" / "input")])

    (finding,) = flow_findings(report)
    assert (finding["severity"], finding["details"]["direction"]) == ("info", "egress")
    # both were accepted at 04:26:41, before the catch-all was taken out of the map
    assert [(each["dst"], each["verdict"], each["reason"]) for each in finding["details"]["flows"]] == [
        ("198.51.100.24", "ACCEPT", "maps-changed-since"),
        ("10.161.30.203", "ACCEPT", "maps-changed-since"),
    ]


def test_a_later_line_of_the_same_ends_shows_a_change_that_nobody_logged() -> None:
    # an entry was planted with bpftool between a denied and an accepted line of one peer
    report = analyze([str(CASES / "planted-entries" / "input")])

    (finding,) = flow_findings(report)
    assert [each["reason"] for each in finding["details"]["flows"]] == ["maps-changed-since"]


@pytest.mark.parametrize(
    ("case", "outcome", "phrase"),
    [
        ("healthy-never-selected", "not-applicable", "enablePolicyEventLogs"),
        ("incident-loose-dumps", "cannot-tell", "no agent log"),
        ("cluster-rules-at-pod-start", "clean", "flow logging is on"),
    ],
)
def test_without_flow_lines(case: str, outcome: str, phrase: str) -> None:
    report = analyze([str(CASES / case / "input")])

    answers = [each for each in report.document["outcomes"] if each["detector"] == DETECTOR.id]
    assert {each["outcome"] for each in answers} == {outcome}
    assert all(phrase in each["why"] for each in answers)
    if outcome == "cannot-tell":
        assert all(each["missing"] for each in answers)


def test_every_class_of_denial() -> None:
    # api of the healthy node: ingress 10/8, 172.16/12, 192.168/16 on TCP 8080 and 8443; egress everywhere on TCP 443
    node, api = "10.100.1.10", "10.100.1.30"
    lines = [
        line(node, 50000, api, 8080, "DENY"),
        line("10.9.9.9", 50000, api, 8080, "DENY"),
        line("203.0.113.9", 50001, api, 8080, "ACCEPT", ts="2026-11-22T00:00:00.000Z"),
        line("203.0.113.9", 50001, api, 8080, "DENY", ts="2026-11-22T00:05:00.000Z"),
        line("198.51.100.7", 443, api, 45000, "DENY"),
        line("10.9.9.9", 50000, api, 9999, "DENY"),
        line("203.0.113.10", 50002, api, 8080, "DENY"),
    ]
    context = context_with("healthy-ipv4", API, *lines)

    out = replayed(context)

    assert out.total == 7
    assert out.denied == {
        "node-ip": 1,
        "against-policy": 1,
        "late-packet": 1,
        "reply-without-conntrack": 1,
        "port-not-in-rule": 1,
        "real-block": 1,
    }


@pytest.mark.parametrize("known", ["rule", "network"])
def test_a_denied_service_address(known: str) -> None:
    context = context_with(
        "healthy-ipv4", API, line("10.100.1.30", 50000, "172.20.0.80", 80, "DENY", direction="egress")
    )
    record = {"cluster_ip": "172.20.0.80", "port": 80, "protocol": "TCP", "namespace": "prod", "service": "web"}
    if known == "rule":
        context.node.group.own[0].records.append(Record("service_rule", record, Span(0, 1, 1, 1)))
    else:
        stated = context.node.facts.stated
        stated.append(type(stated[0])("service_cidr", "172.20.0.0/16", None, None, "kubelet-config"))

    out = replayed(context, "egress")

    assert out.denied == {"service-ip": 1}


def test_a_flow_that_the_agent_swept_from_conntrack_is_late() -> None:
    denied = line("203.0.113.9", 50001, "10.100.1.30", 8080, "DENY")
    context = context_with("healthy-ipv4", API, denied)
    context.neighbours.changes.swept.append(("203.0.113.9", 50001, "10.100.1.30", 8080, utc_ns(LATER) - 1))

    out = replayed(context)

    assert out.denied == {"late-packet": 1}


def test_the_accept_of_the_other_program_makes_no_packet_late() -> None:
    # egress of the source accepts, ingress of the destination denies: one packet, two lines
    flow = ("10.100.1.21", 50001, "10.100.1.60", 80)
    lines = [line(*flow, "ACCEPT", direction="egress", ts="2026-11-22T00:00:00.000Z"), line(*flow, "DENY")]
    context = context_with("healthy-ipv4", "svc-v2-7bd9f6c5d-team-a", *lines)

    out = replayed(context)

    assert (out.denied, len(out)) == ({"real-block": 1}, 0)


def test_reasons() -> None:
    denied = ("10.100.1.21", 56484, "10.100.1.20", 8080, "DENY")
    before, tracked = line(*denied, ts="2026-11-21T03:00:00.000Z"), line(*denied)
    untracked = line("10.100.1.21", 56485, *denied[2:])
    context = context_with("incident-with-dumps", WEB, before, tracked, untracked)

    out = replayed(context)

    # web admits 10.100.1.21: no line is as the maps say; the dump of conntrack has the flow of port 56484
    assert shown(out, "why") == ["maps-changed-since", "conntrack", "unknown"]


def test_a_dump_that_is_not_whole_explains_nothing_for_sure() -> None:
    context = context_with("healthy-ipv4", WEB, line("10.100.1.21", 50000, "10.100.1.20", 8080, "DENY"))
    context.pod.maps["ingress_map"].view.dump.hidden = 3

    out = replayed(context)

    assert shown(out, "why") == ["dump-not-whole"]


def test_the_tier_counts_as_well() -> None:
    lines = [
        line("10.100.1.21", 50000, "10.100.1.20", 8080, "ACCEPT", tier=tier)
        for tier in ("NETWORK_POLICY", "DEFAULT", None)
    ]

    out = replayed(context_with("healthy-ipv4", WEB, *lines))

    assert shown(out, "tier") == ["DEFAULT"]


def test_lines_without_a_direction_may_be_of_either_end() -> None:
    # frontend's egress lets it through, svc-v2's ingress drops it: each line is one program's
    flow = ("10.100.1.21", 50000, "10.100.1.60", 80)
    lines = [line(*flow, verdict, direction=None) for verdict in ("ACCEPT", "DENY")]
    context = context_with("healthy-strict", FRONTEND, *lines)
    open_context = context_with("incident-with-dumps", FRONTEND, *lines)

    closed, opened = replayed(context, "egress"), replayed(open_context, "egress")

    # strict mode: both ends deny, so nothing explains the ACCEPT; else each end explains its line
    assert shown(closed, "verdict") == ["ACCEPT"]
    assert len(opened) == 0


def test_a_protocol_that_the_log_lost_is_tried_both_ways() -> None:
    # an unused slot of web's entry is protocol 0 from port 0: it lets hop-by-hop packets through, others not
    lines = [line("10.100.1.21", 0, "10.100.1.60", 0, verdict, protocol="UNKNOWN") for verdict in ("DENY", "ACCEPT")]

    out = replayed(context_with("healthy-ipv4", "svc-v2-7bd9f6c5d-team-a", *lines))

    # svc-v2 has no entry for the peer: every protocol is denied
    assert shown(out, "verdict") == ["ACCEPT"]


def test_lines_of_nobody_known_are_counted() -> None:
    lines = [line("10.100.1.21", 1, "10.55.0.1", 80, "DENY"), line("10.100.1.21", 1, "10.100.1.20", 8080, "ACCEPT")]
    context = context_with("healthy-ipv4", WEB, *lines)

    answer = DETECTOR.run(context)

    assert (answer.outcome, context.neighbours.flows.strays) == ("clean", 1)
    assert "of no pod known here: 1" in answer.why


def test_lines_that_no_packet_can_have_are_left_out() -> None:
    lines = [line("10.100.1.999", 1, "10.100.1.20", 80, "DENY"), line("10.100.1.21", 70000, "10.100.1.20", 80, "DENY")]
    context = context_with("healthy-ipv4", WEB, *lines)

    assert (context.neighbours.flows.unread, replayed(context).total) == (2, 0)


def test_a_finding_lists_some_lines_and_counts_all() -> None:
    lines = [line("10.100.1.21", 50000 + at, "10.100.1.20", 8080, "DENY") for at in range(LISTED + 10)]

    (finding,) = DETECTOR.run(context_with("healthy-ipv4", WEB, *lines)).findings

    assert len(finding.details["flows"]) == LISTED
    assert (finding.details["listed"], finding.details["counts"]) == (LISTED + 10, {"unknown": LISTED + 10})
    assert finding.severity == "low"


def test_many_lines_get_the_answers_of_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_examples, "LISTED", 1000)
    chance = random.Random(5)
    peers = ["10.100.1.5", "10.100.1.21", "10.100.1.22", "10.100.1.40", "10.7.7.7", "172.16.3.4", "203.0.113.1"]
    lines = [
        line(chance.choice(peers), chance.randrange(1024, 65536), "10.100.1.30",
             chance.choice([53, 80, 8080, 8443, 9090]), chance.choice(["ACCEPT", "DENY"]),
             tier=chance.choice(["ADMIN", "NETWORK_POLICY", None]), protocol=chance.choice(["TCP", "UDP", "ICMP"]))
        for _ in range(400)
    ]  # fmt: skip
    context = context_with("incident-with-dumps", API, *lines)
    captured = Captured(context, "ingress")
    datapath = captured.datapath(captured.state)
    tiers, numbers = {1: "ADMIN", 2: "NETWORK_POLICY"}, {"TCP": 6, "UDP": 17, "ICMP": 1}
    expected = []
    for at, (_, src, sport, dst, dport, protocol, verdict, _, tier) in enumerate(lines):
        told = datapath.verdict(Packet(src, dst, numbers[protocol], sport, dport))
        same = (told.action == "OK") is (verdict == "ACCEPT") and tier in (None, tiers[told.tier])
        if not same or told.matched.map == "cp_ingress_map":
            expected.append(at)

    out = replayed(context)

    assert expected == shown(out, "at")


def lab_bundles() -> list[Path]:
    return sorted(path.parent for path in LAB.glob("bundles*/*/truth.json") if any(path.parent.glob("*.tar.gz")))


@pytest.mark.shared
@pytest.mark.skipif(not LAB.exists(), reason="the lab's captures are not on this machine")
@pytest.mark.parametrize("folder", lab_bundles(), ids=lambda path: path.name)
def test_every_line_of_the_lab_has_a_reason(folder: Path) -> None:
    report = analyze([str(path) for path in sorted(folder.iterdir()) if path.name != "truth.json"])

    reasons = {reason for each in flow_findings(report) for reason in each["details"]["counts"]}
    assert reasons <= {"corruption", "maps-changed-since", "dump-not-whole"}
    if any(word in folder.name for word in ("healthy", "control", "strict")):
        assert "corruption" not in reasons
    failed = [each["what"] for each in report.document["problems"] if DETECTOR.id in each["what"]]
    assert failed == []


@pytest.mark.parametrize("stretch", [1, 7, 100])
@pytest.mark.parametrize("named", [True, False])
def test_lines_in_stretches_are_told_as_all_at_once(
    monkeypatch: pytest.MonkeyPatch, stretch: int, *, named: bool
) -> None:
    """However few lines are read at once: the same counts, examples, times and classes that look at other lines."""
    chance = random.Random(11)
    peers = ["10.100.1.5", "10.100.1.21", "10.100.1.40", "10.7.7.7", "172.16.3.4", "203.0.113.1"]
    lines = [
        line(chance.choice(peers), chance.choice([443, 40000, 40001]), "10.100.1.30", chance.choice([80, 8080, 45000]),
             chance.choice(["ACCEPT", "DENY", "DENY"]), "ingress" if named else chance.choice([None, "ingress"]),
             chance.choice(["ADMIN", "NETWORK_POLICY", None]),
             ts=chance.choice([None, f"2026-11-2{chance.randrange(4)}T00:00:00.000Z"]))
        for _ in range(900)
    ]  # fmt: skip
    told = []
    for size in (1 << 18, stretch):
        monkeypatch.setattr(flow_rows, "STRETCH", size)
        context = context_with("incident-with-dumps", API, *lines)
        split_in_batches(context, 13)
        out = replayed(context)
        order = out.worst_first.tolist()
        assert len(context.neighbours.flows.lines(["10.100.1.30"], "ingress")) > 1 or size > len(lines)
        told.append((out.total, len(out), out.counts, out.denied, out.since, [out.line(row) for row in order]))
    assert told[0] == told[1]


def split_in_batches(context: Context, size: int) -> None:
    (batch,) = context.node.group.own[0].flows
    context.node.group.own[0].flows = [
        FlowBatch(
            {name: column[at : at + size] for name, column in batch.columns.items()},
            batch.spans[at : at + size],
            batch.span,
        )
        for at in range(0, len(batch), size)
    ]


@pytest.mark.shared
@pytest.mark.skipif(not LAB.exists(), reason="the lab's captures are not on this machine")
@pytest.mark.parametrize(("name", "count"), [("v1.2.7-debug", 16), ("v1.3.1-v6-debug", 23), ("v1.4.1-debug", 16)])
def test_real_logs_read_as_rows(name: str, count: int) -> None:
    case = read_case([str(LAB / "logs" / name / "network-policy-agent.log")])

    rows = FlowRows(case.nodes[0])

    assert (rows.count, rows.unread) == (count, 0)
