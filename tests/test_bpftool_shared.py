"""bpftool and tc texts of the sample collection give what its index says; the lab's dumps agree in every form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics.decode import decode_bytes
from formats.address import canonical
from formats.base import MapDump, Problem
from formats.bpftool_map_hex import Reader as HexReader
from formats.bpftool_map_json import Reader as JsonReader
from formats.source import Source
from formats.tc_filter import read as read_tc

SHARED = Path(__file__).parents[2] / "shared"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the sample collection is not beside the repository"),
]


def index(kind):
    path = SHARED / "samples" / "index.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [row for row in rows if row["kind"] == kind]


def lab(pattern):
    return sorted((SHARED / "lab").glob(pattern)) if SHARED.is_dir() else []


def decoded(row):
    path = SHARED / "samples" / row["file"]
    return decode_bytes(path.read_bytes(), path.name)["records"]


def named(row):
    return row["file"]


MAP_FIELDS = {"id": "map_id", "key": "key_size", "value": "value_size", "max": "max_entries"}
TC_FIELDS = {"prog": "prog_name", "id": "prog_id", "da": "direct_action"}
DUMP_FIELDS = {"map": "map_name"}


def check_listing(expected, records):
    for name, kind in (("maps", "map_info"), ("programs", "prog_info")):
        found = [record for record in records if record["kind"] == kind]
        assert len(expected.get(name, [])) == len(found)
        for wanted, record in zip(expected.get(name, []), found, strict=True):
            wanted = wanted if isinstance(wanted, dict) else {"id": wanted}
            for field, value in wanted.items():
                value = int(value, 16) if field == "flags" else value
                column = {"id": "prog_id"}.get(field) if kind == "prog_info" else MAP_FIELDS.get(field)
                assert value == record[column or field]


def check_dump(wanted, dump, entries):
    for field in ("map", "found", "shown", "value_size", "map_id"):
        if field in wanted:
            assert wanted[field] == dump[DUMP_FIELDS.get(field, field)]
    if "entries" in wanted:
        assert len(wanted["entries"]) == len(entries)
    for item, entry in zip(wanted.get("entries", []), entries, strict=False):
        if "key" in item:
            assert (item["key"], item["value"]) == (entry["key_hex"], entry["value_hex"])
        if "cidr" in item:
            assert item["cidr"] == entry["cidr"]
            slots = [(slot["slot"], slot["protocol"], slot["start_port"], slot["end_port"]) for slot in entry["slots"]]
            assert [(slot["slot"], slot["proto"], slot["start"], slot["end"]) for slot in item["slots"]] == slots
    for text in wanted.get("errors", []):
        assert any(text in note for note in dump["notes"])


@pytest.mark.parametrize("row", index("bpftool"), ids=named)
def test_bpftool_sample(row) -> None:
    expected = row["expected_parse"]

    records = decoded(row)

    if "maps" in expected or "programs" in expected:
        check_listing(expected, records)
    dumps = [record for record in records if record["kind"] == "map_dump"]
    entries = [record for record in records if record["kind"].endswith("_entry")]
    if "entries" in expected:
        check_dump(expected, dumps[0], entries)
    if "dump" in expected:
        check_dump(expected["dump"], dumps[0], entries)
    if "dumps" in expected:
        assert expected["dumps"] == [dump["map_name"] for dump in dumps]
    if "self_ip" in expected:
        for tier in ("ingress", "cp_ingress"):
            held = {entry["cidr"] for entry in entries if entry["map_name"] == f"my-pod_{tier}_map"}
            assert expected[f"self_ip_in_{tier}"] == (f"{expected['self_ip']}/32" in held)
    if "next_key" in expected:
        assert [expected["next_key"]] == [entry["key_hex"] for entry in entries]
        assert expected["key"] in dumps[0]["notes"][0]


@pytest.mark.parametrize("row", index("tc"), ids=named)
def test_tc_sample(row) -> None:
    expected = row["expected_parse"]
    path = SHARED / "samples" / row["file"]

    found = [item.data for item in read_tc(Source(path.name, path.read_bytes()))]

    assert len(expected["filters"]) == len(found)
    for wanted, record in zip(expected["filters"], found, strict=True):
        whole = {**{name: expected[name] for name in ("dev", "hook", "foreign") if name in expected}, **wanted}
        for field, value in whole.items():
            assert value == record[TC_FIELDS.get(field, field)]
        assert record["direction"] in (None, {"ingress": "egress", "egress": "ingress"}[record["hook"]])


def read_dump(path):
    raw = path.read_bytes()
    if path.suffix == ".json" or raw[:1] == b"[":
        items = list(JsonReader(raw, path.name).items())
    else:
        items = list(HexReader(Source(path.name, raw)).items())
    (dump,) = [item for item in items if isinstance(item, MapDump)] or [None]
    return dump


@pytest.mark.parametrize("folder", ["seed/*/*", "bundles*/*/manual-bpftool", "btf"])
def test_every_form_of_one_map_is_equal(folder) -> None:
    compared = 0
    for text in lab(f"{folder}/*_map.dump.txt"):
        dump = read_dump(text)
        for suffix in (".dump.json", ".dump.pretty.json", ".dump-by-id.txt"):
            other_path = text.with_name(text.name.replace(".dump.txt", suffix))
            if not other_path.exists():
                continue
            other = read_dump(other_path)

            assert dump.map_name == other.map_name
            assert dump.complete
            assert other.complete
            entries = [set(zip(map(bytes, one.keys), map(bytes, one.values), strict=True)) for one in (dump, other)]
            assert entries[0] == entries[1], other_path
            compared += 1
    assert compared > 0


F5 = {
    # file: (value size, entries, values known, found, complete) of each dump
    "cut-mid-byte.txt": [(384, 2, 1, None, False)],
    "cut-mid-value.txt": [(None, 1, 0, None, False)],
    "short-line.txt": [(384, 3, 2, 3, True)],
    "line-lost.txt": [(384, 3, 2, 3, True)],
    "wrong-count.txt": [(384, 3, 3, 7, True)],
    "two-dumps-concatenated.txt": [(384, 3, 3, 3, True), (288, 6, 6, 6, True)],
    "cut.json": [(384, 2, 1, None, False)],
}


@pytest.mark.parametrize("name", sorted(F5))
def test_half_written_dumps(name) -> None:
    path = SHARED / "lab" / "bundles" / "f5-half-written-bpftool-dumps" / name
    reader = (
        JsonReader(path.read_bytes(), name) if path.suffix == ".json" else HexReader(Source(name, path.read_bytes()))
    )

    items = list(reader.items())

    got = []
    for dump in (item for item in items if isinstance(item, MapDump)):
        known = dump.count if dump.value_known is None else int(dump.value_known.sum())
        got.append((dump.value_size, dump.count, known, dump.found, dump.complete))
    assert F5[name] == got
    assert any(isinstance(item, Problem) for item in items) == (name != "two-dumps-concatenated.txt")


NUMBERS = {"TCP": 6, "UDP": 17, "SCTP": 132, "ICMP": 1, "ANY": 254, "RESERVED": 255}


def rules_of(records):
    """CIDR -> its slots."""
    return {record["cidr"]: bare(record["slots"]) for record in records if record["kind"] == "map_entry"}


def bare(slots):
    numbers = [NUMBERS.get(slot["protocol"], slot["protocol"]) for slot in slots]
    ports = [(slot["start_port"], slot["end_port"]) for slot in slots]
    return [(slot["slot"], number, *ends) for slot, number, ends in zip(slots, numbers, ports, strict=True)]


@pytest.mark.parametrize("folder", lab("cli-output/*/*"), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_lab_dumps_hold_what_was_written(folder) -> None:
    written = [
        ("_cp_" in name, {canonical(cidr): bare(slots) for cidr, slots in one["entries"].items()})
        for name, one in json.loads((folder / "expected.json").read_text()).items()
    ]

    for path in sorted(folder.glob("bpftool.*.dump.txt")):
        case = path.name.split(".")[1]
        if case == "conntrack" or case.startswith("pod_state"):
            continue
        got = rules_of(decode_bytes(path.read_bytes(), path.name)["records"])

        assert (case.startswith("cp-"), got) in written, path
