"""changed-entry: an entry that is there and does not hold what the policies ask for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from forensics import collect
from forensics.compare import CHANGED, NotComparable, compare
from forensics.detectors import addresses, restart_aliasing
from forensics.detectors.base import Detector
from forensics.entrydiff import CAUSES, slot_texts
from forensics.finding import Answer, Finding, Missing, cannot_tell, clean, found
from forensics.fold import AGAINST_POLICY, LINES, Pods, fold, line_text, row
from forensics.generations import generation_of
from forensics.intent import DIRECTIONS
from forensics.keydiff import KeyDiff
from forensics.strides import cluster_text, namespace_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forensics.compare import Comparison
    from forensics.context import Context
    from forensics.entrydiff import EntryDifference
    from forensics.podstate import MapState
    from forensics.semantics import Difference

#: Slots named in a sentence.
_NAMED = 12
#: Lines of effect told for one entry.
_EFFECTS = 3
_NO_EFFECT = "no packet is treated differently from what the policies ask"
#: What another detector claims: misplaced-tier-entry.
_CLAIMED = "other-tier"
_CLUSTER = "cluster"


def run(context: Context) -> Answer:
    """Compare the slots of every entry of the four rule maps with what the policies ask."""
    findings: list[Finding] = []
    missing: list[Missing] = []
    reasons: list[str] = []
    for direction in DIRECTIONS:
        for name in (f"{direction}_map", f"cp_{direction}_map"):
            why, lacking = _unreadable(context, name)
            reasons += why
            missing += lacking
        compared = compare(context, direction)
        if isinstance(compared, NotComparable):
            if not _all_empty(context, direction):
                reasons.append(compared.why)
                missing += compared.missing
            continue
        findings += _findings(context, compared)
    if findings:
        return found(findings)
    if reasons:
        return cannot_tell("; ".join(dict.fromkeys(reasons)), *dict.fromkeys(missing))
    return clean("every entry shown holds what the policies ask, or what the agent may make of it")


def _unreadable(context: Context, name: str) -> tuple[list[str], list[Missing]]:
    """Why the entries of a map cannot be judged, and what would help."""
    state = context.dumped(name)
    if state is None:
        if name.startswith("cp_") and not generation_of(context.intent.version).generation.tiers:
            return [], []
        return [f"no dump of {name}"], [collect.map_dump(context, name)]
    if any(not entry.known for entry in state.entries):
        return [f"{name}: the values of some entries are not shown"], [collect.map_dump(context, name)]
    if state.tier == _CLUSTER and state.entries and not context.intent.cluster_known.yes:
        return [context.intent.cluster_known.why], [collect.CLUSTER_POLICIES]
    return [], []


def _all_empty(context: Context, direction: str) -> bool:
    states = [context.dumped(name) for name in (f"{direction}_map", f"cp_{direction}_map")]
    return all(state is None or (state.whole and not state.entries) for state in states)


def _findings(context: Context, compared: Comparison) -> list[Finding]:
    """One finding for each map and cause."""
    groups: dict[tuple[str, str], list[EntryDifference]] = {}
    for each in compared.entries:
        if each.kind == CHANGED and each.cause != _CLAIMED:
            groups.setdefault((each.tier, each.cause or "unexplained"), []).append(each)
    out: list[Finding] = []
    for (tier, cause), changed in groups.items():
        state = context.dumped(f"{'cp_' if tier == _CLUSTER else ''}{compared.direction}_map")
        assert state is not None
        out.append(_finding(context, compared, state, cause, changed))
    return out


def _finding(
    context: Context, compared: Comparison, state: MapState, cause: str, changed: list[EntryDifference]
) -> Finding:
    entries = [each.cidr for each in changed]
    charged = compared.charged(changed[0].tier, entries)
    pods = Pods(context.node.known_pods)
    lines = [(line.kind, line_text(line, pods)) for line in fold(_alike(charged), AGAINST_POLICY)]
    denied = [text for kind, text in lines if kind == AGAINST_POLICY.denied]
    allowed = [text for kind, text in lines if kind == AGAINST_POLICY.allowed]
    number = CAUSES[cause].defect
    result = addresses.base(context, KeyDiff(state), DETECTOR.id, entries, number)
    name = context.full_name(state)
    result.title = f"{name}: {_count(changed)} not what the policies ask"
    result.severity = "high" if denied or allowed else "low"
    result.summary = " ".join(_sentences(context, state, cause, changed, denied, allowed))
    result.impact = addresses.impact_text(denied, allowed)
    result.details = {
        "entries": list(_rows(context, state, changed, charged)),
        "wrongly_denied": denied,
        "wrongly_allowed": allowed,
        "cause": CAUSES[cause].title,
        "traffic": [row(each, AGAINST_POLICY, ("kernel", "policy"), pods) for each in charged[: 10 * LINES]],
    }
    result.alternatives = _alternatives(context, state, cause)
    result.evidence = _evidence(context, state, cause, changed) + result.evidence[1:]
    if number is None and cause == "unexplained":
        result.mechanism = (
            "The agent compares with its own memory and not with the kernel, so an entry that was changed behind it "
            "(bpftool, a second agent) stays as it is."
        )
    if cause == "drift":
        addresses.drift_note(result, KeyDiff(state))
    return result


def _alike(charged: list[Difference]) -> list[Difference]:
    """Without the entries' names, so that equal traffic of several entries is one line."""
    return [replace(each, causes=()) for each in charged]


