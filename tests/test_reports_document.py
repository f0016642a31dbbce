"""The result document: its schema, its groups, its verdict; escaping and the hex view."""

from __future__ import annotations

import copy
import json
import unicodedata

import pytest
from report_documents import FIXTURE, empty, without_findings

from reports import document as doc
from reports import escape, hexview


@pytest.fixture
def incident():
    return doc.load(FIXTURE)


# The document and its schema


def test_fixture_is_valid() -> None:
    assert doc.validate(json.loads(FIXTURE.read_bytes())) == []


def test_empty_document_is_valid() -> None:
    assert doc.validate(empty()) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("coverage",), ...),
        (("schema_version",), "2"),
        (("extra",), 1),
        (("summary", "worst"), "urgent"),
        (("summary", "detectors", "missing-entry", "maybe"), 1),
        (("nodes", 0, "family"), 5),
        (("nodes", 0, "kernel"), ...),
        (("artifacts", 0, "status"), "read"),
        (("artifacts", 0, "sha256"), "ABC"),
        (("pods", 0, "outcomes", "stale-entry"), "maybe"),
        (("pods", 0, "pod_state", "ingress", "2"), 0),
        (("findings", 0, "severity"), "fatal"),
        (("findings", 0, "defect"), "101"),
        (("findings", 0, "root"), ...),
        (("findings", 0, "colour"), "red"),
        (("findings", 0, "evidence", 0, "start"), -1),
        (("findings", 0, "details", "entries", 0, "value_hex"), "abc"),
        (("findings", 0, "details", "wrongly_denied"), "all"),
        (("outcomes", 0, "missing"), None),
        (("coverage", "by_status", "lost"), 1),
        (("questions", 0, "collect"), "ls"),
        (("problems", 0, "lines"), [1]),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_schema_rejects(incident, path, value) -> None:
    at = incident
    for step in path[:-1]:
        at = at[step]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value

    faults = doc.validate(incident)

    assert len(faults) >= 1
    assert any(str(path[-1]) in fault or str(path[-2]) in fault for fault in faults), faults


def test_details_are_open(incident) -> None:
    incident["findings"][0]["details"]["anything"] = {"deep": [1]}
    incident["findings"][0]["details"]["entries"][0]["slots"] = []

    assert doc.validate(incident) == []


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"x"', b"{}", b"\xff\xfe", b"[" * 100_000])
def test_load_refuses_what_is_no_document(raw) -> None:
    with pytest.raises(doc.InvalidDocument):
        doc.load(raw)


def test_groups_follow_the_root_and_merge_nothing(incident) -> None:
    incident["findings"][13]["root"] = None

    groups = doc.groups(incident)

    assert [len(group.findings) for group in groups] == [13, 1]
    assert groups[0].lead["id"] == "F1"
    assert groups[0].severity == "critical"
    assert groups[0].pods == ["prod/web-7d4f8c9b6-abcde", "prod/api-5c9d7f4b8-qk2zt", "prod/db-0"]
    assert groups[0].since == "2026-11-21T03:52:15.095Z"


def test_remedy_is_cut_at_confirm() -> None:
    remedy = doc.remedy_of("Do this:\n  kubectl get pods\n\n$ ls\nConfirm that:\n  bpftool map\n")

    assert remedy.do == [(False, "Do this:"), (True, "kubectl get pods"), (True, "ls")]
    assert remedy.confirm == [(False, "Confirm that:"), (True, "bpftool map")]


def test_verdict_keeps_clean_and_cannot_tell_apart(incident) -> None:
    clean = without_findings(incident)
    blind = copy.deepcopy(clean)
    for outcome in blind["outcomes"]:
        outcome["outcome"] = "cannot-tell"

    assert doc.verdict(incident) == "critical"
    assert doc.verdict(clean) == "clean"
    assert doc.verdict(blind) == "cannot tell"
    assert doc.verdict(empty()) == "cannot tell"


# Escaping


