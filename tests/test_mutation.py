"""The mutation campaign itself: what it changes, and a seeded sample of it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).parent / "mutation" / "run.py"
sys.path.insert(0, str(CAMPAIGN.parent))

from mutants import mutants  # noqa: E402


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("a < 1", ["a < 1  ->  a <= 1", "a < 1  ->  a >= 1", "1  ->  2", "1  ->  0"]),
        ("a and b", ["a and b  ->  a or b"]),
        ("not b", ["not b  ->  +b"]),
        ("a: int = True", ["True  ->  False"]),
        ("a + b * c", ["a + b * c  ->  a - b * c", "b * c  ->  b // c"]),
        ("if a:\n    b", ["if a:  ->  if not a:"]),
        ("if TYPE_CHECKING:\n    b = 1", []),
        ("@cache(9)\ndef f(a: int = 3) -> list[5]: ...", ["3  ->  4", "3  ->  2"]),
        ("zip(a, strict=True)", []),
        ("a in b is c", ["a in b is c  ->  a not in b is c", "a in b is c  ->  a in b is not c"]),
    ],
)
def test_changes_one_thing_at_a_time_and_back(source: str, changes: list[str]) -> None:
    made = [(mutant.change, ast.unparse(mutant.tree)) for mutant in mutants(source)]

    assert changes == [change for change, _ in made]
    assert len(made) == len({text for _, text in made} - {ast.unparse(ast.parse(source))})


@pytest.mark.slow
def test_a_sample_of_the_campaign_is_killed() -> None:
    files = ["formats/layouts.py", "forensics/ruleset.py"]
    command = [sys.executable, str(CAMPAIGN), *files, "--sample", "10", "--seed", "3", "--least", "0.8"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=500)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "of    10 killed" in done.stdout
