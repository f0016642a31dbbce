"""The stage before the agent's, for one node: every policy beside its PolicyEndpoints, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from forensics import case
from forensics.controller import policies_of, resolve
from forensics.controller_cluster import Cluster
from forensics.controller_diff import Comparer, changed, since
from forensics.effects import Datapaths
from forensics.intent import Intent
from forensics.pod_names import SEPARATOR, identifier_like
from forensics.policy_rules import endpoints_of
from formats.address import cidr_of_key
from formats.base import Record
from formats.log_time import utc_ns

if TYPE_CHECKING:
    from forensics.case import KubeObject, Node
    from forensics.controller_diff import Compared, Difference
    from forensics.podstate import PodState
    from forensics.policy_rules import Direction, Endpoint

#: The controller takes seconds to minutes; reports name five to six. After ten it has not been slow, it has not come.
DELAY_NS = 600 * 1_000_000_000
#: Differences about one target; they concern that target's own identifier only.
TARGETS = ("missing-target", "extra-target", "gone-target", "host-network")
#: Differences that an edit of the policy makes.
BY_EDIT = (
    "ports",
    "missing-block",
    "extra-block",
    "missing-peer",
    "extra-peer",
    "missing-target",
    "extra-target",
    "isolation",
)
Group = tuple[str, str, str]


class Concern(NamedTuple):
    """One policy that an identifier's maps depend on, and those of its differences that reach them."""

    compared: Compared
    differences: list[Difference]


class _Index(NamedTuple):
    """Places in Stage.compared and Stage.unmatched by pod identifier."""

    compared: dict[str, list[int]]
    unmatched: dict[str, list[int]]


class Sides(NamedTuple):
    """Two sides of one identifier and direction, and every network that either has an entry for."""

    paths: Datapaths
    cidrs: frozenset[str]


