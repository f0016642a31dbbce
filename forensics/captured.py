"""One tc program over the maps as they were captured: its answer to a packet, or what is missing to give one.

An answer counts only when every map on its path was dumped and no longer prefix can be hidden. Where the pod state was
not dumped, every state it can have is tried: if they agree it does not matter, else the policies say which one it is.
"""

from __future__ import annotations

import ipaddress
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from forensics import collect
from forensics.datapath import Datapath, Packet
from forensics.generations import generation_of
from forensics.packet import packed
from forensics.prefixes import prefix_of
from forensics.versions import at_least
from formats.layouts import CONNTRACK_KEY_DTYPES, POD_STATE_NAMES, dtype_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forensics.context import Context
    from forensics.datapath import Verdict
    from forensics.finding import Missing
    from forensics.generations import Generation
    from forensics.packet import Address
    from forensics.packet_arrays import PacketColumns
    from forensics.podstate import MapState
    from forensics.policy_rules import Direction

Array = np.ndarray[Any, Any]
_LOOKUPS = ("cluster-lookup", "namespace-lookup")


def may_hide(state: MapState, address: bytes, found: int) -> bool:
    """Whether an entry that is not shown, or whose value is not known, may be the longest prefix of an address.

    found: the prefix length that was found, -1 where nothing was.
    """
    number = ipaddress.ip_address(address)
    if not state.whole and found < number.max_prefixlen:
        return True
    unread = (entry.cidr for entry in state.entries if not entry.known and "/" in entry.cidr)
    return any(network.prefixlen >= found and number in network for network in map(ipaddress.ip_network, unread))


def _between(keys: Array, src: Address, dst: Address, protocol: int) -> Array:
    """Which conntrack keys are of flows from one address to another."""
    ends = [np.frombuffer(packed(each), np.uint8) for each in (src, dst)]
    same = (keys["src"] == ends[0]).all(axis=1) & (keys["dst"] == ends[1]).all(axis=1)
    return np.asarray(same & (keys["protocol"] == protocol))


class Told(NamedTuple):
    """The program's answer, and what was taken for granted."""

    verdict: Verdict
    notes: tuple[str, ...]


class Untold(NamedTuple):
    """Why the program's answer is not known, and what would give it."""

    why: str
    missing: tuple[Missing, ...]


