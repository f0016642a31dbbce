"""Why the kernel's verdict is not what the policies ask: the entry at fault and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forensics.keydiff import changed_after_dump
from forensics.ruleset import namespace_slots
from forensics.strides import namespace_text
from forensics.tierjudge import judge_cluster, judge_namespace
from formats.address import cidr_of_key
from formats.layouts import POD_STATE_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forensics.context import Context
    from forensics.datapath import Verdict
    from forensics.finding import Finding
    from forensics.podstate import MapState
    from forensics.policy_rules import Direction

NOTHING = "Nothing differs: the kernel does what the policies ask"
_NOT_OF_MAPS = "unexplained-flow"
_MATCHED_REPLY = "The packet answers a tracked flow: replies pass without a look at any rule, as they should"
_SLOTS = 24


class Compared(NamedTuple):
    """The kernel's answer beside the policies', for one packet of one pod identifier and direction."""

    context: Context
    direction: Direction
    kernel: Verdict
    policy: Verdict


def differs(compared: Compared) -> bool:
    """Whether the kernel does something else with the packet than the policies ask. A reply is no new flow."""
    if compared.kernel.matched.reason == "conntrack-reverse":
        return False
    return compared.kernel.action != compared.policy.action


def why(compared: Compared, findings: list[Finding]) -> str:
    """One paragraph. `findings` are those of the engine."""
    kernel, policy = compared.kernel, compared.policy
    if kernel.matched.reason == "conntrack-reverse":
        return _MATCHED_REPLY
    same_way = (kernel.action, kernel.tier) == (policy.action, policy.tier)
    if same_way or kernel.matched.reason == "unread":
        return NOTHING
    parts = list(_causes(compared))
    if kernel.action == policy.action:
        tracked = kernel.matched.reason == "conntrack-forward"
        parts = [] if tracked else parts
        parts.insert(0, "the verdict is what the policies ask" + ("" if tracked else ", another tier gives it"))
    if changed_after_dump(compared.context) and parts:
        parts.append("a policy of the pod was written after the last sign of life in the input: this may be drift")
    parts.append(_named(compared, findings))
    return ". ".join(part[0].upper() + part[1:] for part in parts if part)


def _causes(compared: Compared) -> Iterator[str]:
    kernel, context = compared.kernel.matched, compared.context
    reason = kernel.reason
    if reason == "pod-state-missing":
        keys = context.pod.state_of(compared.direction) or {}
        lost = ", ".join(str(key) for key in (0, 1) if key not in keys)
        yield f"the pod state map lacks key {lost}: the program drops every packet before it looks at a rule"
    elif reason == "conntrack-forward":
        yield "the flow is tracked: it was allowed when it began, and tracked flows are not judged again"
    elif reason.startswith(("admin", "baseline")):
        yield from _cluster_entry(compared)
        yield from _namespace_entry(compared)
    elif compared.policy.matched.reason.startswith(("admin", "baseline")):
        yield _lacking_cluster_entry(compared)
        yield from _cluster_rules_here(compared)
    elif reason.startswith("default"):
        yield from _pod_state(compared)
        yield from _namespace_entry(compared)
    else:
        yield from _namespace_entry(compared)


def _cluster_entry(compared: Compared) -> Iterator[str]:
    context, direction = compared.context, compared.direction
    state = context.dumped(f"cp_{direction}_map")
    cidr = _cidr(compared.kernel.matched.cluster_key)
    if state is None or cidr is None:
        return
    name = context.full_name(state)
    if any(item.entry.cidr == cidr for item in judge_cluster(context, state).misplaced):
        rules = _as_namespace(state, cidr)
        yield f"misplaced entry: {cidr} in {name} was written as namespace rules ({rules}) and is read as cluster rules"
    elif cidr not in context.intent.expected(direction, ideal=True).cluster.entries:
        known = context.intent.cluster_known
        origin = "no cluster policy asks for it" if known.yes else f"unexplained: {known.why}"
        yield f"stale entry: {cidr} in {name} decides, and {origin}"
    else:
        yield f"{cidr} in {name} holds other rules than the cluster policies ask for"


def _lacking_cluster_entry(compared: Compared) -> str:
    context, name = compared.context, f"cp_{compared.direction}_map"
    cidr = _cidr(compared.policy.matched.cluster_key)
    state = context.dumped(name)
    full = f"{context.pod.identifier}_{name}"
    if state is not None and cidr in {entry.cidr for entry in state.entries}:
        return f"{cidr} in {full} holds other rules than the cluster policies ask for"
    return f"missing entry: the cluster policies ask for {cidr} and {full} lacks it"


def _namespace_entry(compared: Compared) -> Iterator[str]:
    """What is wrong with the namespace map, whichever entry decided in the end."""
    context, direction = compared.context, compared.direction
    state = context.dumped(f"{direction}_map")
    wanted = _cidr(compared.policy.matched.namespace_key)
    if state is None:
        return
    name = context.full_name(state)
    present = {entry.cidr: entry for entry in state.entries}
    expected = context.intent.expected(direction, ideal=True).namespace.entries
    found = _cidr(compared.kernel.matched.namespace_key)
    if wanted is not None and wanted not in present:
        frozen = context.intent.known.yes and context.key_diff(state).frozen
        cause = " (frozen map: since the agent's restart its updates go to the cluster-tier map)" if frozen else ""
        yield f"missing entry: the policies ask for {wanted} and {name} lacks it{cause}"
    elif found is not None and found not in expected:
        misplaced = list(_cluster_rules_here(compared))
        yield from misplaced
        if not misplaced:
            yield f"stale entry: {found} in {name} is asked for by no policy at hand"
    elif found is not None and found == wanted:
        yield _other_slots(compared, state, found)


def _cluster_rules_here(compared: Compared) -> Iterator[str]:
    """The namespace entry that decided, where it holds the rules of a cluster policy."""
    state = compared.context.dumped(f"{compared.direction}_map")
    found = _cidr(compared.kernel.matched.namespace_key)
    if state is not None and found in {item.entry.cidr for item in judge_namespace(compared.context, state).misplaced}:
        name = compared.context.full_name(state)
        yield f"misplaced entry: {found} in {name} holds rules of a cluster policy, whose action is lost here"


def _other_slots(compared: Compared, state: MapState, cidr: str) -> str:
    context = compared.context
    held = compared.kernel.matched
    entry = context.intent.expected(compared.direction, ideal=True).namespace.entries[cidr]
    name = context.full_name(state)
    wanted = entry.admissible.wanted
    if len(wanted) > _SLOTS:
        return f"{cidr} in {name} has room for {_SLOTS} rules and the policies ask for {len(wanted)}: the rest is lost"
    if len(entry.texts) > 1:
        spelled = ", ".join(entry.texts)
        return f"{cidr} in {name} holds the rules of one spelling only: {spelled} are one key, and one write wins"
    asked = _lines([number for slot in wanted for number in slot])
    key = held.namespace_key or b""
    value = state.as_dict().get(key, b"")
    now = _lines([number for slot in namespace_slots(value) for number in slot[:3]])
    return f"{cidr} in {name} holds other rules ({now}) than the policies ask for ({asked})"


def _pod_state(compared: Compared) -> Iterator[str]:
    context = compared.context
    held, dumped = context.pod_state(compared.direction)
    wanted = context.intent.pod_state()
    if dumped and held.get(0) != wanted[0]:
        now, asked = (POD_STATE_NAMES.get(number, str(number)) for number in (held.get(0, 0), wanted[0]))
        yield f"pod state: {compared.direction} is {now}, the policies ask for {asked}"


def _named(compared: Compared, findings: list[Finding]) -> str:
    """The findings about this pod's maps of the direction that name an entry on the way of the packet."""
    context, direction = compared.context, compared.direction
    both = (compared.kernel.matched, compared.policy.matched)
    touched = {_cidr(key) for matched in both for key in (matched.cluster_key, matched.namespace_key)} - {None}
    mine = [
        finding
        for finding in findings
        if (finding.node, finding.pod_identifier) == (context.node.id, context.pod.identifier)
        and finding.map in (f"{direction}_map", f"cp_{direction}_map")
        and finding.detector != _NOT_OF_MAPS
        and touched & set(finding.entries)
    ]
    if not mine:
        return ""
    texts = [f"{each.detector} in {each.map}" + (f" ({each.defect})" if each.defect else "") for each in mine]
    return f"Findings: {', '.join(texts)}"


def _as_namespace(state: MapState, cidr: str) -> str:
    words, known = state.words()
    row = next(entry.row for entry in state.entries if entry.cidr == cidr)
    slots = namespace_text(words[row].tolist(), known[row].tolist())
    return "; ".join(text for text in slots if "?" not in text) or "not all shown by the text form"


def _lines(words: list[int]) -> str:
    return "; ".join(namespace_text(words, [True] * len(words))) or "no rule"


def _cidr(key: bytes | None) -> str | None:
    return cidr_of_key(key) if key is not None else None
