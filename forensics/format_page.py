"""The page of one format: what it is, its versions, a sample, what it gives, its limits and what it loses.

Pages are made from the Format's own declaration and from forensics/knowledge/format_samples.json, which
tools/make_format_pages.py fills from the corpus; docs/formats holds the same pages.
"""

from __future__ import annotations

import json
import textwrap
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from formats.base import Format

SAMPLES = "format_samples.json"
_WIDTH = 100


def samples() -> dict[str, Any]:
    """Format name -> `{"case", "text", "kinds", "versions"}`."""
    text = resources.files("forensics.knowledge").joinpath(SAMPLES).read_text()
    known: dict[str, Any] = json.loads(text)
    return known


def page(form: Format, sample: dict[str, Any] | None) -> str:
    """The page of a format as Markdown; without a sample when there is none."""
    lines = [f"# {form.name}: {form.title}", "", *textwrap.wrap(form.about, _WIDTH), ""]
    lines += textwrap.wrap(f"Versions: {form.versions}.", _WIDTH)
    lines += ["", *textwrap.wrap(_company(form), _WIDTH)]
    if sample is not None:
        lines += ["", f"Gives: {', '.join(sample['kinds']) or 'nothing that is listed'}.", "", "## Sample", ""]
        lines += [f"From the corpus case `{sample['case']}`.", "", "```text", *sample["text"].splitlines(), "```"]
    for title, entries in (("Limits", form.limits), ("What it loses", form.loses)):
        lines += ["", f"## {title}", ""]
        for entry in entries or ("None that is known.",):
            lines += textwrap.wrap(entry, _WIDTH, initial_indent="- ", subsequent_indent="  ")
    if sample is not None and sample["versions"]:
        lines += ["", "## Layouts and versions with a corpus case", ""]
        lines += [f"- {label}" for label in sample["versions"]]
    return "\n".join(lines) + "\n"


def _company(form: Format) -> str:
    if form.foreign:
        return "Recognised, named and listed; it is not this tool's subject and never taken for the agent's data."
    if form.exclusive:
        return "Owns its file: no other format reads beside it."
    return "Looks for its own lines: other formats read the rest of the same file or paste."
