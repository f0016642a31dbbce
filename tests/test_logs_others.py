"""Container logs, ebpf-sdk.log, plugin.log, ipamd.log, and flow records of CloudWatch."""

from __future__ import annotations

import json

import pytest
from log_items import ROW, TS_NS, events, flows, items
from render_logs import TS, flow, line

from formats.agent_log import FORMAT as AGENT_LOG
from formats.base import FlowBatch, Problem, Record
from formats.cri_log import FORMAT as CRI_LOG
from formats.ebpf_sdk_log import FORMAT as SDK_LOG
from formats.flow_lines import FORMAT as FLOW_LINES
from formats.ipamd_log import FORMAT as IPAMD_LOG
from formats.plugin_log import FORMAT as PLUGIN_LOG

CRI = "2026-11-21T03:22:18.200000001Z stdout"


def test_container_log_lines_are_unwrapped() -> None:
    record = line("v1.2.2", "info", "ID of map to update: ID: 7")
    text = f"{CRI} F {record}\n{CRI} P {record[:40]}\n{CRI} F {record[40:]}\n{CRI} F {flow('v1.2.2', ROW)}\n"

    got = [item for item in items(CRI_LOG, text) if isinstance(item, Record)]

    assert [item.data["map_id"] for item in got[:-1]] == [7, 7]
    assert [(item.span.first_line, item.span.last_line) for item in got[:-1]] == [(1, 1), (2, 3)]
    assert [row["src"] for row in flows(CRI_LOG, text)] == ["10.0.1.20"]
    assert CRI_LOG.sniff(text.encode(), "0.log").value > AGENT_LOG.sniff(text.encode(), "0.log").value


def test_docker_json_log_lines_are_unwrapped() -> None:
    record = line("v1.2.2", "info", "ID of map to update: ID: 7")
    text = json.dumps({"log": record + "\n", "stream": "stdout", "time": TS}, separators=(",", ":")) + "\n"

    got = events(CRI_LOG, text)

    assert [event["map_id"] for event in got] == [7]
    assert CRI_LOG.sniff(text.encode(), "x-json.log").value >= 30


def test_sdk_log_tells_agent_starts_from_cli_runs() -> None:
    def said(caller: str, message: str, level: str = "info") -> str:
        return json.dumps({"level": level, "ts": TS, "caller": caller, "msg": message}, separators=(",", ":")) + "\n"

    start = said("logger/logger.go:250", "Constructed new logger instance")
    dump = said(
        "filepath/path.go:530",
        "Dumping pinpaths - %!(EXTRA string=/sys/fs/bpf/globals/aws/maps/web-1-prod_cp_ingress_map)",
    )
    text = (
        start
        + said("ebpf/bpf_client.go:543", "link name eth0")
        + start
        + dump
        + said("filepath/path.go:530", "Got ID 222")
        + start
        + said(
            "elfparser/elf.go:197",
            "Calling BPFsys for name cp_ingress_map mapType 11 keysize 8 valuesize 384 max entries 65536 and flags 1",
        )
        + said("maps/loader.go:363", "last entry read done", "error")
        + said("maps/loader.go:335", "unable to delete map entry and ret -1 and err no such file or directory", "error")
    )

    got = [item for item in items(SDK_LOG, text, "ebpf-sdk.log") if isinstance(item, Record)]

    starts = [item.data["run"] for item in got if item.data.get("event") == "process-start"]
    pins = [item.data for item in got if item.kind == "pin"]
    rest = [item.data for item in got if item.data.get("event") in ("map-created", "error")]
    assert starts == ["agent", "cli", "agent"]
    assert [(pin["pod_identifier"], pin["map_name"], pin["map_id"]) for pin in pins] == [
        ("web-1-prod", "cp_ingress_map", 222)
    ]
    assert [(data["event"], data.get("value_size")) for data in rest] == [("map-created", 384), ("error", None)]
    assert rest[1]["errno"] == "ENOENT"
    assert got[-1].data["levels"] == {"error": 2, "info": 7}


def test_plugin_log_ties_addresses_to_pods() -> None:
    def said(message: str, level: str = "info") -> str:
        return (
            json.dumps({"level": level, "ts": TS, "caller": "routed-eni-cni-plugin/cni.go:125", "msg": message}) + "\n"
        )

    text = (
        said(
            "Received CNI add request: ContainerID(c1) Netns(/var/run/netns/x) IfName(eth0) "
            ""
            "Args(IgnoreUnknown=1;K8S_POD_NAMESPACE=prod;K8S_POD_NAME=web-1) "
            "Path(/opt/cni/bin) argsStdinData({})"
        )
        + said(
            "Received add network response from ipamd for container c1 interface eth0: Success:true "
            'IPv4Addr:"10.0.1.20" DeviceNumber:0'
        )
        + said("Network Policy agent for EnforceNpToPod returned Success : true", "debug")
        + said(
            "Failed to setup default network policy for Pod Name web-2 and NameSpace prod: GRPC returned "
            "- context deadline exceeded "
            "Network policy agent returned - <nil>",
            "error",
        )
    )

    got = events(PLUGIN_LOG, text, "plugin.log")

    assert [event["event"] for event in got] == ["cni-add", "pod-ip", "enforce-result", "enforce-failed"]
    assert (got[1]["pod"], got[1]["namespace"], got[1]["ip"]) == ("web-1", "prod", "10.0.1.20")
    assert (got[2]["success"], got[3]["pod"], got[3]["error"]) == (True, "web-2", "context deadline exceeded")


