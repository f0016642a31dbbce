"""enis.json and pods.json: answers of the CNI's introspection server (`curl localhost:61679/v1/enis`).

Shapes: amazon-vpc-cni-k8s pkg/ipamd/datastore/data_store.go. `ENIIPPools` with `Assigned` before v1.7; `IPAMKey` from
v1.7; `ENIs` and `IPAMMetadata` from v1.9; wrapped in an object keyed by network card from v1.20.0; containerID and
ifName blank from v1.23.0, so that the metadata or networkName alone says that an address is assigned. `/v1/pods`
exists before v1.7 only. The walk looks for the objects, not for the way to them: fragments read as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from formats.base import NO, Format, Problem, Record, Score
from formats.hints import basename, begins_as_json, scored
from formats.json_source import read_json
from formats.node_records import address, family_of, ipam_address, ns_of, pod
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.json_node import Document, Node
    from formats.json_source import JsonSource
    from formats.source import Source

_ANCHORS = (b'"IPAMMetadata"', b'"IPAMKey"', b'"ENIIPPools"', b'"AvailableIPv4Cidrs"', b'"IPv6Cidrs"')
_PODS_KEY = lazy(rb'"[a-z0-9.-]+_[a-z0-9-]+_[0-9a-f]*"\s*:\s*\{\s*"(?:IP|DeviceNumber)"')
_NAMES = ("enis.json", "pods.json", "eni.out", "pod.out")


def sniff(head: bytes, path: str) -> Score:
    """Keys that only this server prints."""
    content = 0
    if any(anchor in head for anchor in _ANCHORS) or (b'"ENIs"' in head and b'"TotalIPs"' in head):
        content = 76
    elif b'"DeviceNumber"' in head and _PODS_KEY.search(head):
        content = 72
    if content and not (begins_as_json(head) or head.lstrip(b"`json \r\n").startswith(b'"')):
        content = 51
    named = basename(path) in _NAMES
    return scored(content, named=named, what="CNI introspection of ENIs") if content or named else NO


def read(source: Source) -> Iterator[Item]:
    """`introspection` per pool, `pod` per address with a pod, `ipam_address` per other address."""
    read_in = read_json(source)
    used: list[Document] = []
    for document in read_in.documents:
        items = list(_Reader(read_in, document).items())
        if items:
            used.append(document)
            yield from items
    yield from read_in.problems(used, "the introspection answer")
    for ask in (True, False):
        same = [document for document in used if _is_pods(document.root) is ask and not document.fragment]
        yield from read_in.twice(same, "the introspection answer")
    if not used and read_in.data.strip():
        yield Problem("no introspection answer can be read in it", None, "listed", "the addresses of this node")


class _Reader:
    """One document, walked in file order with the network card and the ENI that a value stands below."""

    def __init__(self, read_in: JsonSource, document: Document) -> None:
        self.read_in, self.document = read_in, document
        self.port, self.endpoint = read_in.call(document)

    def items(self) -> Iterator[Item]:
        todo: list[tuple[str | None, Node, str | None, str | None]] = [(None, self.document.root, None, None)]
        while todo:
            key, node, card, eni = todo.pop()
            if key is not None and key.isdigit() and isinstance(node.value, dict):
                card = key
            if key is not None and key.startswith("eni-"):
                eni = self._eni(key, node)
            yield from self._object(key, node, card, eni)
            todo.extend((name, part, card, eni) for name, part in reversed(node.items()) if part.items())

    def _eni(self, key: str, node: Node) -> str | None:
        """The ENI's id; None when an elision ran from one ENI into another, so that nobody can say whose this is."""
        inner = node.text("ID") or node.text("Id")
        return key if inner in (None, key) else None

    def _object(self, key: str | None, node: Node, card: str | None, eni: str | None) -> Iterator[Item]:
        keys = node.value
        if "ENIs" in keys or "ENIIPPools" in keys or "TotalIPs" in keys:
            yield self._pool(node, card)
        elif node is self.document.root and _is_pods(node):
            yield self._answer(node, "v1/pods", None, card)
        if "IPAMKey" in keys or "IPAMMetadata" in keys or ("Assigned" in keys and family_of(key)):
            yield from self._address(key, node, eni)
        elif "IP" in keys and key is not None and key.count("_") == 2:
            yield self._old_pod(key, node)
        elif family_of(key) and not keys and key is not None:
            yield ipam_address(self.read_in.span(node), key, None, eni)

    def _pool(self, node: Node, card: str | None) -> Record:
        return self._answer(node, "v1/enis", "ENIIPPools" if "ENIIPPools" in node.value else "ENIs", card)

    def _answer(self, node: Node, endpoint: str, schema: str | None, card: str | None) -> Record:
        data: dict[str, Any] = {
            "endpoint": self.endpoint or endpoint,
            "port": self.port,
            "schema": schema,
            "network_card": int(card) if card else None,
            "total_ips": node.get("TotalIPs"),
            "assigned_ips": node.get("AssignedIPs"),
            "truncated": not self.document.whole,
        }
        return Record("introspection", data, self.read_in.span(node))

    def _address(self, key: str | None, node: Node, eni: str | None) -> Iterator[Item]:
        span = self.read_in.span(node)
        shown = address(node.text("Address")) or address(key)
        namespace, name = node.text("IPAMMetadata", "k8sPodNamespace"), node.text("IPAMMetadata", "k8sPodName")
        if name is not None and namespace is not None:
            started = ns_of(node.text("AssignedTime"))
            yield pod(span, namespace, name, shown, "enis.json", started_ns=started)
            if shown is None:
                what = f"pod {namespace}/{name} stands here without its address"
                yield Problem(what, self.read_in.at(node), "named, no more", "its address")
        elif shown is not None:
            assigned = node.get("Assigned")
            if not isinstance(assigned, bool):
                assigned = node.text("IPAMKey", "networkName") is not None if "IPAMKey" in node.value else None
            yield ipam_address(span, shown, assigned, eni)

    def _old_pod(self, key: str, node: Node) -> Record:
        name, namespace, _ = key.split("_")
        device = node.get("DeviceNumber")
        more = {"device_number": device if isinstance(device, int) else None}
        return pod(self.read_in.span(node), namespace, name, node.text("IP"), "enis v1/pods", **more)


def _is_pods(node: Node) -> bool:
    return any(key.count("_") == 2 and "IP" in dict(part.items()) for key, part in node.items())


FORMAT = Format(
    name="enis-json",
    title="CNI introspection: ENIs and their addresses (enis.json)",
    sniff=sniff,
    read=read,
    exclusive=True,
    versions="amazon-vpc-cni-k8s v1.0.0 to v1.23.0, /v1/enis of each schema, /v1/pods before v1.7",
    about="Every address the CNI holds on this node, with the pod it is assigned to.",
    limits=("pods on a branch ENI and host-network pods are not in it", "before v1.9 an address names no pod"),
    loses=("Cidr masks, route tables and subnets are not kept",),
)
