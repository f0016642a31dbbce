"""Every layout and version a format reads has a corpus case; versions without a gap; the cases say what they are."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
from cut_records import BY_NAME, CASES, CORPUS

#: Tags of aws-network-policy-agent in the order of its releases' code; main is what came after v1.4.1.
_TAGS = (
    "v1.0.1 v1.0.2 v1.0.4 v1.0.5 v1.0.6 v1.0.7 v1.0.8 v1.1.0 v1.1.1 v1.1.2 v1.1.3 v1.1.4 v1.1.5 v1.1.6 v1.2.0 v1.2.1 "
    "v1.2.2 v1.2.3 v1.2.4 v1.2.5 v1.2.6 v1.2.7 v1.3.0 v1.3.1 v1.3.2 v1.3.4 v1.3.5 v1.3.7 v1.4.0 v1.4.1 main"
)
TAGS = _TAGS.split()
RANGE = re.compile(r"(.+) (v[\d.]+|main)\.\.(v[\d.]+|main)")
DECLARED = tomllib.loads((CORPUS / "versions.toml").read_text())
STATED = {
    (case.parent.name, case.name): json.loads((case / "expected.json").read_text()).get("versions", [])
    for case in CASES
}


def topics(name: str) -> dict[str, list[tuple[int, int]]]:
    """Topic -> its ranges of agent tags, as places in TAGS, in order."""
    out: dict[str, list[tuple[int, int]]] = {}
    for label in DECLARED[name]["labels"]:
        if match := RANGE.fullmatch(label):
            out.setdefault(match[1], []).append((TAGS.index(match[2]), TAGS.index(match[3])))
    return {topic: sorted(ranges) for topic, ranges in out.items()}


def test_every_format_declares_its_layouts() -> None:
    assert sorted(BY_NAME) == sorted(DECLARED)
    assert [name for name, row in DECLARED.items() if not row["labels"]] == []
    assert [name for name, row in DECLARED.items() if len(row["labels"]) != len(set(row["labels"]))] == []


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_every_layout_has_a_case(name: str) -> None:
    covered = {label for (form, _), labels in STATED.items() if form == name for label in labels}

    assert [label for label in DECLARED[name]["labels"] if label not in covered] == []


def test_no_case_states_a_layout_that_is_not_declared() -> None:
    undeclared = [
        (form, case, label)
        for (form, case), labels in STATED.items()
        for label in labels
        if label not in DECLARED[form]["labels"]
    ]

    assert undeclared == []


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_ranges_of_agent_versions_leave_no_gap(name: str) -> None:
    for topic, ranges in topics(name).items():
        assert all(first <= last for first, last in ranges), topic
        assert [first for first, _ in ranges[1:]] == [last + 1 for _, last in ranges[:-1]], topic
        assert TAGS[ranges[-1][1]] == "main", topic


@pytest.mark.parametrize(
    ("name", "since_the_first_tag"),
    [
        ("bpftool-map-hex", ("rules ipv4", "rules ipv6", "conntrack ipv4", "conntrack ipv6", "policy events")),
        ("bpftool-map-json", ("rules ipv4", "rules ipv6", "conntrack ipv4", "conntrack ipv6")),
        ("nacli-maps", ("rules ipv4", "rules ipv6", "conntrack ipv4", "conntrack ipv6", "empty ipv4", "empty ipv6")),
        ("nacli-loaded", ("programs",)),
        ("nacli-lists", ("maps", "programs")),
        ("agent-log", ("encoder", "flows ipv4", "flows ipv6", "start")),
        ("ebpf-sdk-log", ("agent start and CLI run",)),
        ("bpffs-listing", ("pins",)),
    ],
)
def test_what_every_agent_writes_is_covered_from_the_first_tag(name: str, since_the_first_tag: tuple[str, ...]) -> None:
    found = topics(name)

    assert [topic for topic in since_the_first_tag if topic not in found or found[topic][0][0] != 0] == []


def test_samples_of_the_pages_exist() -> None:
    named = [CORPUS / name / row["sample"] for name, row in DECLARED.items() if "sample" in row]

    assert [path for path in named if not path.is_dir()] == []
