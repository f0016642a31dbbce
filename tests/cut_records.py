"""What a reader says of some bytes, record by record, with the byte each ends at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from forensics.decode import item_records
from formats import FORMATS
from formats.base import FlowBatch, MapDump, Problem
from formats.source import Source

CORPUS = Path(__file__).parent.parent / "corpus" / "formats"
CASES = sorted(path.parent for path in CORPUS.glob("*/*/expected.json"))
BY_NAME = {form.name: form for form in FORMATS}


class Said(NamedTuple):
    """The facts with the byte each ends at, the problems' texts, whether every dump says that nothing follows."""

    facts: list[tuple[int, str]]
    problems: list[str]
    complete: bool


def name_of(case: Path) -> str:
    """A case's id in test output."""
    return f"{case.parent.name}/{case.name}"


def input_of(case: Path) -> tuple[bytes, str]:
    """The bytes of a case and the path its reader is told."""
    source = next(path for path in sorted(case.iterdir()) if path.name.startswith("input"))
    wanted = json.loads((case / "expected.json").read_text())
    return source.read_bytes(), wanted.get("path", source.name)


def said(name: str, data: bytes, path: str, *, lines: bool = True) -> Said:
    """What the format `name` reads in `data`. The heads of dumps and the counts of logs are no facts of one place."""
    facts: list[tuple[int, str]] = []
    problems: list[str] = []
    complete = True
    for item in BY_NAME[name].read(Source(path, data)):
        if isinstance(item, Problem):
            problems.append(item.what)
            continue
        records = [one for one in item_records(item) if one["kind"] not in ("map_dump", "log_summary")]
        if isinstance(item, MapDump | FlowBatch):
            ends = item.spans["end"].tolist()
            complete &= item.complete if isinstance(item, MapDump) else True
        else:
            ends = [item.span.end] * len(records)
        facts += [(end, _text(record, lines=lines)) for end, record in zip(ends, records, strict=True)]
    return Said(facts, problems, complete)


def _text(record: dict[str, Any], *, lines: bool) -> str:
    kept = record if lines else {key: value for key, value in record.items() if key != "lines"}
    return json.dumps(kept, sort_keys=True)
