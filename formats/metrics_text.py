"""Prometheus text, as in ipamd/metrics.json: the CNI's metrics (port 61678), or the agent's when somebody adds them.

Used are the CNI's own version (`awscni_build_info`) and the agent's drop counters (`network_policy_…`); the rest is
recognised and named. Text format: prometheus docs/instrumenting/exposition_formats.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from formats.base import NO, Format, Record, Score
from formats.hints import basename, scored
from formats.image_ref import version_of
from formats.line_search import lines_with, span_of
from formats.node_records import fact
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

_TYPE = lazy(rb"^[ \t>]*# TYPE [a-zA-Z_:][\w:]* (?:counter|gauge|histogram|summary|untyped)[ \t\r]*$", re.M)
_WANTED = lazy(rb"^[ \t>]*(?:awscni_build_info\{|network_policy_)", re.M)
_SAMPLE = lazy(r"^[ \t>]*(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>[^}]*)\})?[ \t]+(?P<value>[-+\w.]+)")
_LABEL = lazy(r'(\w+)="((?:[^"\\]|\\.)*)"')


def sniff(head: bytes, path: str) -> Score:
    """A `# TYPE` comment of the text format."""
    content = 66 if b"# TYPE " in head and _TYPE.search(head) else 0
    named = basename(path) in ("metrics.json", "metrics.txt", "metrics.out")
    return scored(content, named=named, what="Prometheus metrics") if content or named else NO


def read(source: Source) -> Iterator[Item]:
    """cni_version, once; a `metric` record {name, labels, value} per sample of the agent's counters."""
    seen: set[str] = set()
    for line in lines_with(source, _WANTED):
        match = _SAMPLE.match(line.text)
        if match is None:
            continue
        labels = dict(_LABEL.findall(match["labels"] or ""))
        if match["name"] != "awscni_build_info":
            value = _value(match["value"])
            if value is not None:
                yield Record("metric", {"name": match["name"], "labels": labels, "value": value}, span_of(line))
            continue
        version = version_of(labels.get("version"))
        if version is not None and version not in seen:
            seen.add(version)
            yield fact(span_of(line), "cni_version", version)


def _value(text: str) -> int | float | None:
    """A sample's value, whole numbers as int (`1.0665324e+07` too); None for NaN, infinity and what is no number."""
    try:
        number = float(text)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


FORMAT = Format(
    name="metrics-text",
    title="Prometheus metrics",
    sniff=sniff,
    read=read,
    quiet=True,
    versions="Prometheus text format 0.0.4",
    about="The version of the CNI that answered, and how much the agent says it dropped.",
    limits=("counters are since the start of the process; the text has no time",),
    loses=("every other metric",),
)
