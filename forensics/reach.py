"""Which pods can reach which: every pod of a node and every peer of its maps and policies, on the TCP ports that slots
name. The kernel's answer beside the policies', both for new flows; two pods of one node must pass both programs.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from forensics.captured import Captured
from forensics.context import Context
from forensics.effects import representative
from forensics.flow_question import plain_address
from forensics.neighbours import Neighbours
from forensics.pod_names import identifiers
from forensics.replay import wanted_actions
from forensics.ruleset import cluster_slots, namespace_slots
from forensics.wanted import Wanted
from formats.address import canonical, cidr_of_key
from formats.layouts import PROTOCOL_ANY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from forensics.case import Case, Node
    from forensics.finding import Missing
    from forensics.podstate import PodRef
    from forensics.policy_rules import Direction

Array = np.ndarray[Any, Any]
_TCP = 6
_SPORT = 40000
_PORT_MAX = 0xFFFF
#: Ports beyond so many are left out, and the answer says so.
MAX_PORTS = 512
_EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
ELSE = "anyone else"
_DIRECTIONS: tuple[Direction, ...] = ("ingress", "egress")


class Place(NamedTuple):
    """One end: how it is called, and an address that stands for it."""

    name: str
    address: str


class Table(NamedTuple):
    """bool[peer, port] of one program: what the kernel lets through and what the policies ask (None: not known)."""

    kernel: Array
    policy: Array | None

    def of(self, row: int) -> tuple[Array, Array | None]:
        """The two rows of one peer."""
        return self.kernel[row], self.policy[row] if self.policy is not None else None


@dataclass
class Program:
    """One pod identifier's program and the peers it is asked about."""

    context: Context
    direction: Direction
    peers: list[Place] = field(default_factory=list)
    table: Table | None = None

    @cached_property
    def captured(self) -> Captured:
        """Its captured maps."""
        return Captured(self.context, self.direction)

    @cached_property
    def wanted(self) -> Wanted | None:
        """What the policies ask; None where they are not known."""
        return Wanted(self.context, self.direction) if self.context.intent.known.yes else None

    def maps(self) -> Iterable[tuple[str, Mapping[bytes, bytes]]]:
        """(map name, entries) of both sides."""
        yield from self.captured.maps.items()
        for layer in self.wanted.layers if self.wanted is not None else ():
            yield from layer.maps.items()

    @cached_property
    def ranges(self) -> set[tuple[int, int]]:
        """First and last TCP port of every slot of either side that names one."""
        out: set[tuple[int, int]] = set()
        for cluster, value in {
            (name.startswith("cp_"), value) for name, each in self.maps() for value in each.values()
        }:
            for slot in cluster_slots(value) if cluster else namespace_slots(value):
                if slot.protocol in (_TCP, PROTOCOL_ANY) and 0 < slot.start_port <= _PORT_MAX:
                    out.add((slot.start_port, min(max(slot.start_port, slot.end_port), _PORT_MAX)))
        return out


def reach(case: Case) -> dict[str, Any]:
    """The reachability table of every node as plain values (docs/verdict.md)."""
    return {"nodes": [_node(case, node) for node in case.nodes]}


def _node(case: Case, node: Node) -> dict[str, Any]:
    neighbours = Neighbours(node)
    pods = _local_pods(node)
    programs: dict[tuple[str, Direction], Program] = {}
    missing: dict[Missing, None] = {}
    notes: list[str] = []
    for identifier in sorted({identifier for _, identifier in pods}):
        for direction in _DIRECTIONS:
            program = Program(Context(case, node, node.pods[identifier], neighbours), direction)
            captured = program.captured
            missing.update(dict.fromkeys(captured.missing))
            if captured.missing:
                continue
            if captured.state is None and captured.generation.pod_state_keys:
                notes.append(f"{identifier} {direction}: the pod state was not dumped and is assumed")
            programs[identifier, direction] = program
    ports, other = _ports(programs.values())
    if len(ports) > MAX_PORTS:
        notes.append(f"the first {MAX_PORTS} of {len(ports)} ports that slots name are shown")
        ports = ports[:MAX_PORTS]
    asked = np.array([*ports, other])
    local = [Place(ref.title, str(ref.ip)) for ref, _ in pods]
    for (identifier, _), program in programs.items():
        own = next(str(ref.ip) for ref, name in pods if name == identifier)  # replicas share their maps
        program.peers = [*local, *_peers(node, program, {place.address for place in local})]
        program.table = _table(program, own, asked)
    unknown = {identifier for _, identifier in pods if (identifier, "ingress") not in programs}
    unknown |= {identifier for _, identifier in pods if (identifier, "egress") not in programs}
    return {
        "node": node.id,
        "agent_version": node.agent_version,
        "ports": ports,
        "other_port": other,
        "pairs": _folded(list(_pairs(pods, programs)), asked),
        "cannot_tell": sorted(unknown),
        "missing": [{"what": each.what, "command": each.command} for each in missing],
        "notes": notes,
    }


def _local_pods(node: Node) -> list[tuple[PodRef, str]]:
    """(pod, identifier) of the pods that run here, as far as their addresses are known."""
    out = []
    for ref in node.known_pods:
        if plain_address(ref.ip or "") is None or ref.local is False:
            continue
        for name in identifiers(ref.name, ref.namespace):
            state = node.pods.get(name)
            if state is not None and state.superseded_by is None:
                out.append((ref, name))
                break
    return out