class Stage:
    """Policies, pods, namespaces and services of a case beside its PolicyEndpoints; computed once per node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._sides: dict[tuple[str, str], Sides] = {}
        self._indexes: dict[tuple[bool, str], _Index] = {}

    @cached_property
    def cluster(self) -> Cluster:
        """What is at hand of the cluster."""
        return Cluster(self._node.objects)

    @cached_property
    def has_policies(self) -> bool:
        """Whether any policy is at hand."""
        return bool(policies_of(self._node.objects))

    @cached_property
    def now_ns(self) -> int | None:
        """The latest time that anything in the case shows, ns since 1970."""
        seen = utc_ns(self._node.observed_until) if self._node.observed_until else None
        objects = [time for item in self._node.objects for time in (since(item), changed([item])) if time is not None]
        return max([*objects, *([seen] if seen is not None else [])], default=None)

    @cached_property
    def _groups(self) -> dict[Group, list[Endpoint]]:
        groups: dict[Group, list[Endpoint]] = {}
        for endpoint in endpoints_of(self._node.policy_objects):
            groups.setdefault((endpoint.tier, endpoint.namespace, endpoint.policy), []).append(endpoint)
        return groups

    @cached_property
    def compared(self) -> list[Compared]:
        """Every policy at hand beside its objects. One without any is told of when others' objects are at hand."""
        everything = [endpoint for group in self._groups.values() for endpoint in group]
        comparer = Comparer(self.cluster, everything)
        covered = {(tier, namespace) for tier, namespace, _ in self._groups}
        many = len(covered) > 1
        out = []
        for policy in policies_of(self._node.objects):
            endpoints = self._groups.get((policy.tier, policy.namespace, policy.name), [])
            if endpoints or (policy.tier, policy.namespace) in covered or (many and policy.tier == "namespace"):
                out.append(comparer.compare(resolve(policy, self.cluster), endpoints, self._sources(endpoints)))
        return out

    @cached_property
    def unmatched(self) -> list[list[Endpoint]]:
        """Groups of PolicyEndpoints whose policy is not at hand."""
        known = {(policy.tier, policy.namespace, policy.name) for policy in policies_of(self._node.objects)}
        return [endpoints for key, endpoints in sorted(self._groups.items()) if key not in known]

    def concerns(self, identifier: str, version: str) -> list[Concern]:
        """The policies that select, or should select, a pod of an identifier."""
        out = []
        for number in self._index(identifier, version).compared.get(identifier, ()):
            compared = self.compared[number]
            mine = [
                each
                for each in compared.differences
                if each.kind not in TARGETS or (each.target and _is(each.target, identifier, version))
            ]
            out.append(Concern(compared, mine))
        return out

    def without_policy(self, identifier: str, version: str) -> list[str]:
        """Policies by name whose PolicyEndpoints select a pod of an identifier and that are not at hand themselves."""
        groups = [self.unmatched[number] for number in self._index(identifier, version).unmatched.get(identifier, ())]
        return [f"{group[0].namespace}/{group[0].policy}".strip("/") for group in groups]

    def _index(self, identifier: str, version: str) -> _Index:
        """Which policies have rows of which identifier, for the scheme that an identifier is of."""
        key = (SEPARATOR in identifier, version)
        if key not in self._indexes:
            index = _Index({}, {})
            rows = [compared.rows for compared in self.compared]
            alone = [{(row.namespace, row.name) for each in group for row in each.rows} for group in self.unmatched]
            for found, every in ((index.compared, rows), (index.unmatched, alone)):
                for number, pods in enumerate(every):
                    for name in {identifier_like(identifier, pod, space, version) for space, pod in pods}:
                        found.setdefault(name, []).append(number)
            self._indexes[key] = index
        return self._indexes[key]

    def is_young(self, difference: Difference, compared: Compared) -> bool:
        """Whether what makes a difference is younger than the PolicyEndpoints, and not by longer than a delay.

        An edit of the policy of which only the fact is known may be.
        """
        if compared.edited and difference.kind in BY_EDIT:
            return True
        made, now = difference.since_ns, self.now_ns
        if made is None or (compared.changed_ns is not None and made <= compared.changed_ns):
            return False
        return now is None or now - made <= DELAY_NS

    @cached_property
    def node_as_asked(self) -> Node:
        """The node with PolicyEndpoints as they should be."""
        node = self._node
        replaced = {id(source) for compared in self.compared for source in compared.sources}
        objects = [item for item in node.objects if id(item) not in replaced]
        for compared in self.compared:
            source = compared.wanted.policy.source
            objects += [case.KubeObject(source.artifact, _record(source, each)) for each in compared.should]
        return replace(node, objects=objects)

    def sides(self, pod: PodState, direction: Direction) -> Sides:
        """What the PolicyEndpoints at hand lead to (as the kernel's side) beside what the policies ask."""
        key = (pod.identifier, direction)
        if key not in self._sides:
            have, want = Intent(self._node, pod), Intent(self.node_as_asked, pod)
            contents = have.values(direction), want.values(direction)
            states = have.pod_state(), want.pod_state()
            paths = Datapaths(have.version, have.family, *contents, *states)
            keys = {key for content in contents for tier in content.values() for key in tier}
            self._sides[key] = Sides(paths, frozenset(cidr for key in keys if (cidr := cidr_of_key(key))))
        return self._sides[key]

    def _sources(self, endpoints: list[Endpoint]) -> list[KubeObject]:
        names = {(endpoint.tier, endpoint.namespace, endpoint.name) for endpoint in endpoints}
        return [
            item
            for item in self._node.objects
            if item.kind in case.POLICY_KINDS
            and ("cluster" if item.kind.startswith("Cluster") else "namespace", _namespace(item), _name(item)) in names
        ]


def _is(row: tuple[str, str], identifier: str, version: str) -> bool:
    namespace, name = row
    return identifier_like(identifier, name, namespace, version) == identifier


def _namespace(item: KubeObject) -> str:
    return "" if item.kind.startswith("Cluster") else str(item.record.data.get("namespace") or "")


def _name(item: KubeObject) -> str:
    return str(item.record.data.get("name") or "")


def _record(source: KubeObject, made: dict[str, object]) -> Record:
    """A record of an object that nobody wrote, placed where its policy stands."""
    meta = made["metadata"]
    assert isinstance(meta, dict)
    data = {"kind": made["kind"], "namespace": meta.get("namespace"), "name": meta["name"], "object": made}
    return Record("k8s_object", data, source.record.span)
