"""What happened when, on every node: restarts, recoveries, writes that went astray, policies written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forensics.case import Case, Node
    from forensics.engine import Judged
    from forensics.log_events import Event

#: Events that tell a node's story by themselves -> how they read.
_TOLD = {
    "agent-start": "the agent starts",
    "probes-recovered": "pinned programs and maps are recovered",
    "probe-change": "the probe files changed: programs and maps are loaded anew",
    "recovery-failed": "the recovery of pinned programs fails",
    "slot-overflow": "more than 24 rules for one address: the rest is dropped",
    "pin-migrated": "a pin is renamed to the new identifier form",
    "conntrack-size": "the conntrack map is sized",
    "prog-load-failed": "a program does not load",
    "panic": "the agent panics",
}
#: A log can hold a story of thousands of lines; the document keeps this many, the first ones and the last.
LIMIT = 400


def timeline(case: Case, judged: Judged) -> list[dict[str, Any]]:
    """Rows in time order, node by node where times are equal."""
    rows: list[tuple[int, int, dict[str, Any]]] = []
    for node in case.nodes:
        for event in node.story.events.named(*_TOLD):
            rows.append(_row(node, event, event.name, _TOLD[event.name], None, len(rows)))
        rows += _writes(node, len(rows))
    rows.sort(key=lambda row: row[:2])
    kept = rows if len(rows) <= LIMIT else rows[: LIMIT // 2] + rows[-LIMIT // 2 :]
    return [row for *_, row in kept]


def _writes(node: Node, offset: int) -> list[tuple[int, int, dict[str, Any]]]:
    owners = {
        state.map_id: (pod.identifier, state.name)
        for pod in node.pods.values()
        for state in pod.maps.values()
        if state.tier is not None and state.map_id is not None
    }
    rows: list[tuple[int, int, dict[str, Any]]] = []
    for write in node.story.writes:
        if write.map_id not in owners or write.write is None:
            continue
        identifier, name = owners[write.map_id]
        astray = write.said in ("ingress_map", "egress_map") and name.startswith("cp_")
        if not astray and not write.updated and not write.deleted:
            continue
        count = f", {write.updated} entries written, {write.deleted} deleted" if write.updated is not None else ""
        where = f"in {name} (map ID {write.map_id})" if astray else f"(map ID {write.map_id})"
        text = f"{write.said} of {identifier} is updated {where}{count}"
        slug = "misdirected-write" if astray else "map-write"
        rows.append(_row(node, write.write, slug, text, identifier, offset + len(rows)))
    return rows


def _row(
    node: Node, event: Event, name: str, text: str, identifier: str | None, number: int
) -> tuple[int, int, dict[str, Any]]:
    span = event.record.span
    return (
        event.utc_ns or 0,
        number,
        {
            "ts": event.get("ts"),
            "utc": utc_text(event.utc_ns),
            "node": node.id,
            "pod_identifier": identifier,
            "event": name,
            "text": text,
            "artifact": event.artifact.id,
            "line": span.first_line,
        },
    )


def utc_text(nanoseconds: int | None) -> str | None:
    """RFC 3339 with milliseconds, UTC; None for no time."""
    if nanoseconds is None:
        return None
    moment = datetime.fromtimestamp(nanoseconds / 1e9, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{nanoseconds // 1_000_000 % 1000:03d}Z"
