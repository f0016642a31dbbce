"""aws-eks-na-cli text against the captures of the lab and the collected pastes, where these are at hand."""

from __future__ import annotations

import functools
import json
import re
import tarfile
from pathlib import Path

import pytest

from formats import bpftool_map_hex, nacli_lists, nacli_loaded, nacli_maps
from formats.address import canonical, cidr_of_key
from formats.base import MapDump, Problem, Record
from formats.source import Source
from tests import render_nacli as render

SHARED = Path(__file__).parent.parent.parent / "shared"
LAB = SHARED / "lab"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not LAB.is_dir(), reason="the shared captures are not on this machine"),
]
CLI = sorted(path.parent for path in LAB.glob("cli-output/*/*/expected.json"))
CAPTURES = sorted(LAB.glob("seed/**/*.na-cli-*.txt")) + sorted(LAB.glob("bundles*/*/manual-bpftool/*.na-cli-*.txt"))
CASES = [json.loads(line) for line in (SHARED / "samples/index.jsonl").read_text().splitlines()] if LAB.is_dir() else []
NUMBERS = {"TCP": 6, "UDP": 17, "SCTP": 132, "ANY": 254, "ICMP": 1, "RESERVED": 255, "UNKNOWN": -1}


def read(path, form=nacli_maps):
    return list(form.read(Source(str(path), Path(path).read_bytes())))


def maps(items):
    return [item for item in items if isinstance(item, MapDump)]


def records(items, kind):
    return [item.data for item in items if isinstance(item, Record) and item.kind == kind]


def shown(dump):
    """{cidr: [(slot, protocol, priority, start, end)]} of a text dump."""
    out = {cidr_of_key(key.tobytes()): [] for key in dump.keys}
    rows = [cidr_of_key(key.tobytes()) for key in dump.keys]
    for entry, *slot in dump.text_slots.tolist():
        out[rows[entry]].append(tuple(slot))
    return out


def raw(path):
    """[(key, value)] of a bpftool hex dump."""
    (dump,) = maps(read(path, bpftool_map_hex)) or [None]
    if dump is None or dump.values is None:
        return []
    return [(key.tobytes(), value.tobytes()) for key, value in zip(dump.keys, dump.values, strict=True)]


def printed(value, stride):
    out = []
    for index, protocol, *rest in render.slots_of(value, stride):
        out.append((index, protocol if protocol in render.NAMES else -1, rest[0] if stride == 16 else -1, *rest[-2:]))
    return out


