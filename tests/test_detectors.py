"""The registry of detectors: unique, explained, and each with a case where it finds, one where it is clean, one where it
cannot tell."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

from forensics import defects
from forensics.detectors import DETECTORS

CASES = [
    tomllib.loads(path.read_text()) for path in (Path(__file__).parent.parent / "corpus" / "cases").glob("*/case.toml")
]


def answered(outcome: str) -> set[str]:
    return {row["detector"] for case in CASES for row in case.get("outcome", []) if row["outcome"] == outcome}


def test_ids_are_unique_and_speak_the_fields_terms() -> None:
    ids = [detector.id for detector in DETECTORS]

    assert sorted(set(ids)) == sorted(ids)
    assert all(name == name.lower() and " " not in name for name in ids)


def test_every_detector_has_a_case_where_it_finds() -> None:
    found = {row["detector"] for case in CASES for row in case.get("expect", [])}

    assert {detector.id for detector in DETECTORS} - found - answered("found") == set()


def test_every_detector_has_a_case_where_it_is_clean() -> None:
    assert {detector.id for detector in DETECTORS} - answered("clean") == set()


def test_every_detector_has_a_case_where_it_cannot_tell() -> None:
    assert {detector.id for detector in DETECTORS} - answered("cannot-tell") == set()


def test_every_detector_says_what_it_needs_and_names_known_defects() -> None:
    for detector in DETECTORS:
        assert detector.title and detector.about.endswith(".") and detector.needs
        assert [number for number in detector.defects if number not in defects.known()] == []


def test_every_defect_has_a_mechanism_and_a_source() -> None:
    for number in defects.known():
        known = defects.defect(number)
        assert known.mechanism.endswith(".") and known.source and known.first <= known.last


def test_each_defect_reads_alone_as_in_the_whole_catalogue() -> None:
    whole = tomllib.loads((resources.files("forensics.knowledge") / "defects.toml").read_text("utf-8"))

    assert list(whole) == list(defects.known())
    assert list(whole.values()) == [defects._entry(number) for number in whole]
