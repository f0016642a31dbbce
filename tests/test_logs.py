"""The agent's log: times, every encoder generation, the catalogue, flow lines."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_facts import FACTS, PRINTED
from log_items import ROW, ROW6, TS_NS, events, flows
from render_logs import TS, flow, line

from formats import log_scan
from formats.agent_log import FORMAT as AGENT_LOG
from formats.flow_text import restored
from formats.log_catalogue import AGENT
from formats.log_catalogue_node import IPAMD, PLUGIN, SDK
from formats.log_time import rotated_at, utc_ns, zap_text, zap_texts


@given(st.integers(-(10**18), 9 * 10**18).map(lambda nanos: nanos // 10**6 * 10**6))
def test_one_time_is_written_as_many_are(nanos: int) -> None:
    assert zap_text(nanos) == zap_texts(np.array([nanos]))[0]


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
        ("9026-11-21T03:22:18.164Z", None),  # does not fit 64 bits of nanoseconds
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


@pytest.mark.parametrize("generation", ["v1.0.1", "v1.0.4", "v1.2.2"])
@pytest.mark.parametrize(
    ("slug", "fields", "message", "pairs", "printed"),
    FACTS,
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)
def test_every_generation_says_the_same(generation, slug, fields, message, pairs, printed) -> None:
    record = line(generation, "info", printed) if generation == "v1.2.2" else line(generation, "info", message, pairs)

    got = events(AGENT_LOG, record + "\n")

    assert [slug] == [event["event"] for event in got]
    assert fields == {name: got[0][name] for name in fields}
    assert (got[0]["ts"], got[0]["utc_ns"], got[0]["level"]) == (TS, TS_NS, "info")


@pytest.mark.parametrize(("message", "slug", "fields"), PRINTED)
def test_printf_messages(message: str, slug: str, fields: dict) -> None:
    got = events(AGENT_LOG, line("v1.2.2", "info", message) + "\n")

    assert [slug] == [event["event"] for event in got]
    assert fields == {name: got[0][name] for name in fields}


def test_every_documented_slug_is_in_a_catalogue() -> None:
    text = (Path(__file__).parent.parent / "docs" / "records.md").read_text().split("## Log events", 1)[1]
    slugs = {
        slug
        for row in text.splitlines()
        if row.startswith("| `")
        for slug in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", row)
    }
    known = {event.slug for event in (*AGENT, *SDK, *IPAMD, *PLUGIN)}

    assert set() == slugs - known


def test_first_words_of_the_catalogue_are_first_words() -> None:
    wrong = [event.slug for event in (*AGENT, *SDK, *IPAMD, *PLUGIN) for word in event.words if " " in word or not word]

    assert wrong == []


@pytest.mark.parametrize("generation", ["v1.0.1", "v1.0.4", "v1.2.2"])
@pytest.mark.parametrize("row", [ROW, ROW6], ids=["v4", "v6"])
@pytest.mark.parametrize("tier", [False, True])
def test_flow_lines_of_every_generation(generation: str, row: dict, tier: bool) -> None:
    old = generation != "v1.2.2"
    wanted = {**row, "direction": None if old else "ingress", "tier": "NETWORK_POLICY" if tier and not old else None}

    got = flows(AGENT_LOG, flow(generation, row, tier=tier) + "\n")

    assert [{"ts": TS, "utc_ns": TS_NS, **wanted}] == got


@pytest.mark.parametrize(
    "row", [ROW, ROW6, {**ROW, "verdict": "EXPIRED/DELETED"}, {**ROW, "src": "10.1.2", "dport": 0}]
)
@pytest.mark.parametrize("tier", [False, True])
@pytest.mark.parametrize("level", ["info", "debug"])
def test_current_flow_lines_take_the_clean_path(row: dict, tier: bool, level: str) -> None:
    text = (flow("v1.2.2", row, tier=tier, level=level) + "\n").encode()

    block = log_scan.Scanner().scan(text + bytes(log_scan.PAD), len(text), set())

    assert (len(block.flows), len(block.known.codes), len(block.look.starts)) == (1, 0, 0)


@pytest.mark.parametrize(
    ("printed", "whole"),
    [("10.1.2", "10.1.2.0"), ("10.1", "10.1.0.0"), ("0", "0.0.0.0"), ("10.1.2.3", "10.1.2.3"), ("fd00::", "fd00::")],
)
def test_vanished_octets_are_put_back(printed: str, whole: str) -> None:
    got = flows(
        AGENT_LOG, flow("v1.2.2", {**ROW, "src": printed}) + "\n" + flow("v1.0.4", {**ROW, "src": printed}) + "\n"
    )

    assert whole == restored(printed)
    assert [whole, whole] == [row["src"] for row in got]


def test_two_word_protocol() -> None:
    got = flows(AGENT_LOG, flow("v1.2.2", {**ROW, "protocol": "ANY PROTOCOL"}, tier=True) + "\n")

    assert [row["protocol"] for row in got] == ["ANY PROTOCOL"]
