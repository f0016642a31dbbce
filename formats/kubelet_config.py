"""kubelet/config.json: `providerID` names the instance and its zone, `clusterDNS` the address of the cluster's DNS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.base import NO, Format, Problem, Score
from formats.hints import begins_as_json, scored
from formats.json_source import read_json
from formats.node_records import fact, setting
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.json_node import Document
    from formats.source import Source

_PROVIDER = lazy(r"aws:///([a-z0-9-]+)/(m?i-[0-9a-f]+)")


def sniff(head: bytes, path: str) -> Score:
    """The kind of the object, in JSON."""
    content = 75 if b'"KubeletConfiguration"' in head and begins_as_json(head) else 0
    return scored(content, named="kubelet" in path.lower(), what="kubelet configuration") if content else NO


def read(source: Source) -> Iterator[Item]:
    """instance_id, availability_zone and the clusterDNS addresses."""
    read_in = read_json(source)
    used: list[Document] = []
    for document in read_in.documents:
        root = document.root
        if root.get("kind") != "KubeletConfiguration" and "providerID" not in dict(root.items()):
            continue
        used.append(document)
        at = root.at("providerID")
        match = _PROVIDER.fullmatch(root.text("providerID") or "")
        if at is not None and match is not None:
            yield fact(read_in.span(at), "availability_zone", match[1])
            yield fact(read_in.span(at), "instance_id", match[2])
        dns = root.at("clusterDNS")
        if dns is not None and dns.parts():
            yield setting(read_in.span(dns), "clusterDNS", [part.value for part in dns.parts()])
    yield from read_in.problems(used, "the kubelet configuration")
    if not used:
        yield Problem("no kubelet configuration can be read in it", None, "listed", "nothing known")


FORMAT = Format(
    name="kubelet-config",
    title="Kubelet configuration (config.json)",
    sniff=sniff,
    read=read,
    exclusive=True,
    quiet=True,
    versions="kubelet.config.k8s.io/v1beta1",
    about="The instance id and the zone, from providerID; the address of the cluster's DNS.",
    limits=("a node without a cloud provider has no providerID: neither instance nor zone is known then",),
    loses=("every other setting",),
)