def test_visible_shows_what_cannot_be_seen() -> None:
    assert escape.visible("a\x1b[2J\x07\x7f\x9b\r\n\tb") == "a\\x1b[2J\\x07\\x7f\\x9b\\r\\n\\tb"
    assert (
        escape.visible("\u202e\u200b\ufeff\u2028\U000e0041\udcff") == "\\u202e\\u200b\\ufeff\\u2028\\U000e0041\\udcff"
    )
    assert escape.visible("Zürich 東京 – é") == "Zürich 東京 – é"
    assert escape.visible_block("a\r\nb\tc\x1b\r") == "a\nb    c\\x1b\\r"


def test_every_control_and_format_character_is_made_visible() -> None:
    for code in range(0x110000):
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            assert chr(code) not in escape.visible(chr(code)), hex(code)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n", "\uff1d1", "-"])
def test_csv_cell_is_no_formula(text) -> None:
    assert escape.csv_cell(text).startswith("'")


def test_csv_cell_leaves_values_alone() -> None:
    assert [escape.csv_cell(value) for value in (None, -5, 1.5, "10.0.0.0/8", "a=b")] == [
        "",
        "-5",
        "1.5",
        "10.0.0.0/8",
        "a=b",
    ]


def test_markdown_escapes_what_markdown_acts_on() -> None:
    assert escape.markdown("cp_ingress_map of 10.0.0.0/8 -> a & b") == "cp_ingress_map of 10.0.0.0/8 -> a & b"
    assert escape.markdown("<b>&amp;") == "&lt;b>&amp;amp;"
    assert escape.markdown("# h #") == "\\# h \\#"
    assert escape.markdown("1. a") == "1\\. a"
    assert escape.markdown("- a") == "\\- a"
    assert escape.markdown("    a ") == "a"
    assert escape.markdown("a|b*c_ _d") == "a\\|b\\*c\\_ \\_d"


def test_markdown_code_and_fence_outrun_what_they_hold() -> None:
    assert escape.markdown_code("a") == "`a`"
    assert escape.markdown_code("a``b`") == "``` a``b` ```"
    assert escape.markdown_code("a|b", cell=True) == "`a\\|b`"
    assert escape.markdown_code("") == "–"
    assert escape.markdown_fence("x\n````\n~~~~~", "sh") == "``````sh\nx\n````\n~~~~~\n``````"


# The hex view


def test_hex_lines_draw_the_boundary_and_elide_zeros() -> None:
    value = "fe" + "00" * 287 + "fe" + "00" * 95

    lines = hexview.lines(value, 288)

    assert [(line.kind, line.offset, line.rows) for line in lines] == [
        ("bytes", 0, 0),
        ("zeros", 16, 17),
        ("boundary", 288, 0),
        ("bytes", 288, 0),
        ("zeros", 304, 5),
    ]
    assert lines[0].words[0] == ("even", "fe 00 00 00")
    assert lines[3].words[:2] == (("trail", "fe 00 00 00"), ("trail zero", "00 00 00 00"))


def test_hex_lines_cut_a_row_and_a_zero_run_at_the_boundary() -> None:
    cut = hexview.lines("01" * 20, 10)
    zeros = hexview.lines("00" * 384, 288)

    assert [(line.kind, line.offset, line.end) for line in cut] == [
        ("bytes", 0, 10),
        ("boundary", 10, 10),
        ("bytes", 10, 16),
        ("bytes", 16, 20),
    ]
    assert [(line.kind, line.rows) for line in zeros] == [("zeros", 18), ("boundary", 0), ("zeros", 6)]


def test_hex_words_show_the_twelve_byte_period() -> None:
    slots = "060000009110000000000000" * 2

    words = hexview.lines(slots + "00" * 264 + "00" * 96, 288)[0].words

    assert [style for style, _ in words] == ["even", "even", "zero", "odd"]


def test_hex_lines_hold_every_byte() -> None:
    value = bytes(range(1, 97)) * 4

    words = [word for line in hexview.lines(value.hex(), 288) for _, word in line.words]

    assert bytes.fromhex(" ".join(words)) == value
