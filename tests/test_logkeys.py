"""Intended keys by the agent's log: bursts joined with map IDs and counts, and where the log does not tell."""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING

import pytest
from render_bpftool import plain
from render_logs import line

from forensics.analysis import run
from forensics.case import Overrides
from forensics.context import Context
from forensics.logkeys import LogKeys, Unknown, log_keys
from forensics.neighbours import Neighbours

if TYPE_CHECKING:
    from pathlib import Path

POD = "web-7d4f8c9b6-prod"
NODE = "10.0.1.10/32"
#: The IDs of the identifier's maps.
IDS = {"ingress_map": 21, "cp_ingress_map": 20, "egress_map": 24, "cp_egress_map": 23}
START = "Starting network policy agent with log level: info"


def value(*slots: tuple[int, int, int], size: int = 288) -> bytes:
    return b"".join(struct.pack("<3I", *slot) for slot in slots).ljust(size, b"\0")


def dump(*cidrs: str) -> str:
    pairs = []
    for cidr in cidrs:
        network = ipaddress.ip_network(cidr)
        key = struct.pack("<I", network.prefixlen) + network.network_address.packed
        pairs.append((key, value((254, 0, 0)) if cidr == NODE else value((6, 80, 0))))
    return plain(pairs)


def begin(name: str = "ingress_map", fd: int = 14) -> str:
    direction = "an Egress" if "egress" in name else "an Ingress"
    return f"Pod has {direction} hook attached. Update the corresponding map progFD: {fd}, mapName: {name}"


def cidrs(*texts: str) -> list[str]:
    return [f"Updating Map with IP Key: {text}" for text in texts]


def end(map_id: int, updated: int | None, deleted: int = 0) -> list[str]:
    write = [f"ID of map to update: ID: {map_id}"]
    return (
        write
        if updated is None
        else [*write, f"Bulk refresh: added/updated {updated} entries, deleted {deleted} entries"]
    )


def wrote(
    *texts: str, name: str = "ingress_map", map_id: int | None = None, updated: int, deleted: int = 0
) -> list[str]:
    return [begin(name), *cidrs(*texts), *end(map_id or IDS[name], updated, deleted)]


def evaluated(ingress: int, egress: int, *more: str, count: int = 1) -> list[str]:
    return [
        f"Total number of PolicyEndpoint resources for podIdentifier {POD} are {count}",
        f"Total no.of - ingressRules {ingress} egressRules {egress}",
        *more,
    ]


OPEN = "No Egress rules and no egress isolation - Appending catch all entry"
EGRESS = wrote("0.0.0.0/0", name="egress_map", updated=2)


def maps_found() -> list[str]:
    out = []
    for name, number in IDS.items():
        tier, way = "cluster policy " if "cp_" in name else "", "egress" if "egress" in name else "ingress"
        meta = f"Type:11 KeySize:8 ValueSize:{384 if tier else 288} MaxEntries:65536 Flags:1 InnerMapFd:0 Name:{name}"
        out.append(f"found {tier}{way} ebpf map for {POD}, map {{MapFD:9 MapID:{number} MapMetaData:{{{meta}}}}}")
    return out


class Bundle:
    """A node's log and dumps in a folder."""

    def __init__(self, folder: Path, agent: str = "v1.3.1") -> None:
        self.folder, self.agent, self.at = folder, agent, 0
        self.lines: list[str] = []
        self.say(START, *maps_found())

    def say(self, *messages: str, gap: int = 0) -> Bundle:
        """Log messages, a second apart; `gap` seconds pass before the first."""
        self.at += gap
        for message in messages:
            self.at += 1
            clock = f"{3 + self.at // 3600:02}:{self.at // 60 % 60:02}:{self.at % 60:02}"
            self.lines.append(line("v1.2.2", "info", message, ts=f"2026-11-21T{clock}.000Z"))
        return self

    def hold(self, ingress: tuple[str, ...], egress: tuple[str, ...] = ("0.0.0.0/0",), **more: str) -> Bundle:
        for name, text in {"ingress_map": dump(NODE, *ingress), "egress_map": dump(NODE, *egress), **more}.items():
            (self.folder / f"{POD}_{name}.txt").write_text(text)
        return self

    def analyze(self):
        (self.folder / "network-policy-agent.log").write_text("\n".join(self.lines) + "\n")
        return run([str(self.folder)], overrides=Overrides(self.agent, "10.0.1.10"))

    def keys(self, direction: str = "ingress") -> LogKeys | Unknown:
        case = self.analyze().case
        node = case.nodes[0]
        return log_keys(Context(case, node, node.pods[POD], Neighbours(node)), direction)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle(tmp_path)


