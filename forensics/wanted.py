"""What the policies at hand ask for one packet or many: the same program over the maps a faultless agent would write.

Where a rule list is longer than a value, the maps cannot say what the policies ask; the slots that matter to the packet
are then put first, and for many packets the list is cut into layers that are asked one after the other.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from forensics.datapath import Datapath
from forensics.generations import generation_of
from forensics.intent import value_of
from forensics.policy_rules import endpoints_of, rules_of
from forensics.ruleset import cluster_slots
from forensics.verdict_path import unread
from formats.address import cidr_of_key
from formats.layouts import PROTOCOL_ANY, PROTOCOL_RESERVED, SLOTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forensics.admissible import Slot
    from forensics.context import Context
    from forensics.datapath import Packet, Verdict
    from forensics.policy import ExpectedEntry
    from forensics.policy_rules import Direction, Port, Rule, Source

_NUMBERS = {"TCP": 6, "UDP": 17, "SCTP": 132}
_TIERS = ("namespace", "cluster")
#: Why a packet passes before v1.2.0 where no policy selects the pod.
NO_PROGRAM = "no policy selects the pod, so no program is attached"


def rule_text(rule: Rule) -> str:
    """`10.0.0.0/8 TCP 80, TCP 8000-8100`; an action leads, excepts follow."""
    ports = ", ".join(map(_port_text, rule.ports)) or "all ports"
    lead = f"{rule.action} (priority {rule.priority}) " if rule.action else ""
    excepts = f" except {', '.join(rule.excepts)}" if rule.excepts else ""
    return f"{lead}{rule.cidr} {ports}{excepts}"


def _port_text(port: Port) -> str:
    protocol, start, end = port
    span = "" if not start else f" {start}" if not end or end == start else f" {start}-{end}"
    return f"{protocol or 'any protocol'}{span}"


def rule_matches(rule: Rule, protocol: int, dport: int) -> bool:
    """Whether a rule's port list admits a packet."""
    return not rule.ports or any(_port_matches(port, protocol, dport) for port in rule.ports)


def _port_matches(port: Port, protocol: int, dport: int) -> bool:
    name, start, end = port
    if name is not None and _NUMBERS.get(name) != protocol:
        return False
    return not start or start <= dport <= max(start, end or 0)


def _speaks(slot: Slot, protocol: int, dport: int) -> bool:
    named, start, end = slot[0], slot[-2], slot[-1]
    return named in (protocol, PROTOCOL_ANY, PROTOCOL_RESERVED) and (not start or start <= dport <= max(start, end))


class By(NamedTuple):
    """A rule behind a verdict; policy and endpoint are None for what the agent does by itself."""

    policy: str | None
    endpoint: str | None
    rule: str


class _Slots(NamedTuple):
    """What the entries of a tier are to hold: the key of each, and the place of its slots among those that differ."""

    numbers: dict[bytes, int]
    shared: list[tuple[Slot, ...]]


