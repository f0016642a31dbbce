"""The committed pages are what the registry and the corpus give; a page can be printed without the repository."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from make_format_pages import pages  # noqa: E402

from forensics.format_page import samples  # noqa: E402
from forensics.listing import formats_text  # noqa: E402
from forensics.problem import UsageError  # noqa: E402
from formats import FORMATS  # noqa: E402


def test_committed_pages_are_up_to_date() -> None:
    made = pages()

    assert [path.name for path, text in made.items() if not path.exists() or path.read_text() != text] == []
    assert sorted((ROOT / "docs" / "formats").iterdir()) == sorted(path for path in made if path.suffix == ".md")


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_the_command_prints_the_page(form) -> None:
    shown = formats_text(form.name)

    assert (ROOT / "docs" / "formats" / f"{form.name}.md").read_text() == shown
    assert samples()[form.name]["text"].splitlines()[0] in shown


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_a_format_says_what_it_is_and_what_it_loses(form) -> None:
    assert form.versions
    assert form.about
    assert form.limits
    assert form.loses


def test_an_unknown_format_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no format 'nope'"):
        formats_text("nope")
