"""Views of a MapDump: its tier, its slots, and the JSON records of the `decode` contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from formats import layouts
from formats.address import cidr_of_key
from formats.base import SLOT_DTYPE, MapDump

if TYPE_CHECKING:
    from collections.abc import Iterator

_POD_STATE = "pod_state_map"
_CONNTRACK = "aws_conntrack_map"
#: Maps of other CNIs (Cilium's pkg/maps, Calico's felix/bpf): never the agent's, whatever their sizes.
_OTHERS = ("cilium_", "cali_")


def tier_of(dump: MapDump) -> str | None:
    """ "namespace" or "cluster" for a rule map, None for any other map.

    The name decides, then what the form says, then the value size: a cluster map stays a cluster map whatever
    was written into it.
    """
    name = dump.map_name or ""
    if name.startswith(_OTHERS) or name.endswith(_POD_STATE) or "conntrack" in name or "policy_events" in name:
        return None
    if name.endswith(("cp_ingress_map", "cp_egress_map")):
        return "cluster"
    if name.endswith(("ingress_map", "egress_map")):
        return "namespace"
    if dump.tier:
        return dump.tier
    if dump.key_size not in (8, 20, None) or dump.map_type not in (None, "lpm_trie"):
        return None
    if dump.value_size == layouts.CLUSTER_VALUE_SIZE:
        return "cluster"
    if dump.value_size in (layouts.NAMESPACE_VALUE_SIZE, layouts.NAMESPACE_VALUE_SIZE_BEFORE_V105):
        return "namespace"
    return None


def row_bytes(table: np.ndarray[Any, Any]) -> list[bytes]:
    """The bytes of each row of a table [n, w]."""
    size = table.shape[1] * table.itemsize
    if not size:
        return [b""] * table.shape[0]
    rows: list[bytes] = np.ascontiguousarray(table).view(f"V{size}")[:, 0].tolist()
    return rows


def slots_at_stride(values: np.ndarray[Any, Any], stride: int) -> np.ndarray[Any, Any]:
    """Every non-zero slot of uint8[n, V] values re-read at a stride of 12 or 16 bytes, as SLOT_DTYPE rows.

    V need not be a multiple of the stride; the last partial slot is left out.
    """
    count, size = values.shape
    dtype = layouts.NAMESPACE_SLOT_DTYPE if stride == layouts.NAMESPACE_STRIDE else layouts.CLUSTER_SLOT_DTYPE
    per_value = size // stride
    if count == 0 or per_value == 0:
        return np.zeros(0, SLOT_DTYPE)
    cut = np.ascontiguousarray(values[:, : per_value * stride]).view(dtype).reshape(count, per_value)
    used = cut["protocol"] != 0
    for field in dtype.names or ():
        used |= cut[field] != 0
    rows, columns = np.nonzero(used)
    out = np.zeros(len(rows), SLOT_DTYPE)
    out["entry"], out["slot"] = rows, columns
    picked = cut[rows, columns]
    for field in ("protocol", "start_port", "end_port"):
        out[field] = picked[field]
    out["priority"] = picked["priority"] if stride == layouts.CLUSTER_STRIDE else -1
    return out


def slots_of(dump: MapDump) -> np.ndarray[Any, Any]:
    """The slots of a rule map as SLOT_DTYPE rows in entry order; zero slots left out. Empty for other maps."""
    tier = tier_of(dump)
    if tier is None:
        return np.zeros(0, SLOT_DTYPE)
    if dump.values is None:
        return dump.text_slots if dump.text_slots is not None else np.zeros(0, SLOT_DTYPE)
    stride = layouts.CLUSTER_STRIDE if tier == "cluster" else layouts.NAMESPACE_STRIDE
    return slots_at_stride(dump.values, stride)


def protocol_name(number: int) -> str | int:
    """The contract's protocol: a name, UNKNOWN where the text form lost the number, else the number."""
    return "UNKNOWN" if number < 0 else layouts.PROTOCOL_NAMES.get(number, number)


def slot_json(row: Any, *, cluster: bool) -> dict[str, Any]:
    """One slot as the decode contract prints it; priority is raw//10 and action raw%10 in the cluster tier."""
    out: dict[str, Any] = {
        "slot": int(row["slot"]),
        "protocol": protocol_name(int(row["protocol"])),
        "start_port": int(row["start_port"]),
        "end_port": int(row["end_port"]),
    }
    if cluster:
        raw = int(row["priority"])
        out["priority"], out["action"] = divmod(raw, 10)
    return out


def records_of(dump: MapDump) -> Iterator[dict[str, Any]]:
    """The entries of a dump as `decode --format json` prints them, in dump order."""
    tier = tier_of(dump)
    slots = slots_of(dump)
    bounds = np.searchsorted(slots["entry"], np.arange(dump.count + 1)) if len(slots) else None
    for row in range(dump.count):
        key = dump.keys[row].tobytes()
        known = dump.value_known is None or bool(dump.value_known[row])
        value = dump.values[row].tobytes().hex() if dump.values is not None and known else None
        where = dump.spans[row]
        common: dict[str, Any] = {"map_id": dump.map_id, "map_name": dump.map_name}
        lines = [int(where["first_line"]), int(where["last_line"])]
        if tier is not None:
            mine = slots[bounds[row] : bounds[row + 1]] if bounds is not None else ()
            yield {
                "kind": "map_entry",
                **common,
                "cidr": cidr_of_key(key),
                "key_hex": key.hex(),
                "value_size": dump.value_size,
                "slots": [slot_json(slot, cluster=tier == "cluster") for slot in mine] if known else None,
                "value_hex": value,
                "lines": lines,
            }
        else:
            yield {
                **_other(dump, key, value),
                **common,
                "key_hex": key.hex(),
                "value_hex": value,
                "lines": lines,
            }


def _other(dump: MapDump, key: bytes, value: str | None) -> dict[str, Any]:
    name = dump.map_name or ""
    if name.startswith(_OTHERS):
        return {"kind": "raw_entry"}
    if len(key) == 4 and dump.value_size == 1 and (name.endswith(_POD_STATE) or dump.map_type in (None, "hash")):
        number = int.from_bytes(key, "little")
        state = int(value, 16) if value is not None else None
        return {"kind": "pod_state_entry", "key": number, "state": state}
    if len(key) in layouts.CONNTRACK_KEYS and (_CONNTRACK[:14] in name or dump.map_type in (None, "lru_hash")):
        return {"kind": "conntrack_entry", **conntrack_fields(key, bytes.fromhex(value) if value else None)}
    return {"kind": "raw_entry"}


def conntrack_fields(key: bytes, value: bytes | None) -> dict[str, Any]:
    """The fields of a conntrack key and value; addresses as text, absent fields null."""
    import ipaddress

    parsed = layouts.CONNTRACK_KEYS[len(key)].parse(key)
    owner = parsed.get("owner")
    seen = None
    state: int | None = None
    if value is not None:
        state = value[0]
        if len(value) == layouts.CONNTRACK_VALUE_HEAD.sizeof() and len(key) in (24, 60):
            head = layouts.CONNTRACK_VALUE_HEAD.parse(value)
            state, seen = int(head.state), int(head.last_seen)
    return {
        "src": str(ipaddress.ip_address(parsed.src)),
        "sport": parsed.sport,
        "dst": str(ipaddress.ip_address(parsed.dst)),
        "dport": parsed.dport,
        "protocol": protocol_name(parsed.protocol),
        "owner": str(ipaddress.ip_address(owner)) if owner is not None else None,
        "ifindex": parsed.get("ifindex"),
        "state": state,
        "last_seen_ns": seen,
    }
