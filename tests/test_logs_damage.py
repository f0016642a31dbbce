"""Logs that are torn, joined, cut, pasted or hostile; the clean and the tolerant path give the same."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_items import ROW, ROW6, events, flows, items, problems, summary
from render_logs import TS, flow, line

from forensics.decode import decode_bytes
from formats import log_reader, log_stretch, source
from formats.agent_log import FORMAT as AGENT_LOG
from formats.ahead import ahead
from formats.base import EventBatch, FlowBatch, Problem, Record
from formats.cri_log import FORMAT as CRI_LOG
from formats.ebpf_sdk_log import FORMAT as SDK_LOG
from formats.flow_lines import FORMAT as FLOW_LINES
from formats.flow_text import BATCH_ROWS
from formats.log_catalogue import AGENT
from formats.log_events import key_bytes
from formats.plugin_log import FORMAT as PLUGIN_LOG
from formats.source import Source


def test_error_lines_are_events_and_other_lines_are_counted() -> None:
    text = "\n".join(
        [
            line("v1.2.2", "error", "problem running manager no such file or directory"),
            line("v1.2.2", "info", "Probe validation Done"),
            line(
                "v1.0.4", "error", "Reconcile error", [("error", "timed out"), ("stacktrace", "main.main\n\tmain.go:1")]
            ),
        ]
    )

    got = events(AGENT_LOG, text)

    assert [(event["event"], event["errno"]) for event in got] == [("error", "ENOENT"), ("error", None)]
    assert got[1]["error"] == "timed out"
    assert summary(AGENT_LOG, text)["levels"] == {"error": 2, "info": 1}


def test_duplicate_keys_keep_both_values() -> None:
    text = line("v1.0.4", "info", "Deleting: ", [("Program: ", "/p"), ("Map: ", "/m1"), ("Map: ", "/m2")])

    got = events(AGENT_LOG, text)

    assert got[0]["pins"] == ["/p", "/m1", "/m2"]
    assert got[0]["duplicate_keys"] == ["Map: "]


def test_joined_records_and_a_lost_first_brace() -> None:
    one, two = line("v1.2.2", "info", "starting manager"), line("v1.2.2", "info", "ID of map to update: ID: 7")
    text = one[1:] + "\n" + two + one + two + "\n"

    got = items(AGENT_LOG, text)

    slugs = [item.data["event"] for item in got if isinstance(item, Record) and item.kind == "log_event"]
    assert slugs == ["manager-start", "map-write", "manager-start", "map-write"]
    assert [item.what for item in got if isinstance(item, Problem)] == ["the log begins in the middle of a line"]


def test_a_file_that_begins_mid_line_keeps_the_rest_of_the_line() -> None:
    record = line("v1.2.2", "info", "ID of map to update: ID: 7")
    text = record[30:] + "\n" + (record + "\n") * 5

    got = events(AGENT_LOG, text)

    assert [event["ts"] for event in got[:2]] == [None, TS]
    assert len(got) == 6


@pytest.mark.parametrize("cut", [1, 20, 60, 100])
def test_a_cut_end_is_one_problem_and_costs_one_line(cut: int) -> None:
    record = line("v1.2.2", "info", "ID of map to update: ID: 777")
    text = (record + "\n") * 4 + record[:-cut]

    got = items(AGENT_LOG, text)

    found = [item for item in got if isinstance(item, Problem)]
    assert sum(isinstance(item, Record) and item.kind == "log_event" for item in got) == 4
    assert [(problem.what, problem.lost) for problem in found] == [("a log record is cut", "1 line")]
    assert (5, len(text.encode())) == (found[0].span.first_line, found[0].span.end)


def test_a_run_of_bad_lines_is_one_problem_with_its_count() -> None:
    good = line("v1.2.2", "info", "starting manager") + "\n"
    text = good * 20 + "\x00garbage\n" * 3 + good

    found = problems(AGENT_LOG, text)

    assert [(problem.what, problem.lost, problem.span.first_line, problem.span.last_line) for problem in found] == [
        ("a line is no log record", "3 lines", 21, 23)
    ]
    assert summary(AGENT_LOG, text)["unread_lines"] == 3


def test_prose_and_prompts_around_a_paste_are_no_problems() -> None:
    text = (
        "We saw this:\n```\n$ tail agent.log\n"
        + line("v1.2.2", "info", "starting manager")
        + "\n```\nand then it died.\n"
    )

    got = items(AGENT_LOG, text, "-")

    assert [item.kind for item in got] == ["log_event", "log_summary"]


def test_curled_quotes() -> None:
    text = line("v1.2.2", "info", "ID of map to update: ID: 7").replace('"', "\u201d")

    assert [event["map_id"] for event in events(AGENT_LOG, text)] == [7]


def test_pretty_printed_records_have_the_span_of_all_their_lines() -> None:
    record = json.loads(
        line("v1.0.4", "info", "Received a new reconcile request", [("req", {"name": "x", "namespace": "n"})])
    )
    text = (json.dumps(record, indent=2) + "\n") * 2

    got = [item for item in items(AGENT_LOG, text) if isinstance(item, Record)]

    assert [(item.data["namespace"], item.data["name"]) for item in got[:-1]] == [("n", "x"), ("n", "x")]
    assert [(item.span.first_line, item.span.last_line) for item in got[:-1]] == [(1, 11), (12, 22)]


def test_a_record_wrapped_at_blanks_or_at_a_terminals_width() -> None:
    record = flow("v1.0.4", ROW)
    at_blanks = record.replace("Src IP", "Src\nIP").replace("Dest Port", "Dest\nPort")
    width = 70
    at_width = "\n".join(record[at : at + width] for at in range(0, len(record), width))

    assert len(flows(AGENT_LOG, at_blanks)) == 1
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
        ""
        "github.com/aws/aws-network-policy-agent/controllers.(*PolicyEndpointsReconciler).Reconcile(0xc0, {0x1, ...})\n"
        "\t/workspace/controllers/policyendpoints_controller.go:100 +0x1\n"
        + line("v1.0.4", "info", "starting manager")
        + "\n"
    )

    got = events(AGENT_LOG, text)

    assert [event["event"] for event in got] == ["reconcile", "panic", "manager-start"]
    assert got[1]["panic"] == "invalid memory address or nil pointer dereference"
    assert got[1]["frame"] == "controllers.(*PolicyEndpointsReconciler).Reconcile"
    assert (got[1]["goroutine"], got[1]["signal"], got[1]["arch_hint"]) == (77, "SIGSEGV", "arm64")
    assert problems(AGENT_LOG, text) == []


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
    error = "unable to update map: no such file or directory"
    message = f"Failed to delete from kernel map for key  \x00\x00\x00\nd\x01\x15: {error}"

    got = events(AGENT_LOG, line("v1.2.2", "error", message))

    assert (
        got[0]["event"],
        got[0]["key_hex"],
        got[0]["cidr"],
        got[0]["errno"],
    ) == ("kernel-delete-failed", "200000000a640115", "10.100.1.21/32", "ENOENT")


def test_invalid_escapes_do_not_cost_the_record() -> None:
    record = line(
        "v1.2.2",
        "error",
        "Failed to update kernel map during bulk refresh for key KEY: unable to update map: invalid argument",
    )

    got = events(AGENT_LOG, record.replace("KEY", r"\x30\x00\x00\x00\x26\x00\x00\x00"))

    assert got[0]["key_hex"] == "3000000026000000"
    assert got[0]["cidr"] is None  # prefix 48 on four octets


def test_conntrack_key_object_of_the_first_versions() -> None:
    # 10.0.0.1 and 10.0.0.2 as the little-endian integers Go prints.
    key = {"Source_ip": 0x0100000A, "Source_port": 5, "Dest_ip": 0x0200000A, "Dest_port": 53, "Protocol": 17}

    got = events(AGENT_LOG, line("v1.0.1", "info", "Conntrack cleanup", [("Delete - ", key)]))

    assert tuple(got[0][name] for name in ("src", "sport", "dst", "dport", "protocol", "owner")) == (
        "10.0.0.1",
        5,
        "10.0.0.2",
        53,
        17,
        None,
    )


@pytest.mark.parametrize("generation", ["v1.0.1", "v1.0.4", "v1.2.2"])
def test_summary_names_the_encoder_and_the_times(generation: str) -> None:
    text = (
        line(generation, "info", "starting manager")
        + "\n\n"
        + line(generation, "debug", "x y", ts="2026-11-21T04:00:00.000Z")
    )

    got = summary(AGENT_LOG, text, "network-policy-agent-2026-11-21T03-22-23.108.log.gz")

    assert generation == got["encoder"]
    assert tuple(got[name] for name in ("first_ts", "last_ts", "lines", "unread_lines")) == (
        TS,
        "2026-11-21T04:00:00.000Z",
        3,
        0,
    )
    assert (got["levels"], got["rotated_at"]) == ({"debug": 1, "info": 1}, "2026-11-21T03:22:23.108Z")


def test_digest_lines_without_json() -> None:
    failure = "Ingress Pod State Map update failed: unable to update map: invalid argument"
    text = f"ERROR  {failure}\nERROR  bpf_client.go:1272  boom\n"

    got = events(AGENT_LOG, text, "-")

    assert [(event["event"], event.get("direction")) for event in got] == [
        ("kernel-update-failed", "ingress"),
        ("error", None),
    ]


LINES = [
    line("v1.2.2", "info", "Updating Map with IP Key: 10.0.0.0/8"),
    line("v1.2.2", "info", "Updating Map with IP Key: 10.0.0.0/8", ts="2026-11-21T03:22:59.999+0200"),
    line("v1.2.2", "debug", "Found CIDR match or IP: 10.0.0.1 in CIDR: 10.0.0.0/8"),
    line("v1.2.2", "error", "problem running manager x"),
    line("v1.2.2", "info", 'found \u00e9 \\ "quoted" text'),
    line("v1.0.4", "info", "Received a new reconcile request", [("req", {"name": "x", "namespace": "n"})]),
    line("v1.0.1", "info", "starting manager", logger="setup"),
    flow("v1.2.2", ROW),
    flow("v1.2.2", ROW, tier=True, level="debug"),
    flow("v1.2.2", ROW6, tier=True),
    flow("v1.2.2", {**ROW, "src": "10.1", "verdict": "ACCEPT", "protocol": "ICMP", "sport": 0}, tier=True),
    flow("v1.2.2", {**ROW, "protocol": "ANY PROTOCOL"}, tier=True),
    flow("v1.2.2", ROW, level="error").replace('"ts"', '"timestamp"'),
    flow("v1.2.2", ROW).replace('"caller":"', '"caller":"' + "a/b" * 40),
    flow("v1.0.4", ROW),
    flow("v1.0.1", ROW6),
    "",
    "panic: boom",
    "goroutine 1 [running]:",
]


def _plain(text: bytes, *, tolerant_only: bool, batches: bool = False) -> tuple[list, list, dict]:
    reader = log_reader.LogReader(Source("network-policy-agent.log", text), "agent", AGENT, batches=batches)
    rows, bad, last = [], [], {}
    given = []
    for item in reader.read(tolerant_only=tolerant_only):
        given += [item.record(row) for row in range(len(item.codes))] if isinstance(item, EventBatch) else [item]
    for item in given:
        if isinstance(item, FlowBatch):
            columns = [item.columns[name] for name in sorted(item.columns)]
            rows += [
                (int(span["start"]), int(span["end"]), int(span["first_line"]), *row)
                for span, *row in zip(item.spans, *columns, strict=True)
            ]
        elif isinstance(item, Problem):
            bad.append(item)
        elif item.kind == "log_summary":
            last = item.data
        else:
            rows.append(
                (item.span.start, item.span.end, item.span.first_line, item.data["event"], json.dumps(item.data))
            )
    return sorted(rows, key=lambda row: row[:3]), bad, last


@st.composite
def damaged_logs(draw: st.DrawFn) -> bytes:
    text = "\n".join(draw(st.lists(st.sampled_from(LINES), min_size=1, max_size=12))).encode()
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        kind = draw(st.sampled_from(["delete", "insert", "replace", "cut", "join"]))
        piece = draw(
            st.sampled_from(
                [b'"', b"}", b"{", b" ", b"\n", b"\r", b"\x00", b"\xff", b"\\", b",", b":", b"9", b"Z", b"ts"]
            )
        )
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


@settings(max_examples=800, deadline=None)
@given(damaged_logs(), st.sampled_from([400, 1000, 100_000]), st.sampled_from([250, 100_000]), st.booleans())
def test_clean_and_tolerant_path_give_the_same(text: bytes, stretch: int, block: int, batches: bool) -> None:
    with (
        mock.patch.object(log_reader, "STRETCH_BYTES", stretch),
        mock.patch.object(log_stretch, "BLOCK_BYTES", block),
        mock.patch.object(log_reader, "EVENT_ROWS", 1),
    ):
        expected = _plain(text, tolerant_only=True)
        actual = _plain(text, tolerant_only=False, batches=batches)

    assert expected == actual


def test_items_made_ahead_are_the_same_and_the_thread_ends() -> None:
    before = threading.active_count()

    assert [list(ahead(iter(range(count)))) for count in range(5)] == [list(range(count)) for count in range(5)]
    some = ahead(iter(range(9)))
    assert [next(some) for _ in range(4)] == [0, 1, 2, 3]
    assert threading.active_count() == before + 1
    some.close()
    assert threading.active_count() == before


def test_an_error_ahead_comes_where_its_item_would() -> None:
    def items() -> Iterator[int]:
        yield from range(4)
        raise OSError("gone")

    got = ahead(items())

    assert [next(got) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(OSError, match="gone"):
        next(got)


def test_blocks_do_not_change_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    text = ("\n".join(LINES * 30) + "\n").encode()
    whole = _plain(text, tolerant_only=False)

    monkeypatch.setattr(log_reader, "STRETCH_BYTES", 700)
    monkeypatch.setattr(log_stretch, "BLOCK_BYTES", 300)
    pieces = _plain(text, tolerant_only=False)

    assert whole[:2] == pieces[:2]
    assert {**whole[2], "encoder": None} == {**pieces[2], "encoder": None}


def test_flow_batches_stay_small() -> None:
    text = ((flow("v1.2.2", ROW) + "\n") * 150_000).encode()

    batches = [item for item in AGENT_LOG.read(Source("a.log", io.BytesIO(text))) if isinstance(item, FlowBatch)]

    assert sum(len(batch.spans) for batch in batches) == 150_000
    assert max(len(batch.spans) for batch in batches) < 2 * BATCH_ROWS
    assert (batches[0].span.first_line, batches[-1].span.last_line) == (1, 150_000)


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

    assert all(isinstance(item, Record | FlowBatch | EventBatch | Problem) for item in got)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b"a", b"bb\n", b"\n", b"c" * 30]), max_size=60).map(b"".join), st.integers(1, 40))
def test_stretches_are_cut_by_content_alone(text: bytes, chunk: int) -> None:
    def stretches(size: int) -> list[bytes]:
        with (
            mock.patch.object(log_reader, "STRETCH_BYTES", 32),
            mock.patch.object(log_reader, "LINE_BYTES", 40),
            mock.patch.object(source, "CHUNK_BYTES", size),
            mock.patch.object(source, "HEAD_BYTES", size),
        ):
            return [part.whole for part in log_reader._stretches(Source("a.log", io.BytesIO(text)))]

    whole = stretches(10_000)

    assert whole == stretches(chunk)
    assert b"".join(whole) == text
    assert all(part.endswith(b"\n") or len(part) >= 40 for part in whole[:-1])


def test_decode_names_every_event_of_a_long_log() -> None:
    lines = [line for line in LINES if '"Updating Map with IP Key' in line or "Received a new reconcile" in line]
    text = ("\n".join((lines or LINES) * 400) + "\n").encode()
    with mock.patch.object(log_reader, "EVENT_ROWS", 1 << 30):
        expected = decode_bytes(text, "network-policy-agent.log")

    actual = decode_bytes(text, "network-policy-agent.log")

    assert sum(record["kind"] == "log_event" for record in actual["records"]) > log_reader.EVENT_ROWS
    assert expected == actual
