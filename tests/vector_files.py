"""The files of measured answers, read as they are: this imports nothing of the project."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
THIN = ROOT / "corpus" / "vectors"
FULL = ROOT.parent / "shared" / "verdict"


@cache
def records(folder: Path, name: str) -> tuple[dict, ...]:
    """The JSON lines of one vector file."""
    with gzip.open(folder / f"{name}.jsonl.gz", "rt") as lines:
        found = tuple(map(json.loads, lines))
    assert found, f"{folder / name} is empty"
    return found


@cache
def states(folder: Path) -> dict[str, dict]:
    """Map states by id, their maps as bytes."""
    return {
        state["id"]: {**state, "maps": {name: pairs(entries) for name, entries in state["maps"].items()}}
        for state in records(folder, "states")
    }


def pairs(entries) -> dict[bytes, bytes]:
    """`[{key_hex, value_hex}]` as a mapping."""
    return {bytes.fromhex(entry["key_hex"]): bytes.fromhex(entry["value_hex"]) for entry in entries}
