"""Many packets at once: the same answers as one at a time, whatever form the packets come in."""

from __future__ import annotations

import struct

import numpy as np
import polars as pl
import pytest
import vectors
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import ANY, PEER, POD, RESERVED, SCTP, TCP, UDP, cluster, key4, namespace, to_pod, v130

from forensics.datapath import Datapath, Packet
from forensics.flow_table import FlowTable, _hash, padded
from forensics.packet_columns import packet_columns
from forensics.prefix_ranges import RangeTable, ranges4, ranges_of
from formats.layouts import CONNTRACK_KEY_DTYPES

DRIVERS = {
    "packets": vectors.batch_packet_mismatches,
    "stateful": lambda folder: vectors.batch_stateful_mismatches(folder, step=4),
    "sequences": lambda folder: vectors.batch_sequence_mismatches(folder, step=2),
    "raw_frames": vectors.batch_frame_mismatches,
    "seed_incident": lambda folder: vectors.batch_seed_mismatches(folder, step=3),
}
COLUMNS = {"protocol": [TCP], "sport": [40000], "dport": [80]}


@pytest.mark.parametrize("name", DRIVERS)
def test_agrees_with_one_at_a_time_on_the_vectors(name: str) -> None:
    assert list(DRIVERS[name](vectors.THIN))[:5] == []


ADDRESS4 = st.integers(0x0A140000, 0x0A14000F).map(lambda number: number.to_bytes(4, "big"))
ADDRESS6 = st.sampled_from(
    [bytes.fromhex(f"fd0000200000{high:04x}{low:016x}") for high in (0, 1, 0xFFFF) for low in (0, 1, 7, 2**64 - 1)]
)
PORT = st.sampled_from([0, 1, 79, 80, 81, 443, 65535])
BOUND = st.one_of(PORT, st.sampled_from([65536, 0xFFFFFFFF]))
PROTOCOL = st.sampled_from([0, 1, TCP, UDP, SCTP, 58, ANY, RESERVED])
SLOT_PROTOCOL = st.one_of(PROTOCOL, st.just(TCP + 256))
NAMESPACE = st.lists(st.tuples(SLOT_PROTOCOL, BOUND, BOUND), max_size=24).map(lambda slots: namespace(*slots))
RAW = st.sampled_from(
    [0, 1, 2, 3, 11, 12, 10001, 10002, 10010, 20000, 20001, 20005, 655360, 655362, 655370, 0xFFFFFFFF]
)
CLUSTER = st.lists(st.tuples(SLOT_PROTOCOL, RAW, BOUND, BOUND), max_size=24).map(lambda slots: cluster(*slots))


def keys(address, bits):
    prefix = st.sampled_from([0, 1, bits - 33 if bits > 32 else 9, bits - 64 if bits > 64 else 24, bits - 1, bits])
    return st.builds(lambda length, packed: struct.pack("<I", length) + packed, prefix, address)


@st.composite
def programs(draw):
    """Any program over maps, pod states and conntrack that a few addresses are likely to meet; and packets."""
    family = draw(st.sampled_from([4, 6]))
    address, bits = (ADDRESS4, 32) if family == 4 else (ADDRESS6, 128)
    version = draw(st.sampled_from(["v1.0.1", "v1.0.4", "v1.1.6", "v1.2.1", "v1.2.7", "v1.3.5", "v1.4.1", "v1.4.2"]))
    way = draw(st.sampled_from(["ingress", "egress"]))
    maps = {
        f"{way}_map": draw(st.dictionaries(keys(address, bits), NAMESPACE, max_size=6)),
        f"cp_{way}_map": draw(st.dictionaries(keys(address, bits), CLUSTER, max_size=6)),
    }
    states = draw(st.dictionaries(st.sampled_from([0, 1]), st.sampled_from([0, 0, 1, 2, 3]), max_size=2))
    states = draw(st.sampled_from([states, {0: 0, 1: 0}, {0: 1, 1: 0}, {0: 2, 1: 1}]))
    packets = draw(
        st.lists(st.builds(Packet, address, address, PROTOCOL, PORT, PORT, st.sampled_from([1, 4])), min_size=1)
    )
    conntrack = {}
    bare = Datapath(version, family, way, maps, states)
    for packet in draw(st.lists(st.sampled_from(packets), max_size=4)):
        turned = draw(st.sampled_from([packet, Packet(packet.dst, packet.src, packet[2], packet[4], packet[3])]))
        for key, _ in bare.verdict(turned).conntrack:
            owner = turned.dst if way == "ingress" else turned.src
            conntrack[key] = draw(
                st.sampled_from([owner, bytes(len(owner)), b"\0", b"\1", b"\5", b"\7", b"\x07" + bytes(15)])
            )
    return Datapath(version, family, way, maps, states, conntrack), packets


