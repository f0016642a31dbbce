"""What the network policy controller should have put into the PolicyEndpoints of a policy, from the objects at hand.

Follows amazon-network-policy-controller-k8s v1.1.7 (pkg/resolvers/endpoints.go, clusternetworkpolicy_resolver.go,
applicationnetworkpolicy_resolver.go, pkg/policyendpoints/manager.go), without the defects of its versions: pods count
by address and phase, cluster IPs stand beside the pods of egress peers, items of one CIDR and equal excepts are one.
Where labels that are not at hand decide, or versions differ by design, the answer is `maybe` and nothing is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from forensics import controller_ports
from forensics.controller_ports import ALL, RulePort, cluster_rule_ports, rule_ports
from forensics.controller_selectors import matches
from formats.address import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from forensics.case import KubeObject
    from forensics.controller_cluster import Cluster, Pod
    from forensics.controller_ports import Ports
    from forensics.policy_rules import Direction, Tier

DIRECTIONS: tuple[Direction, ...] = ("ingress", "egress")
EVERYWHERE = ("0.0.0.0/0", "::/0")
#: kind -> (the group of its apiVersion, tier)
POLICY_KINDS: Mapping[str, tuple[str, Tier]] = {
    "NetworkPolicy": ("networking.k8s.io", "namespace"),
    "ApplicationNetworkPolicy": ("networking.k8s.aws", "namespace"),
    "ClusterNetworkPolicy": ("networking.k8s.aws", "cluster"),
}
_PEERS = {"ingress": "from", "egress": "to"}


class Key(NamedTuple):
    """What makes one item of a PolicyEndpoint: its CIDR (canonical) and excepts; in the cluster tier the action."""

    cidr: str
    excepts: tuple[str, ...] = ()
    action: str = ""


class Policy(NamedTuple):
    """One NetworkPolicy, ApplicationNetworkPolicy or ClusterNetworkPolicy."""

    kind: str
    tier: Tier
    namespace: str
    name: str
    source: KubeObject

    @property
    def title(self) -> str:
        """`NetworkPolicy prod/web`, `ClusterNetworkPolicy web`."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def spec(self) -> dict[str, Any]:
        """Its spec."""
        return self.source.spec

    @property
    def isolation(self) -> frozenset[str]:
        """Its policyTypes, as the API server fills them in."""
        if self.tier == "cluster":
            return frozenset()
        listed = self.spec.get("policyTypes")
        if isinstance(listed, list) and listed:
            return frozenset(str(each) for each in listed)
        return frozenset({"Ingress", "Egress"} if self.spec.get("egress") else {"Ingress"})


@dataclass(slots=True)
class Items:
    """The items of one direction. `maybe` are CIDRs whose presence or ports are not certain."""

    sure: dict[Key, Ports] = field(default_factory=dict)
    maybe: set[str] = field(default_factory=set)
    #: ports come from the containers of the selected pods: pods that are not at hand may add some
    named: bool = False
    #: pods or services can be peers
    pods: bool = False
    #: a rule could not be resolved at all: any further item may be its
    open: bool = False

    def add(self, key: Key, ports: Ports, *, sure: bool) -> None:
        """One item; merged with another of the same key, where no ports means all of them."""
        if not sure:
            self.maybe.add(key.cidr)
        elif key in self.sure and (not ports or not self.sure[key]):
            self.sure[key] = ALL
        else:
            self.sure[key] = self.sure.get(key, ALL) | ports


@dataclass(slots=True)
class Wanted:
    """What the PolicyEndpoints of one policy should say. `blind` names kinds of objects that are needed and missing."""

    policy: Policy
    ingress: Items = field(default_factory=Items)
    egress: Items = field(default_factory=Items)
    targets: list[Pod] = field(default_factory=list)
    maybe_targets: list[Pod] = field(default_factory=list)
    blind: set[str] = field(default_factory=set)

    def items(self, direction: Direction) -> Items:
        """The items of a direction."""
        return self.ingress if direction == "ingress" else self.egress


def policies_of(objects: Iterable[KubeObject]) -> list[Policy]:
    """The policies at hand in name order; the same name in another API group is somebody else's."""
    found: dict[tuple[str, str, str], Policy] = {}
    for item in objects:
        group, tier = POLICY_KINDS.get(item.kind, (None, None))
        version = str(item.record.data.get("api_version") or "")
        if group is None or tier is None or (version and version.partition("/")[0] != group):
            continue
        namespace = "" if tier == "cluster" else str(item.record.data.get("namespace") or "default")
        policy = Policy(item.kind, tier, namespace, str(item.record.data.get("name") or ""), item)
        found.setdefault((policy.kind, policy.namespace, policy.name), policy)
    return [found[key] for key in sorted(found)]


def resolve(policy: Policy, cluster: Cluster) -> Wanted:
    """What the controller should make of a policy."""
    return _Resolver(policy, cluster).wanted()


