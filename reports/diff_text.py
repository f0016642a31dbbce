"""`diff` for people: what the kernel now does otherwise, first; then entries, facts and findings. Reads the diff
document only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.escape import visible
from reports.text import wrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_STYLES = {"newly-denied": "1;31", "newly-allowed": "1;33", "other-tier": "36"}
_SHOWN = 6
_INDENT = "      "


def render(document: dict[str, Any], *, color: bool = False, width: int = 100) -> str:
    """The diff document as text; SGR codes only when `color`."""
    lines = [_title(document), "", *wrap(document["summary"]["headline"], width)]
    for node in document["nodes"]:
        lines += ["", *_node(node)]
    for pod in document["pods"]:
        lines += ["", *_pod(pod, color=color, width=width)]
    lines += _alone(document)
    lines += _findings(document["findings"], width)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _title(document: dict[str, Any]) -> str:
    tool = document["tool"]
    names = [_name(document[side]) for side in ("before", "after")]
    return f"{visible(tool['name'])} {visible(tool['version'])} diff · {names[0]} → {names[1]}"


def _name(side: dict[str, Any]) -> str:
    shown = [visible(each["name"]) for each in side["inputs"] if each["name"]]
    until = f" (until {visible(side['observed_until'])})" if side["observed_until"] else ""
    return (", ".join(shown) or side["inputs"][0]["sha256"][:12] if side["inputs"] else "nothing") + until


def _node(node: dict[str, Any]) -> Iterator[str]:
    same = node["before"] == node["after"]
    pair = visible(node["before"]) if same else f"{visible(node['before'])} → {visible(node['after'])}"
    yield f"Node {pair} ({visible(node['why'])})"
    for fact in node["facts"]:
        yield f"  {visible(fact['fact'])}: {_value(fact['before'])} → {_value(fact['after'])}"


def _pod(pod: dict[str, Any], *, color: bool, width: int) -> Iterator[str]:
    old, new = pod["before"]["pod_identifier"], pod["after"]["pod_identifier"]
    yield visible(new) if old == new else f"{visible(old)} → {visible(new)}"
    for way in pod["directions"]:
        for line in way["lines"]:
            why = f" [{'; '.join(line['why'])}]" if line["why"] else ""
            head = f"  {way['direction']} "
            body = wrap(f"{line['text']}{why}", max(width - len(_INDENT), 30))
            yield head + _painted(line["kind"], color=color)
            yield from (_INDENT + text for text in body)
        for key, (before, after) in way["pod_state"].items():
            yield f"  {way['direction']} pod state key {visible(key)}: {_value(before)} → {_value(after)}"
        for note in way["notes"]:
            yield f"  {way['direction']}: {visible(note)}"
        if way["undecided"]:
            yield f"  {way['direction']}: cannot tell for {_some(way['undecided'])}: values are not known"
    for change in pod["maps"]:
        yield from _map(change)
    for what, names in pod["policies"].items():
        if names:
            yield f"  policies {what}: {_some(names)}"


def _map(change: dict[str, Any]) -> Iterator[str]:
    count = f"{_value(change['entries_before'])} → {_value(change['entries_after'])} entries"
    order = f", {change['reordered']} only written in another order" if change["reordered"] else ""
    yield f"  {visible(change['map'])}: {count}{order}"
    for sign, what in (("+", "added"), ("-", "removed")):
        for entry in change[what][:_SHOWN]:
            slots = "value not known" if entry["slots"] is None else _some(entry["slots"]) or "no rule"
            yield f"    {sign} {visible(entry['cidr'])}  {slots}"
        yield from _more(change[what], what)
    for entry in change["changed"][:_SHOWN]:
        parts = [f"-{text}" for text in entry["lost"]] + [f"+{text}" for text in entry["gained"]]
        yield f"    ~ {visible(entry['cidr'])}  {_some(parts)}"
    yield from _more(change["changed"], "changed")


def _more(entries: list[Any], what: str) -> Iterator[str]:
    if len(entries) > _SHOWN:
        yield f"      and {len(entries) - _SHOWN} more {what}"


def _alone(document: dict[str, Any]) -> Iterator[str]:
    for side in ("before", "after"):
        pods = [each["pod_identifier"] for each in document["unpaired_pods"][side]]
        if pods:
            yield ""
            yield f"Only {side}: {_some(pods)}"
        nodes = document["unpaired_nodes"][side]
        if nodes:
            yield f"Node only {side}: {_some(nodes)}"


def _findings(findings: dict[str, Any], width: int) -> Iterator[str]:
    rows = [(what, each) for what in ("appeared", "vanished", "changed") for each in findings[what]]
    if not rows:
        return
    yield ""
    yield f"Findings ({findings['stayed']} stayed as they were)"
    for what, each in rows:
        defect = f" ({each['defect']})" if each["defect"] else ""
        text = f"{what}: {each['severity']} {each['detector']}{defect} {each['title']}"
        for number, line in enumerate(wrap(text, width - 4)):
            yield ("  " if number == 0 else "    ") + line


def _painted(kind: str, *, color: bool) -> str:
    text = kind.upper() if kind == "newly-allowed" else kind
    return f"\x1b[{_STYLES[kind]}m{text}\x1b[0m" if color else text


def _value(value: Any) -> str:
    return "unknown" if value is None else visible(str(value))


def _some(texts: Iterable[str]) -> str:
    listed = list(texts)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(visible(text) for text in listed[:_SHOWN]) + more