@settings(max_examples=150, deadline=None)
@given(programs())
def test_agrees_with_one_at_a_time_on_any_program(drawn) -> None:
    program, packets = drawn

    assert list(vectors.batch_mismatches(program, packets)) == []


def test_many_rows_are_answered_in_order_across_chunks() -> None:
    program = v130({key4("10.20.0.0", 16): namespace((TCP, 1000, 1999))})
    dport = np.arange(70_000) % 4000

    got = program.verdicts(
        {
            "src": [PEER] * 70_000,
            "dst": [POD] * 70_000,
            "protocol": np.full(70_000, TCP),
            "sport": dport,
            "dport": dport,
        }
    )

    assert ((dport >= 1000) & (dport <= 1999)).tolist() == (got["action"] == "OK").to_list()


def test_no_packets_give_no_rows_and_all_columns() -> None:
    empty = {"src": [], "dst": [], "protocol": [], "sport": [], "dport": []}
    frame = pl.DataFrame(empty, schema={"src": pl.String, "dst": pl.String, "protocol": pl.UInt8, "sport": pl.UInt16,
                                        "dport": pl.UInt16})  # fmt: skip

    got = v130().verdicts(frame, conntrack_keys=True)

    assert (got.height, got.width) == (0, 12)
    assert got.columns[:-1] == v130().verdicts(frame).columns
    assert got.columns[-1] == "conntrack_key"


