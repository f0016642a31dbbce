"""What the tc program of an agent version does to a packet, from map bytes alone, and why.

    Packet or frame -> pod state -> conntrack forward -> conntrack reverse -> cluster entry -> admin
                    -> namespace entry -> slot -> baseline -> default

The answer is held to the programs' own answers in a running kernel (corpus/vectors). A Datapath is one program
(version, family, direction) over one state of its maps; asking it changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from forensics.conntrack import counts, flow_key, forward_use, reply_key
from forensics.generations import generation_of
from forensics.packet import Packet, Unread, see, see_frame
from forensics.prefixes import PrefixIndex, is_key
from forensics.ruleset import DEFAULT_ALLOW, DEFAULT_DENY, evaluate_new_flow, packet_classes
from forensics.verdict_path import CONNTRACK_MAP, Consulted, Matched, Step, Verdict, established, looked_up, unread
from formats import layouts

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from forensics.datapath_batch import Answers, Batch
    from forensics.generations import Generation
    from forensics.packet import Seen
    from forensics.packet_arrays import PacketColumns
    from forensics.ruleset import Decision

__all__ = ["Datapath", "Matched", "Packet", "Step", "Verdict", "evaluate_new_flow", "packet_classes"]

_RULE_MAPS = ("ingress_map", "egress_map", "cp_ingress_map", "cp_egress_map")


@dataclass(frozen=True, eq=False)
class Datapath:
    """One program over one state of its maps. Values are kept as given, never copied and never changed.

    maps: rule maps by name (`ingress_map`, `cp_ingress_map`, ...); those of the other direction, and cluster maps
    before v1.3.0, are not looked at; a map that is not given is empty. pod_state: key 0 the network policy state,
    key 1 the cluster policy state; a missing key is a missing entry. Raises ValueError for a version, family,
    direction or map name that does not exist.
    """

    agent_version: str
    family: int
    direction: str
    maps: Mapping[str, Mapping[bytes, bytes]] = field(default_factory=dict)
    pod_state: Mapping[int, int] = field(default_factory=dict)
    conntrack: Mapping[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.family not in (4, 6):
            raise ValueError(f"family {self.family!r} is not 4 or 6")
        if self.direction not in ("ingress", "egress"):
            raise ValueError(f"direction {self.direction!r} is not ingress or egress")
        for name in self.maps:
            if name not in _RULE_MAPS:
                raise ValueError(f"map {name!r} is not one of {', '.join(_RULE_MAPS)}")
        _ = self.generation

    @cached_property
    def generation(self) -> Generation:
        """The program's generation."""
        return generation_of(self.agent_version).generation

    @property
    def namespace_map(self) -> str:
        """Name of the namespace tier's rule map of this direction."""
        return f"{self.direction}_map"

    @property
    def cluster_map(self) -> str:
        """Name of the cluster tier's rule map of this direction."""
        return f"cp_{self.direction}_map"

    def entries(self, name: str) -> Mapping[bytes, bytes]:
        """The entries of a rule map as given; empty where the program has no such map."""
        if name == self.cluster_map and not self.generation.tiers:
            return {}
        return self.maps.get(name, {})

    def key(self, name: str, row: int) -> bytes:
        """The key of an entry by its position in the map given."""
        return self._keys[name][row]

    @cached_property
    def _keys(self) -> dict[str, list[bytes]]:
        return {name: list(self.entries(name)) for name in (self.namespace_map, self.cluster_map)}

    @cached_property
    def assumptions(self) -> tuple[str, ...]:
        """What was taken for granted about the version, and what of the maps no such program could have."""
        notes = list(generation_of(self.agent_version).assumptions)
        sizes = {
            self.namespace_map: self.generation.namespace_value.subcons[0].sizeof(),
            self.cluster_map: layouts.CLUSTER_VALUE_SIZE,
        }
        for name, size in sizes.items():
            entries = self.entries(name)
            wrong = sum(not is_key(key, self.family) for key in entries)
            if wrong:
                notes.append(f"{name}: {wrong} keys are none of an IPv{self.family} map and are left out")
            other = sorted({len(value) for value in entries.values()} - {size})
            if other:
                given = ", ".join(map(str, other))
                notes.append(f"{name}: values of {given} bytes are read as the program declares them, {size} bytes")
        key_size = self.generation.conntrack_key[self.family].sizeof()
        strange = sum(len(key) != key_size for key in self.conntrack)
        if strange:
            notes.append(f"{CONNTRACK_MAP}: {strange} keys are not of {key_size} bytes and are never found")
        return tuple(notes)

    def verdict(self, packet: Packet) -> Verdict:
        """The program's answer to one packet. Raises ValueError for a packet that cannot exist."""
        return self._judge(see(packet, self.family))

    def verdict_frame(self, frame: bytes, ifindex: int = 1) -> Verdict:
        """The program's answer to a raw Ethernet frame; whatever the program does not read, it lets through."""
        return self._judge(see_frame(frame, self.family, ifindex))

    def verdicts(self, frame: pl.DataFrame | Mapping[str, Any], *, conntrack_keys: bool = False) -> pl.DataFrame:
        """Many packets at once, each judged alone against the same state; one row per packet, in order.

        frame: a polars frame, or columns by name, of src and dst (text; packed bytes; or numbers, IPv4 only), protocol,
        sport, dport, and ifindex (1 when there is none). Raises ValueError that names the column and row at fault.

        Columns of the answer: action (OK, SHOT), event, tier, reason (ruleset.REASONS), namespace_row, cluster_row (the
        entry consulted, by its position in the map given), namespace_slot, admin_slot, baseline_slot, conntrack (none,
        write, delete: what becomes of the flow's own key), conntrack_state (the state written; null up to v1.0.4,
        where the value written is the pod's address). Null is none. `conntrack_keys` adds the flow's own key.
        """
        from forensics.datapath_frame import verdicts

        return verdicts(self.batch, frame, conntrack_keys=conntrack_keys)

    def answers(self, packets: PacketColumns) -> Answers:
        """As verdicts, over arrays in and out: for callers that have their packets as numbers."""
        return self.batch.answers(packets)

    @cached_property
    def batch(self) -> Batch:
        """The tables for many packets, made when they are first asked for."""
        from forensics.datapath_batch import Batch

        return Batch(self)

    @cached_property
    def _indexes(self) -> dict[str, PrefixIndex[bytes]]:
        names = (self.namespace_map, self.cluster_map)
        return {name: PrefixIndex(self.entries(name), self.family) for name in names}

    def _judge(self, seen: Seen | Unread) -> Verdict:
        if isinstance(seen, Unread):
            return unread(seen.why)
        path = self._pod_state_step()
        if self._settled_by_pod_state():
            return looked_up(self._decide(seen, None, None), path, (), None, None)
        owner = seen.dst if self.direction == "ingress" else seen.src
        layout = self.generation.conntrack_key[self.family]
        forward = flow_key(layout, seen, owner)
        stored = self.conntrack.get(forward)
        use = "miss" if stored is None else forward_use(self.generation, self.pod_state, stored, owner)
        path = (*path, Step("conntrack-forward", use, CONNTRACK_MAP, forward, stored))
        if use == "hit":
            return established(path, ())
        if use == "rewritten":
            return established(path, ((forward, self.generation.conntrack_bytes(0, owner)),))
        if use == "stale":
            return self._evaluated(seen, path, forward, dropped=((forward, None),))
        back = reply_key(layout, seen, owner)
        answered = self.conntrack.get(back)
        use = "miss" if answered is None else "hit" if counts(self.generation, answered, owner) else "ignored"
        path = (*path, Step("conntrack-reverse", use, CONNTRACK_MAP, back, answered))
        if use == "hit":
            return established(path, ())
        return self._evaluated(seen, path, forward, dropped=())

    def _pod_state_step(self) -> tuple[Step, ...]:
        keys = self.generation.pod_state_keys
        if not keys:
            return ()
        states = [self.pod_state.get(key) for key in keys]
        outcome = ", ".join(layouts.POD_STATE_NAMES.get(state, str(state)) for state in states if state is not None)
        return (Step("pod-state", "MISSING" if None in states else outcome, f"{self.direction}_pod_state_map"),)

    def _settled_by_pod_state(self) -> bool:
        """Whether the pod state decides before conntrack: a missing entry, and DEFAULT_DENY in v1.2.x."""
        keys = self.generation.pod_state_keys
        if any(key not in self.pod_state for key in keys):
            return True
        return bool(keys) and not self.generation.tiers and self.pod_state[0] == DEFAULT_DENY

    def _allows_by_pod_state(self) -> bool:
        """Whether the program never looks into the namespace map: DEFAULT_ALLOW in v1.2.x."""
        keys = self.generation.pod_state_keys
        return bool(keys) and not self.generation.tiers and self.pod_state[0] == DEFAULT_ALLOW

    def _decide(self, seen: Seen, namespace: Consulted | None, cluster: Consulted | None) -> Decision:
        return evaluate_new_flow(
            self.generation,
            self.family,
            namespace.value if namespace is not None else None,
            cluster.value if cluster is not None else None,
            self.pod_state,
            seen.protocol,
            seen.dport,
        )

    def _evaluated(
        self, seen: Seen, path: tuple[Step, ...], forward: bytes, dropped: tuple[tuple[bytes, None], ...]
    ) -> Verdict:
        """The full look-up. `dropped` is what happens to conntrack when the packet is dropped."""
        peer, owner = (seen.src, seen.dst) if self.direction == "ingress" else (seen.dst, seen.src)
        cluster = self._consult(self.cluster_map, peer) if self.generation.tiers else None
        namespace = None if self._allows_by_pod_state() else self._consult(self.namespace_map, peer)
        decision = self._decide(seen, namespace, cluster)
        if decision.stores is None:
            return looked_up(decision, path, dropped, namespace, cluster)
        written = self.generation.conntrack_bytes(decision.stores, owner)
        return looked_up(decision, path, ((forward, written),), namespace, cluster)

    def _consult(self, name: str, peer: bytes) -> Consulted:
        return Consulted(name, *(self._indexes[name].longest(peer) or (None, None)))
