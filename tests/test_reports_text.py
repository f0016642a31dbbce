"""The terminal summary: worst first, one screen a node, nothing cut in silence."""

from __future__ import annotations

import copy
import re

import pytest
from report_documents import ESC, FIXTURE, plain, poisoned, without_findings

import reports
from reports import document as doc
from reports import escape, text


@pytest.fixture
def incident():
    return doc.load(FIXTURE)


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
    findings, _, policy = node.partition("  POLICY AGAINST KERNEL")
    policy = policy.partition("  CANNOT TELL")[0]
    assert node.count("\n") - policy.count("\n") <= 52
    assert findings.count("\n") <= 45
    assert policy.count("\n") <= 24


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


def test_text_counts_every_list_it_cuts(incident) -> None:
    clean = without_findings(incident)
    clean["assumptions"] = ["agent version v1.3.0"]
    missing = [{"what": f"file {number}", "command": None} for number in range(5)]
    for number, outcome in enumerate(clean["outcomes"][:6]):
        outcome |= {"outcome": "cannot-tell", "why": f"reason {number}", "missing": missing}
    clean["questions"] = [clean["questions"][1] | {"collect": ["ls"] * 4} for _ in range(8)]
    clean["problems"] *= 5

    shown = reports.render("text", clean)

    assert "assumed: agent version v1.3.0" in shown
    assert "needs file 2" in shown
    assert "needs file 3" not in shown
    assert shown.count("      and 2 more, see the JSON report") == 4
    assert "    and 3 more reasons, see the JSON report" in shown
    assert shown.count("    and 1 more, see the JSON report") == 6
    assert shown.rstrip().split("\n")[-3].strip() == "and 2 more"


def test_text_names_the_other_root_causes(incident) -> None:
    for number in (8, 9, 10, 11):
        incident["findings"][number]["root"] = None

    shown = reports.render("text", incident)

    assert "ALSO      high: ingress_map of db-prod lacks 10.100.1.5/32 (1 finding)" in shown
    assert "          and 1 more" in shown


def test_findings_of_no_known_node_are_shown(incident) -> None:
    incident["nodes"] = []

    assert "web-7d4f8c9b6-prod/cp_ingress_map" in reports.render("text", incident)
    assert 'id="f14"' in reports.render("html", incident)


def test_wrap_breaks_long_words_and_keeps_the_text() -> None:
    assert text.wrap("ab cdefgh i", 4) == ["ab", "cdef", "gh i"]
    assert text.wrap("", 4) == []
    assert text.wrap("長長長", 4) == ["長長", "長"]
