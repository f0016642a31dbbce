"""One self-contained HTML page: no script, no request, every string of the document escaped by the environment."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from reports import document as doc
from reports import hexview, policy
from reports.escape import html_environment

if TYPE_CHECKING:
    import jinja2

#: What one finding shows of its entries; the rest is counted on the page and complete in the JSON report.
CIDRS = 200
DUMPS = 12
EXCERPT_LINES = 40
EVENTS = 2000
LANES = 24
COMPARED = 40
#: Events whose slug says trouble, by its parts.
_TROUBLE = frozenset({"deny", "failed", "error", "missing", "overflow"})


def render(document: doc.Document, *, color: bool = False, width: int = 100) -> str:
    """The page. Colour and width do not matter here: the page follows the reader's screen and colour scheme."""
    numbers = {id(finding): number for number, finding in enumerate(document["findings"], 1)}
    worst_first = doc.nodes_worst_first(document)
    return _template().render(
        document=document,
        verdict=doc.verdict(document),
        alarming=doc.alarming(document),
        answers=doc.answers(document),
        detectors=doc.detectors(document),
        cards=[_card(document, node) for node in worst_first],
        strays=doc.strays(document),
        loose_gaps=[gap for node in _unknown_nodes(document) for gap in doc.gaps(document, node)],
        names={node["id"]: doc.node_name(node) for node in document["nodes"]},
        number_of=lambda finding: numbers[id(finding)],
        severities=_severities(document),
        lanes=_lanes(document),
        remedy_of=doc.remedy_of,
        hex_lines=hexview.lines,
        facts_line=doc.facts_line,
        slug_class=_slug_class,
        limits={"cidrs": CIDRS, "dumps": DUMPS, "excerpt": EXCERPT_LINES, "events": EVENTS, "compared": COMPARED},
    )


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    return html_environment().get_template("report.html.j2")


def _card(document: doc.Document, node: dict[str, Any]) -> dict[str, Any]:
    found = doc.groups(document, node["id"])
    return {
        "node": node,
        "name": doc.node_name(node),
        "groups": found,
        "worst": doc.worst(finding for group in found for finding in group.findings),
        "gaps": doc.gaps(document, node["id"]),
        "pods": [pod for pod in document["pods"] if pod["node"] == node["id"]],
        "suspected": doc.suspected(document, node["id"]),
        "against": policy.against(document, node["id"]),
    }


def _unknown_nodes(document: doc.Document) -> list[str | None]:
    known = {node["id"] for node in document["nodes"]}
    return [name for name in dict.fromkeys(outcome["node"] for outcome in document["outcomes"]) if name not in known]


def _severities(document: doc.Document) -> dict[tuple[str | None, str | None, str], str]:
    """(node, pod identifier, detector) to the worst severity found there, for the matrix."""
    out: dict[tuple[str | None, str | None, str], str] = {}
    for finding in document["findings"]:
        key = (finding["node"], finding["pod_identifier"], finding["detector"])
        out[key] = min(out.get(key, finding["severity"]), finding["severity"], key=doc.SEVERITIES.index)
    return out


def _lanes(document: doc.Document) -> dict[str, Any] | None:
    """The strip above the timeline: a lane for each pod identifier, event positions in per cent of the whole time."""
    timed = [(moment, event) for event in document["timeline"] if (moment := _moment(event["utc"])) is not None]
    if len(timed) < 2:
        return None
    first, last = min(moment for moment, _ in timed), max(moment for moment, _ in timed)
    length = (last - first).total_seconds()
    lanes: dict[tuple[str | None, str | None], dict[tuple[float, str], str]] = {}
    for moment, event in timed:
        share = (moment - first).total_seconds() / length if length else 0.5
        lane = lanes.setdefault((event["node"], event["pod_identifier"]), {})
        lane.setdefault((round(1 + 98 * share, 1), _slug_class(event["event"])), event["text"])
    shown = list(lanes.items())[:LANES]
    return {
        "first": min(timed, key=lambda pair: pair[0])[1]["utc"],
        "last": max(timed, key=lambda pair: pair[0])[1]["utc"],
        "seconds": length,
        "hidden": len(lanes) - len(shown),
        "rows": [
            {
                "node": node,
                "pod": pod,
                "dots": [{"x": x, "kind": kind, "text": said} for (x, kind), said in dots.items()],
            }
            for (node, pod), dots in shown
        ],
    }


def _moment(utc: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(utc or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _slug_class(slug: str) -> str:
    """One of four words of ours for an event's slug; never the slug itself."""
    parts = set(slug.lower().split("-"))
    if parts & _TROUBLE:
        return "trouble"
    if "start" in parts:
        return "start"
    return "write" if parts & {"write", "refresh"} else "other"
