"""From PolicyEndpoint objects to the rules of one pod identifier: which policies count, and what they say.

Input objects are plain parsed YAML or JSON, PolicyEndpoint and ClusterPolicyEndpoint mixed, lists unwrapped. A field
of the wrong type reads as absent: the readers of formats report it, here it costs its own rule only.
"""

from __future__ import annotations

import ipaddress
import json
import marshal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from forensics.agent_behaviour import behaviour
from forensics.pod_names import identifier_like
from forensics.versions import HEAD, at_least

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from forensics.agent_behaviour import Behaviour

Direction = Literal["ingress", "egress"]
Tier = Literal["namespace", "cluster"]
#: protocol as written, port, endPort; None where the object has none.
Port = tuple[str | None, int | None, int | None]
_ISOLATION: dict[str, str] = {"ingress": "Ingress", "egress": "Egress"}
#: What the agent adds to a baseline priority (fw_rule_processor.go, BASELINE_TIER_PRIORITY_OFFSET, v1.3.0).
_BASELINE_OFFSET = 2000
_U32 = 0xFFFFFFFF


class Source(NamedTuple):
    """Where a rule stands: the policy, the object of it, and the item's index in `spec.ingress` or `spec.egress`.

    The item is -1 for the catch-all that the agent adds by itself.
    """

    tier: Tier
    namespace: str
    policy: str
    endpoint: str
    direction: Direction
    item: int


class Rule(NamedTuple):
    """One item of an object. `action` and `priority` (baseline offset added) belong to the cluster tier."""

    cidr: str
    ports: tuple[Port, ...]
    excepts: tuple[str, ...]
    source: Source
    action: str = ""
    priority: int = 0


class Row(NamedTuple):
    """One pod of `spec.podSelectorEndpoints`."""

    name: str
    namespace: str
    pod_ip: str
    host_ip: str


class Endpoint(NamedTuple):
    """One PolicyEndpoint or ClusterPolicyEndpoint object."""

    tier: Tier
    namespace: str
    name: str
    policy: str
    spec: Mapping[str, Any]

    @property
    def rows(self) -> tuple[Row, ...]:
        """The pods it selects."""
        return tuple(
            Row(_text(row.get("name")), _text(row.get("namespace")), _text(row.get("podIP")), _text(row.get("hostIP")))
            for row in _dicts(self.spec.get("podSelectorEndpoints"))
        )

    def isolates(self, direction: Direction) -> bool:
        """Whether `spec.podIsolation` lists a direction."""
        listed = self.spec.get("podIsolation")
        return isinstance(listed, list) and _ISOLATION[direction] in listed


class Policy(NamedTuple):
    """One policy that counts for an identifier: the objects whose rules apply, and the rows that brought it in."""

    tier: Tier
    namespace: str
    name: str
    endpoints: tuple[Endpoint, ...]
    rows: tuple[Row, ...]

    def is_local(self, node_ip: str) -> bool:
        """Whether a pod of this node is among the rows."""
        return any(same_host(row.host_ip, node_ip) for row in self.rows)


class Collected(NamedTuple):
    """The rules of one tier and direction; `no_cidr` are the items that name a domain and never reach a map."""

    rules: tuple[Rule, ...]
    no_cidr: tuple[Source, ...]


def endpoints_of(policy_endpoints: Iterable[Any]) -> list[Endpoint]:
    """The objects of both kinds in name order, lists unwrapped, each name once: of two copies the newer generation."""
    newest: dict[tuple[str, str, str], tuple[dict[str, Any], Endpoint]] = {}
    for item in _unwrapped(policy_endpoints):
        endpoint = _endpoint(item)
        if endpoint is None:
            continue
        key = (endpoint.tier, endpoint.namespace, endpoint.name)
        if key not in newest or _age(item) > _age(newest[key][0]):
            newest[key] = (item, endpoint)
    return [newest[key][1] for key in sorted(newest)]


def policies_for(
    policy_endpoints: Iterable[Any],
    identifier: str,
    agent_version: str = HEAD,
    *,
    node_ip: str | None = None,
    ideal: bool = False,
) -> list[Policy]:
    """The policies whose rules reach the maps of a pod identifier, both tiers, in name order.

    Objects form a policy by namespace and policyRef name. A policy counts when one of its rows has the identifier:
    a row of any node from v1.1.0 (v1.0.9 was never tagged), of this node before, where node_ip None takes any row;
    rows of hostNetwork pods count until v1.3.1. From v1.0.5 every object of the policy applies, before only those
    with such a row. Cluster policies exist from v1.3.0. Raises ValueError when agent_version is no version.
    """
    how = behaviour(agent_version, ideal=ideal)
    groups: dict[tuple[str, str, str], list[tuple[Endpoint, list[Row]]]] = {}
    for endpoint in endpoints_of(policy_endpoints):
        if endpoint.tier == "cluster" and not how.cluster:
            continue
        rows = [row for row in endpoint.rows if _counts(row, endpoint, identifier, agent_version, how, node_ip)]
        groups.setdefault((endpoint.tier, endpoint.namespace, endpoint.policy), []).append((endpoint, rows))
    found = []
    for (tier, namespace, name), members in sorted(groups.items(), key=lambda group: group[0]):
        rows = [row for _, mine in members for row in mine]
        if not rows:
            continue
        used = tuple(endpoint for endpoint, mine in members if mine or how.all_slices)
        found.append(Policy("cluster" if tier == "cluster" else "namespace", namespace, name, used, tuple(rows)))
    return found


