"""What happened when, on every node: restarts, recoveries, writes that went astray, policies written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forensics.case import Case, Node
    from forensics.engine import Judged
    from forensics.logstory import Event

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
        for event in node.story.events:
            if event.name in _TOLD:
                rows.append(_row(node, event, event.name, _TOLD[event.name], None, len(rows)))
        rows += _strays(node, len(rows))
    rows.sort(key=lambda row: row[:2])
    kept = rows if len(rows) <= LIMIT else rows[: LIMIT // 2] + rows[-LIMIT // 2 :]
    return [row for *_, row in kept]


def _strays(node: Node, offset: int) -> list[tuple[int, int, dict[str, Any]]]:
    cluster = {
        state.map_id: (pod.identifier, state.name)
        for pod in node.pods.values()
        for state in pod.maps.values()
        if state.tier == "cluster" and state.map_id is not None
    }
    rows: list[tuple[int, int, dict[str, Any]]] = []
    for write in node.story.writes:
        if write.map_id not in cluster or write.said not in ("ingress_map", "egress_map") or write.write is None:
            continue
        identifier, name = cluster[write.map_id]
        count = f", {write.updated} entries written" if write.updated is not None else ""
        text = f"{write.said} of {identifier} is updated in {name} (map ID {write.map_id}){count}"
        rows.append(_row(node, write.write, "misdirected-write", text, identifier, offset + len(rows)))
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
