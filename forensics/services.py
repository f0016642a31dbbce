"""Service addresses of a node's case: which service an address is, and which backends it stands for.

Sources: kube-proxy's rules in iptables-save (`service_rule`); Service, Endpoints and EndpointSlice objects. An egress
program runs before the node translates the address (DNAT), so a rule must name the service address itself.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from formats.address import canonical

if TYPE_CHECKING:
    from forensics.case import KubeObject, Node

_SLICE_LABEL = "kubernetes.io/service-name"
_NO_ADDRESS = ("", "None")


@dataclass(slots=True)
class Service:
    """One service address. `ports` are `TCP 80`; `backends` are `10.0.1.5:8080`, or bare addresses."""

    title: str
    address: str
    ports: list[str] = field(default_factory=list)
    backends: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Services:
    """Every service address that is known on a node, by its text; `networks` are the stated service CIDRs."""

    by_address: dict[str, Service] = field(default_factory=dict)
    networks: list[str] = field(default_factory=list)

    def at(self, address: str) -> Service | None:
        """The service with an address."""
        return self.by_address.get(_plain(address) or address)

    def named(self, title: str) -> Service | None:
        """The first service address of namespace/name."""
        return next((each for each in self.by_address.values() if each.title == title), None)

    def covers(self, address: str) -> str | None:
        """The stated service CIDR that an address lies in; None where there is none."""
        number = ipaddress.ip_address(address)
        return next((text for text in self.networks if number in ipaddress.ip_network(text)), None)


def services_of(node: Node) -> Services:
    """The services of a node's own records and of the objects that count for it."""
    found = Services()
    for fact in node.facts.all("service_cidr"):
        network = canonical(str(fact.value))
        if network is not None and network not in found.networks:
            found.networks.append(network)
    for artifact in node.group.artifacts:
        for record in artifact.records:
            if record.kind == "service_rule":
                _rule(found, record.data)
    backends = _backends(node)
    for item in node.objects:
        if item.kind == "Service":
            _object(found, item, backends.get(item.name, []))
    return found


def _rule(found: Services, data: dict[str, Any]) -> None:
    address = _plain(data.get("cluster_ip"))
    if address is None:
        return
    title = f"{data.get('namespace') or '?'}/{data.get('service') or '?'}"
    service = found.by_address.setdefault(address, Service(title, address))
    if data.get("port") is not None:
        _add(service.ports, f"{data.get('protocol') or 'TCP'} {data['port']}")
    pod = _plain(data.get("pod_ip"))
    if pod is not None:
        _add(service.backends, _joined(pod, data.get("pod_port")))


def _object(found: Services, item: KubeObject, backends: list[str]) -> None:
    spec = item.spec
    listed = spec.get("clusterIPs")
    for text in [spec.get("clusterIP"), *(listed if isinstance(listed, list) else [])]:
        address = None if text in _NO_ADDRESS else _plain(text)
        if address is None:
            continue
        service = found.by_address.setdefault(address, Service(item.name, address))
        for port in _dicts(spec.get("ports")):
            if isinstance(port.get("port"), int):
                _add(service.ports, f"{port.get('protocol') or 'TCP'} {port['port']}")
        for backend in backends:
            if (":" in address) == (backend.count(":") > 1):
                _add(service.backends, backend)


def _backends(node: Node) -> dict[str, list[str]]:
    """{namespace/name of a service: its backends} by EndpointSlices and Endpoints."""
    out: dict[str, list[str]] = {}
    for item in node.objects:
        if item.kind == "EndpointSlice":
            meta = item.object.get("metadata")
            labels = meta.get("labels") if isinstance(meta, dict) else None
            name = labels.get(_SLICE_LABEL) if isinstance(labels, dict) else None
            title = f"{item.record.data.get('namespace')}/{name}"
            places = [address for each in _dicts(item.object.get("endpoints")) for address in _texts(each, "addresses")]
            _note(out, title, places, _dicts(item.object.get("ports")))
        elif item.kind == "Endpoints":
            for subset in _dicts(item.object.get("subsets")):
                places = [str(each.get("ip")) for each in _dicts(subset.get("addresses"))]
                _note(out, item.name, places, _dicts(subset.get("ports")))
    return out


def _note(out: dict[str, list[str]], title: str, places: list[str], ports: list[dict[str, Any]]) -> None:
    numbers: list[Any] = [port.get("port") for port in ports] or [None]
    for place in places:
        address = _plain(place)
        for number in numbers if address is not None else ():
            _add(out.setdefault(title, []), _joined(str(address), number))


def _add(texts: list[str], text: str) -> None:
    if text not in texts:
        texts.append(text)


def _joined(address: str, port: Any) -> str:
    if not isinstance(port, int):
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _plain(text: Any) -> str | None:
    try:
        return str(ipaddress.ip_address(str(text).strip()))
    except ValueError:
        return None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _texts(item: dict[str, Any], key: str) -> list[str]:
    value = item.get(key)
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