class _Resolver:
    def __init__(self, policy: Policy, cluster: Cluster) -> None:
        self._policy, self._cluster = policy, cluster
        self._wanted = Wanted(policy)

    def wanted(self) -> Wanted:
        wanted, spec = self._wanted, self._policy.spec
        for pod, sure in self._subject():
            if pod.ready and not pod.host_network:
                (wanted.targets if sure else wanted.maybe_targets).append(pod)
        for direction in DIRECTIONS:
            rules = spec.get(direction)
            for rule in rules if isinstance(rules, list) else ():
                if isinstance(rule, dict):
                    (self._cluster_rule if self._policy.tier == "cluster" else self._rule)(direction, rule)
        return wanted

    def _subject(self) -> Iterator[tuple[Pod, bool]]:
        spec = self._policy.spec
        if self._policy.tier == "namespace":
            return self._pods({"podSelector": spec.get("podSelector") or {}})
        subject = spec.get("subject")
        if not isinstance(subject, dict) or not ("namespaces" in subject or "pods" in subject):
            return iter(())
        return self._pods(_cluster_peer(subject))

    def _rule(self, direction: Direction, rule: Mapping[str, Any]) -> None:
        ports, items = rule_ports(rule.get("ports")), self._wanted.items(direction)
        shared = controller_ports.numeric(ports)
        if direction == "ingress":
            subject = self._pods({"podSelector": self._policy.spec.get("podSelector") or {}})
            shared = controller_ports.of_pods((pod for pod, _ in subject), ports)
            items.named = items.named or controller_ports.named(ports)
            if shared is None:
                return
        peers = rule.get(_PEERS[direction])
        if not peers:
            # The controller leaves out such a rule of an ApplicationNetworkPolicy.
            sure = self._policy.kind == "NetworkPolicy" or direction == "ingress"
            for everywhere in EVERYWHERE if shared is not None else ():
                items.add(Key(everywhere), shared or ALL, sure=sure)
            return
        for peer in peers if isinstance(peers, list) else ():
            if isinstance(peer, dict) and not peer.get("domainNames"):
                self._peer(direction, peer, ports, shared)

    def _peer(
        self, direction: Direction, peer: Mapping[str, Any], ports: tuple[RulePort, ...], shared: Ports | None
    ) -> None:
        block = peer.get("ipBlock")
        if isinstance(block, dict):
            if shared is not None and isinstance(block.get("cidr"), str):
                excepts = block.get("except")
                key = key_of(block["cidr"], excepts if isinstance(excepts, list) else ())
                self._wanted.items(direction).add(key, shared, sure=True)
            return
        self._pod_peer(direction, peer, ports, shared if direction == "ingress" else None)

    def _pod_peer(
        self,
        direction: Direction,
        peer: Mapping[str, Any],
        ports: tuple[RulePort, ...],
        shared: Ports | None,
        action: str = "",
    ) -> None:
        """`shared` are the ports of every pod; None resolves them pod by pod and adds cluster IPs."""
        items = self._wanted.items(direction)
        items.pods = True
        for pod, sure in self._pods(peer):
            mine = shared if shared is not None else controller_ports.of_pod(pod, ports)
            if pod.ready and mine is not None:
                items.add(key_of(pod.ip, (), action), mine, sure=sure)
        if direction == "egress":
            self._service_peers(peer, ports, action)

    def _service_peers(self, peer: Mapping[str, Any], ports: tuple[RulePort, ...], action: str) -> None:
        for namespace, in_it in self._namespaces(peer):
            pods = self._cluster.pods_in.get(namespace, [])
            for service in self._cluster.services_in.get(namespace, []):
                fits = matches(peer.get("podSelector") or {}, service.selector)
                if not service.cluster_ip or fits is False:
                    continue
                self._blind(in_it)
                behind = [
                    pod for pod in pods if service.selector.known.items() <= pod.labels.known.items()
                ]  # the selector of a service is a plain set of labels
                mine, agreed = controller_ports.of_service(service, behind, ports)
                if mine is not None:
                    sure = agreed and in_it is True and fits is True
                    self._wanted.egress.add(key_of(service.cluster_ip, (), action), mine, sure=sure)

    def _cluster_rule(self, direction: Direction, rule: Mapping[str, Any]) -> None:
        ports, action = cluster_rule_ports(rule.get("ports")), str(rule.get("action") or "")
        items = self._wanted.items(direction)
        if ports is None:
            items.open = True
            return
        plain = frozenset((port.protocol, port.port, port.end) for port in ports if not isinstance(port.port, str))
        peers = rule.get(_PEERS[direction])
        for peer in peers if isinstance(peers, list) else ():
            if not isinstance(peer, dict):
                continue
            networks = peer.get("networks")
            for network in networks if isinstance(networks, list) else ():
                items.add(key_of(str(network), (), action), plain, sure=True)
            if "namespaces" in peer or "pods" in peer:
                self._pod_peer(direction, _cluster_peer(peer), ports, plain, action)

    def _pods(self, peer: Mapping[str, Any]) -> Iterator[tuple[Pod, bool]]:
        """The pods a peer selects, and whether that is sure."""
        for namespace, in_it in self._namespaces(peer):
            for pod in self._cluster.pods_in.get(namespace, ()):
                fits = matches(peer.get("podSelector") or {}, pod.labels)
                if fits is not False:
                    self._blind(in_it)
                    yield pod, in_it is True and fits is True

    def _namespaces(self, peer: Mapping[str, Any]) -> Iterator[tuple[str, bool | None]]:
        selector = peer.get("namespaceSelector")
        if selector is None:
            yield self._policy.namespace, True
            return
        for name, labels in self._cluster.namespaces.items():
            answer = matches(selector, labels)
            if answer is not False:
                yield name, answer

    def _blind(self, in_it: bool | None) -> None:
        if in_it is None:
            self._wanted.blind.add("namespaces")


def key_of(cidr: str, excepts: Iterable[Any] = (), action: str = "") -> Key:
    """The key of an item, spelled canonically; a text that is no CIDR stays as it is."""
    return Key(canonical(cidr) or cidr, tuple(sorted(canonical(str(each)) or str(each) for each in excepts)), action)


def _cluster_peer(peer: Mapping[str, Any]) -> dict[str, Any]:
    """A subject or peer of a ClusterNetworkPolicy as the selectors of a NetworkPolicy peer."""
    pods = peer.get("pods")
    if isinstance(pods, dict):
        return {"namespaceSelector": pods.get("namespaceSelector") or {}, "podSelector": pods.get("podSelector") or {}}
    return {"namespaceSelector": peer.get("namespaces") or {}}
