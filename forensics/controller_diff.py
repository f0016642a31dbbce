"""A policy beside its PolicyEndpoints: the controller's stage, difference by difference, and what cannot be told.

All slices of a policy count as one. A difference is only claimed where the objects at hand prove it: an address is
extra when its pod is at hand and is not asked for, or when the list of pods is provably the whole cluster's; what is
not proven is a doubt and is taken as the PolicyEndpoints have it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from forensics.controller import DIRECTIONS, Wanted, key_of
from forensics.controller_ports import ALL
from formats.address import canonical
from formats.log_time import utc_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from forensics.case import KubeObject
    from forensics.controller import Key
    from forensics.controller_cluster import Cluster, Pod
    from forensics.controller_ports import Port, Ports
    from forensics.policy_rules import Direction, Endpoint, Row

_CHANGED = "networking.k8s.aws/last-change-trigger-time"
#: Kinds of objects that decide, as they are asked for.
PODS, NAMESPACES, SERVICES = "pods", "namespaces", "services"


class Difference(NamedTuple):
    """One difference. `cidr` is the address or network it is about, None for isolation; `since_ns` is when the pod or
    the policy that makes it came to be or last changed."""

    kind: str
    direction: Direction | None
    cidr: str | None
    text: str
    pod: Pod | None = None
    since_ns: int | None = None
    #: (namespace, name) of the target it is about
    target: tuple[str, str] | None = None


@dataclass(slots=True)
class Compared:
    """One policy beside its PolicyEndpoints. `should` are the objects as they should be, doubts left as they are."""

    wanted: Wanted
    endpoints: list[Endpoint]
    sources: list[KubeObject]
    changed_ns: int | None
    differences: list[Difference] = field(default_factory=list)
    #: the objects were made of another version of the policy, and when that was edited is not known
    edited: bool = False
    #: kind of object that is needed -> why
    doubts: dict[str, str] = field(default_factory=dict)
    should: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rows(self) -> set[tuple[str, str]]:
        """(namespace, name) of every pod that is or should be a target."""
        have = {(row.namespace, row.name) for endpoint in self.endpoints for row in endpoint.rows}
        return have | {(pod.namespace, pod.name) for pod in self.wanted.targets}


class Comparer:
    """Compares the policies of one case, one after the other."""

    def __init__(self, cluster: Cluster, endpoints: Sequence[Endpoint]) -> None:
        """`endpoints` are all at hand, of every policy: they tell whether the list of pods is whole."""
        self._cluster = cluster
        self._pods_whole = _is_whole(cluster, endpoints)

    def compare(self, wanted: Wanted, endpoints: list[Endpoint], sources: list[KubeObject]) -> Compared:
        """One policy and its objects; no objects is a difference of its own."""
        out = Compared(wanted, endpoints, sources, changed(sources))
        if NAMESPACES in wanted.blind:
            out.doubts[NAMESPACES] = "a namespaceSelector decides and labels of namespaces are not at hand"
        out.edited = any(_of_another_version(wanted, source) for source in sources)
        if not endpoints:
            text = f"{wanted.policy.title} has no PolicyEndpoint at all"
            out.differences.append(Difference("no-endpoint", None, None, text, None, since(wanted.policy.source)))
        should = {direction: self._direction(out, direction) for direction in DIRECTIONS}
        rows = self._targets(out)
        _isolation(out)
        out.should = [_object(wanted, endpoints, should, rows)]
        return out

    def _direction(self, out: Compared, direction: Direction) -> dict[Key, Ports]:
        wanted, have = out.wanted.items(direction), _merged(out.endpoints, direction)
        should: dict[Key, Ports] = {}
        for key, ports in wanted.sure.items():
            if key in have:
                should[key] = self._ports(out, direction, key, ports, have[key])
            elif key.cidr in wanted.maybe:
                continue
            else:
                should[key] = ports
                if out.endpoints:
                    out.differences.append(self._missing(out, direction, key, ports))
        for key, ports in have.items():
            if key not in wanted.sure:
                extra = self._extra(out, direction, key, ports)
                if extra is None:
                    should[key] = ports
                else:
                    out.differences.append(extra)
        return should

    def _ports(self, out: Compared, direction: Direction, key: Key, want: Ports, have: Ports) -> Ports:
        items = out.wanted.items(direction)
        if want == have:
            return want
        lacking = frozenset() if not have else (want - have if want else want)
        beyond = frozenset() if not want else have - want
        uncertain = key.cidr in items.maybe or items.open or (items.named and not self._targets_known(out))
        if uncertain and (beyond or not have):
            out.doubts.setdefault(PODS, f"ports of {key.cidr} hang on pods that are not at hand")
            beyond = frozenset()
            if not lacking:
                return have
        narrowed, widened = bool(lacking) or (not want and bool(have)), bool(beyond) or (not have and bool(want))
        if narrowed or widened:
            text = f"{direction} {key.cidr}: has {ports_text(have)}, should have {ports_text(want)}"
            pod = self._owner(key.cidr)
            out.differences.append(Difference("ports", direction, key.cidr, text, pod, since(out.wanted.policy.source)))
        return want if not uncertain else want | have if want and have else ALL

    def _missing(self, out: Compared, direction: Direction, key: Key, ports: Ports) -> Difference:
        policy = since(out.wanted.policy.source)
        what = f"{direction} lacks {_item_text(key)} ({ports_text(ports)})"
        service = self._cluster.service_at.get(key.cidr)
        pod = self._owner(key.cidr)
        if pod is not None and pod.ready:
            text = f"{what}: {pod.title} is selected by the policy"
            return Difference("missing-peer", direction, key.cidr, text, pod, _later(pod.created_ns, policy))
        if service is not None:
            text = f"{what}: the cluster IP of service {service.namespace}/{service.name}"
            return Difference("missing-service", direction, key.cidr, text, None, _later(since(service.source), policy))
        return Difference("missing-block", direction, key.cidr, what, None, policy)

    def _extra(self, out: Compared, direction: Direction, key: Key, ports: Ports) -> Difference | None:
        """An item that nothing asks for; None where that is not proven."""
        items, policy = out.wanted.items(direction), since(out.wanted.policy.source)
        if key.cidr in items.maybe or items.open or NAMESPACES in out.wanted.blind:
            if key.cidr in items.maybe and NAMESPACES not in out.wanted.blind:
                return None
            out.doubts.setdefault(NAMESPACES, f"{key.cidr} may be a peer by labels that are not at hand")
            return None
        what = f"{direction} lists {_item_text(key)} ({ports_text(ports)})"
        if not _is_host(key.cidr) or key.excepts:
            return Difference("extra-block", direction, key.cidr, f"{what}, which the policy does not", None, policy)
        pod, service = self._owner(key.cidr), self._cluster.service_at.get(key.cidr)
        if pod is not None and pod.ready:
            text = f"{what}: the address is {pod.title}'s, which the policy does not select"
            return Difference("extra-peer", direction, key.cidr, text, pod, _later(pod.created_ns, policy))
        if pod is not None:
            return Difference("gone-peer", direction, key.cidr, f"{what}: {pod.title} has finished", pod, None)
        if service is not None and direction == "egress":
            text = f"{what}: service {service.namespace}/{service.name} does not fit the policy"
            return Difference("extra-service", direction, key.cidr, text, None, _later(since(service.source), policy))
        needed = PODS if not self._pods_whole else SERVICES
        if not self._pods_whole or (direction == "egress" and not self._cluster.services_whole):
            out.doubts.setdefault(needed, f"whose address {key.cidr} is, is not at hand")
            return None
        return Difference("gone-peer", direction, key.cidr, f"{what}: no pod has this address", None, policy)

    def _targets(self, out: Compared) -> list[dict[str, str]]:
        """Differences of targets; the rows as they should be."""
        policy = since(out.wanted.policy.source)
        have = {(row.namespace, row.name): row for endpoint in out.endpoints for row in endpoint.rows}
        rows = []
        for pod in out.wanted.targets:
            row = have.pop((pod.namespace, pod.name), None)
            rows.append({"name": pod.name, "namespace": pod.namespace, "podIP": pod.ip, "hostIP": pod.host_ip})
            if row is None or canonical(row.pod_ip) != canonical(pod.ip):
                was = "is no target" if row is None else f"is a target with {row.pod_ip}"
                text = f"{pod.title} ({pod.ip}) {was}, though the policy selects it"
                time, own = _later(pod.created_ns, policy), (pod.namespace, pod.name)
                if out.endpoints:
                    found = Difference("missing-target", None, canonical(pod.ip), text, pod, time, own)
                    out.differences.append(found)
        unsure = {(pod.namespace, pod.name) for pod in out.wanted.maybe_targets}
        for row in have.values():
            extra = self._extra_target(out, row, unsure)
            if extra is None:
                rows.append({"name": row.name, "namespace": row.namespace, "podIP": row.pod_ip, "hostIP": row.host_ip})
            else:
                out.differences.append(extra)
        return rows

    def _extra_target(self, out: Compared, row: Row, unsure: set[tuple[str, str]]) -> Difference | None:
        own = (row.namespace, row.name)
        pod = self._cluster.pod_named.get(own)
        title, cidr = f"{row.namespace}/{row.name}", canonical(row.pod_ip)
        if own in unsure or NAMESPACES in out.wanted.blind:
            return None
        kind, text = "", ""
        if pod is not None and pod.host_network:
            kind, text = "host-network", f"{title} is a target and lives on the host's network"
        elif pod is not None and pod.finished:
            kind, text = "gone-target", f"{title} is a target and has finished"
        elif pod is not None and pod.ready:
            kind, text = "extra-target", f"{title} is a target and the policy does not select it"
        elif pod is None and self._pods_whole:
            kind, text = "gone-target", f"{title} is a target and there is no such pod"
        if kind:
            return Difference(kind, None, cidr, text, pod, since(out.wanted.policy.source), own)
        out.doubts.setdefault(PODS, f"pod {title} is not at hand")
        return None

    def _targets_known(self, out: Compared) -> bool:
        return all((row.namespace, row.name) in self._cluster.pod_named for e in out.endpoints for row in e.rows)

    def _owner(self, cidr: str) -> Pod | None:
        return next(iter(self._cluster.owners.get(cidr, ())), None)


def _is_whole(cluster: Cluster, endpoints: Iterable[Endpoint]) -> bool:
    """Whether the pods are provably the whole cluster's: of several namespaces and nodes, with every target among them.

    A target whose address another pod has by now is no proof against it.
    """
    if len(cluster.pods_in) < 2 or len({pod.node or pod.host_ip for pod in cluster.pods}) < 2:  # noqa: PLR2004
        return False
    for endpoint in endpoints:
        for row in endpoint.rows:
            if (row.namespace, row.name) not in cluster.pod_named and canonical(row.pod_ip) not in cluster.owners:
                return False
    return True


def _merged(endpoints: Iterable[Endpoint], direction: Direction) -> dict[Key, Ports]:
    """The items of all slices as one; items without a CIDR name domains and are not the agent's."""
    out: dict[Key, Ports] = {}
    for endpoint in endpoints:
        listed = endpoint.spec.get(direction)
        for item in listed if isinstance(listed, list) else ():
            if not isinstance(item, dict) or not isinstance(item.get("cidr"), str) or not item["cidr"]:
                continue
            excepts = item.get("except")
            key = key_of(item["cidr"], excepts if isinstance(excepts, list) else (), str(item.get("action") or ""))
            ports = _item_ports(item.get("ports"))
            out[key] = ALL if key in out and (not ports or not out[key]) else out.get(key, ALL) | ports
    return out


