"""`decode` for people: every record of every artifact as a line, rule maps as a table of entries and slots."""

from __future__ import annotations

from typing import Any

from reports.escape import visible

_SKIPPED = ("kind", "lines", "map_id", "map_name", "key_hex", "value_hex", "value_size", "notes", "object")


def table(decoded: dict[str, Any], *, width: int = 100) -> str:
    """The decoded artifacts (`decode --format json`) as text; nothing recognised is said as well."""
    lines: list[str] = []
    for artifact in decoded["artifacts"]:
        lines += _artifact(artifact, width)
    for problem in decoded.get("problems", []):
        lines.append(f"problem: {visible(problem['what'])}")
    return "\n".join(lines) + "\n"


def _artifact(artifact: dict[str, Any], width: int) -> list[str]:
    names = ", ".join(artifact["formats"]) or "not recognised"
    lines = [f"{visible(artifact['path'])}: {names}" + (f" ({visible(artifact['why'])})" if artifact["why"] else "")]
    for record in artifact["records"]:
        lines += _record(record, width)
    for problem in artifact["problems"]:
        where = f" (line {problem['lines'][0]})" if problem.get("lines") else ""
        lines.append(f"  problem{where}: {visible(problem['what'])}")
    lines += [f"  note: {visible(note)}" for note in artifact.get("notes", [])]
    if not artifact["records"] and not artifact["problems"] and artifact["formats"]:
        lines.append("  no record")
    return lines


def _record(record: dict[str, Any], width: int) -> list[str]:
    kind = record["kind"]
    if kind == "map_dump":
        return [_dump(record)]
    if kind == "map_entry":
        return _entry(record)
    fields = [f"{key}={_value(value)}" for key, value in record.items() if key not in _SKIPPED and value is not None]
    line = f"  {kind:<16} {' '.join(fields)}"
    return [line if len(line) <= width * 2 else line[: width * 2 - 3] + "..."]


def _dump(record: dict[str, Any]) -> str:
    name = record["map_name"] or "map"
    number = f" id {record['map_id']}" if record["map_id"] is not None else ""
    hidden = f", {record['hidden']} more not shown" if record["hidden"] else ""
    end = "" if record["complete"] else ", end not seen"
    size = f", values of {record['value_size']} bytes" if record["value_size"] else ""
    return f"  {visible(name)}{number}: {record['shown']} entries{hidden}{size}{end}"


def _entry(record: dict[str, Any]) -> list[str]:
    cidr = record["cidr"] or record["key_hex"]
    slots = record["slots"]
    if slots is None:
        return [f"    {cidr:<22} value not known"]
    if not slots:
        return [f"    {cidr:<22} no rule"]
    rows = []
    for number, slot in enumerate(slots):
        ports = _ports(slot["start_port"], slot["end_port"])
        rule = f"slot {slot['slot']:>2}  {slot['protocol']!s:<8} {ports}"
        if "priority" in slot:
            rule += f"  priority {slot['priority']} {_action(slot['action'])}"
        rows.append(f"    {cidr if number == 0 else '':<22} {rule}")
    return rows


def _ports(start: int, end: int) -> str:
    if start == 0:
        return "any port" if not end else f"any port (end {end})"
    return f"port {start}" if not end or end == start else f"ports {start}-{end}"


def _action(action: int) -> str:
    return {0: "DENY", 1: "ALLOW", 2: "PASS"}.get(action, f"undefined action {action}")


def _value(value: Any) -> str:
    text = str(value)
    return visible(text) if text and " " not in text else repr(visible(text))
