"""Kernel structs of the agent's maps, declared once per agent version. numpy dtypes are derived from these.

Sources: aws-network-policy-agent pkg/ebpf/c/tc.v4ingress.bpf.c and its siblings at tags v1.0.1 (generation A),
v1.0.4 (B), v1.0.5 (C), v1.2.0 (D), v1.3.0 (H), v1.3.7 (I); conntrack.h and the value of 16 bytes from main after
v1.4.1. Everything is little endian; addresses are in network order; ports of conntrack keys are in host order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from construct import Array, Bytes, Construct, Int8ul, Int16ul, Int32ul, Int64ul, Padding, Struct, Terminated

SLOTS = 24
SLOTS_BEFORE_V105 = 8
PROTOCOL_ANY = 254
PROTOCOL_RESERVED = 255
PROTOCOL_NAMES: dict[int, str] = {1: "ICMP", 6: "TCP", 17: "UDP", 132: "SCTP", 254: "ANY", 255: "RESERVED"}
ACTION_NAMES: dict[int, str] = {0: "DENY", 1: "ALLOW", 2: "PASS"}
TIER_NAMES: dict[int, str] = {0: "ERROR", 1: "ADMIN", 2: "NETWORK_POLICY", 3: "BASELINE", 4: "DEFAULT"}
POD_STATE_NAMES: dict[int, str] = {0: "POLICIES_APPLIED", 1: "DEFAULT_ALLOW", 2: "DEFAULT_DENY"}
#: The datapath takes a rule with a higher priority number as baseline (tc.v4ingress.bpf.c, v1.3.0).
ADMIN_PRIORITY_LIMIT = 1000
#: What the agent adds to a baseline priority before it writes the entry (v1.3.0).
BASELINE_OFFSET = 2000

LPM_KEY_V4 = Struct("prefixlen" / Int32ul, "address" / Bytes(4))
LPM_KEY_V6 = Struct("prefixlen" / Int32ul, "address" / Bytes(16))

NAMESPACE_SLOT = Struct("protocol" / Int32ul, "start_port" / Int32ul, "end_port" / Int32ul)
CLUSTER_SLOT = Struct("protocol" / Int32ul, "priority" / Int32ul, "start_port" / Int32ul, "end_port" / Int32ul)

NAMESPACE_VALUE = Struct("slots" / Array(SLOTS, NAMESPACE_SLOT), Terminated)
NAMESPACE_VALUE_BEFORE_V105 = Struct("slots" / Array(SLOTS_BEFORE_V105, NAMESPACE_SLOT), Terminated)
CLUSTER_VALUE = Struct("slots" / Array(SLOTS, CLUSTER_SLOT), Terminated)

POD_STATE_KEY = Struct("key" / Int32ul)
POD_STATE_VALUE = Struct("state" / Int8ul)

CONNTRACK_KEY_V4_A = Struct(
    "src" / Bytes(4),
    "sport" / Int16ul,
    Padding(2),
    "dst" / Bytes(4),
    "dport" / Int16ul,
    "protocol" / Int8ul,
    Padding(1),
)
CONNTRACK_KEY_V4_C = Struct(
    "src" / Bytes(4), "sport" / Int16ul, Padding(2), "dst" / Bytes(4), "dport" / Int16ul, "protocol" / Int8ul,
    Padding(1), "owner" / Bytes(4),
)  # fmt: skip
CONNTRACK_KEY_V4_I = Struct(
    "src" / Bytes(4), "sport" / Int16ul, Padding(2), "dst" / Bytes(4), "dport" / Int16ul, "protocol" / Int8ul,
    Padding(1), "owner" / Bytes(4), "ifindex" / Int32ul,
)  # fmt: skip
CONNTRACK_KEY_V6_A = Struct(
    "src" / Bytes(16),
    "sport" / Int16ul,
    "dst" / Bytes(16),
    "dport" / Int16ul,
    "protocol" / Int8ul,
    Padding(1),
)
CONNTRACK_KEY_V6_B = Struct(
    "src" / Bytes(16), "sport" / Int16ul, Padding(2), "dst" / Bytes(16), "dport" / Int16ul, "protocol" / Int8ul,
    Padding(1),
)  # fmt: skip
CONNTRACK_KEY_V6_C = Struct(
    "src" / Bytes(16), "sport" / Int16ul, Padding(2), "dst" / Bytes(16), "dport" / Int16ul, "protocol" / Int8ul,
    Padding(1), "owner" / Bytes(16),
)  # fmt: skip
CONNTRACK_KEY_V6_I = Struct(
    "src" / Bytes(16), "sport" / Int16ul, Padding(2), "dst" / Bytes(16), "dport" / Int16ul, "protocol" / Int8ul,
    Padding(1), "owner" / Bytes(16), "ifindex" / Int32ul,
)  # fmt: skip
#: Key size in bytes -> layout. No two layouts share a size, so the size of a dump decides.
CONNTRACK_KEYS: dict[int, Construct[Any, Any]] = {
    16: CONNTRACK_KEY_V4_A,
    20: CONNTRACK_KEY_V4_C,
    24: CONNTRACK_KEY_V4_I,
    38: CONNTRACK_KEY_V6_A,
    40: CONNTRACK_KEY_V6_B,
    56: CONNTRACK_KEY_V6_C,
    60: CONNTRACK_KEY_V6_I,
}
CONNTRACK_VALUE = Struct("state" / Int8ul)
CONNTRACK_VALUE_HEAD = Struct("state" / Int64ul, "last_seen" / Int64ul)

#: Bytes the agent writes for a namespace entry (Go [24]BPFTrieVal in v1.0.5 and later).
NAMESPACE_VALUE_SIZE: int = NAMESPACE_VALUE.subcons[0].sizeof()
NAMESPACE_VALUE_SIZE_BEFORE_V105: int = NAMESPACE_VALUE_BEFORE_V105.subcons[0].sizeof()
CLUSTER_VALUE_SIZE: int = CLUSTER_VALUE.subcons[0].sizeof()
NAMESPACE_STRIDE: int = NAMESPACE_SLOT.sizeof()
CLUSTER_STRIDE: int = CLUSTER_SLOT.sizeof()
LPM_KEY_SIZES: dict[int, int] = {4: LPM_KEY_V4.sizeof(), 6: LPM_KEY_V6.sizeof()}


def dtype_of(layout: Construct[Any, Any]) -> np.dtype[Any]:
    """The packed numpy dtype of a construct Struct, field by field, with the same offsets and total size.

    Raises TypeError for a construct that has no fixed-size numpy equal.
    """
    names: list[str] = []
    kinds: list[Any] = []
    offsets: list[int] = []
    at = 0
    for part in layout.subcons:
        size = 0 if part is Terminated else part.sizeof()
        name = getattr(part, "name", None)
        if name:
            names.append(name)
            kinds.append(_kind(part.subcon))
            offsets.append(at)
        at += size
    return np.dtype({"names": names, "formats": kinds, "offsets": offsets, "itemsize": at})


def _kind(part: Construct[Any, Any]) -> Any:
    number = {"Int8ul": "<u1", "Int16ul": "<u2", "Int32ul": "<u4", "Int64ul": "<u8"}
    for name, kind in number.items():
        if part is globals()[name]:
            return kind
    if isinstance(part, Array):
        return (dtype_of(part.subcon), (part.count,))
    if isinstance(part, Struct):
        return dtype_of(part)
    if type(part) is type(Bytes(1)):
        return ("u1", (part.sizeof(),))
    raise TypeError(f"no numpy kind for {part!r}")


LPM_KEY_DTYPES: dict[int, np.dtype[Any]] = {8: dtype_of(LPM_KEY_V4), 20: dtype_of(LPM_KEY_V6)}
NAMESPACE_SLOT_DTYPE = dtype_of(NAMESPACE_SLOT)
CLUSTER_SLOT_DTYPE = dtype_of(CLUSTER_SLOT)
CONNTRACK_KEY_DTYPES: dict[int, np.dtype[Any]] = {size: dtype_of(layout) for size, layout in CONNTRACK_KEYS.items()}


def stride_of(value_size: int | None) -> int | None:
    """Slot size for a trie value size: 12 for 96 and 288, 16 for 384, None for any other."""
    if value_size in (NAMESPACE_VALUE_SIZE, NAMESPACE_VALUE_SIZE_BEFORE_V105):
        return NAMESPACE_STRIDE
    return CLUSTER_STRIDE if value_size == CLUSTER_VALUE_SIZE else None
