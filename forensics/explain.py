"""`verdict`: one flow, the way it takes through the kernel's maps, what the policies ask, and why the two differ.

    Question -> Subject, Peer -> Captured (kernel) and Wanted (policy) -> plain values that reports/ renders

An answer is always given: `told`, or `cannot-tell` with what is missing and the command that collects it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from forensics import collect
from forensics.captured import Captured, Untold
from forensics.context import Context
from forensics.engine import judge
from forensics.flow_question import WITH_PORTS, Lost, Peer, find_peer, find_pod
from forensics.flow_values import verdict_values
from forensics.flow_why import Compared, differs, why
from forensics.neighbours import Neighbours
from forensics.packet import Packet
from forensics.problem import UsageError
from forensics.verdict_path import CONNTRACK_MAP
from forensics.wanted import Wanted
from formats.mapview import protocol_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forensics.case import Case
    from forensics.datapath import Verdict
    from forensics.finding import Finding, Missing
    from forensics.flow_question import Question, Subject

TOLD, CANNOT_TELL = "told", "cannot-tell"
#: Stands for a pod whose address is not known: only conntrack looks at it, and conntrack is then not asked.
_NOBODY = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - an address that no packet has, never one to listen on


def explain(case: Case, question: Question) -> dict[str, Any]:
    """The answer to a question as plain values (docs/verdict.md). Raises UsageError for a question without sense."""
    subject = find_pod(case, question.pod)
    if isinstance(subject, Lost):
        return _unanswered(question, subject.why, subject.missing)
    peer = find_peer(case, subject.node, question.peer)
    if isinstance(peer, Lost):
        return _unanswered(question, peer.why, peer.missing, subject)
    context = Context(case, subject.node, subject.pod, Neighbours(subject.node))
    return _answer(case, question, subject, peer, context)


def _answer(case: Case, question: Question, subject: Subject, peer: Peer, context: Context) -> dict[str, Any]:
    captured = Captured(context, question.direction)
    packet = _packet(question, subject, peer, captured.family)
    tracked = question.sport is not None and subject.address is not None
    out = _blank(question) | _who(subject) | {"packet": _packet_json(question, subject, peer, packet)}
    out["notes"] = [*subject.notes, *peer.notes, *_service_notes(question, peer)]
    told = captured.ask(packet, tracked=tracked)
    if isinstance(told, Untold):
        _policy(out, context, question, packet)
        return out | {"answer": CANNOT_TELL, "why": told.why, "missing": _missing(told.missing)}
    out["notes"] += [*told.notes, *_conntrack_notes(captured, question, subject, packet)]
    unasked = _why_unasked(captured, question, subject)
    out["kernel"] = verdict_values(told.verdict, unasked=unasked, assumed=captured.state is None)
    wanted = _policy(out, context, question, packet)
    if wanted is None:
        known = context.intent.known
        out["why"] = f"what the policies ask is not known: {known.why}"
        out["missing"] = _missing([collect.POLICIES])
        return out
    compared = Compared(context, question.direction, told.verdict, wanted)
    out["differs"] = differs(compared)
    same = (told.verdict.action, told.verdict.tier) == (wanted.action, wanted.tier)
    out["why"] = why(compared, [] if same else _findings(case, subject))
    return out


def _findings(case: Case, subject: Subject) -> list[Finding]:
    """The engine's findings about the one pod identifier: judging a whole node takes its time."""
    alone = replace(subject.node, pods={subject.pod.identifier: subject.pod})
    return judge(replace(case, nodes=[alone])).findings


def _policy(out: dict[str, Any], context: Context, question: Question, packet: Packet) -> Verdict | None:
    """Fill in the policies' half; None where they are not known. An admin rule decides whatever the others say."""
    intent = context.intent
    if not intent.known.yes and not context.node.has("ClusterPolicyEndpoint"):
        return None
    wanted = Wanted(context, question.direction)
    verdict = wanted.verdict(packet)
    if not intent.known.yes and not verdict.matched.reason.startswith("admin"):
        return None
    rules = [{"policy": by.policy, "endpoint": by.endpoint, "rule": by.rule} for by in wanted.by(verdict, packet)]
    told = verdict_values(verdict)
    steps = [step for step in told["steps"] if step["map"] != CONNTRACK_MAP]
    out["policy"] = {"verdict": told["verdict"], "tier": told["tier"], "by": rules, "steps": steps}
    if not intent.cluster_known.yes:
        out["notes"].append(f"{intent.cluster_known.why}: the policies' answer is without cluster policies")
    if not intent.selected and context.node.enforcing_mode is None:
        out["notes"].append("the enforcing mode is not in the input: standard is assumed for pods without a policy")
    return verdict


