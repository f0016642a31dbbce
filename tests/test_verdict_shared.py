"""Real TCP probes of the captured nodes: what connected and what did not, against the verdicts of the captured maps.

Every probe must agree, or be one of the exceptions below: the probe ran before the maps were last written.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from forensics.analysis import read_case
from forensics.explain import explain
from forensics.flow_question import Question
from forensics.log_changes import changes_of
from formats.log_time import utc_ns

LAB = Path(__file__).parents[2] / "shared" / "lab"
CONNECTED = ("ok", "ConnectionRefusedError")


def truths() -> list[Path]:
    return sorted(path for path in LAB.glob("bundles*/*/truth.json") if "probes" in json.loads(path.read_text()))


@cache
def case_of(folder: Path):
    inputs = sorted(str(path) for path in folder.iterdir() if path.name != "truth.json")
    return read_case(inputs)


def told(case, pod: str, direction: str, peer: str, port: int) -> dict | None:
    """The verdict of one program; None where the address is no pod of the node, so that no program stands there."""
    if not any((ref := node.pod_at(pod)) is not None and ref.local for node in case.nodes):
        return None
    return explain(case, Question(pod, direction, peer, port))


def judged(case, probe: dict) -> str:
    """connected, denied, or why it cannot be told, by the egress program of the source and the ingress one of the
    destination."""
    answers = [
        told(case, probe["src"], "egress", probe["dst"], probe["port"]),
        told(case, probe["dst"], "ingress", probe["src"], probe["port"]),
    ]
    known = [answer for answer in answers if answer is not None]
    if any(answer["kernel"] is not None and answer["kernel"]["verdict"] == "SHOT" for answer in known):
        return "denied"
    unknown = next((answer for answer in known if answer["kernel"] is None), None)
    return f"cannot tell: {unknown['why']}" if unknown else "connected"


DAMAGED = "a map or a pod of the probe is not in the damaged bundle"
WRITTEN = "the maps were written after the probe"
F1, F3 = "f1-gzip-cut-60pct", "f3-members-damaged"
#: (bundle, source, destination, port) of the probes that the captured maps do not answer as it went -> why.
EXCEPTIONS = {
    # the cut bundle has neither pod states nor the policies that would tell them
    (F1, "10.100.1.21", "10.100.1.20", 8080): DAMAGED,
    (F1, "10.100.1.5", "10.100.1.30", 8080): DAMAGED,
    (F1, "10.100.1.22", "10.100.1.20", 8080): DAMAGED,
    # cluster maps missing or half there; 10.100.1.60 is no pod that the broken ipam.json knows
    (F3, "10.100.1.21", "10.100.1.20", 8080): DAMAGED,
    (F3, "10.100.1.21", "10.100.1.30", 8080): DAMAGED,
    (F3, "10.100.1.21", "10.100.1.60", 80): DAMAGED,
    (F3, "10.100.1.5", "10.100.1.30", 8080): DAMAGED,
    (F3, "10.100.1.5", "10.100.1.60", 80): DAMAGED,
    (F3, "10.100.1.22", "10.100.1.30", 8080): DAMAGED,
    (F3, "10.100.1.22", "10.100.1.60", 80): DAMAGED,
    ("control-self-ip-story-v1.3.1", "10.161.66.101", "10.161.76.64", 8080): WRITTEN,
    ("drift-planted-entry-v1.4.1", "10.161.200.200", "10.161.22.14", 8080): WRITTEN,
    ("egress-catchall-v1.3.1", "10.161.31.20", "198.51.100.24", 443): WRITTEN,
    ("egress-catchall-v1.3.1", "10.161.31.20", "10.161.30.203", 53): WRITTEN,
    ("self-ip-v1.3.0-private-cidrs", "10.161.17.205", "10.161.41.56", 8080): WRITTEN,
}


def key(folder: Path, probe: dict) -> tuple:
    return (folder.name, probe["src"], probe["dst"], probe["port"])


@pytest.mark.shared
@pytest.mark.skipif(not LAB.exists(), reason="the lab's captures are not on this machine")
@pytest.mark.parametrize("truth", truths(), ids=lambda path: path.parent.name)
def test_every_probe_agrees_or_is_a_known_exception(truth: Path) -> None:
    case, probes = case_of(truth.parent), json.loads(truth.read_text())["probes"]

    wrong = []
    for probe in probes:
        went = "connected" if probe["result"] in CONNECTED else "denied"
        if judged(case, probe) != went:
            wrong.append((key(truth.parent, probe), probe))

    assert {name for name, _ in wrong} == {name for name in EXCEPTIONS if name[0] == truth.parent.name}
    # where the maps were written later, a later probe of the same ends went as they say, or the log has the write
    last = max(changes_of(case.nodes[0].story).by_map.values(), default=0)
    for name, probe in wrong:
        if EXCEPTIONS[name] == WRITTEN:
            later = [each for each in probes if key(truth.parent, each) == name and each["at"] >= probe["at"]]
            assert last >= (utc_ns(probe["at"]) or 0) or any(each["result"] != probe["result"] for each in later), name


@pytest.mark.shared
@pytest.mark.skipif(not LAB.exists(), reason="the lab's captures are not on this machine")
def test_most_probes_are_judged() -> None:
    probes = sum(len(json.loads(path.read_text())["probes"]) for path in truths())

    assert probes >= 150
    assert len(EXCEPTIONS) == 15
