"""The pods, namespaces and services of a case as the network policy controller sees them, and how much is known.

Source: amazon-network-policy-controller-k8s, pkg/k8s/pod_utils.go and service_utils.go, v1.1.7.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from forensics.controller_selectors import NAME_LABEL, Labels
from formats.address import canonical
from formats.log_time import utc_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from forensics.case import KubeObject

_FINISHED = ("Succeeded", "Failed")
_POD_IPS = "vpc.amazonaws.com/pod-ips"


class ContainerPort(NamedTuple):
    """One declared port of a container (init containers do not count)."""

    name: str
    number: int
    protocol: str


class Pod(NamedTuple):
    """One pod. `ready` is the controller's word for it: it has an address and has not finished."""

    namespace: str
    name: str
    labels: Labels
    ip: str
    host_ip: str
    finished: bool
    host_network: bool
    ports: tuple[ContainerPort, ...]
    created_ns: int | None
    node: str
    source: KubeObject

    @property
    def ready(self) -> bool:
        """Whether the controller lists it."""
        return bool(self.ip) and not self.finished

    @property
    def title(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"


class ServicePort(NamedTuple):
    """One port of a service; `target` is a number or a container port's name."""

    number: int
    target: int | str
    protocol: str


class Service(NamedTuple):
    """One service. `cluster_ip` is empty for a headless one."""

    namespace: str
    name: str
    selector: Labels
    cluster_ip: str
    ports: tuple[ServicePort, ...]
    source: KubeObject


class Cluster:
    """What is at hand of a cluster. Of two copies of an object the one with the higher resourceVersion counts."""

    def __init__(self, objects: Iterable[KubeObject]) -> None:
        """Other kinds are passed over; so are pods without a status (parts of `kubectl describe`)."""
        newest = _newest(objects)
        self._pods = [pod for item in newest.get("Pod", ()) if (pod := _pod(item)) is not None]
        self._services = [_service(item) for item in newest.get("Service", ())]
        self._labels = {_name(item): Labels(_labels(item.object)) for item in newest.get("Namespace", ())}

    @property
    def pods(self) -> list[Pod]:
        """Every pod, in no particular order."""
        return self._pods

    @property
    def has_pods(self) -> bool:
        """Whether any pod is at hand."""
        return bool(self._pods)

    @property
    def has_namespaces(self) -> bool:
        """Whether any namespace is at hand."""
        return bool(self._labels)

    @property
    def services_whole(self) -> bool:
        """Whether the services are those of the whole cluster: default/kubernetes is in every such list."""
        return any(service.namespace == "default" and service.name == "kubernetes" for service in self._services)

    @cached_property
    def pods_in(self) -> Mapping[str, list[Pod]]:
        """Pods by namespace."""
        return _grouped((pod.namespace, pod) for pod in self._pods)

    @cached_property
    def services_in(self) -> Mapping[str, list[Service]]:
        """Services by namespace."""
        return _grouped((service.namespace, service) for service in self._services)

    @cached_property
    def pod_named(self) -> Mapping[tuple[str, str], Pod]:
        """Pods by (namespace, name)."""
        return {(pod.namespace, pod.name): pod for pod in self._pods}

    @cached_property
    def owners(self) -> Mapping[str, list[Pod]]:
        """Pods by host CIDR, the ready ones first."""
        found = _grouped((cidr, pod) for pod in self._pods if pod.ip and (cidr := canonical(pod.ip)))
        return {cidr: sorted(pods, key=lambda pod: (not pod.ready, pod.title)) for cidr, pods in found.items()}

    @cached_property
    def service_at(self) -> Mapping[str, Service]:
        """Services by the host CIDR of their cluster IP."""
        return {cidr: s for s in self._services if s.cluster_ip and (cidr := canonical(s.cluster_ip))}

    @cached_property
    def namespaces(self) -> Mapping[str, Labels]:
        """Labels of every namespace that anything at hand lives in; of one that is not itself at hand, its name."""
        names = {pod.namespace for pod in self._pods} | {service.namespace for service in self._services}
        found = {name: Labels({NAME_LABEL: name}, whole=False) for name in names}
        found.update({name: Labels({NAME_LABEL: name, **labels.known}) for name, labels in self._labels.items()})
        return dict(sorted(found.items()))


def _grouped(pairs: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = defaultdict(list)
    for key, value in pairs:
        out[key].append(value)
    return dict(out)


def _newest(objects: Iterable[KubeObject]) -> dict[str, list[KubeObject]]:
    found: dict[tuple[str, str], tuple[int, KubeObject]] = {}
    for item in objects:
        if item.kind in ("Pod", "Service", "Namespace") and item.record.data.get("api_version") in (None, "", "v1"):
            text = str(_meta(item.object).get("resourceVersion") or "")
            version = int(text) if text.isascii() and text.isdigit() else 0
            old = found.get((item.kind, item.name))
            if old is None or version > old[0]:
                found[item.kind, item.name] = (version, item)
    return _grouped((kind, item) for (kind, _), (_, item) in sorted(found.items(), key=lambda pair: pair[0]))


def _meta(value: Mapping[str, Any]) -> dict[str, Any]:
    meta = value.get("metadata")
    return meta if isinstance(meta, dict) else {}


def _name(item: KubeObject) -> str:
    return str(_meta(item.object).get("name") or "")


def _labels(value: Mapping[str, Any]) -> dict[str, str]:
    labels = _meta(value).get("labels")
    return {str(key): str(text) for key, text in labels.items()} if isinstance(labels, dict) else {}


def _pod(item: KubeObject) -> Pod | None:
    status = item.object.get("status")
    if not isinstance(status, dict) or not ({"phase", "podIP"} & status.keys()):
        return None
    meta, spec = _meta(item.object), item.spec
    notes = meta.get("annotations")
    annotated = notes.get(_POD_IPS) if isinstance(notes, dict) else None
    return Pod(
        str(meta.get("namespace") or "default"),
        str(meta.get("name") or ""),
        Labels(_labels(item.object)),
        str(status.get("podIP") or annotated or ""),
        str(status.get("hostIP") or ""),
        status.get("phase") in _FINISHED,
        spec.get("hostNetwork") is True,
        tuple(_container_ports(spec.get("containers"))),
        utc_ns(str(meta.get("creationTimestamp") or "")),
        str(spec.get("nodeName") or ""),
        item,
    )


def _container_ports(containers: Any) -> Iterable[ContainerPort]:
    for container in containers if isinstance(containers, list) else ():
        ports = container.get("ports") if isinstance(container, dict) else None
        for port in ports if isinstance(ports, list) else ():
            if isinstance(port, dict) and isinstance(port.get("containerPort"), int):
                yield ContainerPort(
                    str(port.get("name") or ""), port["containerPort"], str(port.get("protocol") or "TCP")
                )


def _service(item: KubeObject) -> Service:
    spec = item.spec
    selector = spec.get("selector")
    address = str(spec.get("clusterIP") or "")
    return Service(
        str(_meta(item.object).get("namespace") or "default"),
        _name(item),
        Labels({str(k): str(v) for k, v in selector.items()} if isinstance(selector, dict) else {}),
        "" if address == "None" else address,
        tuple(_service_ports(spec.get("ports"))),
        item,
    )


def _service_ports(ports: Any) -> Iterable[ServicePort]:
    for port in ports if isinstance(ports, list) else ():
        if isinstance(port, dict) and isinstance(port.get("port"), int):
            target = port.get("targetPort")
            named = isinstance(target, int | str) and target not in ("", 0)
            yield ServicePort(port["port"], target if named else port["port"], str(port.get("protocol") or "TCP"))  # type: ignore[arg-type]
