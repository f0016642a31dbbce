"""Flow lines sorted by program: what goes in comes out, and every program finds its own lines, whatever form they have."""

from __future__ import annotations

import ipaddress
from types import SimpleNamespace
from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics import flow_spool
from forensics.flow_columns import Packer
from forensics.flow_rows import FlowRows
from formats import packed_flows
from formats.base import ENTRY_SPAN_DTYPE, FlowBatch, Span
from formats.flow_text import COLUMNS
from formats.log_time import utc_ns
from formats.packed_flows import PackedFlows, parts

ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.9.9", "2001:db8::1", "2001:db8::2", "10.0.0.300", None]
PODS = ["10.0.0.1", "10.0.0.2", "2001:db8::1"]
TIMES = [None, "2026-11-21T03:00:01.250Z", "2026-11-21T03:00:02.000Z", "2026-11-21 03:00:02"]

rows_of_lines = st.lists(
    st.tuples(
        st.sampled_from(TIMES),
        st.sampled_from(ADDRESSES),
        st.sampled_from([0, 443, 65535, 65536, None]),
        st.sampled_from(ADDRESSES),
        st.sampled_from([53, 8080]),
        st.sampled_from(["TCP", "UDP", "UNKNOWN"]),
        st.sampled_from(["ACCEPT", "DENY", "EXPIRED/DELETED"]),
        st.sampled_from(["ingress", "egress", None, "sideways"]),
        st.sampled_from(["ADMIN", "DEFAULT", None]),
    ),
    min_size=1,
    max_size=40,
)


def batch_of(lines: list[tuple], first: int = 0) -> FlowBatch:
    rows = [(ts, utc_ns(ts), *rest) for ts, *rest in lines]
    columns = dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    spans = np.array(
        [(at * 90, at * 90 + 80, at + 1, at + 1) for at in range(first, first + len(rows))], ENTRY_SPAN_DTYPE
    )
    whole = Span(first * 90, (first + len(rows)) * 90, first + 1, first + len(rows))
    return FlowBatch(columns, spans, whole)


def node_of(batches: list[FlowBatch]) -> SimpleNamespace:
    pods = [SimpleNamespace(ip=ip, local=True) for ip in PODS]
    return SimpleNamespace(group=SimpleNamespace(own=[SimpleNamespace(flows=batches)]), known_pods=pods)


def plain(batch: FlowBatch) -> list[tuple]:
    return list(zip(batch.spans.tolist(), *map(list, batch.columns.values()), strict=True))


@given(rows_of_lines)
def test_a_packed_batch_reads_as_it_was(lines: list[tuple]) -> None:
    batch = batch_of(lines)
    packed = packed_flows.packed(batch)

    whole = all(ts and len(ts) == 24 and sport in range(65536) for ts, _, sport, *_ in lines)
    assert (packed is not None) == whole
    if packed is not None:
        found = list(zip(packed.spans.whole().tolist(), *map(list, packed.columns.values()), strict=True))
        assert found == plain(batch)
        assert (len(packed), packed.span[:1], packed.span[2:]) == (len(batch), batch.span[:1], batch.span[2:])


def readable(line: tuple) -> bool:
    _, src, sport, dst, dport, *_ = line
    try:
        families = {ipaddress.ip_address(src or "").version, ipaddress.ip_address(dst or "").version}
    except ValueError:
        return False
    return len(families) == 1 and all(port in range(65536) for port in (sport, dport))


def written_by(line: tuple, address: str, way: str) -> bool:
    end = line[3] if way == "ingress" else line[1]
    return readable(line) and line[6] in ("ACCEPT", "DENY") and line[7] in (way, None) and end == address


def of_a_known_pod(line: tuple) -> bool:
    src, dst, way = line[1], line[3], line[7]
    return (dst in PODS and way != "egress") or (src in PODS and way != "ingress")


@settings(max_examples=150)
@given(
    st.lists(rows_of_lines, min_size=1, max_size=4), st.booleans(), st.integers(1, 30), st.sampled_from([0, 1 << 24])
)
def test_every_program_finds_its_lines(many: list[list[tuple]], packs: bool, table: int, memory: int) -> None:
    firsts = np.cumsum([0, *map(len, many)]).tolist()
    batches = [batch_of(lines, first) for lines, first in zip(many, firsts, strict=False)]
    with (
        mock.patch.object(packed_flows, "TABLE_ROWS", table),
        mock.patch.object(flow_spool, "MEMORY_BYTES", memory),
        mock.patch("forensics.flow_columns.PACKED_ROWS", 1),
    ):
        packer = Packer()
        given_ = [part for batch in batches for part in (packer.packed(batch) if packs else parts(batch))]
        flows = FlowRows(node_of(given_))

        lines = [line for each in many for line in each]
        good = [line for line in lines if readable(line)]
        assert (flows.count, flows.unread) == (len(good), len(lines) - len(good))
        assert flows.strays == sum(not of_a_known_pod(line) for line in good)
        for way in ("ingress", "egress"):
            for pods in (PODS[:1], PODS[1:2], PODS[:2], PODS[2:]):
                wanted = [
                    (at + 1, line) for at, line in enumerate(lines) if any(written_by(line, pod, way) for pod in pods)
                ]
                side = flows.side(pods, way)
                assert told(flows, side) == [
                    (
                        number, ts if len(ts or "") == 24 or ts is None else ts, src, sport, dst, dport, protocol,
                        verdict == "ACCEPT", direction, tier,
                    )
                    for number, (ts, src, sport, dst, dport, protocol, verdict, direction, tier) in wanted
                ]  # fmt: skip
                assert len(flows.lines(pods, way)) == (1 if wanted else 0)


def told(flows: FlowRows, side) -> list[tuple]:
    texts = {name: vocabulary.texts for name, vocabulary in flows.vocabularies.items()}
    out = []
    for at in range(len(side)):
        ts, span = flows.line(int(side.batch[at]), int(side.row[at]))
        said = (texts[name][getattr(side, name)[at]] for name in ("direction", "tier"))
        out.append((
            span.first_line, ts, texts["src"][side.src[at]], int(side.sport[at]), texts["dst"][side.dst[at]],
            int(side.dport[at]), texts["protocol"][side.protocol[at]], bool(side.allowed[at]), *said,
        ))  # fmt: skip
    return out


def test_more_addresses_than_two_bytes_can_number() -> None:
    lines = [
        ("2026-11-21T03:00:01.250Z", f"10.{at >> 16}.{at >> 8 & 255}.{at & 255}", 1, "10.0.0.1", 2, "TCP", "DENY", "egress", None)
        for at in range(66_000)
    ]  # fmt: skip
    columns = batch_of(lines)
    found = packed_flows.table(columns)
    packed = found.pack()

    assert len(packed.runs) == 66_000
    own = packed.runs["own"]
    assert (own[:-1] < own[1:]).all()
    assert (packed.rows["src"][packed.runs["first"]] == own).all()


def test_a_batch_that_is_packed_is_not_taken_apart() -> None:
    packed = packed_flows.packed(batch_of([(TIMES[1], "10.0.0.1", 1, "10.0.0.2", 2, "TCP", "DENY", "egress", None)]))

    assert isinstance(packed, PackedFlows)
    assert parts(packed) == [packed]