class Captured:
    """The program of one pod identifier and direction over its captured maps."""

    def __init__(self, context: Context, direction: Direction) -> None:
        self.context, self.direction = context, direction
        self.version, self.family = context.intent.version, context.intent.family
        self.generation: Generation = generation_of(self.version).generation
        self.state: Mapping[int, int] | None = context.pod.state_of(direction)

    @cached_property
    def maps(self) -> dict[str, dict[bytes, bytes]]:
        """The dumped rule maps of the direction by name; entries whose value could not be read are left out."""
        names = (f"{self.direction}_map", f"cp_{self.direction}_map")
        return {name: state.as_dict() for name in names if (state := self.context.dumped(name)) is not None}

    @cached_property
    def missing(self) -> tuple[Missing, ...]:
        """What of the program's maps was not dumped at all."""
        needed = [f"{self.direction}_map"]
        if self.generation.tiers:
            needed.append(f"cp_{self.direction}_map")
        out = [collect.map_dump(self.context, name) for name in needed if self.context.dumped(name) is None]
        if self.generation.pod_state_keys and self.state is None and self._inferred() is None:
            out.append(collect.map_dump(self.context, f"{self.direction}_pod_state_map"))
        return tuple(out)

    @property
    def tracks(self) -> bool:
        """Whether a conntrack map that this program could have written was dumped."""
        return self._conntrack is not None

    def datapath(self, state: Mapping[int, int], conntrack: Mapping[bytes, bytes] | None = None) -> Datapath:
        """The program over the captured maps under a pod state."""
        return Datapath(self.version, self.family, self.direction, self.maps, state, conntrack or {})

    def state_or_inferred(self) -> Mapping[int, int] | None:
        """The dumped pod state, else the one that the policies leave no doubt about; None where there is neither."""
        return self.state if self.state is not None else self._inferred()

    def ask(self, packet: Packet, *, tracked: bool) -> Told | Untold:
        """The answer to a packet. `tracked` asks the conntrack map as well, which needs the real source port."""
        notes = self._notes()
        entries: dict[bytes, bytes] = {}
        if tracked:
            entries, packet = self._tracked(packet)
        if self.state is not None or not self.generation.pod_state_keys:
            verdict = self.datapath(self.state or {}, entries).verdict(packet)
            return self._untold(verdict, packet) or Told(verdict, tuple(notes))
        inferred = self._inferred()
        answers = [self.datapath({0: state, 1: 1}, entries).verdict(packet) for state in POD_STATE_NAMES]
        chosen = answers[0] if inferred is None else self.datapath(inferred, entries).verdict(packet)
        untold = self._untold(chosen, packet)
        if untold is not None:
            return untold
        pin = f"{self.direction}_pod_state_map"
        if len({(each.action, each.tier) for each in answers}) == 1:
            return Told(chosen, (*notes, f"{pin} was not dumped; the answer is the same in every pod state"))
        if inferred is None:
            why = f"{pin} was not dumped, and the answer depends on it"
            return Untold(why, (collect.map_dump(self.context, pin),))
        named = POD_STATE_NAMES.get(inferred[0], str(inferred[0]))
        return Told(chosen, (*notes, f"{pin} was not dumped: {named} is assumed, {self._inference()}"))

    def flows_to(self, packet: Packet) -> int | None:
        """How many tracked flows go from the packet's source to its destination and port; None without a dump."""
        if self._conntrack is None:
            return None
        keys, _ = self._conntrack
        return int((_between(keys, packet.src, packet.dst, packet.protocol) & (keys["dport"] == packet.dport)).sum())

    def _untold(self, verdict: Verdict, packet: Packet) -> Untold | None:
        """What of the maps on the verdict's path was not dumped, or may hide an entry that decides instead."""
        peer = packed(packet.src if self.direction == "ingress" else packet.dst)
        missing: dict[Missing, str] = {}
        for step in verdict.matched.path:
            if step.name not in _LOOKUPS or step.map is None:
                continue
            state = self.context.dumped(step.map)
            if state is None:
                missing[collect.map_dump(self.context, step.map)] = f"{step.map} was not dumped"
            elif may_hide(state, peer, prefix_of(step.key, self.family)[0] if step.key is not None else -1):
                trouble = "has entries that could not be read" if state.whole else "is not whole"
                why = f"the dump of {step.map} {trouble}: an entry that is not shown may decide"
                missing[collect.map_dump(self.context, step.map)] = why
        return Untold("; ".join(missing.values()), tuple(missing)) if missing else None

    def _notes(self) -> list[str]:
        notes = list(generation_of(self.version).assumptions)
        if self.context.node.agent_version is None:
            notes.append(f"the agent version is not in the input: {self.version} is assumed")
        for name in self.maps:
            state = self.context.dumped(name)
            if state is not None and state.view is not None and not state.view.raw:
                notes.append(f"{name} is known from text that leaves out slots of protocol 0 and unnamed protocols")
        return notes

    def _inferred(self) -> Mapping[int, int] | None:
        node, intent = self.context.node, self.context.intent
        if self._logged_without_state:
            return None
        if intent.known.yes and (intent.selected or node.enforcing_mode is not None):
            return intent.pod_state()
        state = self.context.dumped(f"{self.direction}_map")
        if state is not None and state.count and at_least(self.version, "v1.3.0"):
            return {0: 0, 1: 1}
        return None

    @cached_property
    def _logged_without_state(self) -> bool:
        """Whether a flow line of the pods has tier ERROR: then an entry of the pod state map was missing."""
        if not self.generation.tiers or not any(artifact.flows for artifact in self.context.node.group.own):
            return False
        addresses = [pod.ip for pod in self.context.pod.pods if pod.ip and pod.local is not False]
        return self.context.neighbours.flows.any_of_tier("ERROR", addresses, self.direction)

    def _inference(self) -> str:
        intent = self.context.intent
        if intent.known.yes and intent.selected:
            return f"because {', '.join(intent.policy_names)} select the pod"
        if intent.known.yes:
            return f"because no policy selects the pod and the mode is {self.context.node.enforcing_mode}"
        return "because its namespace map has entries"

    @cached_property
    def _conntrack(self) -> tuple[Array, Array] | None:
        """(keys, values) of the dumped conntrack map; None without one that this program's keys could be in."""
        state = self.context.node.conntrack
        if state is None or state.view is None or state.view.dump.values is None:
            return None
        dump = state.view.dump
        size = self.generation.conntrack_key[self.family].sizeof()
        if dump.keys.shape[1] != size or dump.values is None:
            return None
        return np.ascontiguousarray(dump.keys).view(CONNTRACK_KEY_DTYPES[size])[:, 0], dump.values

    def _tracked(self, packet: Packet) -> tuple[dict[bytes, bytes], Packet]:
        """The conntrack entries between the packet's ends, and the packet at the interface its pod is known by."""
        rows = self._conntrack
        if rows is None or not len(rows[0]):
            return {}, packet
        keys, values = rows
        ends = packet.src, packet.dst
        there, back = (_between(keys, *each, packet.protocol) for each in (ends, ends[::-1]))
        near = np.flatnonzero(there | back)
        found = {keys[row].tobytes(): values[row].tobytes() for row in near.tolist()}
        if "ifindex" in (keys.dtype.names or ()):
            owner = np.frombuffer(packed(packet.dst if self.direction == "ingress" else packet.src), np.uint8)
            seen = keys["ifindex"][(keys["owner"] == owner).all(axis=1)]
            if len(seen):
                numbers, counts = np.unique(seen, return_counts=True)
                packet = packet._replace(ifindex=int(numbers[int(counts.argmax())]))
        return found, packet

    def tracked_flows(self, packets: PacketColumns) -> Array:
        """Whether each packet's own flow is in the captured conntrack map, on any interface and in any state."""
        from forensics.flow_table import FlowTable, padded

        asked = self.datapath({0: 0, 1: 1}).batch.conntrack_keys(packets)
        if self._conntrack is None or not len(self._conntrack[0]):
            return np.zeros(len(asked), dtype=bool)
        dtype = dtype_of(self.generation.conntrack_key[self.family])
        size = dtype.fields["ifindex"][1] if dtype.fields and "ifindex" in dtype.fields else dtype.itemsize
        bare = CONNTRACK_KEY_DTYPES[size]
        table = FlowTable([key.tobytes()[:size] for key in self._conntrack[0]], bare)
        keys = np.zeros((len(asked), padded(bare).itemsize), np.uint8)
        keys[:, :size] = asked[:, :size]
        return np.asarray(table.find(keys.view(padded(bare))[:, 0]) >= 0)