def told(report) -> dict[str, list[tuple[str, str, str, list[str]]]]:
    out: dict[str, list[tuple[str, str, str, list[str]]]] = {}
    for f in report.findings:
        if f["detector"] in ("missing-entry", "stale-entry"):
            out.setdefault(f["detector"], []).append((f["map"], f["severity"], f["confidence"], f["entries"]))
    return out


def outcome(report, detector: str) -> tuple[str, str]:
    return next((o["outcome"], o["why"]) for o in report.document["outcomes"] if o["detector"] == detector)


def test_keys_are_those_of_the_last_write(bundle: Bundle) -> None:
    bundle.say(*wrote("10.1.0.0/16", "10.0.1.5/32", updated=3))
    bundle.say(*wrote("10.1.0.0/16", "10.0.1.6/32", updated=1, deleted=1), gap=300).say("starting", gap=300).hold(())

    got = bundle.keys()

    assert isinstance(got, LogKeys)
    assert {"10.1.0.0/16", "10.0.1.6/32"} == set(got.texts)
    assert frozenset() == got.young


def test_missing_and_stale_keys_by_the_log(bundle: Bundle) -> None:
    bundle.say(*wrote("10.1.0.0/16", "10.0.1.5/32", "10.0.1.6/32", updated=4), *EGRESS)
    report = bundle.hold(("10.1.0.0/16", "10.0.1.6/32", "10.9.9.9/32")).analyze()

    assert told(report) == {
        "missing-entry": [("ingress_map", "high", "medium", ["10.0.1.5/32"])],
        "stale-entry": [("ingress_map", "high", "medium", ["10.9.9.9/32"])],
    }


def test_what_agrees_is_clean(bundle: Bundle) -> None:
    report = bundle.say(*wrote("10.1.0.0/16", updated=2), *EGRESS).hold(("10.1.0.0/16",)).analyze()

    assert told(report) == {}
    assert [
        (found, "by the agent log" in why)
        for found, why in map(outcome, [report] * 2, ["missing-entry", "stale-entry"])
    ] == [("clean", True)] * 2


def test_bytes_that_went_to_the_cluster_map_were_meant_for_this_one(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path, "v1.3.0").say(*wrote("10.0.1.5/32", updated=2), *EGRESS)
    bundle.say(START, *maps_found(), *wrote("10.0.1.5/32", map_id=IDS["cp_ingress_map"], updated=0))
    bundle.say(*wrote("10.0.1.6/32", map_id=IDS["cp_ingress_map"], updated=1, deleted=1))
    bundle.say(*wrote("0.0.0.0/0", name="egress_map", map_id=IDS["cp_egress_map"], updated=0))

    report = bundle.hold(("10.0.1.5/32",)).analyze()

    assert told(report) == {
        "missing-entry": [("ingress_map", "high", "medium", ["10.0.1.6/32"])],
        "stale-entry": [("ingress_map", "high", "medium", ["10.0.1.5/32"])],
    }


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([*wrote("10.0.1.5/32", updated=2), START], "restarted"),
        ([begin(), *cidrs("10.0.1.5/32"), *end(21, None)], "no result"),
        ([begin(), *cidrs("10.0.1.5/32"), *end(21, 9)], "lines are missing"),
        (
            [*wrote("10.0.1.5/32", updated=2), *wrote("10.0.1.5/32", "10.0.1.6/32", "10.0.1.7/32", updated=1)],
            "counts of the last write",
        ),
        (
            [*wrote("10.0.1.5/32", "10.0.1.6/32", updated=3), *wrote("10.0.1.5/32", updated=0, deleted=0)],
            "counts of the last write",
        ),
        (
            [
                *wrote("10.0.1.5/32", updated=2),
                begin(), *cidrs("10.0.1.5/32"), begin(fd=18), *cidrs("10.0.1.6/32"), *end(21, 1), *end(99, 1),
            ],
            "mixed",
        ),
        (
            [*evaluated(1, 0, OPEN), *wrote("10.0.1.5/32", updated=2), *evaluated(2, 0, OPEN)],
            "counted 2 ingress rules",
        ),
        ([], "no write of ingress_map"),
    ],
    ids=["restart", "no result", "too few lines", "too many lines", "lost lines", "mixed", "evaluated", "no write"],
)  # fmt: skip
def test_the_log_does_not_tell(bundle: Bundle, lines: list[str], reason: str) -> None:
    bundle.say(*lines).hold(("10.9.9.9/32",))

    got = bundle.keys()

    assert isinstance(got, Unknown) and reason in got.why
    assert ((told := outcome(bundle.analyze(), "missing-entry"))[0], reason in told[1]) == ("cannot-tell", True)


