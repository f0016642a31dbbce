"""Agent versions: what a version text means, which behaviour it has, and which agent a VPC CNI release ships.

Behaviour follows the number, not the date: v1.4.0 (2026-06-15) was tagged before v1.3.7 (2026-06-23), yet has all
that v1.3.7 has and the `@` identifiers besides. Facts: the tags of aws-network-policy-agent and the manifests of
amazon-vpc-cni-k8s, in knowledge/cni_versions.toml.
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datetime import date

#: The state of the main branch after v1.4.1, which the next tag will carry.
HEAD = "v1.4.2"
_HEAD_NAMES = frozenset({"head", "main", "master"})
_VERSION = re.compile(r"^v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+](.*))?$")
_BUILD = re.compile(r"^eksbuild\.(\d+)$")


class Version(NamedTuple):
    """A version number; `build` is N of `-eksbuild.N`, 0 without one. Other suffixes (`-rc1`) do not change it."""

    major: int
    minor: int
    patch: int
    build: int = 0

    @property
    def number(self) -> tuple[int, int, int]:
        """What behaviour is decided by."""
        return self[:3]

    @property
    def tag(self) -> str:
        """The upstream tag, as `v1.3.0`."""
        return f"v{self.major}.{self.minor}.{self.patch}"


class ShippedAgent(NamedTuple):
    """The agent behind a VPC CNI version. `exact` is false where a managed add-on build may carry a newer one."""

    agent: str
    exact: bool


@lru_cache(maxsize=1024)
def parse(text: str) -> Version:
    """The version in `v1.3.0`, `1.3.0-eksbuild.1`, `v1.4.2-rc1` or `HEAD`. Raises ValueError for any other text."""
    cleaned = text.strip()
    if cleaned.lower() in _HEAD_NAMES:
        cleaned = HEAD
    found = _VERSION.match(cleaned)
    if found is None:
        raise ValueError(f"not an agent version: {text!r}")
    major, minor, patch, suffix = found.groups()
    build = _BUILD.match(suffix or "")
    return Version(int(major), int(minor), int(patch or 0), int(build[1]) if build else 0)


def is_version(text: str | None) -> bool:
    """Whether parse() would read it."""
    if not text:
        return False
    try:
        parse(text)
    except ValueError:
        return False
    return True


def at_least(version: str, tag: str) -> bool:
    """Whether a version has the behaviour that came with a tag. Raises ValueError when either is no version."""
    return parse(version).number >= parse(tag).number


def between(version: str, first: str, last: str) -> bool:
    """Whether a version lies in first..last, both included, by number. Raises ValueError when one is no version."""
    return parse(first).number <= parse(version).number <= parse(last).number


def known_tags() -> tuple[str, ...]:
    """Every agent tag, by number."""
    return tuple(agent["tag"] for agent in _facts()["agent"])


def tag_date(version: str) -> date | None:
    """The day a version was tagged; None for one that never was. Raises ValueError when it is no version."""
    wanted = parse(version).tag
    return next((agent["date"] for agent in _facts()["agent"] if agent["tag"] == wanted), None)


def tagged_before(version: str, other: str) -> bool | None:
    """Whether a version was tagged before another, by date; None when a date is not known."""
    mine, theirs = tag_date(version), tag_date(other)
    return None if mine is None or theirs is None else mine < theirs


def agent_of_cni(cni_version: str) -> ShippedAgent | None:
    """The agent that a VPC CNI version ships, or None when it is not in the table or no version at all.

    `-eksbuild.1` is what upstream released; a later build is answered from the builds that were seen, else with the
    upstream agent as a lower bound.
    """
    if not is_version(cni_version):
        return None
    version = parse(cni_version)
    addon = f"{version.tag}-eksbuild.{version.build}"
    seen = next((build["agent"] for build in _facts()["build"] if build["addon"] == addon), None)
    if seen is not None:
        return ShippedAgent(parse(seen).tag, True)
    shipped = next((cni["agent"] for cni in _facts()["cni"] if cni["release"] == version.tag), None)
    return ShippedAgent(shipped, version.build <= 1) if shipped is not None else None


@lru_cache(maxsize=1)
def _facts() -> dict[str, Any]:
    return tomllib.loads((resources.files("forensics.knowledge") / "cni_versions.toml").read_text("utf-8"))