def test_ipamd_log_gives_pod_addresses() -> None:
    message = (
        "assignPodIPAddressUnsafe: Assign IP 10.0.1.20 to sandbox aws-cni/c1/eth0 with metadata "
        "{K8SPodNamespace:prod K8SPodName:web-1 InterfacesCount:1}"
    )
    text = json.dumps({"level": "info", "ts": TS, "caller": "datastore/data_store.go:864", "msg": message})

    got = events(IPAMD_LOG, text, "ipamd.log")

    assert [(event["event"], event["pod"], event["namespace"], event["ip"]) for event in got] == [
        ("pod-ip", "web-1", "prod", "10.0.1.20")
    ]


RECORD = (
    "Node: ip-10-0-1-10.ec2.internal;SIP: 10.0.1.20;SPORT: 40222;DIP: 10.1.2;DPORT: 53;PROTOCOL: UDP;"
    "PolicyVerdict: DENY"
)


@pytest.mark.parametrize(
    ("text", "ts"),
    [
        (RECORD, None),
        (f"2026-11-21T03:22:18.164Z   {RECORD}", TS),
        (
            f"2026-11-21T03:22:18.164000+00:00 aws-network-policy-agent-audit-1f {RECORD}",
            "2026-11-21T03:22:18.164000+00:00",
        ),
        (f'@timestamp,@message\n2026-11-21 03:22:18.164,"{RECORD}"', "2026-11-21 03:22:18.164"),
        (json.dumps([{"@timestamp": "2026-11-21 03:22:18.164", "@message": RECORD}]), "2026-11-21 03:22:18.164"),
        (
            json.dumps([{"@timestamp": "2026-11-21 03:22:18.164", "@message": RECORD}], indent=2),
            "2026-11-21 03:22:18.164",
        ),
        (
            json.dumps({"events": [{"timestamp": 1795231338164, "message": RECORD, "ingestionTime": 1795231339000}]}),
            "1795231338164",
        ),
        (
            json.dumps(
                {
                    "results": [
                        [
                            {"field": "@timestamp", "value": "2026-11-21 03:22:18.164"},
                            {"field": "@message", "value": RECORD},
                        ]
                    ]
                },
                indent=4,
            ),
            "2026-11-21 03:22:18.164",
        ),
    ],
)
def test_cloudwatch_records_in_every_export(text: str, ts: str | None) -> None:
    got = flows(FLOW_LINES, text + "\n")

    assert [(ts, TS_NS if ts else None, "10.0.1.20", "10.1.2.0", 53, "UDP", "DENY", None)] == [
        (row["ts"], row["utc_ns"], row["src"], row["dst"], row["dport"], row["protocol"], row["verdict"], row["tier"])
        for row in got
    ]
    assert [row["node"] for row in got] == ["ip-10-0-1-10.ec2.internal"]
    assert FLOW_LINES.sniff(text.encode(), "-").value >= 30


def test_cloudwatch_tier_and_a_cut_record() -> None:
    text = f"{RECORD};Tier: ADMIN\n{RECORD};Tier: ADM\n{RECORD[:60]}\n"

    got = items(FLOW_LINES, text)

    assert [row["tier"] for row in flows(FLOW_LINES, text)] == ["ADMIN"]
    assert [(item.what, item.lost) for item in got if isinstance(item, Problem)] == [
        ("a flow record is cut", "2 lines")
    ]


def test_a_long_export_on_one_line_cites_each_record() -> None:
    rows = [{"@timestamp": f"2026-11-21 03:22:{n:02}.000", "@message": RECORD} for n in range(60)]
    text = json.dumps(rows)

    batch = next(item for item in items(FLOW_LINES, text) if isinstance(item, FlowBatch))

    assert [row["@timestamp"] for row in rows] == batch.columns["ts"]
    assert {RECORD} == {text[span["start"] : span["end"]] for span in batch.spans}


def test_flow_lines_pasted_without_json() -> None:
    message = json.loads(flow("v1.2.2", ROW, tier=True))["msg"]

    got = flows(FLOW_LINES, f"$ grep DENY\n{message}\n")

    assert [(row["src"], row["tier"]) for row in got] == [("10.0.1.20", "NETWORK_POLICY")]
    assert FLOW_LINES.sniff(flow("v1.2.2", ROW).encode(), "network-policy-agent.log").value == 0