class TestColumns:
    @pytest.mark.parametrize(
        "src",
        [
            pl.Series(["10.20.0.1"]),
            pl.Series([" 10.20.0.1 "]),
            pl.Series([b"\x0a\x14\x00\x01"]),
            pl.Series([0x0A140001], dtype=pl.UInt32),
            pl.Series([0x0A140001], dtype=pl.Int64),
            pl.Series([[10, 20, 0, 1]], dtype=pl.Array(pl.UInt8, 4)),
        ],
    )
    def test_every_form_of_an_ipv4_address(self, src: pl.Series) -> None:
        columns = packet_columns({"src": src, "dst": ["10.9.8.7"], **COLUMNS}, 4)

        assert columns.src[0].tolist() == [0x0A140001]
        assert columns.dst[0].tolist() == [0x0A090807]
        assert columns.read.tolist() == [True]
        assert columns.ifindex.tolist() == [1]

    @pytest.mark.parametrize(
        "src",
        [
            pl.Series(["fd00:20::1:2"]),
            pl.Series([bytes.fromhex("fd000020000000000000000000010002")]),
            pl.Series([[*bytes.fromhex("fd000020000000000000000000010002")]], dtype=pl.Array(pl.UInt8, 16)),
        ],
    )
    def test_every_form_of_an_ipv6_address(self, src: pl.Series) -> None:
        columns = packet_columns({"src": src, "dst": ["::"], **COLUMNS}, 6)

        assert tuple(word.tolist() for word in columns.src) == ([0xFD00002000000000], [0x10002])
        assert tuple(word.tolist() for word in columns.dst) == ([0], [0])

    TEXTS = st.one_of(
        st.ip_addresses(v=4).map(str),
        st.ip_addresses(v=6).map(str),
        st.ip_addresses(v=6).map(lambda address: address.exploded),
        st.sampled_from(
            ["::", "::1", "1::", "fd00::", "::ffff:10.0.0.1", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:0:0:2::3",
             "0:0::", "FD00::A", "255.255.255.255", "0.0.0.0", "1:2:3:4:5:6:7:8"]
        ),
    )  # fmt: skip

    @settings(deadline=None)
    @given(st.lists(TEXTS, min_size=1, max_size=8), st.sampled_from([4, 6]))
    def test_text_in_bulk_reads_as_one_at_a_time(self, texts: list[str], family: int) -> None:
        few = {"src": texts, "dst": texts, **{name: value * len(texts) for name, value in COLUMNS.items()}}
        many = {name: list(column) * 70 for name, column in few.items()}

        one, bulk = packet_columns(few, family), packet_columns(many, family)

        assert one.read.tolist() * 70 == bulk.read.tolist()
        assert [word.tolist() * 70 for word in one.src] == [word.tolist() for word in bulk.src]

    @given(st.text(alphabet="0123456789abf:.", min_size=1, max_size=12).filter(lambda text: _is_no_address(text)))
    @settings(deadline=None)
    def test_text_that_is_no_address_is_refused_in_bulk_too(self, text: str) -> None:
        many = {
            "src": [PEER] * 99 + [text],
            "dst": [POD] * 100,
            **{name: value * 100 for name, value in COLUMNS.items()},
        }

        with pytest.raises(ValueError, match="column src: .* is no IP address"):
            packet_columns(many, 4)

    def test_repeated_text_reads_as_text_that_does_not_repeat(self) -> None:
        texts = [f"10.20.{number % 7}.1" for number in range(5000)]
        repeated = {"src": texts, "dst": [POD] * 5000, **{name: value * 5000 for name, value in COLUMNS.items()}}

        columns = packet_columns(repeated, 4)

        assert [0x0A140001 + 256 * (number % 7) for number in range(5000)] == columns.src[0].tolist()

    @pytest.mark.parametrize(
        ("changed", "says"),
        [
            ({"src": ["10.0.0.256"]}, "column src: '10.0.0.256' is no IP address"),
            ({"src": ["010.0.0.1"]}, "column src: '010.0.0.1' is no IP address"),
            ({"src": pl.Series([None], dtype=pl.String)}, "column src, row 0: null"),
            ({"src": [b"abc"]}, "column src, row 0: a packed IP address has 4 or 16 bytes, not 3"),
            ({"src": [1 << 32]}, "column src: a number is no IPv4 address"),
            ({"src": [-1]}, "column src: a number is no IPv4 address"),
            ({"src": [1.5]}, "column src holds Float64, not addresses"),
            ({"src": pl.Series([[1, 2]], dtype=pl.Array(pl.UInt8, 2))}, "not addresses of 4 or 16 bytes"),
            ({"src": ["fd00::1"]}, "row 0: source and destination are not of one family"),
            ({"protocol": [256]}, "column protocol, row 0: 256 is not between 0 and 255"),
            ({"sport": [65536]}, "column sport, row 0: 65536 is not between 0 and 65535"),
            ({"dport": [-1]}, "column dport, row 0: -1 is not between 0 and 65535"),
            ({"dport": pl.Series([None], dtype=pl.Int64)}, "column dport, row 0: null"),
            ({"dport": [80.0]}, "column dport holds Float64, not whole numbers"),
            ({"ifindex": [1 << 32]}, "column ifindex, row 0: 4294967296 is not between 0 and 4294967295"),
        ],
    )
    def test_refuses_what_cannot_be_a_packet(self, changed: dict, says: str) -> None:
        with pytest.raises(ValueError, match=says):
            packet_columns({"src": [PEER], "dst": [POD], **COLUMNS, **changed}, 4)

    def test_the_highest_numbers_are_taken(self) -> None:
        frame = {
            "src": [0xFFFFFFFF],
            "dst": [0],
            "protocol": [255],
            "sport": [65535],
            "dport": [65535],
            "ifindex": [2**32 - 1],
        }

        columns = packet_columns(frame, 4)

        assert columns.src[0].tolist() == [0xFFFFFFFF]
        assert (columns.protocol.tolist(), columns.ifindex.tolist()) == ([255], [2**32 - 1])

    def test_names_the_columns_that_are_missing(self) -> None:
        with pytest.raises(ValueError, match="no column dst, dport"):
            packet_columns({"src": [PEER], "protocol": [TCP], "sport": [1]}, 4)

    def test_rows_of_the_other_family_pass_unread(self) -> None:
        frame = {
            "src": [PEER, "fd00::1"],
            "dst": [POD, "fd00::2"],
            "protocol": [1, 1],
            "sport": [0, 0],
            "dport": [0, 0],
        }

        four = v130().verdicts(frame)
        six = Datapath("v1.3.0", 6, "ingress", {}, {0: 0, 1: 0}).verdicts(frame)

        assert four["reason"].to_list() == ["namespace-miss", "unread"]
        assert six["reason"].to_list() == ["unread", "namespace-miss"]
        assert four["action"].to_list() == ["SHOT", "OK"]