@pytest.mark.parametrize("folder", CLI, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_dumps_of_each_version_show_what_was_written(folder) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    checked = 0
    for name, written in expected.items():
        if "entries" not in written:
            continue
        case = re.match(r"(.*?)-5d8f9c7b6[-@]", name).group(1)
        cluster = "_cp_" in name
        path = next(folder.glob(f"dump-cp-maps.{case}.txt" if cluster else f"dump-maps.{case}.txt"), None)
        if path is None:
            continue
        items = read(path)
        if folder.parent.name == "v1.0.1":  # its value overran the key: nothing of it is true
            assert maps(items) == [] or not written["entries"]
            assert not written["entries"] or "overrun" in records(items, "cli_error")[0]["meaning"]
            checked += 1
            continue
        (dump,) = maps(items)
        want = {canonical(cidr): slots for cidr, slots in written["entries"].items()}
        assert dump.complete
        assert [item for item in items if isinstance(item, Problem)] == []
        assert set(shown(dump)) == set(want)
        for cidr, slots in shown(dump).items():
            whole = [
                (s["slot"], s["protocol"] if s["protocol"] in render.NAMES else -1, s.get("priority", -1),
                 s["start_port"], s["end_port"])
                for s in want[cidr] if s["protocol"] != 0
            ]  # fmt: skip
            assert sorted(slots) == sorted(whole), cidr
        checked += 1
    assert checked >= 7


@pytest.mark.parametrize("folder", CLI, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_dumps_and_hex_of_the_same_maps_agree_and_the_renderer_is_true(folder) -> None:
    version, family = folder.parent.name, folder.name
    checked = 0
    for path in sorted(folder.glob("dump-*maps.*.txt")):
        command, case, _ = path.name.split(".")
        hexdump = folder / f"bpftool.{case}.dump.txt"
        if not hexdump.exists() or (version == "v1.0.1" and case != "conntrack"):
            continue
        items = read(path)
        entries = raw(hexdump)
        text = path.read_text()
        if "Unsupported map type" in text:
            assert (len(records(items, "cli_error")), maps(items)) == (1, [])
            continue
        (dump,) = maps(items)
        assert dump.complete
        assert dump.count == len(entries)
        if case == "conntrack":
            want = {key: value[:1] for key, value in entries}
            assert {k.tobytes(): v.tobytes() for k, v in zip(dump.keys, dump.values, strict=True)} == want
            again = render.flows([(k.tobytes(), want[k.tobytes()]) for k in dump.keys])
        elif case.startswith("pod_state"):
            assert {k.tobytes(): v.tobytes() for k, v in zip(dump.keys, dump.values, strict=True)} == dict(entries)
            again = render.pod_state([(int.from_bytes(k, "little"), v[0]) for k, v in entries])
        else:
            stride = 16 if "cp" in command else 12
            assert shown(dump) == {cidr_of_key(key): printed(value, stride) for key, value in entries}
            form = "v1.3.0-cp" if stride == 16 else "v1.3.0" if version == "v1.4.1" and family == "v4" else "v1.0.7"
            again = render.rules(entries, form)
        if entries:
            assert sorted(again.splitlines()) == sorted(text.splitlines())
        checked += 1
    assert checked


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: "/".join(path.parts[-3:]))
def test_captures_beside_their_hex(path) -> None:
    pin, how = path.name.split(".na-cli-")
    hexdump = path.with_name(f"{pin}.dump.txt")
    items = read(path)
    (dump,) = maps(items) or [None]
    if dump is None:
        (error,) = records(items, "cli_error")
        if pin.endswith("policy_events"):
            assert "ring buffer" in error["meaning"]
        elif path.read_text().startswith("Walking map:  (type=1,"):
            assert "nothing of a hash map" in error["meaning"]
        else:
            assert "_cp_" in pin
            assert "dump-maps" in how.replace("dump-cp-maps", "")
            assert "section discarded" in error["meaning"]
        return
    assert (dump.map_name, dump.complete) == (pin, True)
    if not hexdump.exists() or "conntrack" in pin:  # conntrack moved on between the two commands
        return
    entries = raw(hexdump)
    assert dump.count == len(entries)
    if pin.endswith("pod_state_map"):
        assert {k.tobytes(): v.tobytes() for k, v in zip(dump.keys, dump.values, strict=True)} == dict(entries)
        return
    stride = 16 if "dump-cp-maps" in how else 12
    if dump.count:
        assert shown(dump) == {cidr_of_key(key): printed(value, stride) for key, value in entries}
    wrong = stride == 16 and "_cp_" not in pin and dump.count > 0
    assert any("wrong-stride" in note for note in dump.notes) == wrong


@functools.cache
def networking(folder):
    """The eBPF members of a bundle's tarball; what is damaged is left out."""
    out = {}
    for archive in folder.glob("*.tar.gz"):
        try:
            with tarfile.open(archive, "r:gz") as tar:
                for member in tar:
                    if "/networking/ebpf-" in member.name:
                        out[Path(member.name).name] = tar.extractfile(member).read()
        except (tarfile.TarError, EOFError, OSError):
            continue
    return out


BUNDLES = sorted(path.parent for path in LAB.glob("bundles*/*/truth.json") if path.parent.name[0] not in "f")


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda path: path.name)
def test_collector_files_hold_what_truth_says(folder) -> None:
    truth = json.loads((folder / "truth.json").read_text())
    members = networking(folder)
    if "ebpf-data.txt" not in members:
        assert truth.get("ipv6") or "ebpf-maps-data.txt" not in members
        return
    loaded = list(nacli_loaded.read(Source("networking/ebpf-data.txt", members["ebpf-data.txt"])))
    assert [item for item in loaded if isinstance(item, Problem)] == []
    names = {}
    for program in records(loaded, "program"):
        assert program["pod_identifier"] and program["direction"] and program["prog_id"]
        for one in program["maps"]:
            if not one["name"].startswith(("aws_conntrack", "policy_events")):
                names[one["map_id"]] = f"{program['pod_identifier']}_{one['name']}"
    checked = 0
    for member, stride in (("ebpf-maps-data.txt", 12), ("ebpf-cp-maps-data.txt", 16)):
        for dump in maps(nacli_maps.read(Source(f"networking/{member}", members.get(member, b"")))):
            entries = entries_of(truth, names[dump.map_id], stride)
            if entries is None:
                continue
            assert dump.complete
            assert shown(dump) == entries, names[dump.map_id]
            checked += 1
    assert checked


