"""What the agent and the CNI derive from a pod's name: the pod identifier of the pins and the host interface."""

from __future__ import annotations

import hashlib

from forensics.versions import HEAD, at_least

LEGACY_SEPARATOR = "-"
SEPARATOR = "@"
_HASH_DIGITS = 11


def pod_identifier(name: str, namespace: str, agent_version: str = HEAD) -> str:
    """The identifier under which an agent pins programs and maps of a pod (utils.GetPodIdentifier).

    The name is cut at its last dash, so replicas share one identifier; from v1.1.2 dots become underscores first;
    the namespace follows a `-`, from v1.4.0 an `@`. Raises ValueError when agent_version is no version.
    """
    separator = SEPARATOR if at_least(agent_version, "v1.4.0") else LEGACY_SEPARATOR
    return _prefix(name, dots=at_least(agent_version, "v1.1.2")) + separator + namespace


def identifiers(name: str, namespace: str) -> tuple[str, str]:
    """The identifier with `@` and the legacy one with `-`: pins of both styles may lie side by side."""
    prefix = _prefix(name, dots=True)
    return prefix + SEPARATOR + namespace, prefix + LEGACY_SEPARATOR + namespace


def identifier_like(identifier: str, name: str, namespace: str, agent_version: str = HEAD) -> str:
    """The identifier of a pod with the separator that another identifier uses; the dot rule is the version's.

    Names and namespaces cannot hold an `@`, so the separator tells the scheme better than a version does.
    """
    separator = SEPARATOR if SEPARATOR in identifier else LEGACY_SEPARATOR
    return _prefix(name, dots=at_least(agent_version, "v1.1.2")) + separator + namespace


def host_veth(namespace: str, pod: str, prefix: str = "eni", index: int = 0) -> str:
    """The name of a pod's host interface (utils.GetHostVethName): prefix and 11 hex digits of a SHA-1.

    `vlan` is the prefix of pods with their own security groups; index counts the further interfaces of a pod on
    several network cards (v1.2.3 and later).
    """
    suffix = f".{index}" if index > 0 else ""
    digest = hashlib.sha1(f"{namespace}.{pod}{suffix}".encode(), usedforsecurity=False).hexdigest()
    return prefix + digest[:_HASH_DIGITS]


def _prefix(name: str, *, dots: bool) -> str:
    plain = name.replace(".", "_") if dots else name
    return plain.rpartition("-")[0] if "-" in plain else plain
