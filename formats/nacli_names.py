"""Which map is this text of? From the path of the file, from the command before it, from a heading."""

from __future__ import annotations

from typing import NamedTuple

from formats.patterns import lazy
from formats.pins import GLOBAL_MAPS, MAP_SUFFIXES, split_pin

#: Text up to and including a map's name; what follows is how the capture was made (`.na-cli-v1.3.0.dump-maps.txt`).
_ANY_NAME = "|".join(sorted((*MAP_SUFFIXES, *GLOBAL_MAPS), key=len, reverse=True))
_NAMED_FILE = lazy(rf"^((?:.*[^A-Za-z0-9])?(?:{_ANY_NAME}))(?![A-Za-z0-9])")
_NUMBERED_FILE = lazy(
    r"(?:dump[-_]?(?:cp[-_]?)?maps?|maps?|id)[-_. #]?(?:id[-_. #]?)?(?!20\d{2}[-_]?[01]\d)(\d{1,9})(?!\d)"
)
_CP_FILE = lazy(r"dump[-_]cp[-_]maps?|ebpf-cp-maps-data")
_DECORATION = "=#*:<>-[]()`'\" \t"
_FILTER = lazy(r"\|\s*(?:e?grep|rg|head|tail|awk|sed|sort|uniq|cut)\b")


class Target(NamedTuple):
    """What is known of the map before its text: id, name (a pin's basename), the verb of the command, and whether a
    filter stood behind it."""

    map_id: int | None = None
    map_name: str | None = None
    verb: str | None = None
    filtered: bool = False


def of_path(path: str) -> Target:
    """The map a file's name tells of: `dump-maps-1839.txt`, `web-prod_ingress_map.na-cli-v1.3.0.dump-maps.txt`."""
    name = path.replace("\\", "/").rsplit("/", 1)[-1]
    verb = "dump-cp-maps" if _CP_FILE.search(name) else None
    if match := _NAMED_FILE.match(name):
        return Target(None, match.group(1), verb)
    number = _NUMBERED_FILE.search(name)
    return Target(int(number.group(1)) if number else None, None, verb)


def of_command(verb: str, number: str, rest: str) -> Target:
    """The map a command line names: `aws-eks-na-cli ebpf dump-maps 93 | grep Key`."""
    full = {"d": "dump-maps", "dcp": "dump-cp-maps"}.get(verb, verb)
    return Target(int(number) if number else None, None, full, bool(_FILTER.search(rest)))


def of_heading(text: str) -> Target | None:
    """`== /sys/fs/bpf/globals/aws/maps/web-prod_ingress_map`, `==> web-prod_ingress_map.txt <==`; None otherwise."""
    bare = text.strip(_DECORATION)
    if not bare.endswith(("map", "map.txt", "maps.txt", "map.log", "_policy_events")) or len(bare.split()) != 1:
        return None
    name = bare.rsplit("/", 1)[-1]
    if match := _NAMED_FILE.match(name):
        pin = split_pin(match.group(1))
        return Target(None, match.group(1)) if pin is not None and pin.map_name else None
    return None


def map_kind(name: str | None) -> str | None:
    """`cluster`, `namespace` (rule maps), `state`, `conntrack` or `events` by the map's name; None for other names."""
    pin = split_pin(name) if name else None
    if pin is None or pin.map_name is None:
        return None
    if pin.role == "global":
        return "conntrack" if pin.map_name == GLOBAL_MAPS[0] else "events"
    if pin.map_name.endswith("pod_state_map"):
        return "state"
    return "cluster" if pin.map_name.startswith("cp_") else "namespace"
