"""Which agent is this, when nothing says so? Bounds from what only some versions leave behind.

Source: the fingerprints of map definitions and log lines by tag; a bound is a fact, the version picked is a guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from forensics.case import Node


class Guess(NamedTuple):
    """The newest version that fits the bounds, and the sentence that says why."""

    version: str
    why: str


def fingerprint(node: Node) -> Guess | None:
    """The version guessed from artefacts alone; None when there is no sign at all."""
    conntrack = node.conntrack.key_size if node.conntrack else None
    names = {name for pod in node.pods.values() for name in pod.maps}
    at_identifiers = any("@" in identifier for identifier in node.pods)
    old_values = any(state.value_size == 96 for pod in node.pods.values() for state in pod.maps.values())
    if at_identifiers:
        return Guess("v1.4.1", "pin names use `@`, which agents from v1.4.0 on do")
    if conntrack in (24, 60):
        return Guess("v1.3.7", "the conntrack key holds an interface, as from v1.3.7 on, and pin names have no `@`")
    if names & {"cp_ingress_map", "cp_egress_map"}:
        return Guess("v1.3.0", "cluster-tier maps exist and pin names have no `@`: v1.3.0 to v1.3.7")
    if _clusterish(node):
        return Guess("v1.3.0", "the agent log names cluster-tier maps and pin names have no `@`: v1.3.0 to v1.3.7")
    if not any(pod.programs for pod in node.pods.values()):
        # loose dumps: that a map was not sent does not say that there is none
        return Guess("v1.0.4", "values have 96 bytes: v1.0.1 to v1.0.4") if old_values else None
    if names & {"ingress_pod_state_map", "egress_pod_state_map"}:
        return Guess("v1.2.7", "pod state maps exist and no cluster-tier maps: v1.2.0 to v1.2.7")
    if old_values:
        return Guess("v1.0.4", "values have 96 bytes: v1.0.1 to v1.0.4")
    if names:
        return Guess("v1.1.6", "programs have one rule map and no pod state map: v1.0.5 to v1.1.6")
    return None


def _clusterish(node: Node) -> bool:
    return any(identity.map_name.startswith("cp_") for identity in node.story.identities.values())
