"""The post-mortem page in Markdown: what happened, whom it hit, since when, why, how it is proven, what to do."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from reports import document as doc
from reports import hexview, policy
from reports.escape import markdown_environment

if TYPE_CHECKING:
    import jinja2

#: A post-mortem is read to the end: what goes past these is counted, and complete in the JSON report.
DUMPS = 6
CIDRS = 6
CITATIONS = 12
EVENTS = 60
COMPARED = 10
EXCERPT_LINES = 12


def render(document: doc.Document, *, color: bool = False, width: int = 100) -> str:
    """The page, CommonMark with tables, without any raw HTML. Colour and width do not matter here."""
    stories = [_story(document, group) for group in doc.groups(document) if group.severity in doc.ALARMING]
    known = {node["id"]: doc.node_name(node) for node in document["nodes"]}
    asked = dict.fromkeys([*known, *(outcome["node"] for outcome in document["outcomes"])])
    return _template().render(
        document=document,
        verdict=doc.verdict(document),
        answers=doc.answers(document),
        stories=stories,
        lesser=[finding for finding in document["findings"] if finding["severity"] not in doc.ALARMING],
        names=known,
        facts={node["id"]: list(doc.facts_line(node)) for node in document["nodes"]},
        gaps=[(known.get(node, node), gap) for node in asked for gap in doc.gaps(document, node)],
        against=[(name, policy.against(document, node)) for node, name in known.items()],
        suspected=[text for node in known for text in doc.suspected(document, node)],
        entry_lines=policy.entry_lines,
        excerpt=_excerpt,
        limits={"cidrs": CIDRS, "events": EVENTS, "compared": COMPARED},
    )


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    return markdown_environment().get_template("postmortem.md.j2")


def _story(document: doc.Document, group: doc.Group) -> dict[str, Any]:
    values: dict[tuple[Any, ...], dict[str, Any]] = {}
    cited: dict[tuple[Any, ...], dict[str, Any]] = {}
    for finding in group.findings:
        for entry in finding["details"].get("entries") or ():
            key = (finding["pod_identifier"], entry["map"], entry["cidr"], entry["value_hex"])
            values.setdefault(key, {**entry, "pod_identifier": finding["pod_identifier"]})
        for citation in finding["evidence"]:
            key = (citation["artifact"], citation["start"], citation["end"], citation["first_line"])
            cited.setdefault(key, citation)
    dumps = [{**entry, "dump": hexview.text(entry)} for entry in list(values.values())[:DUMPS]]
    names = {node["id"]: doc.node_name(node) for node in document["nodes"]}
    return {
        "group": group,
        "lead": group.lead,
        "node": names.get(group.node or "", group.node),
        "remedy": doc.remedy_of(group.lead["remedy"]),
        "dumps": dumps,
        "more_dumps": len(values) - len(dumps),
        "citations": list(cited.values())[:CITATIONS],
        "more_citations": max(0, len(cited) - CITATIONS),
    }


def _excerpt(text: str) -> str:
    lines = text.split("\n")
    left = len(lines) - EXCERPT_LINES
    return "\n".join([*lines[:EXCERPT_LINES], f"... {left} more lines"] if left > 0 else lines)
