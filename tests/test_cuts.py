"""Every corpus file cut at every line and at random bytes: what stood before the cut is kept, the loss is told.

What a format cannot know of a cut is declared, with its reason, in corpus/formats/cuts.toml. NPF_ALL=1 cuts at 200
random bytes of each file instead of a few.
"""

from __future__ import annotations

import json
import os
import random
import re
import tomllib
from typing import TYPE_CHECKING

import pytest
from cut_records import BY_NAME, CASES, CORPUS, Said, input_of, name_of, said

from forensics.decode import decode_bytes, end_notes

if TYPE_CHECKING:
    from pathlib import Path

ALL = os.environ.get("NPF_ALL") == "1"
SEED = os.environ.get("NPF_SEED", "1")
RANDOM_BYTES = 200 if ALL else 12
DECLARED = tomllib.loads((CORPUS / "cuts.toml").read_text())
LATER, LAST, UNSEEN = DECLARED["known_later"], DECLARED["last_record"], DECLARED["unseen_at_line_end"]
DOCUMENT = DECLARED["last_document"]


def cuts_of(case: Path, data: bytes) -> list[int]:
    """Behind every line end, and at random bytes."""
    rng = random.Random(f"{SEED} {name_of(case)}")
    ends = {at + 1 for at in range(len(data) - 1) if data[at] == 10}
    return sorted(ends | {rng.randrange(len(data)) for _ in range(RANDOM_BYTES if data else 0)})


def steady(case: Path, facts: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Facts without what the format can say only when it has read on."""
    fields = LATER.get(case.parent.name, {}).get("fields", [])
    if not fields:
        return facts
    out = []
    for end, text in facts:
        record = {name: value for name, value in json.loads(text).items() if name not in fields}
        out.append((end, json.dumps(record, sort_keys=True)))
    return out


def lost_before(case: Path, whole: Said, got: Said, cut: int, data: bytes) -> list[str]:
    """Facts that ended before the cut and are not there any more."""
    have = {text for _, text in steady(case, got.facts)}
    before = [(end, text) for end, text in steady(case, whole.facts) if end < cut]
    if re.search(rb"\n--?\Z", data[:cut]) and before:
        before.remove(max(before))  # half a separator of documents belongs to the document before it
    if case.parent.name in LAST and before:
        last = max(end for end, _ in before)
        # the record at the cut is the one behind which no whole line stands
        before = [(end, text) for end, text in before if end < last or b"\n" in data[end:cut].strip()]
    if case.parent.name in DOCUMENT:
        mark = f"\n{DOCUMENT[case.parent.name]['end']}\n".encode()
        before = [(end, text) for end, text in before if mark in data[end:cut]]
    return [text for _, text in before if text not in have]


def is_told(case: Path, got: Said, data: bytes, cut: int) -> bool:
    """Whether somebody can see that something is missing, or the format declares that nobody can."""
    if got.problems or not got.complete or not got.facts or end_notes(data[:cut]):
        return True
    told = UNSEEN.get(case.parent.name, {}).get("cases", [])
    at_line_end = data[:cut].rstrip(b" \t").endswith(b"\n") or data[cut : cut + 1] in (b"\r", b"\n")
    return at_line_end and ("*" in told or case.name in told)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_what_stands_before_a_cut_is_kept_and_the_loss_is_told(case: Path) -> None:
    data, path = input_of(case)
    form = case.parent.name
    whole = said(form, data, path)

    for cut in cuts_of(case, data):
        got = said(form, data[:cut], path)

        where = f"cut at byte {cut}, after {data[max(0, cut - 40) : cut]!r}"
        assert lost_before(case, whole, got, cut, data) == [], where
        less = any(end > cut for end, _ in whole.facts)
        assert not less or is_told(case, got, data, cut), where


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_cut_changes_nothing_but_the_record_at_the_cut(case: Path) -> None:
    data, path = input_of(case)
    form = case.parent.name
    known = {text for _, text in steady(case, said(form, data, path).facts)}

    for cut in cuts_of(case, data)[:: 1 if ALL else 3]:
        got = said(form, data[:cut], path)

        last_lines = [match.start() for match in re.finditer(rb"[^\n]*\S[^\n]*", data[:cut])][-2:]
        at_the_cut = min(last_lines, default=0)
        new = [text for end, text in steady(case, got.facts) if text not in known and end < at_the_cut]
        assert form in LAST or new == [], f"cut at byte {cut}, after {data[max(0, cut - 40) : cut]!r}"


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_public_way_never_raises_on_a_cut(case: Path) -> None:
    data, path = input_of(case)

    for cut in cuts_of(case, data)[:: 1 if ALL else 7]:
        got = decode_bytes(data[:cut], path)

        assert got["path"] == path
        assert (got["format"] is None) <= (got["records"] == [])


def test_declarations_are_of_formats_and_cases_that_exist() -> None:
    for table in (LATER, LAST, DOCUMENT, UNSEEN):
        assert [name for name in table if name not in BY_NAME] == []
        assert all(row["reason"] for row in table.values())
    named = [f"{form}/{case}" for form, row in UNSEEN.items() for case in row["cases"] if case != "*"]
    assert [name for name in named if not (CORPUS / name).is_dir()] == []
