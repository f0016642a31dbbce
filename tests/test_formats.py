"""Every corpus case of every format reads as its expected.json says; every format has a case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics.decode import decode_bytes
from formats import FORMATS

CORPUS = Path(__file__).parent.parent / "corpus" / "formats"
CASES = sorted(path.parent for path in CORPUS.glob("*/*/expected.json"))


def matches(expected, actual) -> bool:
    """What is written must match: a dict is compared on its own keys, a list element by element."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return all(key in actual and matches(value, actual[key]) for key, value in expected.items())
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(matches, expected, actual))
    return bool(expected == actual)


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_case_reads_as_expected(case: Path) -> None:
    wanted = json.loads((case / "expected.json").read_text())
    source = next(path for path in sorted(case.iterdir()) if path.name.startswith("input"))

    got = decode_bytes(source.read_bytes(), wanted.get("path", source.name))

    assert case.parent.name in got["formats"]
    kinds = wanted.get("only")
    records = [record for record in got["records"] if kinds is None or record["kind"] in kinds]
    assert len(wanted["records"]) == len(records), [record["kind"] for record in records]
    for expected, actual in zip(wanted["records"], records, strict=True):
        assert matches(expected, actual), f"expected {expected}\n     got {actual}"
    whats = [problem["what"] for problem in got["problems"]]
    assert len(wanted.get("problems", [])) == len(whats), whats
    for expected, actual in zip(wanted.get("problems", []), whats, strict=True):
        assert expected in actual


def test_every_format_has_a_corpus_case() -> None:
    covered = {case.parent.name for case in CASES}

    assert [form.name for form in FORMATS if form.name not in covered] == []


def test_no_corpus_folder_without_its_format() -> None:
    names = {form.name for form in FORMATS}

    assert [case.parent.name for case in CASES if case.parent.name not in names] == []


def test_format_names_are_unique() -> None:
    names = [form.name for form in FORMATS]

    assert sorted(set(names)) == sorted(names)
