"""Arrows never turn back: formats knows bytes only, forensics no terminal and no page, reports the document only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "formats": {"forensics", "reports", "typer", "rich", "jinja2"},
    "forensics": {"reports", "typer", "rich", "jinja2"},
    "reports": {"formats", "forensics"},
}
NETWORK = {"socket", "ssl", "http", "urllib.request", "requests", "httpx", "aiohttp", "boto3", "obstore", "s3fs"}
#: The one place where the pipeline meets the terminal and the renderers.
MEETING_POINT = ROOT / "forensics" / "cli.py"
FILES = sorted(path for package in FORBIDDEN for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_arrow(path: Path) -> None:
    if path == MEETING_POINT:
        return

    package = path.relative_to(ROOT).parts[0]

    assert set() == {name.split(".")[0] for name in imported(path)} & FORBIDDEN[package]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_opens_a_socket(path: Path) -> None:
    names = imported(path)

    assert set() == {name for name in names if name in NETWORK or name.split(".")[0] in NETWORK}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
