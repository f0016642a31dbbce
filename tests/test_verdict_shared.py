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

LAB = Path("/work/shared/lab")
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