def _packet(question: Question, subject: Subject, peer: Peer, family: int) -> Packet:
    own = subject.address or _NOBODY[6 if ":" in peer.address else 4]
    if (":" in own) != (":" in peer.address):
        raise UsageError(f"{subject.title} ({own}) and {peer.address} are not of one address family")
    src, dst = (peer.address, own) if question.direction == "ingress" else (own, peer.address)
    protocol = question.number(family)
    ports = (question.sport or 0, question.port) if protocol in WITH_PORTS else (0, 0)
    return Packet(src, dst, protocol, *ports)


def _packet_json(question: Question, subject: Subject, peer: Peer, packet: Packet) -> dict[str, Any]:
    own, other = subject.address, peer.address
    src, dst = (other, own) if question.direction == "ingress" else (own, other)
    service = peer.service
    return {
        "src": src,
        "dst": dst,
        "protocol": protocol_name(packet.protocol),
        "protocol_number": packet.protocol,
        "sport": question.sport,
        "dport": packet.dport,
        "peer": peer.title,
        "service": None
        if service is None
        else {
            "name": service.title,
            "address": service.address,
            "ports": service.ports,
            "backends": service.backends,
        },
    }


def _service_notes(question: Question, peer: Peer) -> Iterable[str]:
    service = peer.service
    if service is None:
        return
    backends = ", ".join(service.backends) or "no backend that the input knows"
    yield f"{service.address} is the address of service {service.title}: it stands for {backends}"
    if question.direction == "egress":
        yield (
            "the egress program sees the service address and the service port, before the node translates them "
            "(DNAT): a rule must list that address; the backend's ingress program then sees its own address and port"
        )
    else:
        yield "no packet comes from a service address: ask with the address of the pod that sends it"


def _why_unasked(captured: Captured, question: Question, subject: Subject) -> str | None:
    """Why the conntrack map was not asked; None where it was."""
    if question.sport is None:
        return "no source port was given"
    if subject.address is None:
        return "the pod's address is not known"
    return None if captured.tracks else "the conntrack map was not dumped"


def _conntrack_notes(captured: Captured, question: Question, subject: Subject, packet: Packet) -> Iterable[str]:
    node = captured.context.node
    if node.conntrack is None or node.conntrack.view is None:
        yield f"{CONNTRACK_MAP} was not dumped: the packet is taken as the first of its flow"
    elif question.sport is None or subject.address is None:
        count = captured.flows_to(packet) if subject.address is not None else None
        yield "without a source port the packet is taken as the first of its flow"
        if count:
            yield f"tracked flows from this source to this port: {count}; their packets are not judged again"
    elif not node.conntrack.whole:
        yield f"the dump of {CONNTRACK_MAP} is not whole: the flow may be tracked without being shown"


def _who(subject: Subject) -> dict[str, Any]:
    return {
        "pod": subject.title,
        "pod_identifier": subject.pod.identifier,
        "node": subject.node.id,
        "agent_version": subject.node.agent_version,
    }


def _blank(question: Question) -> dict[str, Any]:
    return {
        "answer": TOLD,
        "missing": [],
        "pod": question.pod,
        "pod_identifier": None,
        "node": None,
        "agent_version": None,
        "direction": question.direction,
        "packet": {
            "src": None,
            "dst": None,
            "protocol": question.protocol.upper(),
            "protocol_number": None,
            "sport": question.sport,
            "dport": question.port,
            "peer": question.peer,
            "service": None,
        },
        "kernel": None,
        "policy": None,
        "differs": None,
        "why": "",
        "notes": [],
    }


def _unanswered(
    question: Question, reason: str, missing: Iterable[Missing], subject: Subject | None = None
) -> dict[str, Any]:
    who = _who(subject) if subject is not None else {}
    return _blank(question) | who | {"answer": CANNOT_TELL, "why": reason, "missing": _missing(missing)}


def _missing(missing: Iterable[Missing]) -> list[dict[str, str]]:
    return [{"what": each.what, "command": each.command} for each in missing]
