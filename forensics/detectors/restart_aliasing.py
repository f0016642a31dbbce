"""KB-101 in one case: when it began, and the log lines that prove it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forensics.context import Context
    from forensics.evidence import Citation
    from forensics.podstate import MapState

DEFECT = "KB-101"
CAUSE = "restart-aliasing"


def evidence(context: Context, state: MapState) -> list[Citation]:
    """The log lines that prove it: the recovery, whose map the ID is, and the first write that went astray."""
    out: list[Citation] = []
    writes = context.misdirected(state)
    if not writes or writes[0].write is None:
        return out
    story, first = context.node.story, writes[0]
    begun = writes[0].write.utc_ns or 0
    restarts = [event for event in story.recoveries if (event.utc_ns or 0) <= begun]
    if restarts:
        note = f"the agent restarted and recovered {restarts[-1].get('count')} pinned programs and maps"
        out.append(context.cite_event(restarts[-1], note))
    identity = story.identities.get(state.map_id or -1)
    if identity is not None:
        out.append(context.cite_event(identity.event, f"map ID {state.map_id} is {context.full_name(state)}"))
    out.append(context.cite_event(first.begin, f"the agent says it updates {first.said} ..."))
    out.append(context.cite_event(writes[0].write, f"... and updates map ID {first.map_id}, which is {state.name}"))
    failed = next((write for write in writes if write.failed_deletes and write.result is not None), None)
    if failed is not None and failed.result is not None:
        note = f"{failed.failed_deletes} deletes failed: the keys are not in this map, they stay in the namespace map"
        out.append(context.cite_event(failed.result, note))
    return out


def since(context: Context, state: MapState) -> str | None:
    """Time of the first write that went to the wrong map and changed it, as logged; None when no log shows it."""
    writes = context.misdirected(state)
    changed = [write for write in writes if write.updated != 0] or writes
    event = changed[0].write if changed else None
    return str(event.get("ts")) if event is not None else None