def _item_ports(ports: Any) -> Ports:
    found: set[Port] = set()
    for port in ports if isinstance(ports, list) else ():
        if isinstance(port, dict):
            start, end = port.get("port"), port.get("endPort")
            found.add(
                (
                    str(port.get("protocol") or "TCP"),
                    start if isinstance(start, int) else None,
                    end if isinstance(end, int) else None,
                )
            )
    return frozenset(found)


def _isolation(out: Compared) -> None:
    policy = out.wanted.policy
    if policy.tier == "cluster":
        _cluster_head(out)
        return
    listed = [each for e in out.endpoints for each in e.spec.get("podIsolation") or [] if isinstance(each, str)]
    have, want = set(listed), set(policy.isolation)
    if out.endpoints and have != want:
        text = f"podIsolation is {sorted(have)}, policyTypes are {sorted(want)}"
        out.differences.append(Difference("isolation", None, None, text, None, since(policy.source)))


def _cluster_head(out: Compared) -> None:
    """Tier and priority, which every slice repeats."""
    policy = out.wanted.policy
    for name in ("tier", "priority"):
        have = {str(endpoint.spec.get(name)) for endpoint in out.endpoints}
        if out.endpoints and have != {str(policy.spec.get(name))}:
            text = f"{name} is {', '.join(sorted(have))}, the policy's is {policy.spec.get(name)}"
            out.differences.append(Difference(name, None, None, text, None, since(policy.source)))


