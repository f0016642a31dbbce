"""The comparison of a pod identifier as plain JSON values: all of it for machines, ten lines of it for people.

A line of traffic is a shortfall where only entries are in its way that the agent leaves so itself (overflow,
collision, a rule that the version skips), and a deviation everywhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forensics.comparable import NotComparable
from forensics.intent import DIRECTIONS

if TYPE_CHECKING:
    from forensics.compare import Comparison
    from forensics.context import Context
    from forensics.fold import Line, Pods

_SIDES = ("kernel", "policy")


def comparison_rows(context: Context) -> dict[str, Any]:
    """{direction: compared or not}, both directions always there."""
    if context.pod.superseded_by is not None:
        why = f"these maps are orphans and enforce nothing: {context.pod.superseded_by} is in force"
        return dict.fromkeys(DIRECTIONS, NotComparable(why, ()).as_json())
    return {direction: _row(context, context.comparison(direction)) for direction in DIRECTIONS}


def _row(context: Context, found: Comparison | NotComparable) -> dict[str, Any]:
    if isinstance(found, NotComparable):
        return found.as_json()
    states = {
        name: {str(key): value for key, value in sorted(state.items())}
        for name, state in zip(_SIDES, found.pod_states, strict=True)
    }
    told: dict[str, Any] = {
        "compared": True,
        "same": found.same,
        "lines": [],
        "entries": [],
        "traffic": [],
        "undecided": [],
        "pod_state": states,
        "assumptions": found.assumptions,
    }
    return told if found.same else told | _differing(context, found)


def _differing(context: Context, found: Comparison) -> dict[str, Any]:
    from forensics.fold import AGAINST_POLICY, Pods, fold, row
    from forensics.partition import texts

    pods = Pods(context.node.known_pods)
    by_agent = {each.cause for each in found.shortfalls} - {each.cause for each in found.deviations}
    lines = [_line(line, pods, by_agent) for line in fold(found.differences, AGAINST_POLICY)]
    return {
        "lines": sorted(lines, key=lambda line: bool(line["shortfall"])),
        "entries": [each.as_json() for each in (*found.deviations, *found.shortfalls)],
        "traffic": [row(each, AGAINST_POLICY, _SIDES, pods) for each in found.differences],
        "undecided": texts(found.compared.undecided, found.family),
    }


def _line(line: Line, pods: Pods, by_agent: set[str | None]) -> dict[str, Any]:
    from forensics.entrydiff import CAUSES
    from forensics.fold import line_text

    return {
        "kind": line.kind,
        "text": line_text(line, pods),
        "pods": pods.behind(line.peers, line.family),
        "why": [CAUSES[each].title for each in line.causes] or ["no entry that differs is in the way"],
        "shortfall": bool(line.causes) and by_agent.issuperset(line.causes),
    }
