"""What is registered, as people read it: formats and detectors."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

from forensics.defects import defect
from forensics.detectors import DETECTORS
from forensics.format_page import page, samples
from forensics.problem import UsageError
from formats import FORMATS

if TYPE_CHECKING:
    from forensics.detectors.base import Detector


def formats_text(wanted: str | None = None) -> str:
    """Every format: name, title, versions; or one in full. Raises UsageError for a name that is none."""
    if wanted is not None:
        form = next((form for form in FORMATS if form.name == wanted), None)
        if form is None:
            raise UsageError(f"no format {wanted!r}: known are {', '.join(form.name for form in FORMATS)}")
        return page(form, samples().get(form.name))
    width = max((len(form.name) for form in FORMATS), default=0)
    rows = [
        f"{form.name:<{width}}  {form.title}" + (f" [{form.versions}]" if form.versions else "") for form in FORMATS
    ]
    return "\n".join(rows) + "\n"


def formats_json() -> str:
    """Every format with its limits and losses."""
    rows = [
        {
            "name": form.name,
            "title": form.title,
            "versions": form.versions,
            "about": form.about,
            "limits": list(form.limits),
            "loses": list(form.loses),
            "exclusive": form.exclusive,
            "foreign": form.foreign,
        }
        for form in FORMATS
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def detectors_text(wanted: str | None = None) -> str:
    """All detectors, or one in full. Raises UsageError for an id that is none."""
    if wanted is None:
        width = max(len(detector.id) for detector in DETECTORS)
        return "\n".join(f"{detector.id:<{width}}  {detector.title}" for detector in DETECTORS) + "\n"
    for detector in DETECTORS:
        if detector.id == wanted:
            return _page(detector)
    raise UsageError(f"no detector {wanted!r}: known are {', '.join(detector.id for detector in DETECTORS)}")


def _page(detector: Detector) -> str:
    lines = [f"{detector.id}: {detector.title}", "", *textwrap.wrap(detector.about, 100), ""]
    lines += ["Needs: " + "; ".join(detector.needs)]
    for number in detector.defects:
        known = defect(number)
        lines += ["", f"{known.id}: {known.title} ({known.first} to {known.last}; fixed: {known.fixed})"]
        lines += textwrap.wrap(known.mechanism, 100)
    return "\n".join(lines) + "\n"
