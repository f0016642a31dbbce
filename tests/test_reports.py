"""Every rendering of a result document: right, safe at every sink, from the document alone, the same every time."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import subprocess
import sys
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest

import reports
from reports import document as doc
from reports import escape, hexview, text

ROOT = Path(__file__).parent.parent
FIXTURE = ROOT / "corpus" / "reports" / "incident" / "document.json"
NAMES = [form.name for form in reports.RENDERERS]

ESC = "\x1b"
PAYLOADS = {
    "clear": f"{ESC}[2J{ESC}]0;owned\x07",
    "c1": "\x9b31m\x90q\x9c",
    "bidi": "\u202eevil\u2066\u2069\u200b\ufeff",
    "script": "<script>alert(1)</script>",
    "attribute": "\"' onmouseover=alert(1) x='",
    "image": "<img src=http://192.0.2.1/x onerror=alert(1)>",
    "entity": "&lt;b&gt;&#x202e;",
    "jinja": "{{ 7*7 }}{% raw %}",
    "comment": "<!-- ]]> -->",
    "fence": "```` ``` ~~~~ `",
    "pipe": "a | b || c \\| d",
    "link": "[x](javascript:alert(1)) ![y](http://192.0.2.1/z) <http://192.0.2.1/>",
    "emphasis": "**b** __u__ ~~s~~ *i* _j_",
    "heading": "# h ",
    "list": "- ",
    "ordered": "1. ",
    "quote": "> ",
    "code": "        ",
    "rule": "--- ",
    "rich": "[/foo][link=http://192.0.2.1/]",
    "formula": "=cmd|' /C calc'!A0",
    "percent": "%s%n%(x)s{0}",
}
# What a validated document cannot hold a payload in: enumerations and patterns.
FIXED = {"schema_version", "severity", "worst", "confidence", "outcome", "status", "defect", "direction", "tier"}
FIXED |= {"sha256", "key_hex", "value_hex", "hex"}
FREE_KEYS = {"detectors", "outcomes"}


@pytest.fixture
def incident():
    return doc.load(FIXTURE)


def poisoned(value, payload, keep=frozenset(), key=""):
    """The document with `payload` before every string that may be anything, detector names used as keys included."""
    if isinstance(value, dict) and key in FREE_KEYS:
        return {payload + name: poisoned(item, payload, keep, "outcome") for name, item in value.items()}
    if isinstance(value, dict):
        return {name: poisoned(item, payload, keep, name) for name, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item, payload, keep, "" if isinstance(item, dict) else key) for item in value]
    return payload + value if isinstance(value, str) and key not in FIXED | keep else value


def meaningful(payload):
    """Where a payload is no attack but says something: blanks before a remedy's line make it a command."""
    return frozenset({"remedy"}) if payload.isspace() else frozenset()


def without_findings(document):
    """A clean twin: every answer clean but those that could not be given."""
    clean = copy.deepcopy(document)
    clean["findings"] = []
    clean["summary"] |= {"worst": None, "pods_affected": 0, "headline": "No finding."}
    clean["summary"]["findings"] = dict.fromkeys(doc.SEVERITIES, 0)
    for outcome in clean["outcomes"]:
        if outcome["outcome"] == "found":
            outcome |= {"outcome": "clean", "findings": []}
    for pod in clean["pods"]:
        pod["outcomes"] = {name: "clean" if said == "found" else said for name, said in pod["outcomes"].items()}
    return clean


def empty():
    """What an unreadable input gives: no node, no pod, one problem."""
    return {
        "schema_version": "1",
        "tool": {"name": "npforensics", "version": "0"},
        "inputs": [{"name": None, "members": 0, "bytes": 3, "sha256": None}],
        "assumptions": [],
        "summary": {
            "worst": None,
            "findings": dict.fromkeys(doc.SEVERITIES, 0),
            "pods": 0,
            "pods_affected": 0,
            "nodes": 0,
            "headline": "",
            "detectors": {},
        },
        **{name: [] for name in ("nodes", "artifacts", "pods", "findings", "outcomes", "timeline", "questions")},
        "coverage": {"artifacts": 0, "by_status": {}, "bytes": 0, "parsed_bytes": 0, "unread_bytes": 0},
        "problems": [
            {
                "what": "no archive",
                "artifact": None,
                "path": None,
                "lines": None,
                "bytes": None,
                "done": "",
                "lost": "all",
                "hint": "",
            }
        ],
    }


