"""Values bpftool printed by their BTF types, back to the bytes of the agent's structs (bpftool src/btf_dumper.c).

Only the structs of the agent are known here, by the names of their fields in the eBPF sources; a foreign struct has no
bytes. Field widths and order come from formats/layouts.py.
"""

from __future__ import annotations

from typing import Any

from formats import layouts
from formats.patterns import lazy

#: Field names in the agent's C sources -> names of the layouts.
_CONNTRACK = {
    "src_ip": "src",
    "src_port": "sport",
    "dest_ip": "dst",
    "dst_ip": "dst",
    "dest_port": "dport",
    "dst_port": "dport",
    "protocol": "protocol",
    "owner_ip": "owner",
    "owner_addr": "owner",
    "ifindex": "ifindex",
}
_ADDRESS = ("ip", "addr", "address", "data")
#: Width of a lone number in a value, by the size of the key: pod state and conntrack of every version.
_NUMBER_WIDTH = {4: 1, 16: 4, 20: 1, 24: 1, 38: 16, 40: 16, 56: 1, 60: 1}
_HEX = lazy(r"(?<=[\s:\[,{])0x([0-9a-fA-F]+)(?=[\s,\]}])")
_CHAR = lazy(r"(?<=[\s:\[,{])'(.)'(?=[\s,\]}])")


def as_json(text: str) -> str:
    """Typed plain output with its bare `0x1f` and `'c'` as numbers, so that a JSON parser reads it."""
    text = _HEX.sub(lambda match: str(int(match.group(1), 16)), text)
    return _CHAR.sub(lambda match: str(ord(match.group(1))), text)


def key_bytes(typed: Any) -> bytes | None:
    """The key's bytes; None for a struct that is not the agent's."""
    if isinstance(typed, int):
        return _number(typed, 4)
    if not isinstance(typed, dict):
        return None
    if "prefixlen" in typed:
        rest = [value for name, value in typed.items() if name != "prefixlen" and name in _ADDRESS]
        head, tail = _number(typed["prefixlen"], 4), _address(rest[0]) if len(rest) == 1 and len(typed) == 2 else None
        return head + tail if head and tail and len(tail) in (4, 16) else None
    fields = {_CONNTRACK[name]: value for name, value in typed.items() if name in _CONNTRACK}
    if len(fields) < sum(1 for name in typed if not name.startswith("pad")):
        return None
    wide = isinstance(fields.get("src"), (list, dict))
    for size, layout in layouts.CONNTRACK_KEYS.items():
        names = {part.name for part in layout.subcons if part.name}
        if names == set(fields) and (size >= 38) == wide and size != 38:
            return _packed(layout, fields)
    return None


def value_bytes(typed: Any, key_size: int) -> bytes | None:
    """The value's bytes: slots of a rule map, or one number; None for anything else."""
    if isinstance(typed, dict) and len(typed) == 1:
        (only,) = typed.values()
        return value_bytes(only, key_size) if isinstance(only, (int, list)) else None
    if isinstance(typed, int):
        width = _NUMBER_WIDTH.get(key_size)
        return _number(typed, width) if width else None
    if not isinstance(typed, list) or not typed:
        return None
    cluster = isinstance(typed[0], dict) and "priority" in typed[0]
    layout = layouts.CLUSTER_SLOT if cluster else layouts.NAMESPACE_SLOT
    slots = [_packed(layout, slot) for slot in typed]
    known = [slot for slot in slots if slot is not None]
    return b"".join(known) if len(known) == len(slots) else None


def _packed(layout: Any, fields: Any) -> bytes | None:
    names = {part.name for part in layout.subcons if part.name}
    if not isinstance(fields, dict) or set(fields) != names:
        return None
    out = b""
    for part in layout.subcons:
        size = part.sizeof()
        if not part.name:
            out += bytes(size)
            continue
        value = _address(fields[part.name], size) if size in (4, 16) else _number(fields[part.name], size)
        if value is None or len(value) != size:
            return None
        out += value
    return out


def _number(value: Any, size: int) -> bytes | None:
    ok = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << (8 * size)
    return value.to_bytes(size, "little") if ok else None


def _address(value: Any, size: int = 4) -> bytes | None:
    """An address as one number in memory order, as a list of bytes, or inside unions (in6_u, u6_addr8)."""
    while isinstance(value, dict) and value:
        value = next(iter(value.values()))
    if isinstance(value, list):
        numbers = [int(item, 16) if isinstance(item, str) and item.startswith("0x") else item for item in value]
        ok = all(isinstance(item, int) and 0 <= item < 256 for item in numbers)
        return bytes(numbers) if ok else None
    return _number(value, size)
