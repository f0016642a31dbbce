"""Names of the agent's pins: what a pin's file name says about the pod identifier, the direction and the map.

Names: aws-network-policy-agent pkg/utils/utils.go (TC_INGRESS_PROG ... CP_EGRESS_MAP), v1.0.1 to v1.4.1. The suffix
decides, the longest first: `_cp_ingress_map` ends with `_ingress_map` too, and an identifier may hold `_` itself
(a dotted pod name), so the name is never cut at its first `_`.
"""

from __future__ import annotations

from typing import NamedTuple

PIN_ROOT = "/sys/fs/bpf/globals/aws"
GLOBAL_PREFIX = "global_"
#: Map pins shared by all pods of a node.
GLOBAL_MAPS = ("aws_conntrack_map", "policy_events")
#: Suffix of a pod's pin without its leading `_` -> direction; the longest come first.
PROGRAM_SUFFIXES: dict[str, str] = {"handle_ingress": "ingress", "handle_egress": "egress"}
MAP_SUFFIXES: dict[str, str] = {
    "ingress_pod_state_map": "ingress",
    "egress_pod_state_map": "egress",
    "cp_ingress_map": "ingress",
    "cp_egress_map": "egress",
    "ingress_map": "ingress",
    "egress_map": "egress",
}


class Pin(NamedTuple):
    """One pin: role `program`, `map` or `global`; the last three are None where the role has no such thing.

    `map_name` is the name without the identifier (`cp_ingress_map`, `aws_conntrack_map`).
    """

    role: str
    pod_identifier: str | None
    direction: str | None
    map_name: str | None


def split_pin(path_or_basename: str) -> Pin | None:
    """The parts of a pin's path or base name; None when it is not a name the agent gives."""
    name = path_or_basename.rstrip("/").rsplit("/", 1)[-1]
    if name.startswith(GLOBAL_PREFIX) and name[len(GLOBAL_PREFIX) :] in GLOBAL_MAPS:
        return Pin("global", None, None, name[len(GLOBAL_PREFIX) :])
    for suffix, direction in PROGRAM_SUFFIXES.items():
        if identifier := _before(name, suffix):
            return Pin("program", identifier, direction, None)
    for suffix, direction in MAP_SUFFIXES.items():
        if identifier := _before(name, suffix):
            return Pin("map", identifier, direction, suffix)
    return None


def _before(name: str, suffix: str) -> str | None:
    """What stands before `_suffix`; None when that is nothing or the name ends otherwise."""
    return name[: -len(suffix) - 1] or None if name.endswith("_" + suffix) else None
