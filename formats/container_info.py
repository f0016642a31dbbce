"""`ctr container info`, `docker inspect`, `crictl inspect`: JSON documents one after the other, error text in between.

The collector writes cni/cni-configuration-variables-containerd.json and -dockerd.txt: one document per container whose
image is the CNI's, stopped ones included. Shapes: containerd Container (`Spec.process.env`), Docker Engine API
ContainerInspect (`Config.Env`), CRI ContainerStatus with `info.runtimeSpec` (cri-tools).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.base import NO, Format, Problem, Score
from formats.hints import basename, begins_as_json, scored
from formats.image_ref import find_image, version_of
from formats.json_node import walk
from formats.json_source import read_json
from formats.node_records import agent_flag, fact, setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item, Record
    from formats.json_node import Document, Node
    from formats.json_source import JsonSource
    from formats.source import Source

#: Environment variable of the aws-node container -> node_fact (amazon-vpc-cni-k8s README, v1.23.0).
FACTS = {
    "MY_NODE_NAME": "node_name",
    "CLUSTER_NAME": "cluster_name",
    "NETWORK_POLICY_ENFORCING_MODE": "enforcing_mode",
    "ENABLE_IPv6": "ipv6",
    "AWS_VPC_K8S_CNI_VETHPREFIX": "veth_prefix",
    "VPC_CNI_VERSION": "cni_version",
}
_SETTINGS = (
    "AWS_VPC_",
    "ENABLE_",
    "WARM_",
    "DISABLE_",
    "MINIMUM_IP",
    "NETWORK_POLICY_",
    "POD_SECURITY_GROUP_",
    "VPC_ID",
)
_OURS = ("aws-node", "aws-eks-nodeagent")


def sniff(head: bytes, path: str) -> Score:
    """Labels of the kubelet beside the keys of a container document."""
    content = 0
    labelled = b'"io.kubernetes.container.name"' in head
    if labelled and (b'"Spec"' in head or b'"Config"' in head or b'"runtimeSpec"' in head):
        content = 74
    elif b"amazon-k8s-cni" in head and (b'"process"' in head or b'"Env"' in head) and b"MY_NODE_NAME=" in head:
        content = 66
    if content and not begins_as_json(head):
        content = 53
    named = basename(path).startswith("cni-configuration-variables-")
    return scored(content, named=named, what="container documents (ctr, docker or crictl)") if content or named else NO


def read(source: Source) -> Iterator[Item]:
    """node_facts of every container of the CNI and of the agent; `created` tells old containers from new ones."""
    read_in = read_json(source)
    used: list[Document] = []
    for document in read_in.documents:
        containers = [node for _, node in walk(document.root) if _is_container(node)]
        if containers:
            used.append(document)
        for node in containers:
            yield from _Container(read_in, node).records()
    torn = [document for document in read_in.documents if used and document.tears and document not in used]
    yield from read_in.problems([*used, *torn], "a container document")
    if not used and read_in.data.strip():
        yield Problem("no container document can be read in it", None, "listed", "the CNI's settings")


def _is_container(node: Node) -> bool:
    keys = node.value
    return (
        ("Spec" in keys and ("Image" in keys or "Labels" in keys))
        or ("Config" in keys and ("Args" in keys or "Path" in keys or "State" in keys))
        or ("status" in keys and "info" in keys)
    )


class _Container:
    """One container document, of any of the three shapes."""

    def __init__(self, read_in: JsonSource, node: Node) -> None:
        self.read_in, self.node = read_in, node
        self.created = node.text("CreatedAt") or node.text("Created") or node.text("status", "createdAt")

    def records(self) -> Iterator[Record]:
        """Its node_facts; none when it is a container of neither the CNI nor the agent."""
        image_at = self._first(("Image",), ("Config", "Image"), ("status", "image", "image"), ("status", "imageRef"))
        name = self._label("io.kubernetes.container.name")
        image = find_image(str(image_at.value)) if image_at is not None else None
        if image is None and name not in _OURS:
            return
        if image is not None and image_at is not None:
            span = self.read_in.span(image_at)
            if image.version is not None:
                yield fact(span, f"{image.part}_version", image.version, created=self.created)
            value = {"name": image.name, "version": image.version, "listed_as": "container"}
            yield fact(span, f"{image.part}_image", value, created=self.created)
        if name == "aws-eks-nodeagent" or (image is not None and image.part == "agent"):
            yield from self._arguments()
        else:
            yield from self._environment()

    def _first(self, *paths: tuple[str, ...]) -> Node | None:
        found = (self.node.at(*path) for path in paths)
        # Docker's top-level Image is the digest of the image, Config.Image its name.
        return next(
            (n for n in found if n is not None and isinstance(n.value, str) and "sha256:" not in n.value[:8]), None
        )

    def _label(self, key: str) -> str | None:
        labels = self.node.at("Labels") or self.node.at("Config", "Labels") or self.node.at("status", "labels")
        return labels.text(key) if labels is not None else None

    def _environment(self) -> Iterator[Record]:
        process = self.node.at("Spec", "process", "env") or self.node.at("info", "runtimeSpec", "process", "env")
        env = process or self.node.at("Config", "Env")
        for part in env.parts() if env is not None else []:
            if isinstance(part.value, str) and "=" in part.value:
                name, _, value = part.value.partition("=")
                yield from self._variable(part, name, value)

    def _variable(self, part: Node, name: str, value: str) -> Iterator[Record]:
        span = self.read_in.span(part)
        known = FACTS.get(name)
        if known == "ipv6":
            yield fact(span, known, value.lower() == "true", created=self.created)
        elif known == "cni_version":
            yield fact(span, known, version_of(value) or value, created=self.created)
        elif known is not None and value:
            yield fact(span, known, value, created=self.created)
        elif name.startswith(_SETTINGS):
            yield setting(span, name, value)

    def _arguments(self) -> Iterator[Record]:
        process = self.node.at("Spec", "process", "args") or self.node.at("info", "runtimeSpec", "process", "args")
        arguments = process or self.node.at("Args")
        for part in arguments.parts() if arguments is not None else []:
            if isinstance(part.value, str):
                yield from agent_flag(self.read_in.span(part), part.value)


FORMAT = Format(
    name="container-info",
    title="Container documents (ctr container info, docker inspect, crictl inspect)",
    sniff=sniff,
    read=read,
    exclusive=True,
    versions="containerd 1.4 to 2.1, Docker Engine 17 to 28, cri-tools 1.2x",
    about="The CNI's environment: enforcing mode, address family, cluster and node name, veth prefix, versions.",
    limits=("the collector asks for the CNI's containers only: the agent's arguments are in ps.txt",),
    loses=("mounts, capabilities and every other container",),
)
