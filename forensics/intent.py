"""What the policies at hand ask for one pod identifier, and whether they can speak for it at all."""

from __future__ import annotations

import struct
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from forensics.generations import generation_of
from forensics.policy import expected_map, expected_pod_state
from forensics.policy_book import Book
from forensics.ruleset import ruleset_slots
from forensics.versions import at_least
from formats import layouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from forensics.admissible import Slot, Slots
    from forensics.case import KubeObject, Node
    from forensics.podstate import PodState
    from forensics.policy import ExpectedMap
    from forensics.policy_rules import Direction, Policy
    from forensics.ruleset import Value

#: Assumed when neither the bundle nor the user says which agent runs; every report that rests on it says so.
ASSUMED_VERSION = "v1.3.0"
DIRECTIONS: tuple[Direction, ...] = ("ingress", "egress")
#: Stands in where the node's address is not known; its own entry is then no expectation.
_NO_NODE = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - an address that no packet has, never one to listen on


class Known(NamedTuple):
    """Whether policies can be judged by, and the reason in words."""

    yes: bool
    why: str


def _no_cluster_policy(item: KubeObject) -> bool:
    """An empty list that says of what: by its kind, or, as kubectl prints one, by the name of its file only."""
    if item.object.get("items") != []:
        return False
    name = item.artifact.shown_path.rpartition("/")[2].lower().replace("-", "").replace("_", "")
    return item.kind == "ClusterPolicyEndpointList" or (item.kind == "List" and "clusterpolicyendpoint" in name)


class Intent:
    """The policies' view of one pod identifier on one node."""

    def __init__(self, node: Node, pod: PodState) -> None:
        self._node, self._pod = node, pod
        self.version = node.agent_version or ASSUMED_VERSION
        self.family = node.family or 4
        self._expected: dict[tuple[Direction, bool], ExpectedMap] = {}
        #: for every question about the node's policy objects
        self.book = Book()

    @cached_property
    def policies(self) -> list[Policy]:
        """Policies of both tiers that reach the identifier's maps."""
        node = self._node
        return self.book.policies(node.policy_objects, self._pod.identifier, self.version, node_ip=node.node_ip)

    @property
    def policy_names(self) -> list[str]:
        """The policies as namespace/name, cluster policies by name alone."""
        return [f"{each.namespace}/{each.name}" if each.namespace else each.name for each in self.policies]

    @cached_property
    def namespaces(self) -> set[str]:
        """Namespaces the identifier's pods live in, as far as that is known."""
        known = {pod.namespace for pod in self._pod.pods}
        if "@" in self._pod.identifier:
            known.add(self._pod.identifier.rsplit("@", 1)[1])
        return known

    @cached_property
    def known(self) -> Known:
        """Whether the PolicyEndpoints at hand speak for this identifier."""
        node = self._node
        if not node.has("PolicyEndpoint"):
            return Known(False, "no PolicyEndpoint is in the input")
        if any(policy.tier == "namespace" for policy in self.policies):
            return Known(True, "PolicyEndpoints that select it are in the input")
        covered = {str(item.record.data.get("namespace")) for item in node.objects if item.kind == "PolicyEndpoint"}
        mine = self.namespaces & covered
        if mine:
            return Known(
                True, f"PolicyEndpoints of namespace {', '.join(sorted(mine))} are in the input, none selects it"
            )
        return Known(False, "no PolicyEndpoint of its namespace is in the input")

    @cached_property
    def cluster_known(self) -> Known:
        """Whether it is known which cluster policies there are."""
        node = self._node
        if node.agent_version and not at_least(node.agent_version, "v1.3.0"):
            return Known(True, f"agent {node.agent_version} has no cluster tier")
        if node.has("ClusterPolicyEndpoint"):
            return Known(True, "ClusterPolicyEndpoints are in the input")
        if self.cluster_listed:
            return Known(True, "the list of ClusterPolicyEndpoints in the input is empty")
        story = node.story
        started = any(story.events[row].name in ("agent-start", "manager-start") for row in story.starts)
        if started and not story.cluster_policies:
            return Known(True, "the agent log goes back to a start of the agent and has no cluster policy in it")
        return Known(False, "no ClusterPolicyEndpoint is in the input")

    @cached_property
    def cluster_listed(self) -> bool:
        """Whether the cluster policies are in the input, be it as a list of none."""
        return self._node.has("ClusterPolicyEndpoint") or any(map(_no_cluster_policy, self._node.objects))

    @property
    def selected(self) -> bool:
        """Whether any namespace policy selects the identifier."""
        return any(policy.tier == "namespace" for policy in self.policies)

    def expected(self, direction: Direction, *, ideal: bool = False) -> ExpectedMap:
        """What the agent of that version should have written; `ideal` leaves its known defects out.

        A tier that no policy of selects the identifier for has no entries: the agent leaves its map alone.
        """
        key = (direction, ideal)
        if key not in self._expected:
            node = self._node
            self._expected[key] = expected_map(
                node.policy_objects,
                node.node_ip or _NO_NODE[self.family],
                self._pod.identifier,
                direction,
                self.version,
                self.family,
                ideal=ideal,
                book=self.book,
            )
        return self._expected[key]

    def values(self, direction: Direction) -> dict[str, dict[bytes, Value]]:
        """What the policies ask as {tier: {key: value}}: bytes where the rules fit into a value, else all its slots."""
        out: dict[str, dict[bytes, Value]] = {}
        room = generation_of(self.version).generation.slots_examined[self.family]
        for tier in ("namespace", "cluster"):
            entries = self.expected(direction, ideal=True).tier(tier).entries
            values = [_whole(each.wanted, tier, room) for each in entries.shared]
            own = bool(self._node.node_ip)
            out[tier] = {key: values[number] for key, number in entries.by_key(node=own).items()}
        return out

    def pod_state(self) -> Mapping[int, int]:
        """The states a correct agent would have set; of several admissible ones that of applied policies."""
        node = self._node
        mode = node.enforcing_mode or "standard"
        states = expected_pod_state(
            node.policy_objects, self._pod.identifier, self.version, mode, node_ip=node.node_ip, book=self.book
        )
        return {key: min(admissible) for key, admissible in states.items()}


def _whole(slots: Slots, tier: str, room: int) -> Value:
    return value_of(slots, tier) if len(slots) <= room else ruleset_slots(slots, tier)


def value_of(slots: Iterable[Slot], tier: str) -> bytes:
    """Slots as the bytes of a value of their tier, zero-filled; slots beyond 24 are left out as the agent does."""
    size = layouts.CLUSTER_VALUE_SIZE if tier == "cluster" else layouts.NAMESPACE_VALUE_SIZE
    numbers = [number for slot in islice(slots, layouts.SLOTS) for number in slot]
    return struct.pack(f"<{len(numbers)}I", *numbers).ljust(size, b"\0")
