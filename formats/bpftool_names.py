"""Which map is this a dump of? From the command before it, an echoed pin path, a heading, or the file's name."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from formats.patterns import lazy
from formats.pins import GLOBAL_MAPS, MAP_SUFFIXES, split_pin

_MAP_NAMES = sorted((*MAP_SUFFIXES, *GLOBAL_MAPS), key=len, reverse=True)
_ANY_NAME = "|".join(_MAP_NAMES)
#: Text up to and including a map's name; what follows is the suffix of a file (`.dump.txt`, `-by-id`, `(1)`).
_NAMED_FILE = lazy(rf"^((?:.*[^A-Za-z0-9])?(?:{_ANY_NAME}))(?![A-Za-z0-9])")
#: Never the year of `dump-2026-11-21.txt` or `dump_20261121.txt`.
_NUMBERED_FILE = lazy(
    r"(?:^|[^a-z])(?:map|dump|id)(?:[-_. ]?(?:map|dump|id))*[-_. #]?(?!20\d{2}[-_]?[01]\d)(\d{1,9})(?![0-9])", re.I
)
_BPFTOOL = lazy(
    r"\bbpftool\b(?:\s+-{1,2}[\w-]+)*\s+(?P<object>m(?:ap?)?|p(?:rog?)?|n(?:et)?|l(?:ink)?|b(?:tf)?|cgroup|batch)\b"
    r"(?:\s+(?P<verb>[a-z]+))?(?P<rest>.*)$"
)
_BARE = lazy(r"^\W{0,6}map\s+(?P<verb>dump|lookup|getnext)\s+(?P<rest>(?:id|pinned|name)\s+\S+.*)$")
_TARGET = lazy(r"\b(id|pinned|name|tag)\s+(\S+)")
_FILTER = lazy(r"\|\s*(?:e?grep|rg|head|tail|awk|sed|less|more|sort|uniq|cut)\b")
_PROMPT = lazy(
    r"^(?:\*\*)?(?:\([\w.-]+\)\s*)?(?:\[[^\]]{1,80}\]|[\w.-]+@[^#$%\s]{1,80}(?:\s[^#$%\s]{1,60})?|(?:ba)?sh-[\d.]+|[~/][\w./~-]*)?"
    r"\s?[$#%\u276f](?:\s+(?P<command>\S.*))?$"
)
_BPFFS = lazy(r"(?:/[\w.-]+)*/sys/fs/bpf/\S+")
_NUMBERED = lazy(r"^\W*(?:dump\s+(?:of\s+)?)?(?:bpf\s+)?(?:map\s*(?:id|#)?|id)\s*[:=#]?\s*(\d{1,9})\W*$", re.I)
_DECORATION = "=#*:<>-[]()`'\"\t _."


class Target(NamedTuple):
    """What a line says of the dump that follows: the verb of a command (None for a heading), and the map."""

    verb: str | None = None
    map_name: str | None = None
    map_id: int | None = None
    filtered: bool = False


def command(text: str) -> Target | None:
    """A shell prompt or an echoed bpftool command; None for any other line. The verb of another command is ""."""
    match = _BPFTOOL.search(text)
    if match is not None:
        if not match["object"].startswith("m"):
            return Target("")
        return _target(match["verb"] or "show", match["rest"] or "")
    if match := _BARE.match(text):
        return _target(match["verb"], match["rest"])
    match = _PROMPT.match(text)
    if match is None or (match["command"] and text.lstrip()[:1] == "#"):
        return None
    return Target("")


def _target(verb: str, rest: str) -> Target:
    full = next((name for name in ("dump", "lookup", "getnext", "show", "list") if name.startswith(verb)), verb)
    name: str | None = None
    number: int | None = None
    for kind, value in _TARGET.findall(rest):
        value = value.strip("*`'\";|")
        if kind == "id" and value.isdigit():
            number = int(value)
        elif kind in ("pinned", "name") and value and "$" not in value:
            name = value.rstrip("/").rsplit("/", 1)[-1]
    return Target(full, name, number, bool(_FILTER.search(rest)))


def heading(text: str) -> Target | None:
    """`== /sys/fs/bpf/.../X_ingress_map`, `==> X_ingress_map.dump.txt <==`, `--- map 221 ---`; else None."""
    if path := _BPFFS.search(text):
        name = path.group().strip(_DECORATION).rsplit("/", 1)[-1]
        before, after = text[: path.start()].strip(_DECORATION), text[path.end() :].strip(_DECORATION)
        pin = split_pin(name)
        if pin and pin.map_name and len(before.split()) <= 3 and "pinned" not in before and not after:
            return Target(None, name)
        return None
    if match := _NUMBERED.match(text):
        return Target(None, None, int(match.group(1)))
    bare = text.strip(_DECORATION)
    if bare and not re.search(r"\s", bare):
        found = of_path(bare)
        if found.map_name and (text[:1] in "=#*-<[" or split_pin(bare)):
            return found
    return None


def of_path(path: str) -> Target:
    """The map a file's name (or its folder's) tells of: `web-prod_ingress_map.dump.txt`, `map-221.txt`."""
    parts = [part for part in path.replace("\\", "/").split("/") if part][-2:]
    for part in reversed(parts):
        if match := _NAMED_FILE.match(part):
            return Target(None, match.group(1))
    if parts and (match := _NUMBERED_FILE.search(parts[-1])):
        return Target(None, None, int(match.group(1)))
    return Target()


def sizes_of_name(name: str | None) -> tuple[frozenset[int], frozenset[int]]:
    """Key and value sizes a map of the agent with this name can have; empty sets when the name tells nothing."""
    if name is None:
        return frozenset(), frozenset()
    if name.endswith("pod_state_map"):
        return frozenset({4}), frozenset({1})
    if name.endswith(("cp_ingress_map", "cp_egress_map")):
        return frozenset({8, 20}), frozenset({384})
    if name.endswith(("ingress_map", "egress_map")):
        return frozenset({8, 20}), frozenset({96, 288})
    if name.endswith("aws_conntrack_map"):
        return frozenset({16, 20, 24, 38, 40, 56, 60}), frozenset({1, 4, 16})
    return frozenset(), frozenset()


def type_of_name(name: str | None) -> str | None:
    """The kernel's map type of an agent pin; None for any other name."""
    pin = split_pin(name) if name else None
    if pin is None or pin.map_name is None:
        return None
    if pin.role == "global":
        return "ringbuf" if pin.map_name == "policy_events" else "lru_hash"
    return "hash" if pin.map_name.endswith("pod_state_map") else "lpm_trie"


def error_data(message: str, map_id: int | None = None) -> dict[str, Any]:
    """The data of a `cli_error` record for an error of bpftool: it is about the tool, not about what a map holds."""
    number = re.search(r"\bid \(?(\d{1,9})\)?", message)
    meaning = "bpftool could not do this; it says nothing of what a map holds"
    return {"message": message, "meaning": meaning, "map_id": int(number.group(1)) if number else map_id}