def _object(
    wanted: Wanted,
    endpoints: Sequence[Endpoint],
    should: Mapping[Direction, Mapping[Key, Ports]],
    rows: list[dict[str, str]],
) -> dict[str, Any]:
    """One object in place of all slices."""
    policy = wanted.policy
    cluster = policy.tier == "cluster"
    spec: dict[str, Any] = {"policyRef": {"name": policy.name}, "podSelectorEndpoints": rows}
    if cluster:
        spec |= {"tier": policy.spec.get("tier"), "priority": policy.spec.get("priority")}
    else:
        spec["policyRef"]["namespace"] = policy.namespace
        spec["podIsolation"] = sorted(policy.isolation)
    for direction in DIRECTIONS:
        spec[direction] = [_item(key, ports) for key, ports in should[direction].items()]
        spec[direction] += [
            item
            for e in endpoints
            for item in e.spec.get(direction) or []
            if isinstance(item, dict) and not item.get("cidr")
        ]
    meta = {"name": f"{policy.name}-00000"} | ({} if cluster else {"namespace": policy.namespace})
    kind = "ClusterPolicyEndpoint" if cluster else "PolicyEndpoint"
    return {"apiVersion": "networking.k8s.aws/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def _item(key: Key, ports: Ports) -> dict[str, Any]:
    names = ("protocol", "port", "endPort")
    listed = [
        {name: value for name, value in zip(names, port, strict=True) if value is not None}
        for port in sorted(ports, key=str)
    ]
    item: dict[str, Any] = {"cidr": key.cidr}
    if key.excepts:
        item["except"] = list(key.excepts)
    if listed:
        item["ports"] = listed
    if key.action:
        item["action"] = key.action
    return item


def _of_another_version(wanted: Wanted, source: KubeObject) -> bool:
    """A PolicyEndpoint keeps its owner's uid and the selector of when it was made; managed fields date an edit."""
    policy = wanted.policy
    mine, theirs = source.object.get("metadata"), policy.source.object.get("metadata")
    if not isinstance(mine, dict) or not isinstance(theirs, dict) or theirs.get("managedFields"):
        return False
    uids = {owner.get("uid") for owner in mine.get("ownerReferences") or [] if isinstance(owner, dict)} - {None}
    if uids and theirs.get("uid") and theirs["uid"] not in uids:
        return True
    name = "subject" if policy.tier == "cluster" else "podSelector"
    return name in source.spec and (source.spec[name] or {}) != (policy.spec.get(name) or {})


def changed(sources: Iterable[KubeObject]) -> int | None:
    """When the controller last wrote any of these objects, ns since 1970; None when none says so."""
    times = []
    for item in sources:
        meta = item.object.get("metadata")
        notes = meta.get("annotations") if isinstance(meta, dict) else None
        stated = utc_ns(str(notes.get(_CHANGED) or "")) if isinstance(notes, dict) else None
        times.append(stated if stated is not None else since(item))
    return max((time for time in times if time is not None), default=None)


def since(item: KubeObject) -> int | None:
    """When an object last changed as far as it says: its managed fields, else its creation."""
    meta = item.object.get("metadata")
    if not isinstance(meta, dict):
        return None
    fields = meta.get("managedFields")
    times = [utc_ns(str(each.get("time") or "")) for each in fields or [] if isinstance(each, dict)]
    known = [time for time in (*times, utc_ns(str(meta.get("creationTimestamp") or ""))) if time is not None]
    return max(known, default=None)


def ports_text(ports: Ports) -> str:
    """`all ports`, `TCP 80, UDP 53, TCP 8000-8010`."""
    if not ports:
        return "all ports"
    return ", ".join(
        protocol if port is None else f"{protocol} {port}" if end is None else f"{protocol} {port}-{end}"
        for protocol, port, end in sorted(ports, key=lambda each: (each[0], each[1] or 0, each[2] or 0))
    )


def _item_text(key: Key) -> str:
    excepts = f" except {', '.join(key.excepts)}" if key.excepts else ""
    return f"{key.action} {key.cidr}{excepts}".strip()


def _is_host(cidr: str) -> bool:
    return cidr.endswith("/128" if ":" in cidr else "/32")


def _later(*times: int | None) -> int | None:
    return max((time for time in times if time is not None), default=None)
