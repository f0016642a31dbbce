"""`verdict` for people: the way of one packet, step by step, and why the kernel and the policies differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.escape import visible
from reports.text import wrap

if TYPE_CHECKING:
    from collections.abc import Iterator

_STEPS = {
    "unread": "packet",
    "pod-state": "pod state",
    "conntrack-forward": "conntrack, this flow",
    "conntrack-reverse": "conntrack, as a reply",
    "cluster-lookup": "cluster entry",
    "admin": "admin tier",
    "namespace-lookup": "namespace entry",
    "namespace-slot": "namespace tier",
    "baseline": "baseline tier",
    "default": "default",
}
_VERDICTS = {"OK": "lets it through", "SHOT": "drops it"}
_HEAD = 10
_NAME = 24
_WORD = 8


def render(told: dict[str, Any], *, width: int = 100) -> str:
    """The answer of forensics.explain as text."""
    lines = [*_question(told, width), ""]
    if told["answer"] != "told":
        lines += _field("ANSWER", f"cannot tell: {told['why']}", width)
    if told["kernel"] is not None:
        lines += [*_kernel(told["kernel"], width), ""]
    if told["policy"] is not None:
        lines += [*_policy(told["policy"], width), ""]
    if told["answer"] == "told":
        lines += _field(_compared(told), told["why"], width)
    for note in told["notes"]:
        lines += _field("note", note, width)
    for missing in told["missing"]:
        lines += _field("missing", missing["what"], width)
        lines.append(f"{'':<{_HEAD}}$ {visible(missing['command'])}")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _question(told: dict[str, Any], width: int) -> Iterator[str]:
    packet = told["packet"]
    peer = packet["src"] if told["direction"] == "ingress" else packet["dst"]
    own = packet["dst"] if told["direction"] == "ingress" else packet["src"]
    service = f"service {packet['service']['name']}" if packet["service"] else None
    other = _named(peer, packet["peer"] or service)
    preposition = "from" if told["direction"] == "ingress" else "to"
    number = packet["dport"]
    port = f" port {number}" if number else ""
    source = f" (source port {packet['sport']})" if packet["sport"] is not None else ""
    text = (
        f"{told['direction']} of {_named(own, told['pod'])} {preposition} {other}: {packet['protocol']}{port}{source}"
    )
    yield from _field("FLOW", text, width)
    if told["node"] is not None:
        agent = told["agent_version"] or "agent version unknown"
        yield from _field("", f"node {told['node']}, {agent}, pod identifier {told['pod_identifier']}", width)


def _named(address: str | None, title: str | None) -> str:
    if address is None:
        return title or "an unknown address"
    return f"{title} ({address})" if title and title != address else address


def _kernel(kernel: dict[str, Any], width: int) -> Iterator[str]:
    event = "" if kernel["event"] else ", no event"
    yield from _field("KERNEL", f"{_VERDICTS[kernel['verdict']]}: {_verdict(kernel)}{event}", width)
    yield from _steps(kernel["steps"], width)


def _policy(policy: dict[str, Any], width: int) -> Iterator[str]:
    yield from _field("POLICY", f"{_VERDICTS[policy['verdict']]}: {_verdict(policy)}", width)
    for by in policy["by"]:
        where = by["endpoint"] or ""
        name = f"{by['policy']}" + (f" ({where})" if where else "") if by["policy"] else "agent"
        yield from _field("  by", f"{name}: {by['rule']}", width)
    yield from _steps(policy["steps"], width)


def _verdict(told: dict[str, Any]) -> str:
    return f"{told['verdict']} in tier {told['tier']}" if told["tier"] else f"{told['verdict']}"


def _steps(steps: list[dict[str, Any]], width: int) -> Iterator[str]:
    for number, step in enumerate(steps, 1):
        name = _STEPS.get(step["step"], step["step"])
        head = f"{number:>{_WORD}}  {name:<{_NAME}}"
        for line in wrap(_step(step), max(width - len(head), 30)):
            yield head + line
            head = " " * len(head)
        if step["slot_hex"]:
            yield f"{head}{_grouped(step['slot_hex'])}"
        elif step["cidr"] and step["step"].endswith("lookup"):
            yield f"{head}key {_grouped(step['key_hex'])}"


def _step(step: dict[str, Any]) -> str:
    if step["step"] in ("cluster-lookup", "namespace-lookup"):
        if step["cidr"] is None:
            return f"no entry in {step['map']} covers the address"
        return f"{step['cidr']} in {step['map']} is the longest prefix: {step['reads']}"
    if step["slot"] is not None:
        return f"{step['outcome']} by {step['reads']}"
    if step["step"] in ("admin", "baseline", "namespace-slot"):
        return "no slot matches" if step["cidr"] else "no entry"
    if step["step"].startswith("conntrack"):
        return f"{step['outcome'].replace('-', ' ')}: {step['reads']}"
    reads: str = step["reads"]
    return reads


def _grouped(digits: str) -> str:
    """Hex in words of four bytes, as the structs have them."""
    return " ".join(digits[at : at + 8] for at in range(0, len(digits), 8))


def _compared(told: dict[str, Any]) -> str:
    if told["differs"] is None:
        return "COMPARED"
    return "DIFFERS" if told["differs"] else "AGREES"


def _field(label: str, text: str, width: int) -> Iterator[str]:
    head = f"{label:<{_HEAD}}"
    for line in wrap(text, max(width - _HEAD, 30)):
        yield head + line
        head = " " * _HEAD
