"""Ports of a policy's rule as the controller resolves them: numbers as they are, names pod by pod.

Source: amazon-network-policy-controller-k8s, pkg/resolvers/endpoints.go (getPortList, getIngressRulesPorts,
convertToPolicyInfoPortForCIDRs, getMatchingServicePort), v1.1.7. The API server has filled in TCP where no protocol is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forensics.controller_cluster import Pod, Service

#: (protocol, port, endPort) as in a PolicyEndpoint; None is any port, or no range.
Port = tuple[str, int | None, int | None]
Ports = frozenset[Port]
#: What an item without ports means.
ALL: Ports = frozenset()


class RulePort(NamedTuple):
    """One port of a rule: a number, a container port's name, or None for every port of the protocol."""

    protocol: str
    port: int | str | None
    end: int | None


def rule_ports(ports: Any) -> tuple[RulePort, ...]:
    """The `ports` of a NetworkPolicy rule."""
    return tuple(
        RulePort(str(port.get("protocol") or "TCP"), _port(port.get("port")), _number(port.get("endPort")))
        for port in (ports if isinstance(ports, list) else ())
        if isinstance(port, dict)
    )


def cluster_rule_ports(ports: Any) -> tuple[RulePort, ...] | None:
    """The `ports` of a ClusterNetworkPolicy rule; None where one is named: the controller cannot resolve those."""
    found: list[RulePort] = []
    for port in ports if isinstance(ports, list) else ():
        if not isinstance(port, dict) or port.get("namedPort") is not None:
            return None
        for key, first, last in (("portNumber", "port", None), ("portRange", "start", "end")):
            item = port.get(key)
            if isinstance(item, dict):
                end = _number(item.get(last)) if last else None
                found.append(RulePort(str(item.get("protocol") or "TCP"), _number(item.get(first)), end))
    return tuple(found)


def named(ports: Iterable[RulePort]) -> bool:
    """Whether any port is a name."""
    return any(isinstance(port.port, str) for port in ports)


def numeric(ports: Sequence[RulePort]) -> Ports | None:
    """The ports that need no pod; None where there are ports and all of them are names: the peer is left out then."""
    found = frozenset((p.protocol, p.port, p.end) for p in ports if not isinstance(p.port, str))
    return None if ports and not found else found


def of_pod(pod: Pod, ports: Sequence[RulePort]) -> Ports | None:
    """The ports with names looked up in a pod's containers; None where there are ports and none of them resolves."""
    found: set[Port] = set()
    for port in ports:
        if not isinstance(port.port, str):
            found.add((port.protocol, port.port, port.end))
        elif (number := _lookup(pod, port.port, port.protocol)) is not None:
            found.add((port.protocol, number, port.end))
    return None if ports and not found else frozenset(found)


def of_pods(pods: Iterable[Pod], ports: Sequence[RulePort]) -> Ports | None:
    """The ports of an ingress rule: names are looked up in every pod that the policy selects, and all numbers count."""
    if not named(ports):
        return numeric(ports)
    found = frozenset(port for pod in pods if pod.ready for port in of_pod(pod, ports) or ())
    return found or None


def of_service(service: Service, pods: Iterable[Pod], ports: Sequence[RulePort]) -> tuple[Ports | None, bool]:
    """The service's own ports behind which the rule's ports lie, and whether all controllers agree on them.

    They do not where a number meets a named target port: v1.1.2 to v1.1.4 leave the service out, v1.1.5 and later
    leave out ports by which a pod could be reached on a number that the rule does not have.
    """
    behind = list(pods)
    found: set[Port] = set()
    agreed = True
    for port in ports:
        if port.port is None:
            found.add((port.protocol, None, port.end))
            continue
        number = _listening(service, behind, port.port, port.protocol)
        if number is not None:
            found.add((port.protocol, number, port.end))
            targets = {p.target for p in service.ports if p.number == number and p.protocol == port.protocol}
            agreed = agreed and not (isinstance(port.port, int) and any(isinstance(t, str) for t in targets))
    return (None if ports and not found else frozenset(found)), agreed


def _listening(service: Service, pods: Iterable[Pod], port: int | str, protocol: str) -> int | None:
    for item in service.ports:
        if item.target == port and item.protocol == protocol:
            return item.number
    for pod in pods:
        declared = [p for p in pod.ports if p.protocol == protocol and port in (p.name, p.number)]
        number = declared[0].number if declared else port if isinstance(port, int) else None
        name = declared[0].name if declared else ""
        for item in service.ports:
            if number is not None and item.protocol == protocol and item.target in (name, number):
                return item.number
    return None


def _lookup(pod: Pod, name: str, protocol: str) -> int | None:
    return next((port.number for port in pod.ports if port.protocol == protocol and port.name == name), None)


def _port(value: Any) -> int | str | None:
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
