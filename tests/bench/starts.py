"""Start-up: `--help` beside importing typer, a small bundle beside importing polars."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.pairs import Row, run

if TYPE_CHECKING:
    from tests.bench.__main__ import Asked

SMALL = Path(__file__).parents[2] / "corpus" / "cases" / "incident" / "input"


def rows(asked: Asked) -> list[Row]:
    small = sorted(SMALL.iterdir())
    made = []
    for work, yardstick, bar, mine, theirs, shown in (
        ("`npforensics --help`", '`python -c "import typer"`', 1.5, ["--help"], "import typer", "Usage"),
        ("small bundle", '`python -c "import polars"`', 3.0, ["analyze", *small], "import polars", "critical"),
    ):
        row = Row(work, yardstick, bar)
        run([asked.command, *mine])
        run([sys.executable, "-c", theirs])
        for _ in range(2 * asked.pairs + 1):
            first, second = run([asked.command, *mine]), run([sys.executable, "-c", theirs])
            row.ours.append(first.wall)
            row.theirs.append(second.wall)
            row.same &= shown.lower() in first.said.lower()
        made.append(row)
    return made
