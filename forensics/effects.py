"""What the kernel does to traffic of one CIDR, beside what the policy asks: exact, by classes of packets, folded.

The IPv6 programs let ICMPv6 through unread, whatever a slot says: no question is asked about it.

Two packets that differ only inside a class get the same answer from both sides, so asking each class once is asking
every packet (forensics.ruleset.packet_classes).
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_left, bisect_right
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from forensics.generations import generation_of
from forensics.packet import ICMPV6
from forensics.prefixes import PrefixIndex
from forensics.ruleset import cluster_slots, evaluate_new_flow, namespace_slots, packet_classes
from formats.layouts import PROTOCOL_NAMES, TIER_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from forensics.generations import Generation
    from forensics.ruleset import Decision, Value

    #: The values that one side's namespace and cluster maps have for an address.
    Pair = tuple[Value | None, Value | None]

_TRANSPORT = {number: PROTOCOL_NAMES[number] for number in (6, 17, 132)}
#: The class of all protocols that no slot of either side names.
OTHERS = "other protocols"
#: Classes that only a slot names and no ordinary packet has: they count, but a summary leaves them out.
_LAST_PORT = 65535
#: Fewer ports than these are named as the exceptions they are.
_FEW_PORTS = 64
_CURIOUS = ("protocol 0", "protocol 254", "protocol 255")


class Side(NamedTuple):
    """One side of a comparison: indexes over a namespace map and a cluster map, and the pod state they live under."""

    namespace: PrefixIndex[Value]
    cluster: PrefixIndex[Value]
    pod_state: Mapping[int, int]


class Effect(NamedTuple):
    """One run of classes with the same two answers. `protocol` is a name, a number, or `other protocols`."""

    protocol: str
    first_port: int
    last_port: int
    kernel: Decision
    wanted: Decision

    @property
    def kind(self) -> str:
        """wrongly-denied, wrongly-allowed, wrong-tier or same."""
        if self.kernel.action != self.wanted.action:
            return "wrongly-denied" if self.kernel.action == "SHOT" else "wrongly-allowed"
        return "same" if self.kernel.tier == self.wanted.tier else "wrong-tier"

    @property
    def traffic(self) -> str:
        """`TCP 80`, `TCP 1-79`, `TCP`, `other protocols`."""
        if (self.first_port, self.last_port) == (0, _LAST_PORT):
            return self.protocol
        if self.first_port == self.last_port:
            return f"{self.protocol} {self.first_port}"
        return f"{self.protocol} {self.first_port}-{self.last_port}"


class Datapaths:
    """The kernel's maps and the policy's, for one pod identifier and direction; asked CIDR by CIDR."""

    def __init__(
        self,
        agent_version: str,
        family: int,
        kernel: Mapping[str, Mapping[bytes, Value]],
        wanted: Mapping[str, Mapping[bytes, Value]],
        kernel_state: Mapping[int, int],
        wanted_state: Mapping[int, int],
    ) -> None:
        """`kernel` and `wanted` are {"namespace": {key: value}, "cluster": {key: value}}; a value is bytes of a map, or
        rules without a limit."""
        self._generation: Generation = generation_of(agent_version).generation
        self._family = family
        self._told: dict[tuple[Pair, Pair], list[Effect]] = {}
        self.kernel = _side(kernel, kernel_state, family)
        self.wanted = _side(wanted, wanted_state, family)

    def effects(self, cidr: str, others: Iterable[str] | Others = ()) -> list[Effect]:
        """The answers for addresses of `cidr` that none of `others` (longer prefixes of either side) covers.

        Empty when every address of it is covered by longer prefixes.
        """
        address = representative(cidr, others)
        if address is None:
            return []
        pairs = _values(self.kernel, address), _values(self.wanted, address)
        if pairs not in self._told:
            self._told[pairs] = self._effects(pairs)
        return self._told[pairs]

    def _effects(self, pairs: tuple[Pair, Pair]) -> list[Effect]:
        """Many addresses meet the same values: each pair of them is judged once."""
        namespace = [ns for ns, _ in pairs if ns is not None]
        cluster = [cp for _, cp in pairs if cp is not None]
        protocols, ports = packet_classes(namespace, cluster)
        read = tuple(each for each in protocols if self._family == 4 or each != ICMPV6)
        return list(_fold(self._ask(pairs, read, ports)))

    def _ask(self, pairs: tuple[Pair, Pair], protocols: tuple[int, ...], ports: tuple[int, ...]) -> Iterable[Effect]:
        (kernel_ns, kernel_cp), (wanted_ns, wanted_cp) = pairs
        spoken = {
            slot.protocol for ns, cp in pairs for slot in (*namespace_slots(ns or b""), *cluster_slots(cp or b""))
        }
        for protocol in protocols:
            starts = ports if protocol in _TRANSPORT else (0,)
            name = _TRANSPORT.get(protocol) or (f"protocol {protocol}" if protocol in spoken else OTHERS)
            for start, following in zip(starts, (*starts[1:], _LAST_PORT + 1), strict=True):
                kernel = evaluate_new_flow(
                    self._generation, self._family, kernel_ns, kernel_cp, self.kernel.pod_state, protocol, start
                )
                wanted = evaluate_new_flow(
                    self._generation, self._family, wanted_ns, wanted_cp, self.wanted.pod_state, protocol, start
                )
                yield Effect(name, start, following - 1, kernel, wanted)


def _side(maps: Mapping[str, Mapping[bytes, Value]], state: Mapping[int, int], family: int) -> Side:
    return Side(PrefixIndex(maps.get("namespace", {}), family), PrefixIndex(maps.get("cluster", {}), family), state)


def _values(side: Side, address: bytes) -> tuple[Value | None, Value | None]:
    namespace, cluster = side.namespace.longest(address), side.cluster.longest(address)
    return (namespace[1] if namespace else None), (cluster[1] if cluster else None)


def _same_answer(left: Effect, right: Effect) -> bool:
    return (left.kernel.action, left.kernel.tier, left.kernel.reason, left.wanted.action, left.wanted.tier) == (
        right.kernel.action,
        right.kernel.tier,
        right.kernel.reason,
        right.wanted.action,
        right.wanted.tier,
    )


def _fold(effects: Iterable[Effect]) -> Iterable[Effect]:
    last: Effect | None = None
    for effect in effects:
        if last is not None and last.protocol == effect.protocol and _same_answer(last, effect):
            last = Effect(last.protocol, last.first_port, effect.last_port, last.kernel, last.wanted)
            continue
        if last is not None:
            yield last
        last = effect
    if last is not None:
        yield last


class Others:
    """CIDRs put in order once, to be asked about many times."""

    def __init__(self, cidrs: Iterable[str]) -> None:
        self._cidrs = cidrs

    @cached_property
    def _spans(self) -> dict[int, list[tuple[int, int]]]:
        spans: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for text in self._cidrs:
            network = ipaddress.ip_network(text)
            first = int(network.network_address)
            spans[network.version].append((first, first + network.num_addresses - 1))
        return {version: sorted(found) for version, found in spans.items()}

    def inside(self, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Iterator[tuple[int, int]]:
        """(first, last) of each longer prefix inside a network, in order."""
        spans = self._spans[network.version]
        first = int(network.network_address)
        last = first + network.num_addresses - 1
        for at in range(bisect_left(spans, (first, 0)), bisect_right(spans, (last, last))):
            if spans[at][1] - spans[at][0] < last - first:
                yield spans[at]


def representative(cidr: str, others: Iterable[str] | Others = ()) -> bytes | None:
    """A packed address inside `cidr` and outside every longer prefix of `others`; None when there is none."""
    network = ipaddress.ip_network(cidr)
    number = int(network.network_address)
    if network.num_addresses > 1:
        for first, last in (others if isinstance(others, Others) else Others(others)).inside(network):
            if number < first:
                break
            number = max(number, last + 1)
    if number > int(network.broadcast_address):
        return None
    return number.to_bytes(network.max_prefixlen // 8, "big")


def summary(effects: Iterable[Effect], kind: str) -> list[str]:
    """The traffic of one kind as a person reads it: `all traffic`, `TCP 80`, `TCP on every port but 443`."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    for effect in effects:
        if effect.kind == kind:
            ranges.setdefault(effect.protocol, []).append((effect.first_port, effect.last_port))
    whole = {protocol for protocol, runs in ranges.items() if _gaps(runs) == []}
    if {*_TRANSPORT.values(), OTHERS} <= whole:
        return ["all traffic"]
    return [_ports(protocol, runs) for protocol, runs in ranges.items() if protocol not in _CURIOUS]


def _ports(protocol: str, runs: list[tuple[int, int]]) -> str:
    gaps = _gaps(runs)
    if not gaps:
        return protocol
    if len(gaps) < len(runs) or sum(last - first + 1 for first, last in gaps) < _FEW_PORTS:
        return f"{protocol} on every port but {', '.join(map(_run, gaps))}"
    return f"{protocol} {', '.join(map(_run, _merged(runs)))}"


def _run(run: tuple[int, int]) -> str:
    return str(run[0]) if run[0] == run[1] else f"{run[0]}-{run[1]}"


def _merged(runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for first, last in sorted(runs):
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(last, out[-1][1]))
        else:
            out.append((first, last))
    return out


def _gaps(runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    at = 0
    for first, last in _merged(runs):
        if first > at:
            out.append((at, first - 1))
        at = last + 1
    if at <= _LAST_PORT:
        out.append((at, _LAST_PORT))
    return out


def answer_text(decision: Decision) -> str:
    """`denied in tier ADMIN`, `allowed in tier NETWORK_POLICY`: a decision in words."""
    verb = "allowed" if decision.action == "OK" else "denied"
    return verb if decision.tier is None else f"{verb} in tier {TIER_NAMES[decision.tier]}"
