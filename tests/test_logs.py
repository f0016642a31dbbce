"""Logs: the agent's in every encoder generation, the SDK's, ipamd's, the plugin's, wrapped ones; clean and damaged."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats import log_reader, log_scan
from formats.agent_log import FORMAT as AGENT_LOG
from formats.base import FlowBatch, Problem, Record
from formats.cri_log import FORMAT as CRI_LOG
from formats.ebpf_sdk_log import FORMAT as SDK_LOG
from formats.flow_lines import FORMAT as FLOW_LINES
from formats.flow_text import BATCH_ROWS, restored
from formats.ipamd_log import FORMAT as IPAMD_LOG
from formats.log_catalogue import AGENT
from formats.log_catalogue_node import IPAMD, PLUGIN, SDK
from formats.log_events import key_bytes
from formats.log_time import rotated_at, utc_ns
from formats.plugin_log import FORMAT as PLUGIN_LOG
from formats.source import Source
from render_logs import TS, flow, line

# 2026-11-21T03:22:18.164Z: `date -u -d 2026-11-21T03:22:18 +%s` is 1795231338.
TS_NS = 1795231338_164_000_000
ROW = {
    "src": "10.0.1.20",
    "sport": 40222,
    "dst": "10.0.2.30",
    "dport": 8080,
    "protocol": "TCP",
    "verdict": "DENY",
    "direction": "ingress",
    "tier": "NETWORK_POLICY",
}
ROW6 = {**ROW, "src": "2001:db8::1", "dst": "2001:db8:0:1::2"}


def items(form, text: str | bytes, path: str = "network-policy-agent.log"):
    data = text.encode() if isinstance(text, str) else text
    return list(form.read(Source(path, data)))


def events(form, text: str | bytes, path: str = "network-policy-agent.log") -> list[dict]:
    return [item.data for item in items(form, text, path) if isinstance(item, Record) and item.kind == "log_event"]


def flows(form, text: str | bytes) -> list[dict]:
    out = []
    for batch in items(form, text):
        if isinstance(batch, FlowBatch):
            names = list(batch.columns)
            out += [dict(zip(names, row, strict=True)) for row in zip(*batch.columns.values(), strict=True)]
    return out


def summary(form, text: str | bytes, path: str = "network-policy-agent.log") -> dict:
    last = items(form, text, path)[-1]
    assert isinstance(last, Record) and last.kind == "log_summary"
    return last.data


def problems(form, text: str | bytes) -> list[Problem]:
    return [item for item in items(form, text) if isinstance(item, Problem)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TS, TS_NS),
        ("2026-11-21T05:22:18.164+0200", TS_NS),  # a container that is not on UTC: no colon
        ("2026-11-21T05:22:18.164+02:00", TS_NS),
        ("2026-11-20T21:22:18.164-06:00", TS_NS),
        ("2026-11-21 03:22:18.164", TS_NS),  # Logs Insights
        ("2026-11-21 03:22:18.164000000 +0000 UTC", TS_NS),
        ("2026-11-21T03:22:18.164000001Z", TS_NS + 1),
        ("1795231338164", TS_NS),
        ("1795231338", TS_NS - 164_000_000),
        ("2026-02-30T00:00:00.000Z", None),
        ("yesterday", None),
        (None, None),
    ],
)
def test_utc_ns_of_every_time_form(text: str | None, expected: int | None) -> None:
    assert expected == utc_ns(text)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("x/network-policy-agent-2026-11-21T03-22-23.108.log.gz", "2026-11-21T03:22:23.108Z"),
        ("ipamd-2026-11-21T03-22-23.108.log", "2026-11-21T03:22:23.108Z"),
        ("network-policy-agent.log", None),
    ],
)
def test_rotation_stamp_of_the_name(path: str, expected: str | None) -> None:
    assert expected == rotated_at(path)


# The same facts in the three generations: fields first, then the printf text of the same message.
FACTS = [
    ("rule-cidr", {"cidr": "10.0.0.0/8"}, "Updating Map with ", [("IP Key:", "10.0.0.0/8")], "Updating Map with IP Key: 10.0.0.0/8"),
    (
        "rule-l4",
        {"protocol": 6, "start_port": 80, "end_port": 0, "action": None, "priority": None},
        "L4 values: ",
        [("protocol: ", 6), ("startPort: ", 80), ("endPort: ", 0)],
        "L4 values: protocol: 6 startPort: 80 endPort: 0",
    ),
    (
        "rule-any",
        {"cidr": "10.0.1.9/32"},
        "No L4 specified. Add Catch all entry: ",
        [("CIDR: ", "10.0.1.9/32")],
        "No L4 specified. Add Catch all entry CIDR: 10.0.1.9/32",
    ),
    (
        "rule-except",
        {"cidr": "10.1.0.0/16"},
        "Parsed Except CIDR",
        [("IP Key: ", {"IP": "10.1.0.0", "Mask": "//8AAA=="})],
        "Parsed Except CIDR: 10.1.0.0/16",
    ),
    ("map-write", {"map_id": 233}, "ID of map to update: ", [("ID: ", 233)], "ID of map to update: ID: 233"),
    (
        "map-update-begin",
        {"direction": "egress", "map_name": "egress_map", "prog_fd": 14},
        "Pod has an Egress hook attached. Update the corresponding map",
        [("progFD: ", 14), ("mapName: ", "egress_map")],
        "Pod has an Egress hook attached. Update the corresponding map progFD: 14, mapName: egress_map",
    ),
    (
        "pod-state-write",
        {"direction": "ingress", "map_name": "ingress_pod_state_map", "key": None, "value": None},
        "Pod has an Ingress hook attached. Update the corresponding map",
        [("progFD: ", 14), ("mapName: ", "ingress_pod_state_map")],
        "Pod has an Ingress hook attached. Update the corresponding map progFD: 14, mapName: ingress_pod_state_map",
    ),
    (
        "enforce-request",
        {"pod": "web-5d9c-abcde", "namespace": "prod", "mode": "strict"},
        "Received Enforce Network Policy Request for Pod",
        [("Name", "web-5d9c-abcde"), ("Namespace", "prod"), ("Mode", "strict")],
        "Received Enforce Network Policy Request for Pod: web-5d9c-abcde Namespace: prod Mode: strict",
    ),
    (
        "delete-request",
        {"pod": "web-5d9c-abcde", "namespace": "prod", "mode": None},
        "Received Delete Network Policy Request for Pod",
        [("Name", "web-5d9c-abcde"), ("Namespace", "prod")],
        "Received Delete Network Policy Request for Pod: web-5d9c-abcde Namespace: prod",
    ),
    (
        "attach",
        {"pod": "web-5d9c-abcde", "namespace": "prod", "veth": "eni12", "interface": None},
        "AttacheBPFProbes for",
        [("pod", "web-5d9c-abcde"), (" in namespace", "prod"), (" with hostVethName", "eni12")],
        "AttacheBPFProbes for pod web-5d9c-abcde in namespace prod with hostVethName eni12",
    ),
    (
        "attached",
        {"direction": "ingress", "pod": "web-5d9c-abcde", "namespace": "prod"},
        "Successfully attached Ingress TC probe for",
        [("pod: ", "web-5d9c-abcde"), (" in namespace", "prod")],
        "Successfully attached Ingress TC probe for pod: web-5d9c-abcde in namespace prod",
    ),
    (
        "reconcile",
        {"namespace": "prod", "name": "allow-web-x7k2p", "cluster": False},
        "Received a new reconcile request",
        [("req", {"name": "allow-web-x7k2p", "namespace": "prod"})],
        "Received a new reconcile request request prod/allow-web-x7k2p",
    ),
    (
        "policies-for-identifier",
        {"pod_identifier": "web-5d9c-prod", "count": 2, "cluster": False},
        "Total number of PolicyEndpoint resources for",
        [("podIdentifier ", "web-5d9c-prod"), (" are ", 2)],
        "Total number of PolicyEndpoint resources for podIdentifier web-5d9c-prod are 2",
    ),
    (
        "rule-count",
        {"ingress": 3, "egress": 1, "cluster": False},
        "Total no.of - ",
        [("ingressRules", 3), ("egressRules", 1)],
        "Total no.of - ingressRules 3 egressRules 1",
    ),
    (
        "global-maps-recovered",
        {"count": 2},
        "Total no.of  global maps recovered...",
        [("count: ", 2)],
        "Total no of  global maps recovered count: 2",
    ),
    (
        "probes-recovered",
        {"count": 4},
        "Number of probes/maps recovered - ",
        [("count: ", 4)],
        "Number of probes/maps recovered - count: 4",
    ),
    (
        "probe-validate",
        {"probe": "tc.v6ingress.bpf.o", "family": 6},
        "Validating ",
        [("Probe: ", "tc.v6ingress.bpf.o")],
        "Validating Probe: tc.v6ingress.bpf.o",
    ),
    (
        "kernel-update-failed",
        {"error": "unable to update map: invalid argument", "errno": "EINVAL", "key_hex": None},
        "BPF map update failed",
        [("error: ", "unable to update map: invalid argument")],
        "BPF map update failed unable to update map: invalid argument",
    ),
    (
        "conntrack-cleanup-delete",
        {"src": "10.0.0.1", "sport": 1, "dst": "10.0.0.2", "dport": 443, "protocol": 6, "owner": "10.0.0.1"},
        "Conntrack cleanup",
        [
            (
                "Delete - ",
                "Conntrack Key : Source IP - 10.0.0.1 Source port - 1 Dest IP - 10.0.0.2 Dest port - 443 Protocol - 6 "
                "Owner IP - 10.0.0.1",
            )
        ],
        "Conntrack cleanup Delete - Conntrack Key : Source IP - 10.0.0.1 Source port - 1 Dest IP - 10.0.0.2 "
        "Dest port - 443 Protocol - 6 Owner IP - 10.0.0.1 Ifindex - 7",
    ),
    ("manager-start", {}, "starting manager", [], "starting manager"),
    ("event-logging", {"enabled": True}, "Configured event logging", [], "Configured event logging"),
    ("probe-change", {"which": "events"}, "change detected in event probe binaries..", [], "change detected in event probe binaries.."),
    ("default-deny", {"direction": "egress"}, "Default Deny enabled on Egress", [], "Default Deny enabled on Egress"),
    (
        "program-deleted",
        {"pins": ["/p/a_handle_ingress", "/m/a_ingress_map", "/m/a_ingress_pod_state_map"]},
        "Deleting: ",
        [("Program: ", "/p/a_handle_ingress"), ("Map: ", "/m/a_ingress_map"), ("Map: ", "/m/a_ingress_pod_state_map")],
        "Deleting: Program: /p/a_handle_ingress Map: /m/a_ingress_map Map: /m/a_ingress_pod_state_map",
    ),
]


@pytest.mark.parametrize("generation", ["v1.0.1", "v1.0.4", "v1.2.2"])
@pytest.mark.parametrize(("slug", "fields", "message", "pairs", "printed"), FACTS, ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "")
def test_every_generation_says_the_same(generation, slug, fields, message, pairs, printed) -> None:
    record = line(generation, "info", printed) if generation == "v1.2.2" else line(generation, "info", message, pairs)

    got = events(AGENT_LOG, record + "\n")

    assert [slug] == [event["event"] for event in got]
    assert fields == {name: got[0][name] for name in fields}
    assert (TS, TS_NS, "info") == (got[0]["ts"], got[0]["utc_ns"], got[0]["level"])


@pytest.mark.parametrize(
    ("message", "slug", "fields"),
    [
        (
            "Starting network policy agent: v1.4.1 (built: 2026-05-01T00:00:00Z, ebpf-sdk: v1.0.15), log level: debug",
            "agent-start",
            {"agent_version": "v1.4.1", "log_level": "debug", "ebpf_sdk": "v1.0.15"},
        ),
        ("Starting network policy agent with log level: info", "agent-start", {"agent_version": None, "log_level": "info"}),
        (
            "Connected to ipamd at unix:///var/run/aws-node/ipamd.sock. NetworkPolicyMode: strict MultiNICEnabled: true",
            "ipamd-mode",
            {"mode": "strict", "multi_nic": True},
        ),
        (
            "Connected to ipamd grpc endpoint and got response for NetworkPolicyMode standard",
            "ipamd-mode",
            {"mode": "standard", "multi_nic": None},
        ),
        (
            "found cluster policy ingress ebpf map for web-5d9c-prod, map {MapFD:15 MapID:222 MapMetaData:{Type:11 KeySize:8 "
            "ValueSize:384 MaxEntries:65536 Flags:1 InnerMapFd:0 PinOptions:<nil> NumaNode:0 Name:cp_ingress_map}}",
            "map-found",
            {
                "pod_identifier": "web-5d9c-prod",
                "direction": "ingress",
                "tier": "cluster",
                "map_id": 222,
                "key_size": 8,
                "value_size": 384,
                "map_name": "cp_ingress_map",
                "map_type": 11,
                "max_entries": 65536,
            },
        ),
        (
            "creating new In memory map via loading bpfmap: &{MapFD:12 MapID:7 MapMetaData:{Type:11 KeySize:20 ValueSize:288 "
            "MaxEntries:65536 Flags:1 InnerMapFd:0 PinOptions:0xc00009 NumaNode:0 Name:ingress_map}}",
            "inmem-created",
            {"map_id": 7, "key_size": 20, "value_size": 288, "map_name": "ingress_map"},
        ),
        (
            "Pod has an Egress hook attached. Update the corresponding map progFD: 16, mapName: egress_pod_state_map, key: 1, value: {2}",
            "pod-state-write",
            {"direction": "egress", "key": 1, "value": 2},
        ),
        (
            "Pod has a ClusterPolicyIngress hook attached. Update the corresponding map progFD: 13, mapName: cp_ingress_map",
            "map-update-begin",
            {"direction": "ingress", "map_name": "cp_ingress_map"},
        ),
        (
            "L4 values: protocol: 254 startPort: 0 endPort: 0 action: Deny, priority: 1000",
            "rule-l4",
            {"protocol": 254, "action": "Deny", "priority": 1000},
        ),
        ("Parsed Except CIDR: 10.1.2.3/16 (canonical: 10.1.0.0/16)", "rule-except", {"cidr": "10.1.2.3/16", "canonical": "10.1.0.0/16"}),
        ("Bulk refresh: added/updated 3 entries, deleted 1 entries", "bulk-refresh", {"updated": 3, "deleted": 1}),
        ("didn't find cluster policy egress in-mem map for a@b", "inmem-missing", {"pod_identifier": "a@b", "direction": "egress", "tier": "cluster"}),
        ("Ingress in-mem map not found for a-b", "inmem-missing", {"pod_identifier": "a-b", "direction": "ingress", "tier": "namespace"}),
        ("Received a new reconcile request prod/x", "reconcile", {"namespace": "prod", "name": "x", "cluster": False}),
        ("Received a new reconcile request for ClusterPolicyEndpoint /cnp-1", "reconcile", {"namespace": "", "name": "cnp-1", "cluster": True}),
        (
            "Parent Cluster Network Policy resource Name: cnp Total Cluster Policy Endpoints for Parent CNP: Count: 2",
            "parent-policy",
            {"name": "cnp", "count": 2, "cluster": True},
        ),
        (
            "Prog Load Succeeded for ingress, progFD: 13, pinpath: /sys/fs/bpf/x_handle_ingress, maps: 5",
            "prog-loaded",
            {"direction": "ingress", "prog_fd": 13, "pin_path": "/sys/fs/bpf/x_handle_ingress", "maps": 5},
        ),
        (
            "Updating pod_state map to default allow/default deny for podIdentifier: a@b for network policy state, value: 2",
            "default-state",
            {"pod_identifier": "a@b", "state": 2, "tier": "namespace"},
        ),
        (
            "Updating pod_state map to default allow for podIdentifier: a@b, for cluster network policy state, value: 1",
            "default-state",
            {"pod_identifier": "a@b", "state": 1, "tier": "cluster"},
        ),
        ("Updating pod_state map to default_deny for podIdentifier: a-b", "default-state", {"pod_identifier": "a-b", "state": 2}),
        (
            "Updating pod_state map to default allow/default deny for podIdentifier: a-b, state: 1",
            "default-state",
            {"pod_identifier": "a-b", "state": 1},
        ),
        ("migrated 3 bpffs pin file(s) for prod/web-1: web-prod -> web@prod", "pin-migrated", {"old": "web-prod", "new": "web@prod", "pod": "web-1", "count": 3}),
        (
            "legacy pin web-prod shared by 2 local pods; inheriting to first pod prod/web-1 (web@prod); other pods get fresh pins via reconcile",
            "pin-shared",
            {"identifier": "web-prod", "count": 2},
        ),
        ("Stale ingress TC filter on eni12; detaching before re-attach", "stale-filter", {"veth": "eni12"}),
        ("Skipping ipv4 rule in ipv6 cluster CIDR: 2001:db8:0:1:2:3:4:5/128", "rule-skipped", {"cidr": "2001:db8:0:1:2:3:4:5/128"}),
        ("CRD now available, restarting agent: clusterpolicyendpoints", "crd-check", {"result": "now available"}),
        (
            "Skipping hostNetwork pod: name: p namespace: n (PodIP == HostIP: 10.0.1.10)",
            "host-network-skipped",
            {"node_ip": "10.0.1.10"},
        ),
    ],
)  # fmt: skip
def test_printf_messages(message: str, slug: str, fields: dict) -> None:
    got = events(AGENT_LOG, line("v1.2.2", "info", message) + "\n")

    assert [slug] == [event["event"] for event in got]
    assert fields == {name: got[0][name] for name in fields}


def test_every_documented_slug_is_in_a_catalogue() -> None:
    text = (Path(__file__).parent.parent / "docs" / "records.md").read_text().split("## Log events", 1)[1]
    slugs = {slug for row in text.splitlines() if row.startswith("| `") for slug in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", row)}
    known = {event.slug for event in (*AGENT, *SDK, *IPAMD, *PLUGIN)}

    assert set() == slugs - known


def test_first_words_of_the_catalogue_are_first_words() -> None:
    wrong = [event.slug for event in (*AGENT, *SDK, *IPAMD, *PLUGIN) for word in event.words if " " in word or not word]

    assert [] == wrong


@pytest.mark.parametrize("generation", ["v1.0.1", "v1.0.4", "v1.2.2"])
@pytest.mark.parametrize("row", [ROW, ROW6], ids=["v4", "v6"])
@pytest.mark.parametrize("tier", [False, True])
def test_flow_lines_of_every_generation(generation: str, row: dict, tier: bool) -> None:
    old = generation != "v1.2.2"
    wanted = {**row, "direction": None if old else "ingress", "tier": "NETWORK_POLICY" if tier and not old else None}

    got = flows(AGENT_LOG, flow(generation, row, tier=tier) + "\n")

    assert [{"ts": TS, "utc_ns": TS_NS, **wanted}] == got


@pytest.mark.parametrize("row", [ROW, ROW6, {**ROW, "verdict": "EXPIRED/DELETED"}, {**ROW, "src": "10.1.2", "dport": 0}])
@pytest.mark.parametrize("tier", [False, True])
@pytest.mark.parametrize("level", ["info", "debug"])
def test_current_flow_lines_take_the_clean_path(row: dict, tier: bool, level: str) -> None:
    text = (flow("v1.2.2", row, tier=tier, level=level) + "\n").encode()
    buffer = bytes(log_scan.PAD) + text + bytes(log_scan.PAD)

    block = log_scan.Scanner(("Flow",)).scan(buffer, len(text), 0, 1)

    assert [log_scan.FLOW] == block.kinds.tolist()


@pytest.mark.parametrize(
    ("printed", "whole"),
    [("10.1.2", "10.1.2.0"), ("10.1", "10.1.0.0"), ("0", "0.0.0.0"), ("10.1.2.3", "10.1.2.3"), ("fd00::", "fd00::")],
)
def test_vanished_octets_are_put_back(printed: str, whole: str) -> None:
    got = flows(AGENT_LOG, flow("v1.2.2", {**ROW, "src": printed}) + "\n" + flow("v1.0.4", {**ROW, "src": printed}) + "\n")

    assert whole == restored(printed)
    assert [whole, whole] == [row["src"] for row in got]


def test_two_word_protocol() -> None:
    got = flows(AGENT_LOG, flow("v1.2.2", {**ROW, "protocol": "ANY PROTOCOL"}, tier=True) + "\n")

    assert ["ANY PROTOCOL"] == [row["protocol"] for row in got]


def test_error_lines_are_events_and_other_lines_are_counted() -> None:
    text = "\n".join(
        [
            line("v1.2.2", "error", "problem running manager no such file or directory"),
            line("v1.2.2", "info", "Probe validation Done"),
            line("v1.0.4", "error", "Reconcile error", [("error", "timed out"), ("stacktrace", "main.main\n\tmain.go:1")]),
        ]
    )

    got = events(AGENT_LOG, text)

    assert [("error", "ENOENT"), ("error", None)] == [(event["event"], event["errno"]) for event in got]
    assert "timed out" == got[1]["error"]
    assert {"error": 2, "info": 1} == summary(AGENT_LOG, text)["levels"]


def test_duplicate_keys_keep_both_values() -> None:
    text = line("v1.0.4", "info", "Deleting: ", [("Program: ", "/p"), ("Map: ", "/m1"), ("Map: ", "/m2")])

    got = events(AGENT_LOG, text)

    assert ["/p", "/m1", "/m2"] == got[0]["pins"]
    assert ["Map: "] == got[0]["duplicate_keys"]


def test_joined_records_and_a_lost_first_brace() -> None:
    one, two = line("v1.2.2", "info", "starting manager"), line("v1.2.2", "info", "ID of map to update: ID: 7")
    text = one[1:] + "\n" + two + one + two + "\n"

    got = items(AGENT_LOG, text)

    slugs = [item.data["event"] for item in got if isinstance(item, Record) and item.kind == "log_event"]
    assert ["manager-start", "map-write", "manager-start", "map-write"] == slugs
    assert ["the log begins in the middle of a line"] == [item.what for item in got if isinstance(item, Problem)]


def test_a_file_that_begins_mid_line_keeps_the_rest_of_the_line() -> None:
    record = line("v1.2.2", "info", "ID of map to update: ID: 7")
    text = record[30:] + "\n" + (record + "\n") * 5

    got = events(AGENT_LOG, text)

    assert [None, TS] == [event["ts"] for event in got[:2]]
    assert 6 == len(got)


@pytest.mark.parametrize("cut", [1, 20, 60, 100])
def test_a_cut_end_is_one_problem_and_costs_one_line(cut: int) -> None:
    record = line("v1.2.2", "info", "ID of map to update: ID: 777")
    text = (record + "\n") * 4 + record[:-cut]

    got = items(AGENT_LOG, text)

    found = [item for item in got if isinstance(item, Problem)]
    assert 4 == sum(isinstance(item, Record) and item.kind == "log_event" for item in got)
    assert [("a log record is cut", "1 line")] == [(problem.what, problem.lost) for problem in found]
    assert (5, len(text.encode())) == (found[0].span.first_line, found[0].span.end)


def test_a_run_of_bad_lines_is_one_problem_with_its_count() -> None:
    good = line("v1.2.2", "info", "starting manager") + "\n"
    text = good * 20 + "\x00garbage\n" * 3 + good

    found = problems(AGENT_LOG, text)

    assert [("a line is no log record", "3 lines", 21, 23)] == [
        (problem.what, problem.lost, problem.span.first_line, problem.span.last_line) for problem in found
    ]
    assert 3 == summary(AGENT_LOG, text)["unread_lines"]


def test_prose_and_prompts_around_a_paste_are_no_problems() -> None:
    text = "We saw this:\n```\n$ tail agent.log\n" + line("v1.2.2", "info", "starting manager") + "\n```\nand then it died.\n"

    got = items(AGENT_LOG, text, "-")

    assert ["log_event", "log_summary"] == [item.kind for item in got]


def test_curled_quotes() -> None:
    text = line("v1.2.2", "info", "ID of map to update: ID: 7").replace('"', "\u201d")

    assert [7] == [event["map_id"] for event in events(AGENT_LOG, text)]


def test_pretty_printed_records_have_the_span_of_all_their_lines() -> None:
    record = json.loads(line("v1.0.4", "info", "Received a new reconcile request", [("req", {"name": "x", "namespace": "n"})]))
    text = (json.dumps(record, indent=2) + "\n") * 2

    got = [item for item in items(AGENT_LOG, text) if isinstance(item, Record)]

    assert [("n", "x"), ("n", "x")] == [(item.data["namespace"], item.data["name"]) for item in got[:-1]]
    assert [(1, 10), (11, 20)] == [(item.span.first_line, item.span.last_line) for item in got[:-1]]


def test_a_record_wrapped_at_blanks_or_at_a_terminals_width() -> None:
    record = flow("v1.0.4", ROW)
    at_blanks = record.replace("Src IP", "Src\nIP").replace("Dest Port", "Dest\nPort")
    width = 70
    at_width = "\n".join(record[at : at + width] for at in range(0, len(record), width))

    assert 1 == len(flows(AGENT_LOG, at_blanks))
    assert flows(AGENT_LOG, at_blanks) == flows(AGENT_LOG, at_width) == flows(AGENT_LOG, record)


def test_a_panic_is_one_event() -> None:
    text = (
        line("v1.0.4", "info", "Received a new reconcile request", [("req", {"name": "x", "namespace": "n"})])
        + "\n2026-11-21 03:22:18.2 +0000 UTC Logger.check error: failed to get caller\n"
        "panic: runtime error: invalid memory address or nil pointer dereference [recovered]\n"
        "\tpanic: runtime error: invalid memory address or nil pointer dereference\n"
        "[signal SIGSEGV: segmentation violation code=0x1 addr=0x28 pc=0xaaaac0ffee00]\n"
        "\n"
        "goroutine 77 [running]:\n"
        "sigs.k8s.io/controller-runtime/pkg/internal/controller.(*Controller).Reconcile.func1()\n"
        "\t/go/pkg/mod/controller.go:115 +0x1fa\n"
        "panic({0x1, 0x2})\n"
        "\t/usr/local/go/src/runtime/panic.go:884 +0x213\n"
        "github.com/aws/aws-network-policy-agent/controllers.(*PolicyEndpointsReconciler).Reconcile(0xc000410b80, {0x1, ...})\n"
        "\t/workspace/controllers/policyendpoints_controller.go:100 +0x1\n"
        + line("v1.0.4", "info", "starting manager")
        + "\n"
    )

    got = events(AGENT_LOG, text)

    assert ["reconcile", "panic", "manager-start"] == [event["event"] for event in got]
    assert "invalid memory address or nil pointer dereference" == got[1]["panic"]
    assert "controllers.(*PolicyEndpointsReconciler).Reconcile" == got[1]["frame"]
    assert (77, "SIGSEGV", "arm64") == (got[1]["goroutine"], got[1]["signal"], got[1]["arch_hint"])
    assert [] == problems(AGENT_LOG, text)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (" \x00\x00\x00\nd\x01\x15", "200000000a640115"),  # 10.100.1.21/32: prefix 32 is a blank, octet 10 a line feed
        (r"\x18\x00\x00\x00\xac\x10\x05\x00", "18000000ac100500"),  # bytes written out: 172.16.5.0/24
        (" \x00\x00\x00\n\ufffd\x01\x15", None),  # a byte that was no UTF-8
        ("short", None),
    ],
)
def test_key_of_a_failed_write(text: str, key: str | None) -> None:
    expected = bytes.fromhex(key) if key is not None else None

    assert expected == key_bytes(text)


def test_kernel_delete_failed_names_the_key() -> None:
    message = "Failed to delete from kernel map for key  \x00\x00\x00\nd\x01\x15: unable to update map: no such file or directory"

    got = events(AGENT_LOG, line("v1.2.2", "error", message))

    assert ("kernel-delete-failed", "200000000a640115", "10.100.1.21/32", "ENOENT") == (
        got[0]["event"],
        got[0]["key_hex"],
        got[0]["cidr"],
        got[0]["errno"],
    )


def test_invalid_escapes_do_not_cost_the_record() -> None:
    record = line("v1.2.2", "error", "Failed to update kernel map during bulk refresh for key KEY: unable to update map: invalid argument")

    got = events(AGENT_LOG, record.replace("KEY", r"\x30\x00\x00\x00\x26\x00\x00\x00"))

    assert "3000000026000000" == got[0]["key_hex"]
    assert got[0]["cidr"] is None  # prefix 48 on four octets


def test_conntrack_key_object_of_the_first_versions() -> None:
    # 10.0.0.1 and 10.0.0.2 as the little-endian integers Go prints.
    key = {"Source_ip": 0x0100000A, "Source_port": 5, "Dest_ip": 0x0200000A, "Dest_port": 53, "Protocol": 17}

    got = events(AGENT_LOG, line("v1.0.1", "info", "Conntrack cleanup", [("Delete - ", key)]))

    assert ("10.0.0.1", 5, "10.0.0.2", 53, 17, None) == tuple(
        got[0][name] for name in ("src", "sport", "dst", "dport", "protocol", "owner")
    )


@pytest.mark.parametrize("generation", ["v1.0.1", "v1.0.4", "v1.2.2"])
def test_summary_names_the_encoder_and_the_times(generation: str) -> None:
    text = line(generation, "info", "starting manager") + "\n\n" + line(generation, "debug", "x y", ts="2026-11-21T04:00:00.000Z")

    got = summary(AGENT_LOG, text, "network-policy-agent-2026-11-21T03-22-23.108.log.gz")

    assert generation == got["encoder"]
    assert (TS, "2026-11-21T04:00:00.000Z", 3, 0) == tuple(got[name] for name in ("first_ts", "last_ts", "lines", "unread_lines"))
    assert ({"debug": 1, "info": 1}, "2026-11-21T03:22:23.108Z") == (got["levels"], got["rotated_at"])


def test_digest_lines_without_json() -> None:
    text = "ERROR  Ingress Pod State Map update failed: unable to update map: invalid argument\nERROR  bpf_client.go:1272  boom\n"

    got = events(AGENT_LOG, text, "-")

    assert [("kernel-update-failed", "ingress"), ("error", None)] == [(event["event"], event.get("direction")) for event in got]


CRI = "2026-11-21T03:22:18.200000001Z stdout"


def test_container_log_lines_are_unwrapped() -> None:
    record = line("v1.2.2", "info", "ID of map to update: ID: 7")
    text = f"{CRI} F {record}\n{CRI} P {record[:40]}\n{CRI} F {record[40:]}\n{CRI} F {flow('v1.2.2', ROW)}\n"

    got = [item for item in items(CRI_LOG, text) if isinstance(item, Record)]

    assert [7, 7] == [item.data["map_id"] for item in got[:-1]]
    assert [(1, 1), (2, 3)] == [(item.span.first_line, item.span.last_line) for item in got[:-1]]
    assert ["10.0.1.20"] == [row["src"] for row in flows(CRI_LOG, text)]
    assert CRI_LOG.sniff(text.encode(), "0.log").value > AGENT_LOG.sniff(text.encode(), "0.log").value


def test_docker_json_log_lines_are_unwrapped() -> None:
    record = line("v1.2.2", "info", "ID of map to update: ID: 7")
    text = json.dumps({"log": record + "\n", "stream": "stdout", "time": TS}, separators=(",", ":")) + "\n"

    got = events(CRI_LOG, text)

    assert [7] == [event["map_id"] for event in got]
    assert CRI_LOG.sniff(text.encode(), "x-json.log").value >= 30


def test_sdk_log_tells_agent_starts_from_cli_runs() -> None:
    def said(caller: str, message: str, level: str = "info") -> str:
        return json.dumps({"level": level, "ts": TS, "caller": caller, "msg": message}, separators=(",", ":")) + "\n"

    start = said("logger/logger.go:250", "Constructed new logger instance")
    dump = said("filepath/path.go:530", "Dumping pinpaths - %!(EXTRA string=/sys/fs/bpf/globals/aws/maps/web-1-prod_cp_ingress_map)")
    text = (
        start
        + said("ebpf/bpf_client.go:543", "link name eth0")
        + start
        + dump
        + said("filepath/path.go:530", "Got ID 222")
        + start
        + said("elfparser/elf.go:197", "Calling BPFsys for name cp_ingress_map mapType 11 keysize 8 valuesize 384 max entries 65536 and flags 1")
        + said("maps/loader.go:363", "last entry read done", "error")
        + said("maps/loader.go:335", "unable to delete map entry and ret -1 and err no such file or directory", "error")
    )

    got = [item for item in items(SDK_LOG, text, "ebpf-sdk.log") if isinstance(item, Record)]

    starts = [item.data["run"] for item in got if item.data.get("event") == "process-start"]
    pins = [item.data for item in got if item.kind == "pin"]
    rest = [item.data for item in got if item.data.get("event") in ("map-created", "error")]
    assert ["agent", "cli", "agent"] == starts
    assert [("web-1-prod", "cp_ingress_map", 222)] == [(pin["pod_identifier"], pin["map_name"], pin["map_id"]) for pin in pins]
    assert [("map-created", 384), ("error", None)] == [(data["event"], data.get("value_size")) for data in rest]
    assert "ENOENT" == rest[1]["errno"]
    assert {"error": 2, "info": 7} == got[-1].data["levels"]


def test_plugin_log_ties_addresses_to_pods() -> None:
    def said(message: str, level: str = "info") -> str:
        return json.dumps({"level": level, "ts": TS, "caller": "routed-eni-cni-plugin/cni.go:125", "msg": message}) + "\n"

    text = (
        said(
            "Received CNI add request: ContainerID(c1) Netns(/var/run/netns/x) IfName(eth0) "
            "Args(IgnoreUnknown=1;K8S_POD_NAMESPACE=prod;K8S_POD_NAME=web-1;K8S_POD_INFRA_CONTAINER_ID=c1) Path(/opt/cni/bin) argsStdinData({})"
        )
        + said('Received add network response from ipamd for container c1 interface eth0: Success:true IPv4Addr:"10.0.1.20" DeviceNumber:0')
        + said("Network Policy agent for EnforceNpToPod returned Success : true", "debug")
        + said(
            "Failed to setup default network policy for Pod Name web-2 and NameSpace prod: GRPC returned - context deadline exceeded "
            "Network policy agent returned - <nil>",
            "error",
        )
    )

    got = events(PLUGIN_LOG, text, "plugin.log")

    assert ["cni-add", "pod-ip", "enforce-result", "enforce-failed"] == [event["event"] for event in got]
    assert ("web-1", "prod", "10.0.1.20") == (got[1]["pod"], got[1]["namespace"], got[1]["ip"])
    assert (True, "web-2", "context deadline exceeded") == (got[2]["success"], got[3]["pod"], got[3]["error"])


def test_ipamd_log_gives_pod_addresses() -> None:
    message = (
        "assignPodIPAddressUnsafe: Assign IP 10.0.1.20 to sandbox aws-cni/c1/eth0 with metadata "
        "{K8SPodNamespace:prod K8SPodName:web-1 InterfacesCount:1}"
    )
    text = json.dumps({"level": "info", "ts": TS, "caller": "datastore/data_store.go:864", "msg": message})

    got = events(IPAMD_LOG, text, "ipamd.log")

    assert [("pod-ip", "web-1", "prod", "10.0.1.20")] == [(event["event"], event["pod"], event["namespace"], event["ip"]) for event in got]


RECORD = "Node: ip-10-0-1-10.ec2.internal;SIP: 10.0.1.20;SPORT: 40222;DIP: 10.1.2;DPORT: 53;PROTOCOL: UDP;PolicyVerdict: DENY"


@pytest.mark.parametrize(
    ("text", "ts"),
    [
        (RECORD, None),
        (f"2026-11-21T03:22:18.164Z   {RECORD}", TS),
        (f"2026-11-21T03:22:18.164000+00:00 aws-network-policy-agent-audit-1f {RECORD}", "2026-11-21T03:22:18.164000+00:00"),
        (f'@timestamp,@message\n2026-11-21 03:22:18.164,"{RECORD}"', "2026-11-21 03:22:18.164"),
        (json.dumps([{"@timestamp": "2026-11-21 03:22:18.164", "@message": RECORD}]), "2026-11-21 03:22:18.164"),
        (json.dumps([{"@timestamp": "2026-11-21 03:22:18.164", "@message": RECORD}], indent=2), "2026-11-21 03:22:18.164"),
        (json.dumps({"events": [{"timestamp": 1795231338164, "message": RECORD, "ingestionTime": 1795231339000}]}), "1795231338164"),
        (
            json.dumps({"results": [[{"field": "@timestamp", "value": "2026-11-21 03:22:18.164"}, {"field": "@message", "value": RECORD}]]}, indent=4),
            "2026-11-21 03:22:18.164",
        ),
    ],
)  # fmt: skip
def test_cloudwatch_records_in_every_export(text: str, ts: str | None) -> None:
    got = flows(FLOW_LINES, text + "\n")

    assert [(ts, TS_NS if ts else None, "10.0.1.20", "10.1.2.0", 53, "UDP", "DENY", None)] == [
        (row["ts"], row["utc_ns"], row["src"], row["dst"], row["dport"], row["protocol"], row["verdict"], row["tier"]) for row in got
    ]
    assert ["ip-10-0-1-10.ec2.internal"] == [row["node"] for row in got]
    assert FLOW_LINES.sniff(text.encode(), "-").value >= 30


def test_cloudwatch_tier_and_a_cut_record() -> None:
    text = f"{RECORD};Tier: ADMIN\n{RECORD};Tier: ADM\n{RECORD[:60]}\n"

    got = items(FLOW_LINES, text)

    assert ["ADMIN"] == [row["tier"] for row in flows(FLOW_LINES, text)]
    assert [("a flow record is cut", "2 lines")] == [(item.what, item.lost) for item in got if isinstance(item, Problem)]


def test_a_long_export_on_one_line_cites_each_record() -> None:
    rows = [{"@timestamp": f"2026-11-21 03:22:{n:02}.000", "@message": RECORD} for n in range(60)]
    text = json.dumps(rows)

    batch = next(item for item in items(FLOW_LINES, text) if isinstance(item, FlowBatch))

    assert [row["@timestamp"] for row in rows] == batch.columns["ts"]
    assert {RECORD} == {text[span["start"] : span["end"]] for span in batch.spans}


def test_flow_lines_pasted_without_json() -> None:
    message = json.loads(flow("v1.2.2", ROW, tier=True))["msg"]

    got = flows(FLOW_LINES, f"$ grep DENY\n{message}\n")

    assert [("10.0.1.20", "NETWORK_POLICY")] == [(row["src"], row["tier"]) for row in got]
    assert 0 == FLOW_LINES.sniff(flow("v1.2.2", ROW).encode(), "network-policy-agent.log").value


LINES = [
    line("v1.2.2", "info", "Updating Map with IP Key: 10.0.0.0/8"),
    line("v1.2.2", "info", "Updating Map with IP Key: 10.0.0.0/8", ts="2026-11-21T03:22:59.999+0200"),
    line("v1.2.2", "debug", "Found CIDR match or IP: 10.0.0.1 in CIDR: 10.0.0.0/8"),
    line("v1.2.2", "error", "problem running manager x"),
    line("v1.2.2", "info", "found \u00e9 \\ \"quoted\" text"),
    line("v1.0.4", "info", "Received a new reconcile request", [("req", {"name": "x", "namespace": "n"})]),
    line("v1.0.1", "info", "starting manager", logger="setup"),
    flow("v1.2.2", ROW),
    flow("v1.2.2", ROW, tier=True, level="debug"),
    flow("v1.2.2", ROW6, tier=True),
    flow("v1.2.2", {**ROW, "src": "10.1", "verdict": "ACCEPT", "protocol": "ICMP", "sport": 0}, tier=True),
    flow("v1.2.2", {**ROW, "protocol": "ANY PROTOCOL"}, tier=True),
    flow("v1.0.4", ROW),
    flow("v1.0.1", ROW6),
    "",
    "panic: boom",
    "goroutine 1 [running]:",
]


def _plain(text: bytes, *, tolerant_only: bool) -> tuple[list, list, dict]:
    reader = log_reader.LogReader(Source("network-policy-agent.log", text), "agent", AGENT)
    rows, bad, last = [], [], {}
    for item in reader.read(tolerant_only=tolerant_only):
        if isinstance(item, FlowBatch):
            columns = [item.columns[name] for name in sorted(item.columns)]
            rows += [(int(span["start"]), int(span["end"]), int(span["first_line"]), *row) for span, *row in zip(item.spans, *columns, strict=True)]
        elif isinstance(item, Problem):
            bad.append(item)
        elif item.kind == "log_summary":
            last = item.data
        else:
            rows.append((item.span.start, item.span.end, item.span.first_line, item.data["event"], json.dumps(item.data)))
    return sorted(rows, key=lambda row: row[:3]), bad, last


@st.composite
def damaged_logs(draw: st.DrawFn) -> bytes:
    text = "\n".join(draw(st.lists(st.sampled_from(LINES), min_size=1, max_size=12))).encode()
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        kind = draw(st.sampled_from(["delete", "insert", "replace", "cut", "join"]))
        piece = draw(st.sampled_from([b'"', b"}", b"{", b" ", b"\n", b"\r", b"\x00", b"\xff", b"\\", b",", b":", b"9", b"Z", b"ts"]))
        if kind == "delete":
            text = text[:at] + text[at + 1 :]
        elif kind == "insert":
            text = text[:at] + piece + text[at:]
        elif kind == "replace":
            text = text[:at] + piece + text[at + len(piece) :]
        elif kind == "cut":
            text = text[at:] if draw(st.booleans()) else text[:at]
        else:
            text = text.replace(b"\n", b"", 1)
    return text + draw(st.sampled_from([b"", b"\n"]))


@settings(max_examples=1500, deadline=None)
@given(damaged_logs())
def test_clean_and_tolerant_path_give_the_same(text: bytes) -> None:
    assert _plain(text, tolerant_only=True) == _plain(text, tolerant_only=False)


def test_blocks_do_not_change_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    text = ("\n".join(LINES * 30) + "\n").encode()
    whole = _plain(text, tolerant_only=False)

    monkeypatch.setattr(log_reader, "BLOCK_BYTES", 700)
    pieces = _plain(text, tolerant_only=False)

    assert whole[:2] == pieces[:2]
    assert {**whole[2], "encoder": None} == {**pieces[2], "encoder": None}


def test_flow_batches_stay_small() -> None:
    text = ((flow("v1.2.2", ROW) + "\n") * 150_000).encode()

    batches = [item for item in AGENT_LOG.read(Source("a.log", io.BytesIO(text))) if isinstance(item, FlowBatch)]

    assert 150_000 == sum(len(batch.spans) for batch in batches)
    assert max(len(batch.spans) for batch in batches) < 2 * BATCH_ROWS
    assert (1, 150_000) == (batches[0].span.first_line, batches[-1].span.last_line)


@pytest.mark.parametrize(
    "text",
    [
        b"{" * 200_000,
        b'{"level":' * 50_000,
        b'{"level":"info","msg":"' + b"a" * 3_000_000,
        b"Flow Info: Src IP: a Src Port: 1 Dest IP: b Dest Port: 2 Proto x " * 20_000,
        b"Node:" * 100_000,
        b'{"x":\n}\n' * 20_000,
        bytes(range(256)) * 400,
    ],
    ids=["braces", "nested", "endless line", "flow heads", "nodes", "torn", "binary"],
)
@pytest.mark.parametrize("form", [AGENT_LOG, SDK_LOG, PLUGIN_LOG, CRI_LOG, FLOW_LINES], ids=lambda form: form.name)
def test_hostile_text_neither_raises_nor_takes_long(form, text: bytes) -> None:
    got = list(form.read(Source("x.log", text)))

    assert all(isinstance(item, Record | FlowBatch | Problem) for item in got)
