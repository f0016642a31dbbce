"""unexplained-flow: flow lines of the agent's log that the captured maps do not explain, or explain only by corruption."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forensics import collect
from forensics.detectors.base import Detector
from forensics.evidence import cite
from forensics.finding import Answer, Finding, cannot_tell, clean, found, not_applicable
from forensics.replay_examples import LISTED, NAMED

if TYPE_CHECKING:
    from forensics.context import Context
    from forensics.flow_rows import FlowRows
    from forensics.policy_rules import Direction
    from forensics.replay import Replay

_CITED = 12
_DIRECTIONS: tuple[Direction, ...] = ("ingress", "egress")
#: A misplaced entry's map -> the cause that its own finding has.
_CAUSES = {"cp_ingress_map": "restart-aliasing", "cp_egress_map": "restart-aliasing"}
_NAMESPACE_CAUSE = "cluster-rules-at-pod-start"


def run(context: Context) -> Answer:
    """Replay the flow lines of the identifier's pods against its captured maps."""
    if not any(artifact.flows for artifact in context.node.group.own):
        return _unlogged(context)
    if context.pod.superseded_by is not None:
        return not_applicable(f"its programs are replaced by those of {context.pod.superseded_by}")
    from forensics.replay import addresses_of, replay

    if not addresses_of(context):
        return cannot_tell("no pod of it on this node is known by address", collect.PODS)
    flows = context.neighbours.flows
    replays = [replay(context, flows, direction) for direction in _DIRECTIONS]
    findings = [_finding(context, flows, each) for each in replays if len(each)]
    if findings:
        return found(findings)
    missing = dict.fromkeys(need for each in replays for need in each.missing)
    if missing:
        return cannot_tell("flow lines cannot be replayed: maps were not dumped", *missing)
    total = sum(each.total for each in replays)
    if not total:
        return clean(f"no flow line is of its pods{_strays(flows)}")
    return clean(f"flow lines replayed: {total}, each as the maps say{_strays(flows)}.{_denied_text(replays)}")


def _strays(flows: FlowRows) -> str:
    return f"; lines of the node's log that are of no pod known here: {flows.strays}" if flows.strays else ""


def _unlogged(context: Context) -> Answer:
    """No flow line at all: off by default, or no log."""
    node = context.node
    if not node.story.events and node.story.first_ts is None:
        return cannot_tell("no agent log is in the input", collect.AGENT_LOG)
    flag = node.facts.flag("enable-policy-event-logs")
    event = node.story.last("event-logging")
    stated = str(flag).lower() == "true" if flag is not None else bool(event.get("enabled")) if event else None
    if stated:
        return clean("flow logging is on and the log has no flow line")
    if stated is False:
        return not_applicable(f"flow logging is off; to turn it on: {collect.FLOW_LOGS.command}")
    return cannot_tell("no flow line is in the agent's log: flow logging is off by default", collect.FLOW_LOGS)


def _finding(context: Context, flows: FlowRows, replay: Replay) -> Finding:
    from forensics.replay_classes import CLASSES
    from forensics.replay_reasons import CORRUPTION, REASONS, UNKNOWN

    counts = replay.counts
    corrupt, unknown = counts.get(CORRUPTION, 0), counts.get(UNKNOWN, 0)
    order = replay.worst_first.tolist()
    shown = [replay.line(row) for row in order[:LISTED]]
    name = f"{context.pod.identifier} {replay.direction}"
    listed = len(replay)
    lines = "1 flow line" if listed == 1 else f"{listed} flow lines"
    told = "; ".join(f"{count} {reason} ({REASONS[reason]})" for reason, count in _in_order(counts, REASONS))
    result = Finding(
        detector=DETECTOR.id,
        severity="medium" if corrupt else "low" if unknown else "info",
        confidence="certain" if corrupt else "medium",
        node=context.node.id,
        pod_identifier=context.pod.identifier,
        pods=context.pod.titles(),
        map=None,
        entries=[],
        title=f"{name}: {lines} of {replay.total} {_claim(corrupt, listed)}",
        summary=f"{lines} of {replay.total} replayed: {told}.{_denied_text([replay])}",
        mechanism=(
            "Every logged flow is held against the answer of the tc program over the captured maps. "
            "A line that differs was written under other maps, or something changed the maps without the log."
        ),
        impact=_impact(replay, order, corrupt),
        remedy=_remedy(context, corrupt, unknown),
        references=[],
        alternatives=[
            {
                "explanation": "the line belongs to a pod that had the address before",
                "why_not": "cannot be ruled out where addresses were used again",
            }
        ],
        until=context.node.observed_until,
        details={
            "direction": replay.direction,
            "replayed": replay.total,
            "listed": listed,
            "strays": flows.strays,
            "counts": counts,
            "denied": [
                {"class": kind, "meaning": CLASSES[kind], "lines": count}
                for kind, count in _in_order(replay.denied, CLASSES)
            ],
            "flows": [_flow(flows, row) for row in shown],
        },
    )
    for row in shown[:_CITED]:
        result.evidence.append(cite(flows.artifact(row["batch"]), row["span"], f"{_line(row)}: {row['why']}"))
    result.since = replay.since
    if corrupt:
        result.cause = _CAUSES.get(shown[0]["map"], _NAMESPACE_CAUSE)
    return result