def _ports(programs: Iterable[Program]) -> tuple[list[int], int]:
    """The TCP ports that any slot names, range ends included, and one that none covers."""
    covered = sorted({run for program in programs for run in program.ranges})
    other = 1
    for start, end in covered:
        if start <= other <= end:
            other = end + 1
    return sorted({port for run in covered for port in run}), min(other, _PORT_MAX)


def _peers(node: Node, program: Program, local: set[str]) -> list[Place]:
    """One address for each entry of both sides, outside the longer prefixes, and one that no entry covers."""
    cidrs = {cidr for cidr in _cidrs(program) if cidr.split("/")[0] not in local or not _is_host(cidr)}
    out: list[Place] = []
    for cidr in sorted(cidrs):
        packed = representative(cidr, () if _is_host(cidr) else cidrs)
        if packed is not None:
            out.append(Place(_name(node, cidr), _text(packed)))
    everywhere = _EVERYWHERE[program.captured.family]
    if everywhere not in cidrs:
        packed = representative(everywhere, cidrs | {text for address in local if (text := canonical(address))})
        if packed is not None:
            out.append(Place(ELSE, _text(packed)))
    return out


def _cidrs(program: Program) -> set[str]:
    return {cidr for _, entries in program.maps() for key in entries if (cidr := cidr_of_key(key)) is not None}


def _is_host(cidr: str) -> bool:
    return cidr.endswith("/128" if ":" in cidr else "/32")


def _name(node: Node, cidr: str) -> str:
    if not _is_host(cidr):
        return cidr
    if node.node_ip is not None and canonical(node.node_ip) == cidr:
        return f"the node ({node.node_ip})"
    pod = node.pod_at(cidr)
    address = cidr.split("/")[0]
    return f"{pod.title} ({address})" if pod is not None else address


def _text(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))


def _table(program: Program, own: str, ports: Array) -> Table:
    """The program's answers. Ports that no slot of it covers get the answer of the last one, which none covers."""
    covered = np.zeros(len(ports), dtype=bool)
    for start, end in program.ranges:
        covered |= (ports >= start) & (ports <= end)
    covered[-1] = True
    asked = ports[covered]
    column = np.full(len(ports), len(asked) - 1)
    column[covered] = np.arange(len(asked))
    frame = _packets(program.direction, own, [place.address for place in program.peers], asked)
    shape = (len(program.peers), len(asked))
    datapath = program.captured.datapath(program.captured.state_or_inferred() or {})
    kernel = (datapath.verdicts(frame)["action"] == "OK").to_numpy().reshape(shape)[:, column]
    if program.wanted is None:
        return Table(kernel, None)
    return Table(kernel, (wanted_actions(program.wanted, frame) == "OK").to_numpy().reshape(shape)[:, column])


def _packets(direction: Direction, own: str, peers: list[str], ports: Array) -> dict[str, Any]:
    count = len(peers) * len(ports)
    far = np.repeat(np.array(peers, dtype=object), len(ports)).tolist()
    near = [own] * count
    return {
        "src": far if direction == "ingress" else near,
        "dst": near if direction == "ingress" else far,
        "protocol": np.full(count, _TCP),
        "sport": np.full(count, _SPORT),
        "dport": np.tile(ports, len(peers)),
    }


Pair = tuple[str, str, Array, Array | None]


def _pairs(pods: list[tuple[PodRef, str]], programs: dict[tuple[str, Direction], Program]) -> Iterable[Pair]:
    """(from, to, kernel, policy) of every two ends that the node's programs stand between."""
    for at, (ref, identifier) in enumerate(pods):
        entering = programs.get((identifier, "ingress"))
        leaving = programs.get((identifier, "egress"))
        for row, (source, other) in enumerate(pods):
            out = programs.get((other, "egress"))
            if row != at and entering is not None and out is not None and entering.table and out.table:
                yield (source.title, ref.title, *_both(out.table.of(at), entering.table.of(row)))
        if entering is not None and entering.table is not None:
            for row, place in enumerate(entering.peers[len(pods) :], len(pods)):
                yield (place.name, ref.title, *entering.table.of(row))
        if leaving is not None and leaving.table is not None:
            for row, place in enumerate(leaving.peers[len(pods) :], len(pods)):
                yield (ref.title, place.name, *leaving.table.of(row))


def _both(left: tuple[Array, Array | None], right: tuple[Array, Array | None]) -> tuple[Array, Array | None]:
    policy = left[1] & right[1] if left[1] is not None and right[1] is not None else None
    return left[0] & right[0], policy


def _folded(pairs: list[Pair], ports: Array) -> list[dict[str, Any]]:
    """Sources with the same answers towards one destination stand together, in order of first sight."""
    groups: dict[tuple[str, bytes, bytes | None], tuple[list[str], Pair]] = {}
    for pair in pairs:
        source, target, kernel, policy = pair
        key = (target, kernel.tobytes(), policy.tobytes() if policy is not None else None)
        groups.setdefault(key, ([], pair))[0].append(source)
    return [
        {
            "from": list(dict.fromkeys(sources)),
            "to": target,
            "kernel": ports[kernel].tolist(),
            "policy": ports[policy].tolist() if policy is not None else None,
            "differs": ports[kernel != policy].tolist() if policy is not None else None,
        }
        for sources, (_, target, kernel, policy) in groups.values()
    ]
