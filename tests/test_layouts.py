"""The kernel structs: sizes and offsets against the C declarations, and numpy against construct."""

from __future__ import annotations

import construct
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats import layouts

#: Layout -> size, and the offset of every field, as the C struct has them (tc.v4ingress.bpf.c and siblings).
STRUCTS = {
    "LPM_KEY_V4": (8, {"prefixlen": 0, "address": 4}),
    "LPM_KEY_V6": (20, {"prefixlen": 0, "address": 4}),
    "NAMESPACE_SLOT": (12, {"protocol": 0, "start_port": 4, "end_port": 8}),
    "CLUSTER_SLOT": (16, {"protocol": 0, "priority": 4, "start_port": 8, "end_port": 12}),
    "NAMESPACE_VALUE": (288, {"slots": 0}),
    "NAMESPACE_VALUE_BEFORE_V105": (96, {"slots": 0}),
    "CLUSTER_VALUE": (384, {"slots": 0}),
    "POD_STATE_KEY": (4, {"key": 0}),
    "POD_STATE_VALUE": (1, {"state": 0}),
    "CONNTRACK_KEY_V4_A": (16, {"src": 0, "sport": 4, "dst": 8, "dport": 12, "protocol": 14}),
    "CONNTRACK_KEY_V4_C": (20, {"src": 0, "sport": 4, "dst": 8, "dport": 12, "protocol": 14, "owner": 16}),
    "CONNTRACK_KEY_V4_I": (
        24,
        {"src": 0, "sport": 4, "dst": 8, "dport": 12, "protocol": 14, "owner": 16, "ifindex": 20},
    ),
    "CONNTRACK_KEY_V6_A": (38, {"src": 0, "sport": 16, "dst": 18, "dport": 34, "protocol": 36}),
    "CONNTRACK_KEY_V6_B": (40, {"src": 0, "sport": 16, "dst": 20, "dport": 36, "protocol": 38}),
    "CONNTRACK_KEY_V6_C": (56, {"src": 0, "sport": 16, "dst": 20, "dport": 36, "protocol": 38, "owner": 40}),
    "CONNTRACK_KEY_V6_I": (
        60,
        {"src": 0, "sport": 16, "dst": 20, "dport": 36, "protocol": 38, "owner": 40, "ifindex": 56},
    ),
    "CONNTRACK_VALUE": (1, {"state": 0}),
    "CONNTRACK_VALUE_HEAD": (16, {"state": 0, "last_seen": 8}),
}


@pytest.mark.parametrize("name", STRUCTS)
def test_sizes_and_offsets(name: str) -> None:
    size, offsets = STRUCTS[name]

    dtype = layouts.dtype_of(getattr(layouts, name))

    assert size == dtype.itemsize
    assert offsets == {field: place[1] for field, place in dtype.fields.items()}
    assert list(offsets) == list(dtype.names)


@pytest.mark.parametrize("name", [name for name in STRUCTS if not name.endswith(("VALUE", "V105"))])
@given(data=st.data())
def test_numpy_reads_what_construct_reads(name: str, data) -> None:
    layout = getattr(layouts, name)
    raw = data.draw(st.binary(min_size=STRUCTS[name][0], max_size=STRUCTS[name][0]))

    row = np.frombuffer(raw, layouts.dtype_of(layout))[0]

    parsed = layout.parse(raw)
    for field in row.dtype.names:
        value = row[field].tobytes() if row[field].ndim else int(row[field])
        assert parsed[field] == value, field


@pytest.mark.parametrize("name", ["NAMESPACE_VALUE", "NAMESPACE_VALUE_BEFORE_V105", "CLUSTER_VALUE"])
@given(data=st.data())
def test_numpy_reads_the_slots_construct_reads(name: str, data) -> None:
    layout = getattr(layouts, name)
    raw = data.draw(st.binary(min_size=STRUCTS[name][0], max_size=STRUCTS[name][0]))

    rows = np.frombuffer(raw, layouts.dtype_of(layout))[0]["slots"]

    parsed = layout.parse(raw)
    assert len(parsed.slots) == len(rows)
    for slot, row in zip(parsed.slots, rows, strict=True):
        assert [int(row[field]) for field in row.dtype.names] == [slot[field] for field in row.dtype.names]


