"""A question about one flow, and who is meant by it: pods by namespace/name or address, services by name or address."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from forensics import collect
from forensics.finding import Missing
from forensics.pod_names import identifiers
from forensics.problem import UsageError
from forensics.services import services_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forensics.case import Case, Node
    from forensics.podstate import PodRef, PodState
    from forensics.policy_rules import Direction
    from forensics.services import Service

PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132, "icmp": 1}
WITH_PORTS = (6, 17, 132)
_ICMPV6 = 58


@dataclass(frozen=True, slots=True)
class Question:
    """One flow as asked. `sport` None means any: the conntrack map is then not asked."""

    pod: str
    direction: Direction
    peer: str
    port: int
    protocol: str = "tcp"
    sport: int | None = None

    def number(self, family: int) -> int:
        """The IP protocol number; ICMP is the family's own. Raises UsageError for a protocol that is none."""
        text = self.protocol.lower()
        if text == "icmp" and family == 6:
            return _ICMPV6
        if text in PROTOCOLS:
            return PROTOCOLS[text]
        if text.isascii() and text.isdigit() and int(text) <= 0xFF:
            return int(text)
        raise UsageError(f"--protocol {self.protocol}: not tcp, udp, sctp, icmp or a number up to 255")


def asked(pod: str, direction: str, peer: str, port: int, protocol: str, sport: int | None) -> Question:
    """A question from the words of a command line. Raises UsageError for one without sense."""
    for option, value in (("--pod", pod), ("--direction", direction), ("--peer", peer)):
        if not value:
            raise UsageError(f"{option} is needed: a flow is asked by --pod, --direction, --peer and --port")
    if direction not in ("ingress", "egress"):
        raise UsageError(f"--direction {direction}: not one of ingress, egress")
    question = Question(pod, "egress" if direction == "egress" else "ingress", peer, port, protocol, sport)
    if question.number(4) in WITH_PORTS and port == 0:
        raise UsageError("--port is needed: TCP, UDP and SCTP rules name ports")
    return question


class Subject(NamedTuple):
    """The pod that is asked about. `ref` and `address` are None where only its identifier is known."""

    node: Node
    pod: PodState
    ref: PodRef | None
    notes: tuple[str, ...] = ()

    @property
    def address(self) -> str | None:
        """The pod's address."""
        return plain_address(self.ref.ip) if self.ref is not None and self.ref.ip else None

    @property
    def title(self) -> str:
        """namespace/name, or the identifier."""
        return self.ref.title if self.ref is not None else self.pod.identifier


class Peer(NamedTuple):
    """The other end: its address, the pod behind it, and the service it is."""

    address: str
    title: str | None
    service: Service | None
    notes: tuple[str, ...] = ()


class Lost(NamedTuple):
    """Nobody to ask about: why, and what would tell."""

    why: str
    missing: tuple[Missing, ...]


def find_pod(case: Case, text: str) -> Subject | Lost:
    """The pod of a question: by namespace/name, by address, or by the identifier in its pins."""
    found = list(_known(case, text))
    for wanted in (True, None):
        for node, ref in found:
            if ref.local is wanted:
                return _subject(node, ref)
    if found:
        node, ref = found[0]
        why = f"{ref.title} runs on another node than {node.id}, and that node's maps are not in the input"
        return Lost(why, (Missing(f"the log collector's bundle of the node of {ref.title}", collect.BUNDLE),))
    for node in case.nodes:
        if text in node.pods:
            return Subject(node, node.pods[text], None)
        namespace, _, name = text.partition("/")
        for identifier in identifiers(name, namespace) if name else ():
            pod = node.pods.get(identifier)
            if pod is not None and not pod.pods:
                note = f"the input does not list pods: {text} is taken as one of {identifier} by its name"
                return Subject(node, pod, None, (note,))
    where = Missing(f"the pod {text}: its address and its node", collect.ALL_PODS)
    bundle = Missing(f"the log collector's bundle of the node of {text}", collect.BUNDLE)
    return Lost(f"no pod {text} is in the input", (where, bundle))


def find_peer(case: Case, node: Node, text: str) -> Peer | Lost:
    """The peer of a question: an address, or the namespace/name of a pod or a service. Raises UsageError."""
    services = services_of(node)
    address = plain_address(text)
    if address is not None:
        known = [each.pod_at(address) for each in (node, *case.nodes)]
        title = next((ref.title for ref in known if ref is not None), None)
        service = services.at(address)
        notes: tuple[str, ...] = ()
        if service is None and (network := services.covers(address)) is not None:
            notes = (f"{address} lies in the service network {network}; which service it is is not in the input",)
        if title is None and node.node_ip == address:
            title = "the node itself"
        return Peer(address, title, service, notes)
    if "/" not in text:
        raise UsageError(f"--peer {text}: neither an IP address nor namespace/name")
    for _, ref in _known(case, text):
        known_at = plain_address(ref.ip or "")
        if known_at is not None:
            return Peer(known_at, ref.title, None)
    service = services.named(text)
    if service is not None:
        return Peer(service.address, None, service)
    why = f"no pod or service {text} with an address is in the input"
    return Lost(why, (Missing(f"the address of {text}", collect.ALL_PODS),))


def plain_address(text: str) -> str | None:
    """An IP address in its canonical text; None for anything else."""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return None


def _known(case: Case, text: str) -> Iterator[tuple[Node, PodRef]]:
    address = plain_address(text)
    for node in case.nodes:
        if address is not None:
            ref = node.pod_at(address)
            if ref is not None:
                yield node, ref
        else:
            yield from ((node, ref) for ref in node.known_pods if ref.title == text)


def _subject(node: Node, ref: PodRef) -> Subject | Lost:
    pods = [node.pods[name] for name in identifiers(ref.name, ref.namespace) if name in node.pods]
    if not pods:
        missing = Missing(f"raw dumps of the maps of {ref.title}", collect.ALL_MAPS)
        return Lost(f"no map of {ref.title} is in the input", (missing,))
    pods.sort(key=lambda pod: (pod.superseded_by is not None, not any(state.view for state in pod.maps.values())))
    notes = () if ref.local else (f"that {ref.title} runs on {node.id} is assumed: the input does not say it",)
    return Subject(node, pods[0], ref, notes)