def test_a_new_write_after_the_restart_tells_again(bundle: Bundle) -> None:
    bundle.say(*wrote("10.0.1.5/32", updated=2), START, *wrote("10.0.1.6/32", updated=1, deleted=1)).hold(())

    got = bundle.keys()

    assert isinstance(got, LogKeys) and {"10.0.1.6/32"} == set(got.texts)


def test_a_result_that_is_logged_after_another_writes_first_line(bundle: Bundle) -> None:
    lines = [
        begin(),
        *cidrs("10.0.1.5/32"),
        "ID of map to update: ID: 21",
        begin("egress_map", 18),
        *cidrs("0.0.0.0/0"),
    ]
    bundle.say(*lines, "Bulk refresh: added/updated 2 entries, deleted 0 entries", *end(24, 2)).hold(())

    assert [{"10.0.1.5/32"}, {"0.0.0.0/0"}] == [set(bundle.keys(way).texts) for way in ("ingress", "egress")]


def test_old_agents_log_excepts_apart_and_no_catch_all(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path, "v1.2.3")
    bundle.say(begin(), *cidrs("10.1.0.0/16"), "Parsed Except CIDR IP Key: 10.1.5.0/24", *end(21, None))
    bundle.say(begin("egress_map"), *end(24, None))

    report = bundle.hold(("10.1.0.0/16", "0.0.0.0/0")).analyze()

    assert told(report) == {"missing-entry": [("ingress_map", "medium", "medium", ["10.1.5.0/24"])]}


def test_a_change_at_the_end_of_the_log_may_be_younger_than_the_dump(bundle: Bundle) -> None:
    bundle.say(*wrote("10.0.1.5/32", "10.0.1.6/32", updated=3), *EGRESS)
    bundle.say(*wrote("10.0.1.6/32", "10.0.1.7/32", updated=1, deleted=1), gap=100)

    report = bundle.hold(("10.0.1.5/32", "10.0.1.6/32")).analyze()

    assert told(report) == {"missing-entry": [("ingress_map", "info", "medium", ["10.0.1.7/32"])],
            "stale-entry": [("ingress_map", "info", "medium", ["10.0.1.5/32"])]}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "expected"),
    [([], [("egress_map", "high", "medium", ["0.0.0.0/0"])]), (["Default Deny enabled on Egress"], None)],
    ids=["forgotten", "isolated"],
)
def test_the_forgotten_catch_all(bundle: Bundle, said: list[str], expected) -> None:
    bundle.say(
        *evaluated(1, 0, *said), *wrote("10.0.1.5/32", updated=2), *wrote(name="egress_map", updated=0, deleted=1)
    )

    report = bundle.hold(("10.0.1.5/32",), ()).analyze()

    assert expected == told(report).get("missing-entry")
    assert (["KB-114"] if expected else []) == [
        f["defect"] for f in report.findings if f["detector"] == "missing-entry"
    ]


def test_rules_of_cluster_policies_are_not_the_namespace_maps_intent(bundle: Bundle) -> None:
    bundle.say(*evaluated(1, 0, OPEN), *wrote("10.0.1.5/32", updated=2))
    bundle.say("Total no.of clusterPolicy ingressRules 1 egressRules 0", *wrote("10.8.0.0/16", updated=1, deleted=1))

    got = bundle.hold(()).keys()

    assert isinstance(got, LogKeys) and {"10.0.1.5/32"} == set(got.texts)


def test_values_come_from_the_log_where_it_shows_them(bundle: Bundle) -> None:
    lines = [begin(), "Updating Map with IP Key: 10.0.1.5/32", "L4 values: protocol: 6 startPort: 8080 endPort: 0"]
    report = bundle.say(*lines, *end(21, 2), *EGRESS).hold(()).analyze()

    finding = next(f for f in report.findings if f["detector"] == "missing-entry")

    assert finding["details"]["wrongly_denied"] == ["10.0.1.5/32: TCP 8080"]


def test_without_values_nothing_is_said_of_ports(bundle: Bundle) -> None:
    report = bundle.say(*wrote("10.0.1.5/32", updated=2), *EGRESS).hold(()).analyze()

    finding = next(f for f in report.findings if f["detector"] == "missing-entry")

    assert finding["details"]["wrongly_denied"] == [
        "10.0.1.5/32: whatever its rule admits, the log does not show its ports"
    ]