def entries_of(truth, name, stride):
    """{cidr: slots as printed} of truth.json for a map; None when it does not tell."""
    found = truth["maps"].get(name)
    if found is None:
        return None
    return {canonical(cidr): slots_told(entry, stride) for cidr, entry in found["entries"].items()}


def slots_told(entry, stride):
    """An entry of truth.json: its bytes, or the list of its slots."""
    if isinstance(entry, dict):
        return printed(bytes.fromhex(entry["raw_hex"]), stride)
    known = [slot for slot in entry if slot["protocol"] != 0]
    return [
        (s["slot"], s["protocol"] if s["protocol"] in render.NAMES else -1, s.get("priority", -1), s["start_port"],
         s["end_port"]) for s in known
    ]  # fmt: skip


def case_items(case):
    path = SHARED / "samples" / case["file"]
    data = path.read_bytes()
    out = []
    for form in (nacli_maps, nacli_loaded, nacli_lists):
        if form.sniff(data[: 256 * 1024], path.name).value >= 30:
            out += form.read(Source(path.name, data))
    return out


def as_told(dump):
    return [
        {"cidr": cidr, "slots": [{"slot": s[0], "proto": s[1], "start": s[3], "end": s[4]} for s in slots]}
        for cidr, slots in shown(dump).items()
    ]


def numbered(entries):
    return [
        {**entry, "slots": [{**slot, "proto": NUMBERS[slot["proto"]]} for slot in entry["slots"]]} for entry in entries
    ]


@pytest.mark.parametrize("case", [c for c in CASES if c["file"].startswith("nacli/")], ids=lambda case: case["file"])
def test_pastes_give_what_they_say(case) -> None:
    want = case["expected_parse"]
    items = case_items(case)
    dumps = maps(items)
    programs = records(items, "program")
    checked = 0
    for key in ("entries", "map_93"):
        if key in want:
            assert as_told(dumps[0]) == numbered(want[key])
            assert dumps[0].complete == want.get("complete_marker", key == "map_93")
            checked += 1
    if "keys" in want:
        assert [cidr_of_key(key.tobytes()) for key in dumps[0].keys] == want["keys"]
        assert not dumps[0].value_known.any()
        assert any(isinstance(item, Problem) for item in items)
        checked += 1
    if "map_id" in want:
        assert [dump.map_id for dump in dumps] == [want["map_id"]]
    for program in want.get("programs", []) if "programs" in want and programs else []:
        maps_of = [{"name": one["name"], "map_id": one["id"]} for one in program["maps"]]
        same = {**program, "maps": maps_of}
        assert any(same.items() <= got.items() for got in programs), program
        checked += 1
    if "programs" in want and not programs:
        got = records(items, "prog_info")
        assert [(p["id"], p["maps"]) for p in want["programs"]] == [(one["prog_id"], one["map_count"]) for one in got]
        checked += 1
    if "maps" in want:
        got = [(m["map_id"], m["key_size"], m["value_size"], m["max_entries"]) for m in records(items, "map_info")]
        assert got == [(m["id"], m["key"], m["value"], m["max"]) for m in want["maps"]]
        checked += 1
    if "map_count" in want:
        assert len(records(items, "map_info")) == want["map_count"]
        assert len(records(items, "prog_info")) == want["program_count"]
        checked += 1
    if "cli_error" in want:
        assert [error["message"] for error in records(items, "cli_error")] == [want["cli_error"]]
        checked += 1
    if want.get("records") == []:
        assert items == []
        checked += 1
    assert checked


def test_errors_of_each_version_are_explained() -> None:
    count = 0
    for path in LAB.glob("cli-output/*/*/err.*.txt"):
        text = path.read_text()
        items = read(path)
        if "Failed to execute" in text:
            (error,) = records(items, "cli_error")
            assert "it says nothing of the map" not in error["meaning"]
            count += 1
        else:
            assert items == []
    assert count >= 20


def test_wrong_commands_give_no_false_rules() -> None:
    for path in LAB.glob("cli-output/*/*/WRONG-*.txt"):
        items = read(path)
        for dump in maps(items):
            if "dump-cp-maps" in path.name:
                assert any("re-cut at 16 bytes" in note for note in dump.notes)
            elif "v6cli" in path.name:
                assert any("not of one family" in note for note in dump.notes) or dump.complete
            else:
                assert dump.count == 0
