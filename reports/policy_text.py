"""Policy against kernel on the terminal: ten lines for the pod that differs most, one for each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reports import policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reports.document import Document

#: Pods with a line of their own; lines of traffic and of entries of one direction of the worst.
PODS, TRAFFIC, ENTRIES = 4, 3, 2
_NAMED, _BEHIND = 4, 2
_MORE = "in the JSON report"


class Line(NamedTuple):
    """A line of a node; its texts are still to be wrapped and made visible. A line without a label goes on."""

    label: str
    style: str
    text: str


def lines(document: Document, node: str | None) -> Iterator[Line]:
    """What a node's comparisons say."""
    found = policy.against(document, node)
    for place, (name, ways) in enumerate(found.differ[:PODS]):
        told = "" if place == 0 else f": {'; '.join(way.summary for way in ways)}"
        yield Line("", "label", f"{name}{told}")
        for way in ways if place == 0 else ():
            yield from _way(way)
    if len(found.differ) > PODS:
        rest = [name for name, _ in found.differ[PODS:]]
        yield Line("", "label", f"{policy.count(len(rest))} more differ, see the JSON report: {_names(rest)}")
    if found.as_asked:
        yield Line("", "clean", f"as the policies ask: {_names(found.as_asked)}")
    if found.partly:
        yield Line("", "dim", f"as the policies ask, as far as it is compared: {_names(found.partly)}")
    for why, pods in found.not_compared:
        yield Line("", "dim", f"not compared: {_names(pods)}: {why}")


def _way(way: policy.Way) -> Iterator[Line]:
    label = way.direction
    for style, text in _told(way):
        yield Line(label, style, text)
        label = " "


def _told(way: policy.Way) -> Iterator[tuple[str, str]]:
    for line in way.traffic[:TRAFFIC]:
        behind = f", behind them {_names(line.behind, _BEHIND)}" if line.behind else ""
        why = f" ({'; '.join(line.why)})" if line.why else ""
        quiet = line.shortfall or line.verb not in ("DENIED", "ALLOWED")
        short = "shortfall: " if line.shortfall else ""
        yield "" if quiet else "bad", f"{short}{line.verb} {line.text}{behind}{why}"
    if len(way.traffic) > TRAFFIC:
        yield "", f"and {len(way.traffic) - TRAFFIC} more {_MORE}"
    told = list(policy.entry_lines(way))
    for text, why in told[:ENTRIES]:
        yield "", f"{text}{f' ({why})' if why else ''}"
    if len(told) > ENTRIES:
        yield "", f"and other entries, {_MORE}"
    if way.undecided:
        yield "", f"not known, values are not shown: {_names(way.undecided)}"


def _names(values: list[str], limit: int = _NAMED) -> str:
    rest = len(values) - limit
    return ", ".join(values[:limit]) + (f" and {rest} more" if rest > 0 else "")