class TestTables:
    @settings(deadline=None)
    @given(st.lists(keys(ADDRESS4, 32), max_size=12), st.lists(keys(ADDRESS4, 32), max_size=12), st.lists(ADDRESS4))
    def test_ranges_find_the_longest_prefix(self, first, second, addresses) -> None:
        table = RangeTable([first, second], 4)
        numbers = [int.from_bytes(address, "big") for address in [*addresses, b"\0\0\0\0", b"\xff\xff\xff\xff"]]

        found = table.find((np.array(numbers, dtype=np.uint32),))

        for rows, mine in zip(table.rows, (first, second), strict=True):
            assert [_longest(mine, number) for number in numbers] == rows[found].tolist()

    @settings(deadline=None)
    @given(st.lists(keys(ADDRESS4, 34), max_size=14), st.lists(st.binary(max_size=9), max_size=2))
    def test_ranges_in_arrays_are_those_of_one_by_one(self, good, bad) -> None:
        mixed = [*good[:3], *bad, *good[3:]]

        expected = ranges_of(mixed, 4)
        firsts, rows = ranges4(mixed)

        merged, before = {}, None
        for first, row in sorted(expected.items()):
            if row != before:
                merged[first] = before = row
        assert merged == dict(zip(firsts.tolist(), rows.tolist(), strict=True))

    def test_keys_with_one_hash_are_told_apart_by_their_bytes(self) -> None:
        # Both words zero hash alike whatever the multiplier when the second word undoes the first: h(a, mix(a)) = 0.
        dtype = CONNTRACK_KEY_DTYPES[16]
        first = 0x0123456789ABCDEF
        mixed = first * 0x9E3779B97F4A7C15 & (1 << 64) - 1
        mixed ^= mixed >> 32
        colliding = first.to_bytes(8, "little") + mixed.to_bytes(8, "little")
        table = FlowTable([bytes(16), colliding], dtype)

        asked = np.frombuffer(colliding + bytes(16) + b"\1" * 16, padded(dtype))

        assert table.find(asked).tolist() == [1, 0, -1]
        assert FlowTable([colliding], dtype).find(asked[1:2]).tolist() == [-1]

    def test_hashes_of_keys_in_a_row_are_spread(self) -> None:
        words = np.zeros((4096, 3), dtype=np.uint64)
        words[:, 1] = np.arange(4096)

        hashes = _hash(words)

        # 4096 balls in 65536 bins: about 3970 bins are hit; a hash that loses bits falls far below.
        assert len(set(hashes.tolist())) == 4096
        assert len(set((hashes >> np.uint64(48)).tolist())) > 3800

    def test_entries_with_padding_are_never_found(self) -> None:
        flow = bytes.fromhex("0a140001409c00000a090807500006ff0a090807")
        frame = {"src": [PEER], "dst": [POD], **COLUMNS}

        assert v130(conntrack={flow: b"\5"}).verdicts(frame)["reason"].to_list() == ["namespace-miss"]
        assert (v130(conntrack={flow.replace(b"\xff", b"\0"): b"\5"}).verdicts(frame)["reason"].to_list()) == [
            "conntrack-forward"
        ]

    def test_conntrack_of_other_key_sizes_is_no_conntrack(self) -> None:
        frame = {"src": [PEER], "dst": [POD], **COLUMNS}

        got = v130(conntrack={bytes(24): b"\5"}).verdicts(frame)

        assert v130().verdict(to_pod()).matched.reason == got["reason"].item()


def _longest(mine: list[bytes], number: int) -> int:
    best, found = -1, -1
    for row, key in enumerate(mine):
        length = int.from_bytes(key[:4], "little")
        if int.from_bytes(key[4:], "big") >> (32 - length) == number >> (32 - length) and length >= best:
            best, found = length, row
    return found


def _is_no_address(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return True
    return False