def _claim(corrupt: int, listed: int) -> str:
    if corrupt == listed:
        return "decided by entries of the wrong tier"
    return "not explained by the captured maps"


def _flow(flows: FlowRows, row: dict[str, Any]) -> dict[str, Any]:
    """One listed line as JSON values."""
    span = row["span"]
    return {
        "ts": row["ts"],
        "src": row["src"],
        "sport": row["sport"],
        "dst": row["dst"],
        "dport": row["dport"],
        "protocol": row["protocol"],
        "verdict": row["verdict"],
        "tier": row["tier"],
        "captured": {"verdict": row["action"], "tier": row["tier_now"], "map": row["map"], "cidr": row["cidr"]},
        "policy": row["policy"],
        "reason": row["why"],
        "class": row["class"],
        "artifact": flows.artifact(row["batch"]).id,
        "lines": [span.first_line, span.last_line],
    }


def _line(row: dict[str, Any]) -> str:
    return f"{row['src']} -> {row['dst']} {row['protocol']} {row['dport']} {row['verdict']}"


def _impact(replay: Replay, order: list[int], corrupt: int) -> str:
    if not corrupt or replay.listed is None:
        return "None by itself: the lines tell of other maps than those captured."
    lines: dict[str, None] = {}
    for row in order:
        if len(lines) == NAMED:
            break
        if replay.listed.misplaced[row]:
            lines[_line(replay.line(row))] = None
    return "Traffic that really met the misplaced entries:\n" + "\n".join(lines)


def _remedy(context: Context, corrupt: int, unknown: int) -> str:
    if corrupt:
        return "Mend the misplaced entries: see the misplaced-tier-entry finding of these pods."
    if not unknown:
        return "Nothing to mend. To compare like with like, dump the maps and copy the log in one go."
    command = collect.map_dump(context, "ingress_map").command.split(" > ")[0]
    return (
        f"Dump the maps again and compare; if they still differ, something writes them behind the agent.\n$ {command}"
    )


def _denied_text(replays: list[Replay]) -> str:
    from forensics.replay_classes import CLASSES

    totals: dict[str, int] = {}
    for each in replays:
        for kind, count in each.denied.items():
            totals[kind] = totals.get(kind, 0) + count
    told = ", ".join(f"{count} {kind}" for kind, count in _in_order(totals, CLASSES))
    return f" Denied: {told}." if told else ""


def _in_order(counts: dict[str, int], order: dict[str, str]) -> list[tuple[str, int]]:
    return [(name, counts[name]) for name in order if counts.get(name)]


DETECTOR = Detector(
    id="unexplained-flow",
    title="Flow lines that the captured maps do not explain",
    about=(
        "Every flow line of the agent's log is replayed against the captured maps of its pod. Lines with another verdict "
        "or tier are listed with the reason; lines that only a misplaced entry explains are traffic that met corruption. "
        "Denials are counted by kind: real block, reply without conntrack, late packet, service address, node address, "
        "port not in the rule, against the policy."
    ),
    needs=(
        "flow lines (policy event logging)",
        "dumps of the rule maps and pod states",
        "the node's pods with addresses",
    ),
    run=run,
)
