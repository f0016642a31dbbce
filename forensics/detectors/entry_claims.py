"""Claims about entries that a comparison found to differ: which rules they lack or hold, and what packets feel of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forensics.detectors import addresses
from forensics.entrydiff import CAUSES, CHANGED, EXTRA, MISSING, slot_texts
from forensics.fold import AGAINST_POLICY, LINES, Pods, fold, line_text, row
from forensics.keydiff import KeyDiff
from forensics.strides import cluster_text, namespace_text
from forensics.tierjudge import judge_cluster
from formats.address import key_of_cidr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from forensics.compare import Comparison
    from forensics.context import Context
    from forensics.entrydiff import EntryDifference
    from forensics.finding import Finding
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
_TITLES = {
    CHANGED: ("1 entry is not what the policies ask", "{} entries are not what the policies ask"),
    MISSING: ("1 address of the cluster policies missing", "{} addresses of the cluster policies missing"),
    EXTRA: ("1 stale entry that no cluster policy explains", "{} stale entries that no cluster policy explains"),
}


def claims(
    context: Context, compared: Comparison, detector: str, kind: str, tiers: Iterable[str] = ("namespace", _CLUSTER)
) -> list[Finding]:
    """One finding for each map; changed entries are told apart by their cause as well."""
    groups: dict[tuple[str, str], list[EntryDifference]] = {}
    # an entry that may be of the other tier is misplaced-tier-entry's question, whatever else is said of it
    cluster = context.dumped(f"cp_{compared.direction}_map")
    unclear = {entry.cidr for entry in judge_cluster(context, cluster).unclear} if cluster is not None else set()
    for each in compared.entries:
        if each.tier == _CLUSTER and each.cidr in unclear:
            continue
        if each.kind == kind and each.tier in tiers and each.cause != _CLAIMED:
            cause = each.cause or "unexplained"
            groups.setdefault((each.tier, cause if kind == CHANGED else ""), []).append(each)
    out: list[Finding] = []
    for (tier, cause), found in groups.items():
        state = context.dumped(f"{'cp_' if tier == _CLUSTER else ''}{compared.direction}_map")
        assert state is not None
        causes = {each.cause or "unexplained" for each in found}
        shared = cause or (causes.pop() if len(causes) == 1 else "unexplained")
        out.append(_finding(context, compared, detector, state, shared, found))
    return out


def _finding(
    context: Context, compared: Comparison, detector: str, state: MapState, cause: str, changed: list[EntryDifference]
) -> Finding:
    entries = [each.cidr for each in changed]
    charged = compared.charged(changed[0].tier, entries)
    pods = Pods(context.node.known_pods)
    lines = [(line.kind, line_text(line, pods)) for line in fold(_alike(charged), AGAINST_POLICY)]
    denied = [text for kind, text in lines if kind == AGAINST_POLICY.denied]
    allowed = [text for kind, text in lines if kind == AGAINST_POLICY.allowed]
    number = CAUSES[cause].defect
    result = addresses.base(context, KeyDiff(state), detector, entries, number)
    name = context.full_name(state)
    one, many = _TITLES[changed[0].kind]
    result.title = f"{name}: {one if len(changed) == 1 else many.format(len(changed))}"
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
    result.alternatives = _alternatives(context, state, cause, changed[0].kind)
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
    return [each._replace(causes=()) for each in charged]


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
    return out + addresses.verdict_sentences(denied, allowed)


def _entry_text(context: Context, each: EntryDifference) -> str:
    who = context.who(each.cidr)
    if each.kind == MISSING:
        return f"The policies ask {_some(each.wanted)} for {who}, which is missing."
    if each.kind == EXTRA:
        return f"{who} holds {_some(each.gained)}, and no policy lists it."
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
        entry, mine = places.get(each.cidr), by_entry.get(each.cidr, [])
        value = state.value(entry.row) if entry is not None else None
        numbers = [number for slot in each.wanted for number in slot]
        sure = [True] * len(numbers)
        if entry is not None:
            numbers, sure = words[entry.row].tolist(), known[entry.row].tolist()
        lines = fold(_alike(mine), AGAINST_POLICY, _EFFECTS)
        yield {
            "cidr": each.cidr,
            "map": state.name,
            "key_hex": (entry.key if entry is not None else key_of_cidr(each.cidr)).hex(),
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


def _alternatives(context: Context, state: MapState, cause: str, kind: str) -> list[dict[str, str]]:
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
    if kind == EXTRA:
        why = f"{context.intent.cluster_known.why}; collect all of them to rule it out"
        out.append({"explanation": "a cluster policy that is not in the input asks for it", "why_not": why})
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
    there = [each.cidr for each in changed if each.cidr in rows][: addresses.CITED]
    out = [context.cite_entry(state, rows[cidr], f"{cidr} in {name}") for cidr in there]
    if len(there) < min(len(changed), addresses.CITED):
        out.append(context.cite_dump(state, f"{name} as dumped"))
    asked = [each.expected for each in changed if each.expected is not None]
    names = {f"{s.namespace}/{s.endpoint}" if s.namespace else s.endpoint for each in asked for s in each.sources}
    out += context.cite_policies(sorted(names), f"asks for {', '.join(each.cidr for each in changed[:4])}")[:4]
    event = context.node.story.last("slot-overflow") if cause == "overflow" else None
    if event is not None:
        out.append(context.cite_event(event, "the agent says that it drops rules"))
    return out
