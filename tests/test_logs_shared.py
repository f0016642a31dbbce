"""Every log sample of the collection gives what its index says; the lab's logs tell the incident."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics.decode import decode_bytes

SHARED = Path(__file__).parents[2] / "shared"
SAMPLES = SHARED / "samples"
INDEX = SAMPLES / "index.jsonl"
ROWS = [json.loads(row) for row in INDEX.read_text().splitlines()] if INDEX.exists() else []
LOGS = [row for row in ROWS if row["kind"] == "agent_log"]
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not LOGS, reason="the sample collection is not beside the repository"),
]
#: Keys of expected_parse that are a judgement of the case or said by another key here.
NOT_READ = {"pattern", "joined_records", "wrapped", "cw", "max_prefixlen", "arch_hint_reason"}


class Seen:
    """The decoded sample, by kind."""

    def __init__(self, name: str) -> None:
        got = decode_bytes((SAMPLES / name).read_bytes(), name)
        self.records = got["records"]
        self.events = [record for record in self.records if record["kind"] == "log_event"]
        self.flows = [record for record in self.records if record["kind"] == "flow"]
        self.summary = next((record for record in self.records if record["kind"] == "log_summary"), {})
        self.problems = [problem["what"] for problem in got["problems"]]

    def all(self, slug: str, *names: str) -> list:
        """The named fields of the events with this slug."""
        found = [event for event in self.events if event["event"] == slug]
        return [tuple(event[name] for name in names) if len(names) > 1 else event[names[0]] for event in found]

    def count(self, slug: str) -> int:
        return sum(event["event"] == slug for event in self.events)


def same_flow(wanted: dict, got: dict) -> None:
    for key, value in wanted.items():
        if key == "bad_dst":
            assert got["dst"].count(".") == 3
        elif key == "dst" and wanted.get("bad_dst"):
            assert got["dst"] == value + ".0"
        elif key != "caller":
            assert got["protocol" if key == "proto" else key] == value


def errors(seen: Seen, wanted: int | list) -> None:
    bad = [event for event in seen.events if event["level"] == "error"]
    if isinstance(wanted, int):
        assert len(bad) == wanted
        return
    for one in wanted:
        if "key_hex" in one:
            hit = [event for event in bad if event.get("key_hex") == one["key_hex"]]
            assert int.from_bytes(bytes.fromhex(one["key_hex"])[:4], "little") == one["prefixlen"]
        else:
            text = one.get("msg") or f"{one['op']} {one['path']}"
            hit = [event for event in bad if text in event["msg"]]
        assert len(hit) == one.get("count", 1)
        assert {event["errno"] for event in hit} == {one["errno"]}


def write_failures(seen: Seen, wanted: list) -> None:
    for one in wanted:
        failed = [event for event in seen.events if event["event"] == "kernel-update-failed"]
        assert {event["errno"] for event in failed} == {one["errno"]}
        assert one["direction"] in [event["direction"] for event in failed]
        assert "map_id" not in one or one["map_id"] in seen.all("map-write", "map_id")


def detached(seen: Seen, wanted: list) -> None:
    names = ("pod", "veth", "cleanup_pin")
    assert seen.all("detach", *names) == [tuple(one[name] for name in names) for one in wanted]


def prog_loads(seen: Seen, wanted: list) -> None:
    assert seen.all("prog-loaded", "direction", "prog_fd", "maps") == [
        (one["direction"], one["fd"], one["maps"]) for one in wanted
    ]


def veths(seen: Seen, wanted: dict) -> None:
    assert dict(zip(seen.all("pod-identifier", "pod"), seen.all("veth-found", "veth"), strict=True)) == wanted


def pins(seen: Seen, wanted: dict) -> None:
    given = [path.rsplit("/", 1)[-1] for paths in seen.all("program-deleted", "pins") for path in paths]
    assert given == [f"{identifier}_{name}" for identifier, names in wanted.items() for name in names]


def flow_rows(seen: Seen, wanted: list) -> None:
    assert len(seen.flows) == len(wanted)
    for one, got in zip(wanted, seen.flows, strict=True):
        same_flow(one, got)


def del_network(seen: Seen, wanted: list) -> None:
    assert seen.all("del-network", "pod", "namespace", "sandbox", "reason") == [
        (one["pod"], one["ns"], one["sandbox"], one["reason"]) for one in wanted
    ]


def equal(value_of):
    """A check that a value of the sample is the expected one."""

    def check(seen: Seen, wanted: object) -> None:
        assert value_of(seen) == wanted

    return check


def records(seen: Seen, wanted: int) -> None:
    # The index counts the record that is cut in one sample and leaves it out in another.
    cut = seen.problems.count("a log record is cut")
    assert wanted - sum(seen.summary["levels"].values()) in (0, cut)


CHECKS = {
    "lines": equal(lambda seen: sum(seen.summary["levels"].values())),
    "ts_key": equal(lambda seen: {"v1.0.1": "timestamp"}.get(seen.summary["encoder"], "ts")),
    "loggers": equal(lambda seen: seen.summary["loggers"]),
    "restarts": equal(lambda seen: seen.count("manager-start")),
    "recovered_global_maps": equal(lambda seen: sum(seen.all("global-maps-recovered", "count"))),
    "recovered_fd": equal(lambda seen: seen.all("events-map-recovered", "fd")[0]),
    "reconciled": equal(lambda seen: seen.all("reconcile", "name")),
    "parent_np": equal(lambda seen: seen.all("parent-policy", "name")[0]),
    "flows": flow_rows,
    "errors": errors,
    "first_start": equal(lambda seen: seen.count("probe-missing") > 0),
    "files": equal(lambda seen: [record["name"] for record in seen.records if record["kind"] == "log_file"]),
    "metrics": equal(
        lambda seen: {
            f"{record['name']}{{{record['labels']['direction']}}}": record["value"]
            for record in seen.records
            if record["kind"] == "metric"
        }
    ),
    "truncated_lines": equal(lambda seen: sum("cut" in what for what in seen.problems)),
    "catch_all": equal(lambda seen: seen.all("rule-any", "cidr")),
    "map_update_failures": write_failures,
    "pod_state_write_failures": write_failures,
    "cleanup_starts": equal(lambda seen: seen.count("conntrack-cleanup-check")),
    "hydrations": equal(lambda seen: seen.count("conntrack-hydrated")),
    "cleanups_done": equal(lambda seen: seen.count("conntrack-cleanup-done")),
    "period_s": equal(
        lambda seen: round(
            (seen.all("conntrack-cleanup-check", "utc_ns")[1] - seen.all("conntrack-cleanup-check", "utc_ns")[0]) / 1e9
        )
    ),
    "log": equal(lambda seen: {"sdk": "ebpf-sdk.log", "ipamd": "ipamd.log"}[seen.summary["log"]]),
    "invalid_json_escapes": equal(lambda seen: not seen.problems),
    "podIdentifier": equal(lambda seen: seen.all("error", "pod_identifier")[0]),
    "direction": equal(lambda seen: seen.all("error", "direction")[0]),
    "prog_loads": prog_loads,
    "records": records,
    "missing_open_brace": equal(lambda seen: sum("lost its beginning" in what for what in seen.problems)),
    "veth": veths,
    "mode": equal(lambda seen: (seen.all("enforce-request", "mode") + seen.all("ipamd-mode", "mode"))[0]),
    "multi_nic": equal(lambda seen: seen.all("ipamd-mode", "multi_nic")[0]),
    "build": equal(lambda seen: seen.all("agent-start", "agent_version")[0]),
    "sdk": equal(lambda seen: seen.all("agent-start", "ebpf_sdk")[0]),
    "log_level": equal(lambda seen: seen.all("agent-start", "log_level")[0]),
    "panic": equal(lambda seen: seen.all("panic", "panic")[0]),
    "frame": equal(lambda seen: seen.all("panic", "frame")[0]),
    "arch_hint": equal(lambda seen: seen.all("panic", "arch_hint")[0]),
    "json_lines": equal(lambda seen: seen.summary["levels"]["info"]),
    "smart_quotes": equal(lambda seen: seen.summary["unread_lines"] == 0),
    "del_network": del_network,
    "pool": equal(
        lambda seen: dict(zip(("total", "assigned"), seen.all("pool-stats", "total", "assigned")[0], strict=True))
    ),
    "duplicate_keys": equal(lambda seen: seen.all("program-deleted", "duplicate_keys")[0]),
    "pins": pins,
    "detach": detached,
    "shared_pinpath": equal(lambda seen: seen.all("pin-path-shared", "shared")[0]),
    "bootstrap": equal(lambda seen: seen.count("ipam-bootstrap") == 1),
    "enis": equal(lambda seen: seen.all("eni-found", "eni")),
}


@pytest.mark.parametrize("row", LOGS, ids=lambda row: row["file"])
def test_sample_gives_its_expected_parse(row: dict) -> None:
    seen = Seen(row["file"])

    for key, wanted in row["expected_parse"].items():
        if key in NOT_READ:
            continue
        CHECKS[key](seen, wanted)


def _log(path: Path) -> list[dict]:
    return [record for record in decode_bytes(path.read_bytes(), path.name)["records"] if record["kind"] == "log_event"]


def test_the_incident_is_in_its_log() -> None:
    # The lab's README: `found ingress ebpf map for P ... MapID:222`, later `mapName: ingress_map` ... `ID: 221`.
    found = _log(SHARED / "lab" / "seed" / "v1.3.0" / "network-policy-agent.log")

    cluster = {event["map_id"] for event in found if event["event"] == "map-found" and event["tier"] == "cluster"}
    begun = None
    wrong = []
    for event in found:
        if event["event"] == "map-update-begin":
            begun = event["map_name"]
        elif event["event"] == "map-write" and begun in ("ingress_map", "egress_map") and event["map_id"] in cluster:
            wrong.append(event["map_id"])
    failed = [event["cidr"] for event in found if event["event"] == "kernel-delete-failed"]
    assert wrong
    assert failed == ["10.100.1.22/32"]


def test_the_healthy_version_writes_no_cluster_map() -> None:
    found = _log(SHARED / "lab" / "seed" / "v1.3.1" / "network-policy-agent.log")

    cluster = {event["map_id"] for event in found if event["event"] == "map-found" and event["tier"] == "cluster"}
    begun = None
    wrong = []
    for event in found:
        if event["event"] == "map-update-begin":
            begun = event["map_name"]
        elif event["event"] == "map-write" and begun in ("ingress_map", "egress_map") and event["map_id"] in cluster:
            wrong.append(event["map_id"])
    assert cluster
    assert wrong == []


@pytest.mark.parametrize("name", ["v1.2.7-debug", "v1.3.1-v6-debug", "v1.4.1-debug"])
def test_lab_logs_read_whole(name: str) -> None:
    path = SHARED / "lab" / "logs" / name / "network-policy-agent.log"
    lines = path.read_text().splitlines()

    got = decode_bytes(path.read_bytes(), path.name)

    flows = [record for record in got["records"] if record["kind"] == "flow"]
    assert got["problems"] == []
    assert len(flows) == sum("Flow Info" in line for line in lines)
    assert {flow["direction"] for flow in flows} <= {"ingress", "egress"}
    assert all((flow["tier"] is None) == (name == "v1.2.7-debug") for flow in flows)
    assert got["records"][-1]["lines"] == [len(lines), len(lines)]
