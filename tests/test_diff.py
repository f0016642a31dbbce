"""diff: two moments of one node, kernel against kernel, and how it is told."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest
from small_case import context, map_state

from forensics.analysis import run
from forensics.diff import diff_document, pair_nodes
from forensics.diffmaps import Seen, map_change, pod_diff
from forensics.problem import UsageError
from reports.diff_text import render

CASES = Path(__file__).parent.parent / "corpus" / "cases"
ANY = (254, 0, 0)
WEB = "web-7d4f8c9b6-prod"


@lru_cache(maxsize=4)
def report(name):
    return run([str(CASES / name / "input")])


def seen(ingress, *, node_ip="10.1.2.10", states=None, version="v1.3.1", **more):
    made = context([], {"ingress_map": ingress, "cp_ingress_map": {}}, identifier=WEB, node_ip=node_ip, version=version,
                   states=states or {0: 0, 1: 1}, **more)  # fmt: skip
    return Seen(made.node, made.pod)


def lines(document):
    return [(line["kind"], line["text"]) for way in document["directions"] for line in way["lines"]]


def test_a_removed_entry_is_newly_denied():
    found = pod_diff(seen({"10.0.0.7/32": [ANY], "10.0.0.8/32": [ANY]}), seen({"10.0.0.8/32": [ANY]}))

    assert lines(found) == [("newly-denied", "10.0.0.7/32: all traffic")]
    (change,) = found["maps"]
    assert [each["cidr"] for each in change["removed"]] == ["10.0.0.7/32"]
    assert not found["same"]


def test_an_added_port_is_newly_allowed_and_the_entry_changed():
    found = pod_diff(seen({"10.0.0.7/32": [(6, 80, 0)]}), seen({"10.0.0.7/32": [(6, 81, 0), (6, 80, 0)]}))

    assert lines(found) == [("newly-allowed", "10.0.0.7/32: TCP 81")]
    assert found["maps"][0]["changed"] == [{"cidr": "10.0.0.7/32", "lost": [], "gained": ["TCP 81"]}]


def test_slots_in_another_order_are_no_change():
    found = pod_diff(seen({"10.0.0.7/32": [(6, 80, 0), (6, 81, 0)]}), seen({"10.0.0.7/32": [(6, 81, 0), (6, 80, 0)]}))

    assert found["same"]
    assert (found["maps"], found["reordered"]) == ([], 1)


def test_another_pod_state_changes_traffic_without_any_entry():
    found = pod_diff(seen({}, states={0: 0, 1: 1}), seen({}, states={0: 1, 1: 1}))

    assert lines(found) == [("newly-allowed", "0.0.0.0/0: all traffic")]
    assert found["directions"][0]["pod_state"] == {"0": [0, 1]}


def test_each_nodes_own_entry_has_that_cause():
    found = pod_diff(seen({"10.1.2.10/32": [ANY]}), seen({"10.1.2.11/32": [ANY]}, node_ip="10.1.2.11"))

    rows = [row for way in found["directions"] for row in way["traffic"]]
    assert {tuple(row["causes"]) for row in rows} == {("node-entry",)}
    assert all("own address" in line["why"][0] for way in found["directions"] for line in way["lines"])


def test_two_programs_read_the_same_bytes_their_own_way():
    """ANY with a port: v1.2.3 lets every port through, v1.2.4 honours it."""
    found = pod_diff(
        seen({"10.0.0.7/32": [(254, 80, 0)]}, version="v1.2.3", states={0: 0}),
        seen({"10.0.0.7/32": [(254, 80, 0)]}, version="v1.2.4", states={0: 0}),
    )

    assert found["maps"] == []
    ((kind, text),) = lines(found)
    assert kind == "newly-denied"
    assert text.startswith("10.0.0.7/32: TCP on every port but 80")


def test_what_a_cut_dump_hides_is_neither_removed_nor_denied():
    found = pod_diff(seen({"10.0.0.7/32": [ANY], "10.0.0.8/32": [ANY]}), seen({"10.0.0.8/32": [ANY]}, whole=False))

    assert lines(found) == []
    assert found["maps"] == []
    assert found["same"]


def test_a_map_dumped_on_one_side_only_is_said_and_not_compared():
    before, after = seen({"10.0.0.7/32": [ANY]}), seen({})
    del after.pod.maps["ingress_map"]

    found = pod_diff(before, after)

    assert lines(found) == []
    assert found["directions"][0]["notes"] == ["ingress_map was dumped before only: it is not compared"]


def test_an_unknown_value_is_no_change():
    before, after = seen({"10.0.0.7/32": [ANY]}), seen({})
    after.pod.maps["ingress_map"] = map_state("ingress_map", {"10.0.0.7/32": [(6, 1, 0)]}, unknown=("10.0.0.7/32",))

    assert map_change(before.pod, after.pod, "ingress_map").same
    assert lines(pod_diff(before, after)) == []


def test_a_case_does_not_differ_from_itself():
    document = diff_document(report("incident"), report("incident"))

    assert document["summary"]["same"]
    assert document["pods"] == []


def test_upgrade_of_the_incident_vanishes_findings():
    document = diff_document(report("incident"), report("incident-after-upgrade"))

    assert {each["defect"] for each in document["findings"]["vanished"]} == {"KB-101"}
    assert document["findings"]["appeared"] == []
    assert document["nodes"][0]["why"] == "same instance"
    json.dumps(document)


def test_other_nodes_are_paired_when_they_are_the_only_ones():
    (pair,) = pair_nodes(report("incident").case, report("overflow").case)

    assert pair.why == "the only nodes left on either side"


def test_a_pod_that_is_not_there_is_a_usage_error():
    with pytest.raises(UsageError, match="AFTER holds no pod prod/nobody"):
        diff_document(report("incident"), report("incident"), pod="web-7d4f8c9b6-prod", other="prod/nobody")


def test_the_text_is_safe_and_short():
    document = diff_document(report("incident"), report("incident-after-upgrade"))
    document["pods"][0]["before"]["pod_identifier"] = "evil\x1b[2J"

    text = render(document)

    assert "\x1b" not in text
    assert "evil\\x1b[2J" in text
    assert len(text.splitlines()) < 120
    assert "\x1b[" in render(document, color=True)


def test_the_command_prints_the_document_or_its_text():
    paths = [str(CASES / name / "input") for name in ("incident", "incident-after-upgrade")]
    command = [sys.executable, "-m", "forensics.cli", "diff", *paths]

    told = subprocess.run([*command, "--format", "json"], capture_output=True, check=True).stdout
    text = subprocess.run([*command, "--pod", WEB], capture_output=True, check=True, text=True).stdout
    wrong = subprocess.run([*command, "--pod", "nobody"], capture_output=True, text=True)

    assert json.loads(told)["kind"] == "diff"
    assert "\n1 of 1 pod identifiers differ" in text
    assert (wrong.returncode, wrong.stderr) == (2, "npforensics: BEFORE holds no pod nobody\n")
