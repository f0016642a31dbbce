"""Other CNIs are recognised, named and listed; nothing of them is ever a map or a pod of the agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cut_records import BY_NAME, CORPUS, input_of, name_of

from forensics import analyze
from forensics.decode import decode_bytes

FOREIGN = sorted(
    path.parent for name, form in BY_NAME.items() if form.foreign for path in (CORPUS / name).glob("*/expected.json")
)
INDEX = Path(__file__).parent.parent.parent / "shared" / "samples" / "index.jsonl"
ROWS = [json.loads(line) for line in INDEX.read_text().splitlines()] if INDEX.exists() else []
SAMPLES = [row for row in ROWS if row["tags"] and {"foreign-cni"} & set(row["tags"])]
OURS = {"map_entry", "pod_state_entry", "conntrack_entry", "program"}
#: One case shows the agent's own pins beside another CNI: these are read, and only these.
BESIDE = {"calico/beside-the-vpc-cni"}


@pytest.mark.parametrize("case", FOREIGN, ids=name_of)
def test_another_cni_is_named_and_never_taken_for_ours(case: Path) -> None:
    data, path = input_of(case)

    records = decode_bytes(data, path)["records"]

    assert {record["cni"] for record in records if record["kind"] == "foreign"} <= {"cilium", "calico"}
    assert any(record["kind"] == "foreign" for record in records)
    assert [record for record in records if record["kind"] in OURS and name_of(case) not in BESIDE] == []


def test_a_folder_of_another_cni_has_no_pod_of_ours(tmp_path: Path) -> None:
    for number, case in enumerate(FOREIGN):
        if name_of(case) not in BESIDE:
            data, path = input_of(case)
            folder = tmp_path / str(number)
            folder.mkdir()
            (folder / Path(path).name).write_bytes(data)

    document = analyze([str(tmp_path)]).document

    assert document["pods"] == []
    assert [finding for finding in document["findings"] if finding["severity"] != "info"] == []
    assert all(artifact["format"] for artifact in document["artifacts"])


@pytest.mark.shared
@pytest.mark.skipif(not SAMPLES, reason="the sample collection does not lie beside the repository")
@pytest.mark.parametrize("row", SAMPLES, ids=lambda row: row["file"])
def test_a_sample_of_another_cni_gives_nothing_of_ours(row: dict, tmp_path: Path) -> None:
    data = (INDEX.parent / row["file"]).read_bytes()
    (tmp_path / "paste.txt").write_bytes(data)

    records = decode_bytes(data, "paste.txt")["records"]
    document = analyze([str(tmp_path)]).document

    assert [record for record in records if record["kind"] in OURS] == []
    assert document["pods"] == []


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [("cilium_policy_00214", 8, 48), ("cilium_lxc", 20, 384), ("cilium_ct4_global", 8, 288), ("cali_v4_ct", 16, 4)],
)
def test_a_named_map_of_another_cni_is_no_rule_map_whatever_its_sizes(name: str, key: int, value: int) -> None:
    rows = [" ".join(["00"] * min(16, size - at)) for size in (key, value) for at in range(0, size, 16)]
    cut = (key + 15) // 16
    text = f"# bpftool map dump pinned /sys/fs/bpf/tc/globals/{name}\n"
    text += "\n".join(["key:", *rows[:cut], "value:", *rows[cut:], "Found 1 element", ""])

    records = decode_bytes(text.encode(), "-")["records"]

    assert [record["kind"] for record in records if record["kind"] in OURS] == []
