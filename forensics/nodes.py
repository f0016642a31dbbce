"""Which artifacts belong to which node. Two nodes are never merged, whatever their identifiers or map IDs say.

A node is the root of a log collector's tree: an archive of its own, or the folder above `networking/`, `ipamd/` and so
on. A loose file belongs to the only node below its nearest common folder; Kubernetes objects belong to every node
below theirs. Without any collector tree, loose dumps are one node, unless two folders hold the same map with other
bytes: then each folder is one. A tree beside its own archive is one node with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from formats.pins import split_pin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forensics.artifact import Artifact

Location = tuple[str, ...]

_COLLECTOR_MEMBER = re.compile(
    r"^(?P<root>(?:.*/)?)(?:"
    r"system/(?:instance-id|ps|region|availability-zone)\.txt"
    r"|networking/(?:ebpf-[a-z-]*data|iproute|ip6route|iprule|conntrack6?|ip6?tables[a-z-]*|ethtool)\.txt"
    r"|ipamd/[a-z0-9-]+\.json"
    r"|var_log/aws-routed-eni/[^/]+"
    r"|containerd/containerd-[a-z]+\.txt"
    r"|kernel/uname\.txt"
    r"|cni/cni-configuration-variables-[a-z]+\.(?:json|txt)"
    r")$"
)
#: A root needs this many members of a collector's tree: one lone `ipamd/ipam.json` sent by hand is a loose file.
_ROOT_MEMBERS = 3
#: Without this member two trees are two nodes: what else they share may be the same on every node.
_INSTANCE = "system/instance-id.txt"


@dataclass(slots=True, repr=False)
class Group:
    """The artifacts of one node: its own, Kubernetes objects that count for several nodes, and copies of its own.

    Copies are the same members once more, in an archive or a folder beside it; they are read and not counted.
    """

    root: Location
    own: list[Artifact] = field(default_factory=list)
    shared: list[Artifact] = field(default_factory=list)
    copies: list[Artifact] = field(default_factory=list)

    @property
    def artifacts(self) -> list[Artifact]:
        """All of them, own first."""
        return [*self.own, *self.shared]


def group(artifacts: Iterable[Artifact]) -> list[Group]:
    """Group a case's artifacts by node, in the order of their roots."""
    everything = list(artifacts)
    roots = _roots(everything)
    if not roots:
        return _group_loose(everything)
    groups = {root: Group(root) for root in sorted(roots)}
    rootless: list[Artifact] = []
    for artifact in everything:
        owners = _owners(artifact.location[:-1], roots)
        if len(owners) == 1:
            groups[owners[0]].own.append(artifact)
        elif _is_cluster_wide(artifact):
            for owner in owners or roots:
                groups[owner].shared.append(artifact)
        else:
            rootless.append(artifact)
    apart = _group_loose(rootless) if any(artifact.dumps for artifact in rootless) else []
    return [*_without_copies(list(groups.values())), *apart]


def _without_copies(groups: list[Group]) -> list[Group]:
    """The groups, without those whose every member another one holds as well: they become copies of its members."""
    kept: list[Group] = []
    for found in sorted(groups, key=lambda each: -len(_members(each))):
        origin = next((each for each in kept if _is_copy(found, each)), None)
        if origin is None:
            kept.append(found)
        else:
            held = {(_inside(each, origin.root), each.sha256) for each in origin.own}
            known = {id(each) for each in origin.shared}
            for each in found.own:
                # a file that lies in the copy only is nobody's copy
                again = (_inside(each, found.root), each.sha256) in held
                (origin.copies if again else origin.own).append(each)
            origin.shared += [each for each in found.shared if id(each) not in known]
    return [each for each in groups if any(each is one for one in kept)]


def _is_copy(copy: Group, origin: Group) -> bool:
    """Whether every collected member is there with the same bytes, the one that names the instance among them."""
    mine, theirs = _members(copy), _members(origin)
    return _INSTANCE in mine and mine.items() <= theirs.items()


def _members(found: Group) -> dict[str, str]:
    """{path below the root: sha256} of the collector's members."""
    inside = {_inside(artifact, found.root): artifact.sha256 for artifact in found.own}
    return {path: digest for path, digest in inside.items() if _COLLECTOR_MEMBER.match(path)}


def _inside(artifact: Artifact, root: Location) -> str:
    return "/".join(artifact.location[len(root) :])


def _roots(artifacts: list[Artifact]) -> list[Location]:
    counts: dict[Location, int] = {}
    for artifact in artifacts:
        match = _COLLECTOR_MEMBER.match("/".join(artifact.location))
        if match:
            root = tuple(part for part in match["root"].split("/") if part)
            counts[root] = counts.get(root, 0) + 1
    return sorted(root for root, count in counts.items() if count >= _ROOT_MEMBERS)


def _owners(folder: Location, roots: list[Location]) -> list[Location]:
    inside = [root for root in roots if folder[: len(root)] == root]
    if inside:
        return [max(inside, key=len)]
    for depth in range(len(folder), -1, -1):
        below = [root for root in roots if root[:depth] == folder[:depth]]
        if below:
            return below
    return []


def _is_cluster_wide(artifact: Artifact) -> bool:
    return any(record.kind == "k8s_object" for record in artifact.records)


def _group_loose(artifacts: list[Artifact]) -> list[Group]:
    folders = _conflicting_folders(artifacts)
    if not folders:
        return [Group((), list(artifacts))] if artifacts else []
    groups = {folder: Group(folder) for folder in sorted(folders)}
    for artifact in artifacts:
        folder = artifact.location[:-1]
        owners = _owners(folder, sorted(folders))
        if len(owners) == 1:
            groups[owners[0]].own.append(artifact)
        else:
            for owner in owners:
                groups[owner].shared.append(artifact)
    return list(groups.values())


def _conflicting_folders(artifacts: list[Artifact]) -> set[Location]:
    """The folders that hold dumps, when two of them hold one map (by pin) with other content; else nothing."""
    seen: dict[tuple[str, str], dict[Location, set[tuple[bytes, ...]]]] = {}
    for artifact in artifacts:
        for dump in artifact.dumps:
            pin = split_pin(dump.map_name) if dump.map_name else None
            if pin is None or not pin.pod_identifier or dump.values is None:
                continue
            content = tuple(sorted(a.tobytes() + b.tobytes() for a, b in zip(dump.keys, dump.values, strict=True)))
            place = seen.setdefault((pin.pod_identifier, pin.map_name or ""), {})
            place.setdefault(artifact.location[:-1], set()).add(content)
    for folders in seen.values():
        contents = list(folders.values())
        if len(contents) > 1 and any(content != contents[0] for content in contents[1:]):
            return {artifact.location[:-1] for artifact in artifacts if artifact.dumps}
    return set()
