"""Image references of the network policy agent and the CNI, and the versions in their tags."""

from __future__ import annotations

from typing import NamedTuple

from formats.patterns import lazy

_IMAGE = lazy(
    r"(?P<name>[\w.:/-]*\b(?:(?P<agent>aws-network-policy-agent)|amazon-k8s-cni))(?![\w-])"
    r"(?:(?::|[ \t]+)(?P<tag>v?\d[\w.-]*|latest\b))?(?P<digest>@sha256:[0-9a-f]+)?"
)
_VERSION = lazy(r"v?(\d+\.\d+\.\d+)(?!\d)")


class ImageRef(NamedTuple):
    """One image. `part` is agent or cni, `name` the whole reference; `version` (v1.3.1) is None if the tag has none."""

    part: str
    name: str
    version: str | None


def find_image(text: str) -> ImageRef | None:
    """The first image of the agent or the CNI in a line; tag and repository may stand in two columns."""
    match = _IMAGE.search(text)
    if match is None:
        return None
    tag, digest = match["tag"], match["digest"] or ""
    name = match["name"] + (f":{tag}" if tag else "") + digest
    return ImageRef("agent" if match["agent"] else "cni", name, version_of(tag))


def version_of(tag: str | None) -> str | None:
    """v1.3.1 for `v1.3.1-eksbuild.1`, `1.3.1`; None for a tag without a version."""
    match = _VERSION.match(tag) if tag else None
    return f"v{match[1]}" if match else None