def plain(colored: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", colored)


def unsafe(shown: str) -> set[str]:
    """Characters of a rendering that act on a terminal or cannot be seen."""
    return {char for char in shown if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")}


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


# Every form


def test_renderers_are_named_once() -> None:
    assert NAMES == ["text", "json", "html", "markdown", "sarif"]
    with pytest.raises(ValueError, match="text, json, html"):
        reports.render("pdf", {})


@pytest.mark.parametrize("name", NAMES)
def test_renders_odd_documents(name, incident) -> None:
    bare = copy.deepcopy(incident)
    for finding in bare["findings"]:
        finding |= {"details": {}, "evidence": [], "pods": [], "entries": [], "map": None, "pod_identifier": None}
        finding |= {
            "since": None,
            "until": None,
            "remedy": "",
            "node": "elsewhere",
            "root": "nowhere",
            "references": [],
        }
    for given in (empty(), without_findings(incident), bare):
        assert doc.validate(given) == []
        shown = reports.render(name, given)
        assert shown.endswith("\n")


@pytest.mark.parametrize("name", NAMES)
def test_lone_surrogates_can_be_written(name, incident) -> None:
    shown = reports.render(name, poisoned(incident, "\udc80"))

    assert shown.encode()
    assert "\\udc80" in shown


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_invisible_reaches_any_form(name, payload, incident) -> None:
    bad = poisoned(incident, payload)
    assert doc.validate(bad) == []

    shown = reports.render(name, bad)

    assert unsafe(shown) == set()


@pytest.mark.parametrize("name", NAMES)
def test_rendering_leaves_the_document_alone(name, incident) -> None:
    before = copy.deepcopy(incident)

    reports.render(name, incident, color=True, width=80)

    assert before == incident


_ONLY_THE_DOCUMENT = """
import sys
from reports import RENDERERS, document
loaded = document.load(sys.argv[1])
for form in RENDERERS:
    form.render(loaded)
seen = []
sys.addaudithook(lambda event, args: seen.append((event, str(args[:1]))))
for form in RENDERERS:
    form.render(loaded, color=True)
acts = [one for one in seen if one[0].split(".")[0] in ("open", "socket", "subprocess", "os", "import", "exec")]
assert acts == [], acts
ours = sorted(name for name in sys.modules if name.split(".")[0] in ("forensics", "formats"))
assert ours == [], ours
"""

_HASHES = """
import hashlib, sys
from reports import RENDERERS, document
loaded = document.load(sys.argv[1])
for form in RENDERERS:
    print(form.name, hashlib.sha256(form.render(loaded).encode()).hexdigest())
"""


def run(script: str, tmp_path: Path, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", script, str(FIXTURE)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_renderers_read_only_the_document(tmp_path) -> None:
    run(_ONLY_THE_DOCUMENT, tmp_path)


def test_same_bytes_for_every_hash_seed(tmp_path, incident) -> None:
    here = "".join(
        f"{form.name} {hashlib.sha256(form.render(incident).encode()).hexdigest()}\n" for form in reports.RENDERERS
    )

    assert {here} == {
        run(_HASHES, tmp_path, PYTHONHASHSEED=seed, TZ=zone) for seed, zone in (("0", "UTC"), ("7", "Asia/Tokyo"))
    }


def test_importing_the_package_imports_no_renderer(tmp_path) -> None:
    script = "import sys, reports; print([m for m in ('jinja2', 'msgspec', 'reports.text') if m in sys.modules])"

    assert run(script, tmp_path) == "[]\n"


# Text


def test_text_tells_the_incident(incident) -> None:
    shown = reports.render("text", incident)

    at = [shown.index(word) for word in ("CRITICAL", "WHAT", "HIT", "DENIED", "ALLOWED", "SINCE", "DO NOW", "CONFIRM")]
    assert sorted(at) == at
    assert "prod/web-7d4f8c9b6-abcde, prod/api-5c9d7f4b8-qk2zt, prod/db-0" in shown
    assert "kubectl -n prod delete pod web-7d4f8c9b6-abcde api-5c9d7f4b8-qk2zt db-0" in shown
    assert "▸ critical web-7d4f8c9b6-prod/cp_ingress_map" in shown
    assert "bpftool -j map dump pinned /sys/fs/bpf/globals/aws/maps/svc-v2-7bd9f6c5d-team-a_cp_ingress_map" in shown
    assert "PROBLEMS  1" in shown
    assert "189,466 of 190,302 bytes read (99.6%)" in " ".join(shown.split())


def test_text_is_one_screen_a_node(incident) -> None:
    shown = reports.render("text", incident, width=100)

    node = shown[shown.index("\n ip-10-100-1-10") : shown.index("\nOPEN QUESTIONS")]
    assert node.count("\n") <= 52


def test_wrongly_allowed_is_as_loud_as_wrongly_denied(incident) -> None:
    shown = reports.render("text", incident, color=True)

    styles = {word: re.search(rf"\x1b\[([0-9;]+)m{word} *\x1b", shown)[1] for word in ("DENIED", "ALLOWED")}
    assert styles["DENIED"] == styles["ALLOWED"]


def test_unknown_effects_are_not_called_none(incident) -> None:
    for finding in incident["findings"]:
        finding["details"] = {}

    shown = reports.render("text", incident)

    assert "DENIED  not worked out" in shown
    assert "ALLOWED not worked out" in shown


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_text_fits(width, incident) -> None:
    bad = poisoned(incident, "長い" * 3 + "x" * 3)

    for given in (incident, bad, without_findings(incident)):
        commands = [command for question in given["questions"] for command in question["collect"]]
        commands += [one["command"] for outcome in given["outcomes"] for one in outcome["missing"]]
        remedy = doc.remedy_of(given["findings"][0]["remedy"]) if given["findings"] else doc.Remedy([], [])
        commands += [line for is_command, line in (*remedy.do, *remedy.confirm) if is_command]
        for line in reports.render("text", given, width=width).splitlines():
            assert escape.cells(line) <= width or line.strip() in commands, line


def test_color_is_only_color(incident) -> None:
    colored = reports.render("text", incident, color=True)

    assert ESC in colored
    # The bar behind a node's name ends in a blank that only colour makes visible.
    bare = [line.rstrip() for line in plain(colored).split("\n")]
    assert bare == reports.render("text", incident, color=False).split("\n")
    assert ESC not in reports.render("text", incident)


def test_text_clean_says_clean_and_what_could_not_be_told(incident) -> None:
    shown = reports.render("text", without_findings(incident))

    assert shown.split("\n")[3].startswith("CLEAN  ")
    assert "No finding of medium or above in 7 pod identifiers. What could not be told stands below." in shown
    assert "CANNOT TELL" in shown
    assert "bpftool -j map dump pinned" in shown
    assert "DO NOW" not in shown


def test_text_without_any_answer_is_not_clean(incident) -> None:
    blind = without_findings(incident)
    for outcome in blind["outcomes"]:
        outcome |= {"outcome": "cannot-tell", "why": "no policies", "missing": []}

    shown = reports.render("text", blind)

    assert "CLEAN" not in shown
    assert "No detector could answer for any pod of this node." in shown


def test_text_puts_the_worst_node_first(incident) -> None:
    other = copy.deepcopy(incident["nodes"][0]) | {"id": "n0", "hostname": "healthy.example"}
    incident["nodes"].insert(0, other)

    shown = reports.render("text", incident)

    assert shown.index("ip-10-100-1-10") < shown.index("healthy.example")


def test_text_counts_what_it_does_not_list(incident) -> None:
    for number in range(100):
        incident["findings"].append(incident["findings"][13] | {"id": f"G{number}", "entries": [f"10.9.{number}.0/24"]})

    shown = reports.render("text", incident)

    shown_rows = re.findall(r"^(?:▸ |  )(?:critical|high|medium|low|info) +\S+/", shown, re.MULTILINE)
    assert 8 <= len(shown_rows) < 20
    assert len(shown_rows) + int(re.search(r"and (\d+) more rows", shown)[1]) == 110


def test_findings_of_no_known_node_are_shown(incident) -> None:
    incident["nodes"] = []

    assert "web-7d4f8c9b6-prod/cp_ingress_map" in reports.render("text", incident)
    assert 'id="f14"' in reports.render("html", incident)


def test_wrap_breaks_long_words_and_keeps_the_text() -> None:
    assert text.wrap("ab cdefgh i", 4) == ["ab", "cdef", "gh i"]
    assert text.wrap("", 4) == []
    assert text.wrap("長長長", 4) == ["長長", "長"]


# JSON


def test_json_round_trips_with_the_same_bytes(incident) -> None:
    first = reports.render("json", incident)

    assert json.loads(first) == incident
    assert list(json.loads(first)) == list(incident)
    assert reports.render("json", doc.load(first.encode())) == first
    assert first.startswith('{\n  "schema_version": "1",\n')


@pytest.mark.parametrize("payload", [*PAYLOADS.values(), "\udc80", "東京 é\n\t\\"])
def test_json_loses_nothing(payload, incident) -> None:
    bad = poisoned(incident, payload)

    assert json.loads(reports.render("json", bad)) == bad


def test_json_keeps_readable_text_readable(incident) -> None:
    incident["assumptions"] = ["Zürich 東京"]

    assert "Zürich 東京" in reports.render("json", incident)


# HTML


class Skeleton(HTMLParser):
    """Tags with all their attributes, in order, and the text between."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[object] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, *attrs))

    def handle_endtag(self, tag) -> None:
        self.tags.append(f"/{tag}")

    def handle_comment(self, data) -> None:
        self.tags.append(("comment", data))

    def handle_data(self, data) -> None:
        self.text.append(data)


def skeleton(html: str) -> Skeleton:
    parser = Skeleton()
    parser.feed(html)
    parser.close()
    return parser


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("keep", [frozenset(), frozenset({"utc"})], ids=["", "timed"])
def test_html_structure_does_not_depend_on_content(payload, keep, incident) -> None:
    keep |= meaningful(payload)
    harmless = skeleton(reports.render("html", poisoned(incident, "zq", keep)))
    hostile = skeleton(reports.render("html", poisoned(incident, payload, keep)))

    assert harmless.tags == hostile.tags
    assert escape.visible(payload.strip()) in "".join(hostile.text)


def test_html_is_self_contained(incident) -> None:
    html = reports.render("html", incident)
    page = skeleton(html)

    names = {tag[0] for tag in page.tags if isinstance(tag, tuple)}
    assert names & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "video"} == set()
    attributes = [pair for tag in page.tags if isinstance(tag, tuple) for pair in tag[1:]]
    assert {name for name, _ in attributes if name.startswith("on")} == set()
    assert {value for name, value in attributes if name in ("href", "src") and not value.startswith("#")} == set()
    assert "default-src 'none'; style-src 'unsafe-inline'" in {value for name, value in attributes if name == "content"}
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_html_elements_are_closed(incident) -> None:
    void = {"meta", "br"}
    open_tags: list[str] = []
    for tag in skeleton(reports.render("html", incident)).tags:
        if isinstance(tag, tuple):
            open_tags += [tag[0]] if tag[0] not in void else []
        else:
            assert open_tags.pop() == tag[1:]
    assert open_tags == []


def test_html_links_lead_somewhere(incident) -> None:
    page = skeleton(reports.render("html", incident))

    pairs = [pair for tag in page.tags if isinstance(tag, tuple) for pair in tag[1:]]
    ids = [value for name, value in pairs if name == "id"]
    assert sorted(set(ids)) == sorted(ids)
    assert {value[1:] for name, value in pairs if name == "href"} <= set(ids)


def test_html_shows_the_bytes_and_both_readings(incident) -> None:
    html = reports.render("html", incident)
    said = " ".join(" ".join(skeleton(html).text).split())

    assert "offset 288: what was written ends" in said
    assert '<span class="word trail">fe 00 00 00</span>' in html
    assert "Trailing 96 bytes: allow-all" in said
    assert "slot 18: ANY, priority 0, DENY, any port" in said
    assert "Wrongly allowed" in said
    assert html.count('<article class="finding') == 14


def test_html_counts_what_it_does_not_show(incident) -> None:
    incident["findings"][0]["entries"] = [f"10.{high}.{low}.0/24" for high in range(4) for low in range(256)]
    incident["findings"][0]["details"]["entries"] *= 15

    said = " ".join(" ".join(skeleton(reports.render("html", incident)).text).split())

    assert "and 824 more, complete in the JSON report" in said
    assert "and 3 more values, complete in the JSON report" in said


def test_templates_never_switch_escaping_off() -> None:
    sources = [path for path in (ROOT / "reports").rglob("*") if path.suffix in (".py", ".j2")]
    assert len(sources) >= 10

    for path in sources:
        assert not re.search(r"\|\s*safe\b|autoescape\s+false|Markup\(|from_string", path.read_text()), path.name


# Markdown


def tokens(source: str):
    """Block and inline token types of a Markdown page; adjacent text is one."""
    parser = (
        pytest.importorskip("markdown_it").MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    )
    out: list[str] = []
    for token in parser.parse(source):
        out.append(f"{token.type} {token.tag} {token.info}")
        for child in token.children or ():
            if not (child.type == "text" and out[-1] == "text"):
                out.append(child.type)
    return out


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_markdown_structure_does_not_depend_on_content(payload, incident) -> None:
    keep = meaningful(payload)
    harmless = tokens(reports.render("markdown", poisoned(incident, "zq", keep)))
    hostile = tokens(reports.render("markdown", poisoned(incident, payload, keep)))

    assert harmless == hostile


@pytest.mark.parametrize(
    "payload", ["\n# h\n\n<script>x</script>\n\n", "\n```\n\n<b>\n", "\r\n| a |\r\n| - |\r\n", "\n---\n"]
)
def test_markdown_line_ends_open_nothing(payload, incident) -> None:
    harmless = tokens(reports.render("markdown", poisoned(incident, "zq")))
    hostile = tokens(reports.render("markdown", poisoned(incident, payload)))

    for kind in ("html_block", "html_inline", "heading_open h1 ", "heading_open h2 ", "table_open table ", "hr hr "):
        assert harmless.count(kind) == hostile.count(kind)
        assert [token for token in hostile if token.startswith("html")] == []


def test_markdown_is_a_post_mortem(incident) -> None:
    page = reports.render("markdown", incident)

    wanted = ["Summary", "Impact", "Timeline", "Root cause", "Evidence", "Remedy", "Open questions"]
    assert [*wanted, "Coverage and problems"] == re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert "- prod/api-5c9d7f4b8-qk2zt -> prod/frontend-6b8f5d7c9-t9w5k (10.100.1.5): every TCP port" in page
    assert "0120  fe 00 00 00  00 00 00 00" in page
    assert "```sh\nkubectl -n prod delete pod web-7d4f8c9b6-abcde api-5c9d7f4b8-qk2zt db-0\n```" in page


# SARIF


def test_sarif_has_rules_results_and_locations(incident) -> None:
    run_ = json.loads(reports.render("sarif", incident))["runs"][0]

    rules = [rule["id"] for rule in run_["tool"]["driver"]["rules"]]
    assert rules == ["misplaced-tier-entry", "oversized-value-write", "missing-self-ip", "missing-entry", "stale-entry"]
    assert len(run_["results"]) == 14
    for result, finding in zip(run_["results"], incident["findings"], strict=True):
        assert rules[result["ruleIndex"]] == result["ruleId"] == finding["detector"]
        assert (
            result["level"]
            == {"critical": "error", "high": "error", "medium": "warning", "low": "note"}[finding["severity"]]
        )
        assert len(result["locations"]) == 1
    first = run_["results"][0]["locations"][0]
    assert first["physicalLocation"]["region"]["startLine"] == 1
    assert first["physicalLocation"]["region"]["byteOffset"] == 0
    assert first["logicalLocations"][0]["fullyQualifiedName"].endswith("web-7d4f8c9b6-prod/cp_ingress_map")
    artifact = run_["artifacts"][first["physicalLocation"]["artifactLocation"]["index"]]
    assert artifact["location"]["uri"] == "manual-bpftool/web-7d4f8c9b6-prod_cp_ingress_map.dump.txt"


def test_sarif_says_what_could_not_be_told(incident) -> None:
    notes = json.loads(reports.render("sarif", incident))["runs"][0]["invocations"][0]["toolExecutionNotifications"]

    assert [note["level"] for note in notes] == ["warning", "note", "note", "note", "note"]
    assert notes[1]["associatedRule"]["id"] == "misplaced-tier-entry"


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("a/b c.txt", "a/b%20c.txt"),
        ("../../etc/passwd", "__/__/etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("//192.0.2.1/x", "192.0.2.1/x"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("http://192.0.2.1/", "http%3A//192.0.2.1/"),
        ("a\udc80", "a%80"),
        ("", "_"),
    ],
)
def test_sarif_uri_is_never_a_way_out(path, uri, incident) -> None:
    incident["artifacts"][0]["path"] = path

    artifact = json.loads(reports.render("sarif", incident))["runs"][0]["artifacts"][0]

    assert artifact["location"]["uri"] == uri
    assert artifact["properties"]["path"] == path
