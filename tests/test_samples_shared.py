"""Every sample of the collection gives its expected_parse by the public way; what cannot be held is listed.

The kinds with tests of their own are checked by these; here every key of every expectation must be checked by one of
them or stand in NOT_HELD with the reason.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import test_bpftool_shared
import test_k8s_shared
import test_logs_shared
import test_node_files_shared

from forensics.decode import decode_bytes

SAMPLES = Path(__file__).parent.parent.parent / "shared" / "samples"
INDEX = SAMPLES / "index.jsonl"
ROWS = [json.loads(line) for line in INDEX.read_text().splitlines()] if INDEX.exists() else []
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not ROWS, reason="the sample collection does not lie beside the repository"),
]
#: Key of an expectation -> why no parse of the text can be held to it.
NOT_HELD = {
    "tool": "help text has no record: the name of the tool is in the reason of the recognition, if any",
    "command": "help text has no record",
    "sections": "the reader's division of a page is its records; their kinds are checked by the other keys",
    "missing_vs_map_91": "a comparison of two files, not a fact of one",
    "keys_only": "the same as the keys without values, which are checked",
    "other": "what else stands in the page is nobody's format",
    "valid_json": "the same as truncated",
    "pattern": "a judgement of the case",
    "conflicts_with": "a comparison of two policies, not a fact of one",
    "wrapped": "how the text was damaged; the record in it is checked",
    "joined_records": "how the text was damaged; the records in it are checked",
    "cw": "where the text is from; its flows are checked",
    "foreign": "some are maps of tools that have no mark of their own: only those with another CNI's names are told",
}
NACLI_SLOT = ("slot", "protocol", "start_port", "end_port")


def named(row: dict) -> str:
    return row["file"]


def of_kind(got: dict, kind: str) -> list[dict]:
    return [record for record in got["records"] if record["kind"] == kind]


def entries(records: list[dict]) -> list[dict]:
    return [
        {
            "cidr": record["cidr"],
            "slots": [
                dict(zip(("slot", "proto", "start", "end"), (slot[name] for name in NACLI_SLOT), strict=True))
                for slot in record["slots"]
            ],
        }
        for record in records
    ]


def filters(got: dict) -> list[dict]:
    names = {"prog_name": "prog", "prog_id": "id", "direct_action": "da", "filter_kind": "kind"}
    return [{names.get(key, key): value for key, value in record.items()} for record in of_kind(got, "tc_filter")]


def same_filters(got: dict, wanted: list[dict], whole: dict) -> None:
    found = filters(got)
    assert len(wanted) == len(found)
    for one, record in zip(wanted, found, strict=True):
        expected = {**whole, **one}
        assert expected == {name: record[name] for name in expected}


def same_programs(got: dict, wanted: list[dict]) -> None:
    if "pod_identifier" in wanted[0]:
        found = of_kind(got, "program")
        shown = [
            {**one, "maps": [{"name": each["name"], "map_id": each["id"]} for each in one["maps"]]} for one in wanted
        ]
        assert len(shown) == len(found)
        assert all(one.items() <= record.items() for one, record in zip(shown, found, strict=True))
    else:
        found = [(record["prog_id"], record["map_count"]) for record in of_kind(got, "prog_info")]
        assert [(one["id"], one["maps"]) for one in wanted] == found


def same_maps(got: dict, wanted: list[dict]) -> None:
    found = [(r["map_id"], r["key_size"], r["value_size"], r["max_entries"]) for r in of_kind(got, "map_info")]
    assert [(one["id"], one["key"], one["value"], one["max"]) for one in wanted] == found


def pins_and_ids(got: dict, wanted: list[str], ids: dict[str, int]) -> None:
    told = {record["path"]: record.get("map_id") for record in of_kind(got, "pin")}
    assert set(wanted) == set(told)
    assert ids == {path.rpartition("_")[0].rpartition("_")[2] + "_map": number for path, number in told.items()}


NACLI = {
    "records": lambda got, wanted, _: got["records"] == wanted,
    "programs": lambda got, wanted, _: same_programs(got, wanted),
    "maps": lambda got, wanted, _: same_maps(got, wanted),
    "program_count": lambda got, wanted, _: wanted == len(of_kind(got, "prog_info")),
    "map_count": lambda got, wanted, _: wanted == len(of_kind(got, "map_info")),
    "map_id": lambda got, wanted, _: [wanted] == [dump["map_id"] for dump in of_kind(got, "map_dump")],
    "entries": lambda got, wanted, _: wanted == entries(of_kind(got, "map_entry")),
    "map_93": lambda got, wanted, _: wanted == entries(of_kind(got, "map_entry")),
    "complete_marker": lambda got, wanted, _: [wanted] == [dump["complete"] for dump in of_kind(got, "map_dump")],
    "truncated": lambda got, wanted, _: bool(got["problems"]) == wanted,
    "keys": lambda got, wanted, _: wanted == [record["cidr"] for record in of_kind(got, "map_entry")],
    "tc": lambda got, wanted, _: same_filters(got, wanted, {}),
    "cli_error": lambda got, wanted, _: [wanted] == [record["message"] for record in of_kind(got, "cli_error")],
    "pins": lambda got, wanted, whole: pins_and_ids(got, wanted, whole["ids"]),
    "ids": lambda got, wanted, whole: pins_and_ids(got, whole["pins"], wanted),
}


@pytest.mark.parametrize("row", [row for row in ROWS if row["kind"] == "nacli"], ids=named)
def test_nacli_sample(row: dict) -> None:
    got = decode_bytes((SAMPLES / row["file"]).read_bytes(), Path(row["file"]).name)
    expected = row["expected_parse"]

    for key, wanted in expected.items():
        if key not in NOT_HELD:
            assert NACLI[key](got, wanted, expected) is not False, key


@pytest.mark.parametrize("row", [row for row in ROWS if row["kind"] == "tc"], ids=named)
def test_tc_sample(row: dict) -> None:
    got = decode_bytes((SAMPLES / row["file"]).read_bytes(), Path(row["file"]).name)
    expected = row["expected_parse"]

    same_filters(
        got, expected["filters"], {key: expected[key] for key in ("dev", "hook", "foreign") if key in expected}
    )


OTHERS = {
    "bpftool": test_bpftool_shared.test_bpftool_sample,
    "policy": test_k8s_shared.test_a_sample_gives_what_a_correct_parser_extracts,
    "agent_log": test_logs_shared.test_sample_gives_its_expected_parse,
    "ipamd": test_node_files_shared.test_pasted_introspection_gives_what_its_index_says,
}
#: Keys that the tests of the other kinds hold.
HELD = {
    "bpftool": "map found shown value_size entries dumps self_ip self_ip_in_ingress self_ip_in_cp_ingress maps "
    "programs key next_key dump elided truncated",
    "policy": "kind name isolation egress ingress pods policyRef table rows documents tables spec apiVersion tier "
    "priority unsupported_group rules actions egress_actions networks domain_names invalid protocols policies "
    "truncated_third env",
    "agent_log": " ".join(test_logs_shared.CHECKS),
    "ipamd": "endpoint schema AssignedIPs TotalIPs truncated pods AWS_VPC_ENI_MTU AWS_VPC_K8S_CNI_EXTERNALSNAT port "
    "addresses fragment partial_pods",
    "nacli": " ".join(NACLI),
    "tc": "dev hook filters foreign",
}


@pytest.mark.parametrize("row", [row for row in ROWS if row["kind"] in OTHERS], ids=named)
def test_sample_of_another_kind(row: dict) -> None:
    OTHERS[row["kind"]](row)


#: Cut samples of which nobody can see that they are.
NOT_TOLD = {"bpftool/004.txt": "a listing of another CNI's maps that ends in dots; it is counted, not read"}
CUT = [row for row in ROWS if row["expected_parse"].get("truncated") and row["file"] not in NOT_TOLD]


@pytest.mark.parametrize("row", CUT, ids=named)
def test_what_is_missing_is_told(row: dict) -> None:
    got = decode_bytes((SAMPLES / row["file"]).read_bytes(), Path(row["file"]).name)

    dumps = of_kind(got, "map_dump")
    assert got["problems"] or got["notes"] or any(not one["complete"] or one["hidden"] or one["notes"] for one in dumps)


def test_every_key_of_every_expectation_is_held_or_listed() -> None:
    unheld = {
        (row["file"], key)
        for row in ROWS
        for key in row["expected_parse"]
        if key not in HELD[row["kind"]].split() and key not in NOT_HELD
    }

    assert unheld == set()


def test_every_sample_is_read_by_one_test() -> None:
    assert {row["kind"] for row in ROWS} == {*OTHERS, "nacli", "tc"}
