"""ipam.json: the CNI's checkpoint of pod addresses on this node, `ipam-nic-N.json` of further cards, `ipam.json.tmp*`.

Shape: amazon-vpc-cni-k8s pkg/ipamd/datastore/data_store.go, CheckpointData and CheckpointEntry, v1.7.0 to v1.23.0
(`vpc-cni-ipam/1`). It has every pod with an address of the CNI: not host-network pods, not pods with a branch ENI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.base import NO, Format, Problem, Score
from formats.hints import basename, begins_as_json, scored
from formats.json_node import Document, walk
from formats.json_source import read_json
from formats.node_records import family_of, ipam_address, pod
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item, Record
    from formats.json_node import Node
    from formats.json_source import JsonSource
    from formats.source import Source

_VERSION = "vpc-cni-ipam/1"
#: networkName of an entry carried over from the container runtime by CNI 1.7: it names no pod.
MIGRATED = "_migrated-from-cri"
_NAME = lazy(r"ipam(-nic-\d+)?\.json")


def sniff(head: bytes, path: str) -> Score:
    """The version stamp, or the keys of an allocation."""
    content = 0
    if b'"vpc-cni-ipam/' in head:
        content = 78
    elif b'"allocationTimestamp"' in head and b'"networkName"' in head:
        content = 70
    if content and not begins_as_json(head):
        content = 52
    named = _NAME.match(basename(path)) is not None
    return scored(content, named=named, what="a CNI address checkpoint") if content or named else NO


def read(source: Source) -> Iterator[Item]:
    """A `pod` per allocation, `ipam_address` for one that names no pod."""
    read_in = read_json(source)
    match = _NAME.match(basename(source.path))
    name = match[0] if match else "ipam.json"
    used: list[Document] = []
    for document in read_in.documents:
        allocations = [node for _, node in walk(document.root) if _is_allocation(node)]
        version = document.root.text("version")
        if not allocations and not (version or "").startswith("vpc-cni-ipam/"):
            continue
        used.append(document)
        if version not in (None, _VERSION):
            where = read_in.at(document.root)
            yield Problem(f"checkpoint version {version!r} is not known", where, f"read as {_VERSION}", "nothing known")
        for node in allocations:
            yield _allocation(read_in, node, name)
    yield from read_in.problems(used, "the checkpoint")
    yield from read_in.twice(used, "the checkpoint")
    if not used and read_in.data.strip():
        yield Problem("no address checkpoint can be read in it", None, "listed", "the pods of this node")


def _is_allocation(node: Node) -> bool:
    keys = node.value
    return "networkName" in keys and ("containerID" in keys or "ipv4" in keys or "ipv6" in keys)


def _allocation(read_in: JsonSource, node: Node, name: str) -> Record | Problem:
    span = read_in.span(node)
    ip, ip6 = node.text("ipv4"), node.text("ipv6")
    namespace, pod_name = node.text("metadata", "k8sPodNamespace"), node.text("metadata", "k8sPodName")
    shown = ip or ip6
    if shown is None or family_of(shown) is None:
        lost = f"the address of {namespace}/{pod_name}" if pod_name else "one allocation"
        return Problem("an allocation without a readable address", span, "left out", lost)
    if pod_name is None or namespace is None:
        if node.text("networkName") != MIGRATED and node.cut:
            return Problem(f"the allocation of {shown} is cut before the pod's name", span, "left out", "whose it is")
        return ipam_address(span, shown, True, None)
    stamp = node.get("allocationTimestamp")
    more = {"ipv6": ip6} if ip and ip6 and family_of(ip6) == 6 else {}
    started = stamp if isinstance(stamp, int) and stamp > 0 else None
    return pod(span, namespace, pod_name, shown, name, started_ns=started, **more)


FORMAT = Format(
    name="ipam-checkpoint",
    title="CNI address checkpoint (ipam.json)",
    sniff=sniff,
    read=read,
    exclusive=True,
    versions="amazon-vpc-cni-k8s v1.7.0 to v1.23.0; ipam-nic-N.json from v1.20.0",
    about="Which pod has which address on this node, and since when. The best source for a pod's own address.",
    limits=("pods on a branch ENI (security groups for pods) and host-network pods are not in it",),
    loses=("containerID, ifName and interfacesCount are not kept",),
)