class Wanted:
    """The policies' view of one pod identifier and direction."""

    def __init__(self, context: Context, direction: Direction) -> None:
        self.context, self.direction = context, direction
        self._intent = context.intent
        self.family = context.intent.family
        self._generation = generation_of(self._intent.version).generation
        self._expected = self._intent.expected(direction, ideal=True)

    @property
    def unprogrammed(self) -> bool:
        """Whether no program is to be attached: before v1.2.0 only pods that a policy selects have one."""
        return not self._generation.pod_state_keys and not self._intent.selected

    def verdict(self, packet: Packet) -> Verdict:
        """What the policies ask for a packet of a new flow."""
        if self.unprogrammed:
            return unread(NO_PROGRAM)
        return self._datapath(self._maps(packet)).verdict(packet)

    @cached_property
    def layers(self) -> list[Datapath]:
        """Programs that together hold every rule: the first that has an entry and a slot for a packet speaks."""
        namespace, cluster = (self._slots[tier] for tier in _TIERS)
        longest = max((len(namespace.shared[number]) for number in set(namespace.numbers.values())), default=0)
        room = self._generation.slots_examined[self._intent.family]
        layers = []
        for start in range(0, max(longest, 1), room):
            upper = [value_of(each[start : start + room] or each[:room], "namespace") for each in namespace.shared]
            lower = [value_of(each, "cluster") for each in cluster.shared]
            maps = {
                f"{self.direction}_map": {key: upper[number] for key, number in namespace.numbers.items()},
                f"cp_{self.direction}_map": {key: lower[number] for key, number in cluster.numbers.items()},
            }
            layers.append(self._datapath(maps))
        return layers

    def by(self, verdict: Verdict, packet: Packet) -> list[By]:
        """The rules that give a verdict; for a denial those that isolate the pod or name the peer without the port."""
        matched = verdict.matched
        if matched.reason in ("unread", "pod-state-missing") or matched.reason.startswith("default"):
            return []
        tier = "cluster" if matched.reason.startswith(("admin", "baseline")) else "namespace"
        key = matched.key if matched.map and matched.map.endswith(("ingress_map", "egress_map")) else None
        entry = self._expected.tier(tier).entries.get(cidr_of_key(key) or "") if key is not None else None
        if entry is None:
            return self._isolating()
        if entry.kind == "node":
            return [By(None, None, "the agent's own entry: the node reaches every pod it runs")]
        if entry.kind == "catch-all":
            why = f"no rule and no isolation for {self.direction}: the agent adds {entry.cidr}"
            return [By(None, None, why)]
        if tier == "cluster":
            assert matched.slot is not None
            assert matched.value is not None
            priority = cluster_slots(matched.value)[matched.slot].priority // 10
            chosen = [rule for rule in self._rules(entry.sources, packet) if rule.priority == priority]
            return [self._by(rule) for rule in chosen]
        if verdict.action == "OK":
            return [self._by(rule) for rule in self._admitting(entry, packet)]
        excepts = [
            By(self._policy_name(source), source.endpoint, f"{_place(source)} excepts {entry.cidr}")
            for source in entry.excepted_by
        ]
        named = [self._rule(source) for source in entry.sources]
        return excepts + [self._by(rule) for rule in named if rule is not None]

    @cached_property
    def _slots(self) -> dict[str, _Slots]:
        """The slots of each tier, equal slots once, cluster slots best first: what is cut off last matters least."""
        out: dict[str, _Slots] = {}
        for tier in _TIERS:
            entries = self._expected.tier(tier).entries
            shared = []
            for each in entries.shared:
                slots = dict.fromkeys(each.wanted)
                shared.append(tuple(sorted(slots, key=lambda slot: slot[1]) if tier == "cluster" else slots))
            out[tier] = _Slots(entries.by_key(node=bool(self.context.node.node_ip)), shared)
        return out

    def _maps(self, packet: Packet) -> dict[str, dict[bytes, bytes]]:
        room = {"namespace": self._generation.slots_examined[self._intent.family], "cluster": SLOTS}
        names = {"namespace": f"{self.direction}_map", "cluster": f"cp_{self.direction}_map"}
        maps: dict[str, dict[bytes, bytes]] = {}
        for tier in _TIERS:
            maps[names[tier]] = {}
            numbers, shared = self._slots[tier]
            for key, number in numbers.items():
                first = slots = shared[number]
                if len(slots) > room[tier]:
                    first = tuple(
                        sorted(slots, key=lambda slot: not _speaks(slot, packet.protocol, packet.dport))
                    )  # sorting is stable: priorities keep their order
                maps[names[tier]][key] = value_of(first, tier)
        return maps

    def _datapath(self, maps: dict[str, dict[bytes, bytes]]) -> Datapath:
        intent = self._intent
        return Datapath(intent.version, intent.family, self.direction, maps, intent.pod_state())

    @cached_property
    def _endpoints(self) -> dict[Source, Rule]:
        found = endpoints_of(self.context.node.policy_objects)
        return {rule.source: rule for endpoint in found for rule in rules_of(endpoint, self.direction)}

    def _rule(self, source: Source) -> Rule | None:
        return self._endpoints.get(source)

    def _rules(self, sources: Iterable[Source], packet: Packet) -> list[Rule]:
        rules = [rule for source in sources if (rule := self._rule(source)) is not None]
        return [rule for rule in rules if rule_matches(rule, packet.protocol, packet.dport)]

    def _admitting(self, entry: ExpectedEntry, packet: Packet) -> list[Rule]:
        """The entry's own rules that admit the packet, else those of the wider networks it takes over."""
        own = self._rules(entry.sources, packet)
        if own:
            return own
        entries = self._expected.namespace.entries
        wider = [entries[cidr] for cidr in entry.inherited_from if cidr in entries]
        return [rule for each in wider for rule in self._rules(each.sources, packet)]

    def _isolating(self) -> list[By]:
        mine = [policy for policy in self._intent.policies if policy.tier == "namespace"]
        out = []
        for policy in mine:
            for endpoint in policy.endpoints:
                if endpoint.isolates(self.direction) or any(True for _ in rules_of(endpoint, self.direction)):
                    name = f"{policy.namespace}/{policy.name}"
                    out.append(By(name, endpoint.name, f"isolates {self.direction}; no rule of it names the peer"))
        return out

    def _by(self, rule: Rule) -> By:
        source = rule.source
        return By(self._policy_name(source), source.endpoint, f"{_place(source)}: {rule_text(rule)}")

    @staticmethod
    def _policy_name(source: Source) -> str:
        return f"{source.namespace}/{source.policy}" if source.namespace else source.policy


def _place(source: Source) -> str:
    return f"spec.{source.direction}[{source.item}]"
