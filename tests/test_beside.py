"""Work shared out among forks, and rows kept on a file: the same results as in one process and in memory."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from forensics import beside, flow_spool, packed_dump
from forensics.flow_columns import PACKED_ROWS, Packer
from forensics.flow_spool import Spool
from formats.agent_log import FORMAT as AGENT_LOG
from formats.base import ENTRY_SPAN_DTYPE, FlowBatch, MapDump, Span
from formats.packed_flows import PackedFlows
from formats.source import Source

CASES = Path(__file__).parents[1] / "corpus" / "cases"
_SHARED_OUT = """
import json, sys
from forensics import engine
from forensics.analysis import run
plain = run([sys.argv[1]]).document
engine._LARGE = 0
engine.workers = lambda: 3
calls = []
mapped = engine.mapped
engine.mapped = lambda *rest: calls.append(1) or mapped(*rest)
shared = run([sys.argv[1]]).document
assert calls
assert json.dumps(plain) == json.dumps(shared)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("count", [2, 3, 5])
def test_results_come_back_in_order(count: int) -> None:
    program = (
        "import os\nfrom forensics.beside import mapped\n"
        f"found = mapped(lambda item: (item * item, os.getpid()), list(range(7)), {count})\n"
        "assert [square for square, _ in found] == [0, 1, 4, 9, 16, 25, 36], found\n"
        f"assert len({{process for _, process in found}}) == {count}\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_what_a_helper_cannot_give_is_made_here() -> None:
    program = (
        "import os\nfrom forensics.beside import mapped\nhere = os.getpid()\n"
        "def work(item):\n"
        "    if os.getpid() != here and item == 3:\n        os._exit(9)\n"
        "    return item + 1\n"
        "assert mapped(work, [1, 2, 3, 4], 2) == [2, 3, 4, 5]\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("case", ["incident", "healthy-ipv4", "planted-entries"])
def test_pods_judged_by_several_processes_give_the_same_document(case: str) -> None:
    subprocess.run([sys.executable, "-c", _SHARED_OUT, str(CASES / case / "input")], check=True)


def test_a_process_with_threads_is_not_forked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(beside, "_TASKS", tmp_path)
    monkeypatch.setattr(beside.os, "cpu_count", lambda: 2)
    (tmp_path / "1").mkdir()
    alone = beside.workers()
    (tmp_path / "2").mkdir()

    assert (alone, beside.workers()) == (2, 1)


@pytest.mark.parametrize("memory", [0, 50, 1 << 20])
def test_rows_are_read_as_they_were_written(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_spool, "MEMORY_BYTES", memory)
    pair = np.dtype([("a", "<u4"), ("b", "<u2")])
    spool = Spool(pair)
    rows = np.array([(at, at % 7) for at in range(2000)], pair)

    places = [spool.append(part) for part in (rows[:20], rows[:0], rows[20:33])]
    early = spool.take(slice(3, 5)).tolist()
    places.append(spool.append(rows[33:]))

    assert places == [0, 20, 20, 33]
    assert early == rows[3:5].tolist()
    assert spool.take(slice(18, 40)).tolist() == rows[18:40].tolist()
    order = np.random.default_rng(1).permutation(2000)
    assert spool.take(order).tolist() == rows[order].tolist()
    assert spool.take(np.zeros(0, np.int64)).tolist() == []


def test_a_short_spool_is_joined_once() -> None:
    spool = Spool(np.dtype("<u4"))
    for number in range(5):
        spool.append(np.full(3, number, "<u4"))

    first, again = spool.take(slice(2, 5)), spool.take(slice(2, 5))

    assert first.tolist() == again.tolist() == [0, 1, 1]
    assert np.shares_memory(first, again)


def line(number: int, address: str) -> str:
    stamp = f"2026-11-21T03:{number // 60 % 60:02d}:{number % 60:02d}.{number % 1000:03d}Z"
    return (
        f'{{"level":"info","ts":"{stamp}","caller":"runtime/asm_amd64.s:1693","msg":"Flow Info: Src IP: {address} '
        f"Src Port: {number % 65536} Dest IP: 10.0.2.30 Dest Port: 8080 Proto TCP Verdict "
        f'{"DENY" if number % 3 else "ACCEPT"} Direction ingress, Tier NETWORK_POLICY"}}\n'
    )


def test_a_spooled_batch_reads_as_it_was() -> None:
    text = "".join(line(number, f"10.0.{number % 7}.{number % 251}") for number in range(PACKED_ROWS + 10)).encode()
    (batch,) = [item for item in AGENT_LOG.read(Source("a.log", text)) if isinstance(item, FlowBatch)]
    columns, spans = {name: list(column) for name, column in batch.columns.items()}, batch.spans.whole().tolist()

    (packed,) = Packer().packed(batch)

    assert isinstance(packed, PackedFlows)
    assert isinstance(packed.rows.store, Spool)
    assert columns == {name: list(column) for name, column in packed.columns.items()}
    assert spans == packed.spans.whole().tolist()
    places = [packed.line(row) for row in range(len(packed))]
    assert sorted(places, key=lambda place: place[1]) == list(
        zip(columns["ts"], [tuple(span) for span in spans], strict=True)
    )


def test_a_batch_with_odd_rows_stays_in_memory() -> None:
    torn = line(1, "10.0.0.1").replace("2026-11-21T03:00:01.001Z", "some day")
    text = ("".join(line(number, "10.0.0.2") for number in range(PACKED_ROWS)) + torn).encode()
    (batch,) = [item for item in AGENT_LOG.read(Source("a.log", text)) if isinstance(item, FlowBatch)]

    (packed,) = Packer().packed(batch)

    assert not isinstance(packed, PackedFlows)
    assert list(packed.columns["ts"]) == list(batch.columns["ts"])
    assert list(packed.columns["src"]) == list(batch.columns["src"])


_HANDED = """
import json, sys
from forensics import reading
from forensics.analysis import run
plain = run([sys.argv[1]]).document
reading.LARGE_BYTES, reading.HANDED_BYTES, reading._LOG = 0, range(1 << 30), "no name"
reading.workers = lambda: 3
handed = []
submit = reading.Servants.submit
reading.Servants.submit = lambda self, *rest, payload: handed.append(rest[2]) or submit(self, *rest, payload=payload)
shared = run([sys.argv[1]]).document
assert len(handed) > 5, handed
assert json.dumps(plain) == json.dumps(shared)
"""
_FAILING = _HANDED.replace("handed = []", "here = __import__('os').getpid()\nread = reading.read_artifact\n"
    "def fails(member, index, *rest):\n"
    "    if __import__('os').getpid() != here and index == 0 and len(member.path) % 2:\n"
    "        __import__('os')._exit(3)\n"
    "    return read(member, index)\n"
    "reading.read_artifact = fails\nhanded = []")  # fmt: skip


_SORTED = """
import io, sys
from forensics.servants import Servants
from formats import log_reader, log_sorting, source
from formats.agent_log import FORMAT
from formats.base import EventBatch, FlowBatch

log_reader.STRETCH_BYTES = log_reader.LINE_BYTES = 2000
log_reader.EVENT_ROWS = 1

def sort(log, words, payload):
    if FAILS and b"10.0.3.7 " in bytes(payload):
        __import__("os")._exit(3)
    return log_sorting.sort_there(log, words, payload)

def read(helpers):
    rows = []
    with open(sys.argv[1], "rb") as stream:
        for item in FORMAT.read(source.Source("network-policy-agent.log", stream, helpers)):
            if isinstance(item, FlowBatch):
                columns = [list(item.columns[name]) for name in sorted(item.columns)]
                rows += [repr(row) for row in zip(item.spans.whole().tolist(), *columns)]
            elif isinstance(item, EventBatch):
                rows += [repr(item.record(row)) for row in range(len(item.codes))]
            else:
                rows.append(repr(item))
    return rows

helpers = Servants({log_sorting.SORT: sort}, 2)
asked = []
submit = helpers.submit
helpers.submit = lambda *rest, payload: asked.append(1) or submit(*rest, payload=payload)
first, second, alone = read(helpers), read(helpers), read(None)
helpers.close()
assert len(asked) > 20 and len(alone) > 500, (len(asked), len(alone))
assert first == second == alone
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("fails", [False, True])
def test_stretches_sorted_by_forks_give_the_same_items(fails: bool, tmp_path: Path) -> None:
    told = '{{"level":"info","ts":"2026-11-21T03:00:01.{:03d}Z","caller":"a.go:1","msg":"Updating Map with IP Key: {}/32"}}\n'
    rows = [line(at, f"10.0.{at % 7}.{at % 11}") + told.format(at, f"10.1.0.{at % 5}") + "torn\n" for at in range(300)]
    (tmp_path / "a.log").write_text("".join(rows))

    subprocess.run([sys.executable, "-c", f"FAILS = {fails}\n{_SORTED}", tmp_path / "a.log"], check=True, timeout=120)


_RUNS = """
import sys
from forensics.servants import Servants
from formats import nacli_ahead, source
from formats.mapview import records_of
from formats.nacli_maps import FORMAT

source.CHUNK_BYTES = source.HEAD_BYTES = 4000
found = []

def runs(payload):
    if FAILS and b"10.0.0.9/32" in bytes(payload):
        __import__("os")._exit(3)
    return nacli_ahead.runs_there(payload)

def read(helpers):
    with open(sys.argv[1], "rb") as stream:
        items = list(FORMAT.read(source.Source("ebpf-maps-data.txt", stream, helpers)))
    return [repr(list(records_of(item)) if hasattr(item, "keys") else item) for item in items]

helpers = Servants({nacli_ahead.RUNS: runs}, 2)
settled = nacli_ahead._settled
def counted(*rest):
    offset, block, known = settled(*rest)
    found.append(len(known))
    return offset, block, known

nacli_ahead._settled = counted
helped, alone = read(helpers), read(None)
helpers.close()
assert sum(found) > 10
assert len(alone) > 5
assert helped == alone
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("fails", [False, True])
def test_runs_found_by_forks_give_the_same_items(fails: bool, tmp_path: Path) -> None:
    slot = "-------------------\nEntry 0:\nProtocol  - TCP\nStartPort - {}\nEndPort   - 0\n-------------------\n"
    entry = "Key: 10.0.{}.{}/32\n" + slot + "*" * 31 + "\n"
    sections = [
        f"*** EBPF Maps Data for Map ID {number} ***\n"
        + "".join(entry.format(number, at, at + 1) if at % 17 else "Key: torn\n" for at in range(60))
        + "Done reading all entries\n"
        for number in range(12)
    ]
    (tmp_path / "ebpf-maps-data.txt").write_text("".join(sections))

    subprocess.run(
        [sys.executable, "-c", f"FAILS = {fails}\n{_RUNS}", tmp_path / "ebpf-maps-data.txt"], check=True, timeout=120
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("program", [_HANDED, _FAILING], ids=["handed over", "forks end early"])
@pytest.mark.parametrize("case", ["incident", "planted-entries"])
def test_members_read_by_forks_give_the_same_document(program: str, case: str) -> None:
    (bundle,) = (CASES / case / "input").glob("*.tar.gz")

    subprocess.run([sys.executable, "-c", program, str(bundle)], check=True, timeout=120)


def test_a_packed_dump_reads_as_it_was_and_travels() -> None:
    values = np.arange(300 * 16, dtype=np.uint8).reshape(300, 16) % 8
    keys = np.arange(300 * 8, dtype=np.uint32).view(np.uint8)[: 300 * 8].reshape(300, 8)
    dump = MapDump("hex", keys, values, np.zeros(300, ENTRY_SPAN_DTYPE), Span(0, 1, 1, 1), map_id=7, notes=["a"])

    small = packed_dump.packed(dump)
    again = pickle.loads(pickle.dumps(small))

    for each in (small, again):
        assert isinstance(each, packed_dump.PackedDump)
        assert (each.values == values).all()
        each.forget()
        assert (each.values == values).all()
        assert (each.map_id, each.notes, each.count) == (7, ["a"], 300)


def test_a_dump_of_other_values_everywhere_stays_as_it_was() -> None:
    values = np.arange(300, dtype="<u4").view(np.uint8).reshape(300, 4)
    dump = MapDump("hex", values, values, np.zeros(300, ENTRY_SPAN_DTYPE), Span(0, 1, 1, 1))

    assert packed_dump.packed(dump) is dump