def test_a_hand_written_conntrack_key_of_v137() -> None:
    # 10.20.0.1:40000 -> 10.9.8.7:443 tcp, owner 10.9.8.7, interface 4; ports little endian.
    raw = bytes.fromhex("0a140001 409c 0000 0a090807 bb01 06 00 0a090807 04000000")

    parsed = layouts.CONNTRACK_KEYS[24].parse(raw)
    row = np.frombuffer(raw, layouts.CONNTRACK_KEY_DTYPES[24])[0]

    assert (bytes([10, 20, 0, 1]), 40000, bytes([10, 9, 8, 7]), 443, 6, bytes([10, 9, 8, 7]), 4) == (
        parsed.src, parsed.sport, parsed.dst, parsed.dport, parsed.protocol, parsed.owner, parsed.ifindex,
    )  # fmt: skip
    assert tuple(int(row[field]) for field in ("sport", "dport", "protocol", "ifindex")) == (40000, 443, 6, 4)


def test_a_hand_written_cluster_slot() -> None:
    # tcp, priority 100 and ALLOW, ports 8080 to 8090.
    raw = bytes.fromhex("06000000 e9030000 901f0000 9a1f0000")

    assert tuple(
        layouts.CLUSTER_SLOT.parse(raw)[field] for field in ("protocol", "priority", "start_port", "end_port")
    ) == (6, 1001, 8080, 8090)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("NAMESPACE_VALUE", 384),
        ("NAMESPACE_VALUE", 289),
        ("NAMESPACE_VALUE_BEFORE_V105", 288),
        ("CLUSTER_VALUE", 385),
    ],
)
def test_a_value_that_is_too_long_is_refused(name: str, size: int) -> None:
    with pytest.raises(construct.TerminatedError):
        getattr(layouts, name).parse(bytes(size))


@pytest.mark.parametrize(("name", "size"), [("NAMESPACE_VALUE", 96), ("CLUSTER_VALUE", 288), ("CLUSTER_VALUE", 383)])
def test_a_value_that_is_too_short_is_refused(name: str, size: int) -> None:
    with pytest.raises(construct.StreamError):
        getattr(layouts, name).parse(bytes(size))


def test_sizes_by_name() -> None:
    assert (
        layouts.NAMESPACE_VALUE_SIZE,
        layouts.NAMESPACE_VALUE_SIZE_BEFORE_V105,
        layouts.CLUSTER_VALUE_SIZE,
    ) == (288, 96, 384)
    assert (layouts.NAMESPACE_STRIDE, layouts.CLUSTER_STRIDE) == (12, 16)
    assert layouts.LPM_KEY_SIZES == {4: 8, 6: 20}
    assert {size: dtype.itemsize for size, dtype in layouts.LPM_KEY_DTYPES.items()} == {8: 8, 20: 20}
    assert [dtype.itemsize for dtype in layouts.CONNTRACK_KEY_DTYPES.values()] == [16, 20, 24, 38, 40, 56, 60]
    assert list(layouts.CONNTRACK_KEYS) == [layout.sizeof() for layout in layouts.CONNTRACK_KEYS.values()]
    assert (layouts.NAMESPACE_SLOT_DTYPE.itemsize, layouts.CLUSTER_SLOT_DTYPE.itemsize) == (12, 16)


@pytest.mark.parametrize(
    ("size", "stride"), [(96, 12), (288, 12), (384, 16), (1, None), (0, None), (None, None), (192, None)]
)
def test_stride_of_a_value_size(size: int | None, stride: int | None) -> None:
    assert stride == layouts.stride_of(size)


def test_constants_of_the_programs() -> None:
    assert (
        layouts.SLOTS, layouts.SLOTS_BEFORE_V105, layouts.PROTOCOL_ANY, layouts.PROTOCOL_RESERVED,
        layouts.ADMIN_PRIORITY_LIMIT, layouts.BASELINE_OFFSET,
    ) == (24, 8, 254, 255, 1000, 2000)  # fmt: skip
    assert layouts.PROTOCOL_NAMES == {1: "ICMP", 6: "TCP", 17: "UDP", 132: "SCTP", 254: "ANY", 255: "RESERVED"}
    assert layouts.ACTION_NAMES == {0: "DENY", 1: "ALLOW", 2: "PASS"}
    assert layouts.TIER_NAMES == {0: "ERROR", 1: "ADMIN", 2: "NETWORK_POLICY", 3: "BASELINE", 4: "DEFAULT"}
    assert layouts.POD_STATE_NAMES == {0: "POLICIES_APPLIED", 1: "DEFAULT_ALLOW", 2: "DEFAULT_DENY"}


def test_a_construct_without_a_numpy_equal_is_refused() -> None:
    with pytest.raises(TypeError, match="no numpy kind for"):
        layouts.dtype_of(construct.Struct("port" / construct.Int16ub))


def test_every_layout_is_tested_here() -> None:
    declared = {name for name, value in vars(layouts).items() if isinstance(value, construct.Struct)}

    assert declared == set(STRUCTS)
