"""The terminal summary: worst first, one screen a node, for a person who has to act on it now.

Plain lines and hand-made SGR codes. What comes from the document passes escape.visible first, so that no byte of a
bundle can colour, move or clear anything, and no markup of any kind is understood.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from reports import document as doc
from reports import policy_text
from reports.escape import cells, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Lines of one node: what an ordinary terminal shows without scrolling.
SCREEN = 45
#: Narrower than this nothing lines up any more.
MIN_WIDTH = 40
_LABEL = 10
_SHOWN = 6
_TABLE_FLOOR = 12
_ALSO = 3
_GAPS = 4
_COMMANDS = 3
_SGR = {
    "critical": "1;97;41",
    "high": "1;31",
    "medium": "1;33",
    "low": "36",
    "info": "2",
    "clean": "1;32",
    "cannot tell": "1;35",
    "bad": "1;31",
    "label": "1",
    "node": "1;7",
    "command": "36",
    "dim": "2",
}


class _Pen(NamedTuple):
    color: bool
    width: int

    def paint(self, style: str, text: str) -> str:
        """Text in a style of _SGR; the text itself when there is no colour."""
        return f"\x1b[{_SGR[style]}m{text}\x1b[0m" if self.color and text else text

    def field(self, label: str, texts: Iterable[str], style: str = "label") -> Iterator[str]:
        """A label and its wrapped texts, one below the other, with a hanging indent."""
        head = self.paint(style, label) + " " * (_LABEL - len(label))
        for text in texts:
            for line in wrap(text, self.width - _LABEL - 2):
                yield f"  {head}{line}"
                head = " " * _LABEL


def render(document: doc.Document, *, color: bool = False, width: int = 100) -> str:
    """The summary as text; SGR codes only when `color`. Lines keep to `width`, commands excepted: they stay in one."""
    pen = _Pen(color, max(width, MIN_WIDTH))
    lines = list(_head(document, pen))
    for node in doc.nodes_worst_first(document):
        lines += ["", *_node(document, node, pen)]
    lines += _strays(document, pen)
    lines += _foot(document, pen)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def wrap(text: str, width: int) -> list[str]:
    """Visible text broken at blanks into lines of at most `width` cells; a longer word is broken where it must be."""
    lines: list[str] = []
    line = ""
    for word in visible(text).split():
        rest = word
        if line and cells(line) + 1 + cells(rest) <= width:
            line += " " + rest
            continue
        if line:
            lines.append(line)
        while cells(rest) > width:
            cut = _fit(rest, width)
            lines.append(rest[:cut])
            rest = rest[cut:]
        line = rest
    return [*lines, line] if line else lines


def _fit(text: str, width: int) -> int:
    used = 0
    for at, char in enumerate(text):
        used += cells(char)
        if used > width:
            return max(at, 1)
    return len(text)


def _clip(text: str, width: int) -> str:
    """One line cut to width cells, the cut shown; padded when shorter."""
    text = visible(text)
    if cells(text) > width:
        text = text[: _fit(text, width - 1)] + "…"
    return text + " " * (width - cells(text))


def _some(values: list[str], limit: int = _SHOWN) -> list[str]:
    """At most `limit` of them and the number of the others."""
    rest = len(values) - limit
    return values if rest <= 0 else [*values[:limit], f"and {rest} more"]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _head(document: doc.Document, pen: _Pen) -> Iterator[str]:
    summary, tool = document["summary"], document["tool"]
    inputs = [visible(given["name"] or "one bundle") for given in document["inputs"]]
    yield from wrap(f"{tool['name']} {tool['version']} · {', '.join(_some(inputs, 3))}", pen.width)
    yield ""
    word = doc.verdict(document)
    lines = wrap(summary["headline"], pen.width - len(word) - 2)
    yield f"{pen.paint(word, word.upper())}  {lines[0] if lines else ''}"
    yield from (" " * (len(word) + 2) + line for line in lines[1:])
    counts = [f"{number} {severity}" for severity, number in summary["findings"].items() if number]
    told = doc.answers(document)
    tally = [
        f"{_count(summary['pods_affected'], 'pod identifier')} hit of {summary['pods']} on "
        f"{_count(summary['nodes'], 'node')}",
        "findings: " + (", ".join(counts) or "none"),
        f"answers: {told['found']} found, {told['clean']} clean, {told['cannot-tell']} cannot tell",
    ]
    yield from wrap(" · ".join(tally), pen.width)
    for assumption in document["assumptions"]:
        yield from (pen.paint("medium", line) for line in wrap(f"assumed: {assumption}", pen.width))


def _node(document: doc.Document, node: dict[str, Any], pen: _Pen) -> list[str]:
    title = f" {visible(doc.node_name(node))} "
    lines = [pen.paint("node", _clip(title, min(cells(title), pen.width)).rstrip() + " ")]
    lines += ["  " + line for line in wrap(" · ".join(doc.facts_line(node)), pen.width - 2)]
    found = doc.groups(document, node["id"])
    bad = [group for group in found if group.severity in doc.ALARMING]
    if bad:
        lines += ["", *_story(bad[0], node, pen), *_also(bad[1:], pen)]
    else:
        lines += ["", *_clean(document, node, pen)]
    rest = [*_against(document, node["id"], pen), *_gaps(document, node["id"], pen)]
    if found:
        room = max(_TABLE_FLOOR, SCREEN - len(lines) - len(rest) - 2)
        lines += ["", *_table(found, pen, room)]
    return lines + rest


def _against(document: doc.Document, node: str | None, pen: _Pen) -> Iterator[str]:
    told = list(policy_text.lines(document, node))
    if told:
        yield ""
        yield "  " + pen.paint("label", "POLICY AGAINST KERNEL")
    for line in told:
        lead = f"  {line.label:8}" if line.label else ""
        head, *more = wrap(line.text, pen.width - 6 - len(lead)) or [""]
        yield f"    {lead}{pen.paint(line.style, head) if line.style else head}"
        yield from (" " * (6 + len(lead)) + rest for rest in more)


def _story(group: doc.Group, node: dict[str, Any], pen: _Pen) -> Iterator[str]:
    lead = group.lead
    defect = f" ({lead['defect']})" if lead["defect"] else ""
    yield from pen.field("WHAT", [f"{lead['summary']}{defect}"])
    yield from pen.field("HIT", [", ".join(_some(group.pods, 12)) or "no pod known"])
    yield from _wrongly(group, pen)
    until = f"last sign {group.until}" if group.until else "its end is not known"
    if group.until and group.until == node["observed_until"]:
        until = f"still so at {group.until}, where the input ends"
    yield from pen.field("SINCE", [f"{group.since or 'an unknown moment'}; {until}"])
    remedy = doc.remedy_of(lead["remedy"])
    yield from _steps("DO NOW", remedy.do, pen)
    yield from _steps("CONFIRM", remedy.confirm, pen)


def _wrongly(group: doc.Group, pen: _Pen) -> Iterator[str]:
    """What is wrongly denied and what is wrongly allowed, equally loud, every line saying which."""
    label = "WRONGLY"
    for how in ("denied", "allowed"):
        lines = group.wrongly(how)
        tag = f"{how.upper():8}"
        if lines:
            for text in _some(lines):
                head, *rest = wrap(text, pen.width - _LABEL - len(tag) - 2) or [""]
                yield f"  {pen.paint('bad', label)}{' ' * (_LABEL - len(label))}{pen.paint('bad', tag)}{head}"
                yield from (" " * (2 + _LABEL + len(tag)) + line for line in rest)
                label = ""
        else:
            said = "not worked out" if lines is None else "nothing known"
            yield f"  {pen.paint('label', label)}{' ' * (_LABEL - len(label))}{tag}{said}"
            label = ""


def _also(others: list[doc.Group], pen: _Pen) -> Iterator[str]:
    """Further root causes of the node, a sentence each; their remedies are in the longer reports."""
    said = [f"{group.severity}: {group.lead['title']} ({_count(len(group.findings), 'finding')})" for group in others]
    yield from pen.field("ALSO", _some(said, _ALSO))


def _steps(label: str, steps: list[tuple[bool, str]], pen: _Pen) -> Iterator[str]:
    for number, (command, text) in enumerate(steps):
        first = label if number == 0 else ""
        if command:
            yield "  " + pen.paint("label", first) + " " * (_LABEL - len(first)) + "  " + _command(text, pen)
        else:
            yield from pen.field(first, [re.sub(r"(?i)^confirm\b[:,]?\s*", "", text) or text])


def _command(text: str, pen: _Pen) -> str:
    return pen.paint("command", visible(text))


def _clean(document: doc.Document, node: dict[str, Any], pen: _Pen) -> Iterator[str]:
    mine = [outcome for outcome in document["outcomes"] if outcome["node"] == node["id"]]
    kinds = {outcome["outcome"] for outcome in mine}
    suspected = doc.suspected(document, node["id"])
    if suspected:
        yield from pen.field("SUSPECT", suspected, "bad")
        return
    pods = sum(1 for pod in document["pods"] if pod["node"] == node["id"])
    if kinds & {"clean", "found"}:
        but = " What could not be told stands below." if "cannot-tell" in kinds else ""
        said = f"No finding of medium or above in {_count(pods, 'pod identifier')}.{but}"
        yield from pen.field("CLEAN", [said], "clean")
    else:
        yield from pen.field("UNKNOWN", ["No detector could answer for any pod of this node."], "cannot tell")


def _table(found: list[doc.Group], pen: _Pen, room: int) -> Iterator[str]:
    """A row for each map and set of entries, root causes marked; at most `room` lines, the rest is counted."""
    rows = [row for group in found for row in _rows(group)]
    rest = pen.width - 2 - 9 - 2
    by = min(max(cells(visible(row.detectors)) for row in rows), rest // 3)
    place = min(max(cells(visible(row.place)) for row in rows), (rest - by) * 6 // 10)
    what = rest - by - place
    yield pen.paint("dim", _clip(f"  {'SEVERITY':9}{'MAP':{place}} {'ENTRIES':{what}} FOUND BY", pen.width).rstrip())
    shown = rows if len(rows) < room else rows[: room - 2]
    for row in shown:
        severity = pen.paint(row.severity, row.severity) + " " * (9 - len(row.severity))
        entries = _clip(_fitting([*map(visible, row.entries)], what) if row.entries else row.title, what)
        yield f"{'▸ ' if row.root else '  '}{severity}{_clip(row.place, place)} {entries} {_clip(row.detectors, by)}"
    if len(shown) < len(rows):
        yield from wrap(f"  … and {len(rows) - len(shown)} more rows: --format json or html has all", pen.width)


class _Row(NamedTuple):
    root: bool
    severity: str
    place: str
    entries: list[str]
    title: str
    detectors: str


def _rows(group: doc.Group) -> list[_Row]:
    """The rows of a root cause, the lead first; findings about the same entries of one map share a row."""
    together: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    lead = group.lead
    for finding in [lead, *(other for other in group.findings if other is not lead)]:
        alone = () if finding["entries"] else (finding["id"],)
        key = (finding["pod_identifier"], finding["map"], *finding["entries"], *alone)
        together.setdefault(key, []).append(finding)
    return [
        _Row(
            root=lead is same[0],
            severity=min((finding["severity"] for finding in same), key=doc.SEVERITIES.index),
            place="/".join(filter(None, (same[0]["pod_identifier"], same[0]["map"]))) or "the node",
            entries=same[0]["entries"],
            title=same[0]["title"],
            detectors=same[0]["detector"] + (f" +{len(same) - 1}" if len(same) > 1 else ""),
        )
        for same in together.values()
    ]


def _fitting(entries: list[str], width: int) -> str:
    """As many entries as fit, and how many do not."""
    for shown in range(len(entries), 0, -1):
        left = f" +{len(entries) - shown}" if shown < len(entries) else ""
        text = ", ".join(entries[:shown]) + left
        if len(text) <= width:
            return text
    return f"{len(entries)} entries" if len(entries) > 1 else entries[0]


def _gaps(document: doc.Document, node: str | None, pen: _Pen) -> Iterator[str]:
    gaps = doc.gaps(document, node)
    if not gaps:
        return
    yield ""
    yield "  " + pen.paint("cannot tell", "CANNOT TELL")
    for gap in gaps[:_GAPS]:
        pods = f" for {', '.join(_some(gap.pods, 4))}" if gap.pods else ""
        yield from ("    " + line for line in wrap(f"{', '.join(gap.detectors)}{pods}: {gap.why}", pen.width - 4))
        for missing in islice(gap.missing, _COMMANDS):
            if missing["command"]:
                yield "      " + _command(missing["command"], pen)
            else:
                yield from ("      " + line for line in wrap(f"needs {missing['what']}", pen.width - 6))
        if len(gap.missing) > _COMMANDS:
            yield f"      and {len(gap.missing) - _COMMANDS} more, see the JSON report"
    if len(gaps) > _GAPS:
        yield f"    and {len(gaps) - _GAPS} more reasons, see the JSON report"


def _strays(document: doc.Document, pen: _Pen) -> list[str]:
    """Findings and unanswered questions of no known node."""
    stray = doc.strays(document)
    lines = ["", *_table(stray, pen, SCREEN)] if stray else []
    known = {node["id"] for node in document["nodes"]}
    for node in dict.fromkeys(outcome["node"] for outcome in document["outcomes"]):
        if node not in known:
            lines += _gaps(document, node, pen)
    return lines


def _foot(document: doc.Document, pen: _Pen) -> Iterator[str]:
    yield ""
    questions = [question for question in document["questions"] if not _told(question, document)]
    if questions:
        yield pen.paint("label", f"OPEN QUESTIONS  {len(questions)}")
        for question in questions[:_SHOWN]:
            yield from ("  " + line for line in wrap(f"{question['question']} {question['why']}", pen.width - 2))
            yield from ("    " + _command(command, pen) for command in question["collect"][:_COMMANDS])
            if len(question["collect"]) > _COMMANDS:
                yield f"    and {len(question['collect']) - _COMMANDS} more, see the JSON report"
        if len(questions) > _SHOWN:
            yield f"  and {len(questions) - _SHOWN} more"
    problems = document["problems"]
    if problems:
        yield pen.paint("label", f"PROBLEMS  {len(problems)}") + "  input not read as it should"
        for problem in problems[:3]:
            where = f"{problem['path']}: " if problem["path"] else ""
            lost = f"; lost: {problem['lost']}" if problem["lost"] else ""
            yield from ("  " + line for line in wrap(f"{where}{problem['what']}{lost}", pen.width - 2))
        if len(problems) > 3:
            yield f"  and {len(problems) - 3} more"
    yield from (pen.paint("dim", line) for line in wrap(_coverage(document["coverage"]), pen.width))


def _told(question: dict[str, Any], document: doc.Document) -> bool:
    """True when the commands that answer it stand under CANNOT TELL already."""
    told = {
        missing["command"]
        for gap in doc.gaps(document, question["node"])[:_GAPS]
        for missing in gap.missing[:_COMMANDS]
    }
    return bool(question["collect"]) and told.issuperset(question["collect"])


def _coverage(coverage: dict[str, Any]) -> str:
    by_status = ", ".join(f"{number} {status}" for status, number in coverage["by_status"].items() if number)
    size = coverage["bytes"]
    share = f" ({100 * coverage['parsed_bytes'] / size:.1f}%)" if size else ""
    return (
        f"Coverage: {_count(coverage['artifacts'], 'artifact')} ({by_status or 'none'}); "
        f"{coverage['parsed_bytes']:,} of {size:,} bytes read{share}"
    )
