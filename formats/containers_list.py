"""Lists of containers and images: `ctr containers list`, `ctr images list`, `crictl ps`, `docker ps` and so on.

A container says what runs (`agent_version`, `cni_version`); an image only lies on the disk, and old ones stay there, so
an image list yields `agent_image` and `cni_image` alone. Headers: containerd cmd/ctr, cri-tools, docker CLI.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from formats.base import NO, Format, Score
from formats.hints import basename, scored
from formats.image_ref import find_image
from formats.line_search import lines_with, span_of
from formats.node_records import fact
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item, Record
    from formats.source import Source
    from formats.text import Line

_HEADERS = lazy(
    rb"^[ \t>]*(?P<container>CONTAINER(?: ID)?[ \t]+IMAGE[ \t]+(?:RUNTIME|CREATED|COMMAND))"
    rb"|^[ \t>]*(?P<image>REF[ \t]+TYPE[ \t]+DIGEST|(?:IMAGE|REPOSITORY)[ \t]+TAG[ \t]+(?:IMAGE ID|DIGEST))"
    rb"|^[ \t>]*(?P<daemonset>(?:NAMESPACE[ \t]+)?NAME[ \t]+DESIRED[ \t]+CURRENT[^\n]*[ \t]IMAGES)",
    re.M,
)
_WANTED = lazy(rb"aws-network-policy-agent|amazon-k8s-cni|IMAGE|REF[ \t]+TYPE|REPOSITORY[ \t]+TAG")
_ROW = lazy(rb"^[ \t>]*[0-9a-f]{12,64}[ \t]+\S*(?:aws-network-policy-agent|amazon-k8s-cni)[:@]", re.M)
_STOPPED = lazy(r"\b(?:Exited|CONTAINER_EXITED|Created\b(?! \d))")
_NAMES = ("containerd-containers.txt", "containerd-images.txt", "docker-ps.txt", "docker-images.txt")


def sniff(head: bytes, path: str) -> Score:
    """A header line of one of these commands, or a row with an image of ours."""
    content = 0
    if (b"IMAGE" in head or b"REF " in head) and (header := _HEADERS.search(head)):
        content = 75 if header.start() < 4096 else 60
    elif (b"aws-network-policy-agent" in head or b"amazon-k8s-cni" in head) and _ROW.search(head):
        content = 60
    named = basename(path) in _NAMES
    return scored(content, named=named, what="a list of containers or images") if content or named else NO


def read(source: Source) -> Iterator[Item]:
    """node_facts of every row with an image of the agent or the CNI, each different row once."""
    seen: set[tuple[str, str]] = set()
    listed = "container"
    for line in lines_with(source, _WANTED):
        header = _HEADERS.match(line.text.encode())
        if header is not None:
            listed = header.lastgroup or listed
        elif "network-policy-agent" in line.text or "amazon-k8s-cni" in line.text:
            yield from _row(line, listed, seen)


def _row(line: Line, listed: str, seen: set[tuple[str, str]]) -> Iterator[Record]:
    text = line.text.strip()
    fields = text.split()
    if listed == "container" and not re.fullmatch(r"[0-9a-f]{12,64}", fields[0]):
        return
    if listed == "container" and _STOPPED.search(text):
        listed = "stopped container"
    span = span_of(line)
    rest = text
    while (image := find_image(rest)) is not None:
        rest = rest[rest.find(image.name[:20]) + len(image.name) :] if listed == "daemonset" else ""
        key = (listed, image.name)
        if key in seen:
            continue
        seen.add(key)
        value = {"name": image.name, "version": image.version, "listed_as": listed}
        if listed == "container" and image.version is not None:
            yield fact(span, f"{image.part}_version", image.version)
        yield fact(span, f"{image.part}_image", value)


FORMAT = Format(
    name="containers-list",
    title="Lists of containers and images (ctr, crictl, docker)",
    sniff=sniff,
    read=read,
    versions="ctr of containerd 1.4 to 2.1, crictl 1.2x, docker 17 to 28, kubectl get daemonset -o wide",
    about="Which version of the agent and of the CNI runs on the node, from the tags of their containers' images.",
    limits=("`ctr containers list` shows stopped containers too and cannot tell them apart",),
    loses=("other containers and images",),
)