def _count(changed: list[EntryDifference]) -> str:
    return "1 entry is" if len(changed) == 1 else f"{len(changed)} entries are"


def _sentences(
    context: Context,
    state: MapState,
    cause: str,
    changed: list[EntryDifference],
    denied: list[str],
    allowed: list[str],
) -> list[str]:
    out = [_entry_text(context, each) for each in changed[:4]]
    if len(changed) > len(out):
        out.append(f"And {len(changed) - len(out)} more entries.")
    out.append(f"Why: {CAUSES[cause].title}.")
    if denied:
        out.append(f"The kernel wrongly denies {'; '.join(denied[:4])}.")
    if allowed:
        out.append(f"The kernel WRONGLY ALLOWS {'; '.join(allowed[:4])}.")
    if not denied and not allowed:
        out.append("No verdict differs from what the policies ask at the moment.")
    return out


def _entry_text(context: Context, each: EntryDifference) -> str:
    who = context.who(each.cidr)
    if each.lost and not each.gained:
        return f"{who} lacks {_some(each.lost)} of the {len(each.wanted)} rules the policies ask."
    if each.gained and not each.lost:
        return f"{who} holds {_some(each.gained)}, which no policy asks."
    return f"{who} holds {_some(each.gained)} and lacks {_some(each.lost)}."


def _some(slots: tuple[tuple[int, ...], ...]) -> str:
    texts = slot_texts(slots)
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return ", ".join(texts[:_NAMED]) + more


def _rows(
    context: Context, state: MapState, changed: list[EntryDifference], charged: list[Difference]
) -> Iterator[dict[str, Any]]:
    words, known = state.words()
    places = {entry.cidr: entry for entry in state.entries}
    by_entry: dict[str, list[Difference]] = {}
    for difference in charged:
        for cidr in difference.causes:
            by_entry.setdefault(cidr, []).append(difference)
    pods = Pods(context.node.known_pods)
    cluster = state.tier == _CLUSTER
    for each in changed:
        entry, mine = places[each.cidr], by_entry.get(each.cidr, [])
        value = state.value(entry.row)
        numbers, sure = words[entry.row].tolist(), known[entry.row].tolist()
        lines = fold(_alike(mine), AGAINST_POLICY, _EFFECTS)
        yield {
            "cidr": each.cidr,
            "map": state.name,
            "key_hex": entry.key.hex(),
            "value_hex": value.hex() if value is not None else None,
            "boundary": None,
            "as_namespace": [] if cluster else namespace_text(numbers, sure),
            "as_cluster": cluster_text(numbers, sure) if cluster else [],
            "trailing": None,
            "effect": "; ".join(f"{line.kind} {line_text(line, pods)}" for line in lines) or _NO_EFFECT,
            "lost": slot_texts(each.lost),
            "gained": slot_texts(each.gained),
            "wanted": len(each.wanted),
        }


def _alternatives(context: Context, state: MapState, cause: str) -> list[dict[str, str]]:
    out = [
        {
            "explanation": "the policies are younger than the dump",
            "why_not": "they are: this is drift"
            if cause == "drift"
            else "the policies are not newer than the last sign of life in the bundle",
        }
    ]
    raw = state.view is not None and state.view.raw
    why = "the dump has the bytes of every value" if raw else "the text form prints every slot that is in use"
    out.append({"explanation": "the dump was cut or read wrongly", "why_not": why})
    if cause == "overflow":
        out.append(
            {
                "explanation": "somebody changed the entry behind the agent",
                "why_not": "all its slots are taken, and by rules of the policies only: that is what the agent leaves",
            }
        )
    return out


def _evidence(context: Context, state: MapState, cause: str, changed: list[EntryDifference]) -> list[Any]:
    name = context.full_name(state)
    rows = {entry.cidr: entry.row for entry in state.entries}
    out = [context.cite_entry(state, rows[each.cidr], f"{each.cidr} in {name}") for each in changed[: addresses.CITED]]
    asked = [each.expected for each in changed if each.expected is not None]
    names = {f"{s.namespace}/{s.endpoint}" if s.namespace else s.endpoint for each in asked for s in each.sources}
    out += context.cite_policies(sorted(names), f"asks for {', '.join(each.cidr for each in changed[:4])}")[:4]
    event = context.node.story.last("slot-overflow") if cause == "overflow" else None
    if event is not None:
        out.append(context.cite_event(event, "the agent says that it drops rules"))
    return out


DETECTOR = Detector(
    id="changed-entry",
    title="Entries that do not hold what the policies ask",
    about=(
        "Entries of the rule maps whose slots are none that the agent may have written, or that lack rules the "
        "policies ask: more rules than slots, spellings of one network on one key. Names the lost slots and the exact "
        "traffic that is treated differently."
    ),
    needs=("dumps of the rule maps with their values", "PolicyEndpoints", "ClusterPolicyEndpoints"),
    run=run,
    defects=(restart_aliasing.DEFECT, "KB-102", "KB-106", "KB-111"),
)