def collect(policies: Iterable[Policy], tier: Tier, direction: Direction, agent_version: str) -> Collected:
    """The rules of a tier and direction over every object of the policies, in name and list order."""
    skips = at_least(agent_version, "v1.3.0") and direction == "egress"
    rules: list[Rule] = []
    no_cidr: list[Source] = []
    for policy in policies:
        for endpoint in policy.endpoints if policy.tier == tier else ():
            for rule in rules_of(endpoint, direction):
                if not rule.cidr and skips:
                    no_cidr.append(rule.source)
                else:
                    rules.append(rule)
    return Collected(tuple(rules), tuple(no_cidr))


def rules_of(endpoint: Endpoint, direction: Direction) -> Iterator[Rule]:
    """The items of one object and direction."""
    priority = _number(endpoint.spec.get("priority")) or 0
    if endpoint.spec.get("tier") == "Baseline":
        priority += _BASELINE_OFFSET
    seen: dict[bytes, tuple[Port, ...]] = {}
    for index, item in enumerate(_items(endpoint.spec.get(direction))):
        if isinstance(item, dict):
            yield Rule(
                _text(item.get("cidr")),
                _ports(item.get("ports"), seen),
                tuple(text for text in _items(item.get("except")) if isinstance(text, str)),
                Source(endpoint.tier, endpoint.namespace, endpoint.policy, endpoint.name, direction, index),
                _text(item.get("action")),
                priority if endpoint.tier == "cluster" else 0,
            )


def same_host(address: str, other: str) -> bool:
    """Whether two addresses are one, however they are written."""
    if address == other:
        return True
    try:
        return ipaddress.ip_address(address) == ipaddress.ip_address(other)
    except ValueError:
        return False


def _counts(row: Row, endpoint: Endpoint, identifier: str, version: str, how: Behaviour, node_ip: str | None) -> bool:
    if identifier_like(identifier, row.name, row.namespace, version) != identifier:
        return False
    if how.skips_host_network and endpoint.tier == "namespace" and row.pod_ip == row.host_ip:
        return False
    if how.rows_of_any_node or node_ip is None:
        return True
    # Before v1.0.4 the agent compared the texts of the two addresses.
    return same_host(row.host_ip, node_ip) if how.skips_node_rule else row.host_ip == node_ip


def _unwrapped(objects: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for item in objects:
        if not isinstance(item, dict):
            continue
        inner = item.get("items")
        if isinstance(inner, list) and "spec" not in item:
            yield from (each for each in inner if isinstance(each, dict))
        else:
            yield item


def _endpoint(item: dict[str, Any]) -> Endpoint | None:
    spec = item.get("spec")
    if not isinstance(spec, dict):
        return None
    kind = item.get("kind")
    if kind not in ("PolicyEndpoint", "ClusterPolicyEndpoint", None):
        return None
    meta = item.get("metadata") if isinstance(item.get("metadata"), dict) else {}
    reference = spec.get("policyRef") if isinstance(spec.get("policyRef"), dict) else {}
    assert isinstance(meta, dict)
    assert isinstance(reference, dict)
    name = _text(meta.get("name"))
    policy = _text(reference.get("name")) or name.rpartition("-")[0] or name
    if kind == "ClusterPolicyEndpoint" or (kind is None and "tier" in spec and "priority" in spec):
        return Endpoint("cluster", "", name, policy, spec)
    namespace = _text(meta.get("namespace")) or _text(reference.get("namespace"))
    return Endpoint("namespace", namespace, name, policy, spec)


def _age(item: dict[str, Any]) -> tuple[int, int, str]:
    meta = item.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    revision = _text(meta.get("resourceVersion"))
    number = int(revision) if revision.isascii() and revision.isdigit() and len(revision) < 20 else 0
    return _number(meta.get("generation")) or 0, number, json.dumps(item, sort_keys=True, default=str)


def _ports(listed: Any, seen: dict[bytes, tuple[Port, ...]]) -> tuple[Port, ...]:
    """The ports of a list; lists that were seen are not read again, and give the same tuple."""
    try:
        key = marshal.dumps(listed)  # lists that differ, be it only in a type, differ in these bytes
    except ValueError:
        return _read(listed)
    found = seen.get(key)
    if found is None:
        found = seen[key] = _read(listed)
    return found


def _read(listed: Any) -> tuple[Port, ...]:
    try:
        return tuple([_known_port(port.get("protocol"), port.get("port"), port.get("endPort")) for port in listed])
    except (AttributeError, TypeError):  # no list, or something in it that is no port
        return tuple(_port(port) for port in _dicts(listed))


def _port(port: dict[str, Any]) -> Port:
    fields = port.get("protocol"), port.get("port"), port.get("endPort")
    try:
        return _known_port(*fields)
    except TypeError:  # a list or an object where a scalar belongs cannot be a cache key
        return _known_port(*(None if isinstance(field, list | dict) else field for field in fields))


@lru_cache(maxsize=65_536, typed=True)
def _known_port(protocol: Any, start: Any, end: Any) -> Port:
    return protocol if isinstance(protocol, str) else None, _u32(start), _u32(end)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in _items(value) if isinstance(each, dict)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _u32(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else number & _U32
