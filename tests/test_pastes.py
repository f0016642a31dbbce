"""Every corpus text as mail, markdown, terminals and editors hand it on gives the same records; so do mixed pages.

What a disguise costs a format is declared, with its reason, in corpus/formats/pastes.toml.
"""

from __future__ import annotations

import json
import tomllib

import pytest
from cut_records import CASES, CORPUS, input_of, name_of
from disguises import DISGUISES

from forensics.decode import decode_bytes
from forensics.disguise import undisguised

DECLARED = tomllib.loads((CORPUS / "pastes.toml").read_text())
#: Of the place, of the text's end, or of the whole text.
APART = ("lines", "notes", "complete", "errors")
TEXTS = [case for case in CASES if input_of(case)[0].isascii() or b"\xef\xbf\xbd" not in input_of(case)[0]]


def facts(data: bytes, path: str) -> list[str]:
    """The records as text, without their places, the heads of dumps and the counts of logs."""
    return [
        json.dumps({name: value for name, value in record.items() if name not in APART}, sort_keys=True)
        for record in decode_bytes(data, path)["records"]
        if record["kind"] not in ("log_summary", "map_dump")
    ]


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("case", TEXTS, ids=name_of)
def test_a_disguise_changes_no_record(case, disguise: str) -> None:
    data, path = input_of(case)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        pytest.skip("bytes that are no text cannot be pasted")
    worn = DISGUISES[disguise](text).encode()
    known = DECLARED.get(name_of(case), {})

    if disguise in known.get("disguises", []):
        assert facts(data, path) != facts(worn, path), "declared in pastes.toml, yet it is read as it is"
    else:
        assert facts(data, path) == facts(worn, path)


def test_declared_losses_are_of_cases_that_exist() -> None:
    assert [name for name in DECLARED if not (CORPUS / name).is_dir()] == []
    assert all(row["reason"] and set(row["disguises"]) <= set(DISGUISES) for row in DECLARED.values())


@pytest.mark.parametrize("disguise", ["quoted", "tabbed", "bulleted", "coloured", "windows"])
def test_lines_keep_their_places(disguise: str) -> None:
    text = "key: 01 00 00 00  value: 02\n\nFound 1 element\n"
    worn = DISGUISES[disguise](text).encode()

    bare = undisguised(worn)

    assert [len(row) for row in worn.split(b"\n")] == [len(row) for row in bare.split(b"\n")]
    assert text.split() == bare.decode().split()


PAGE = (CORPUS.parent / "pages" / "question.md").read_text()
FOUND = [
    ("pod_state_entry", {"key": 0, "state": 0}),
    ("pod_state_entry", {"key": 1, "state": 1}),
    ("program", {"pod_identifier": "web-shop", "direction": "ingress", "prog_id": 415}),
    ("tc_filter", {"dev": "eni0123456789a", "hook": "egress", "prog_name": "handle_ingress", "prog_id": 415}),
    ("k8s_object", {"object_kind": "PolicyEndpoint", "name": "web-x7k2p", "valid": True}),
    ("log_event", {"event": "map-write", "map_id": 345}),
    ("log_event", {"event": "manager-start"}),
]


def found_in(text: str) -> list[tuple[str, dict]]:
    """The facts of FOUND that the records of a page hold, by kind in order."""
    records = decode_bytes(text.encode(), "-")["records"]
    out = []
    for kind, wanted in FOUND:
        if any(record["kind"] == kind and wanted.items() <= record.items() for record in records):
            out.append((kind, wanted))
    return out


@pytest.mark.parametrize("disguise", [None, "quoted", "windows", "coloured", "trailing"])
def test_a_page_of_several_things_is_read_by_all_formats_concerned(disguise: str | None) -> None:
    text = DISGUISES[disguise](PAGE) if disguise else PAGE

    assert found_in(text) == FOUND


def test_a_json_document_inside_a_page_is_read_beside_the_rest() -> None:
    answer = '{"version":"vpc-cni-ipam/1","allocations":[{"networkName":"aws-cni","containerID":"c1","ifName":"eth0",'
    answer += '"ipv4":"10.20.0.77","allocationTimestamp":1790000000000000000,"metadata":{"k8sPodNamespace":"shop",'
    answer += '"k8sPodName":"web-0"}}]}'
    page = f"$ cat /var/run/aws-node/ipam.json\n{answer}\n{PAGE}"

    records = decode_bytes(page.encode(), "-")["records"]

    assert [record["ip"] for record in records if record["kind"] == "pod"] == ["10.20.0.77"]
    assert found_in(page) == FOUND
