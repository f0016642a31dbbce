"""One packet at a time: the measured answers (thinned), and the edges that no vector shows."""

from __future__ import annotations

import struct

import pytest
import vectors
from programs import ANY, PEER, POD, RESERVED, TCP, UDP, cluster, key4, namespace, to_pod, v130

from forensics.datapath import Datapath, Packet
from forensics.generations import GENERATIONS


@pytest.mark.parametrize("name", vectors.SCALAR_DRIVERS)
def test_agrees_with_the_real_programs(name: str) -> None:
    mismatches = list(vectors.SCALAR_DRIVERS[name](vectors.THIN))

    assert mismatches[:5] == []


def test_thinned_vectors_cover_every_measured_program() -> None:
    seen = {
        (state["agent_version"], state["family"], state["direction"]) for state in vectors.states(vectors.THIN).values()
    }

    measured = [generation.measured for generation in GENERATIONS if generation.measured] + ["v1.3.0"]
    assert {(tag, family, way) for tag in measured for family in (4, 6) for way in ("ingress", "egress")} == seen


class TestPath:
    def test_admin_deny_names_entry_slot_and_bytes(self) -> None:
        value = cluster((UDP, 11, 0, 0), (TCP, 800, 0, 0))
        program = v130({key4(PEER, 32): namespace((TCP, 80, 0))}, {key4("10.20.0.0", 16): value})

        got = program.verdict(to_pod())

        assert got[:4] == ("SHOT", True, 1, ())
        matched = got.matched
        assert ("admin-deny", "cp_ingress_map", key4("10.20.0.0", 16), 1) == (
            matched.reason, matched.map, matched.key, matched.slot,
        )  # fmt: skip
        assert struct.pack("<IIII", TCP, 800, 0, 0) == matched.slot_bytes
        assert value == matched.value
        assert (matched.admin_slot, matched.baseline_slot, matched.namespace_key) == (1, None, None)
        assert [step[:2] for step in matched.path] == [
            ("pod-state", "POLICIES_APPLIED, DEFAULT_ALLOW"),
            ("conntrack-forward", "miss"),
            ("conntrack-reverse", "miss"),
            ("cluster-lookup", "hit"),
            ("admin", "DENY"),
        ]

    def test_pass_then_namespace_slot(self) -> None:
        program = v130(
            {key4(PEER, 32): namespace((UDP, 53, 0), (TCP, 80, 90))}, {key4("0.0.0.0", 0): cluster((ANY, 12, 0, 0))}
        )

        matched = program.verdict(to_pod(dport=85)).matched

        assert (matched.reason, matched.map, matched.slot) == ("namespace-allow", "ingress_map", 1)
        assert struct.pack("<III", TCP, 80, 90) == matched.slot_bytes
        assert [step[:2] for step in matched.path[-3:]] == [
            ("admin", "PASS"),
            ("namespace-lookup", "hit"),
            ("namespace-slot", "ALLOW"),
        ]
        assert (key4("0.0.0.0", 0), 0) == (matched.cluster_key, matched.admin_slot)

    def test_priority_1000_is_the_last_that_admin_may_have(self) -> None:
        last, next_one = (cluster((ANY, raw, 0, 0)) for raw in (10002, 10012))

        outcomes = [
            next(
                step.outcome
                for step in v130({}, {key4(PEER, 32): value}).verdict(to_pod()).matched.path
                if step[0] == "admin"
            )
            for value in (last, next_one)
        ]

        assert outcomes == ["PASS", "BASELINE"]

    def test_reserved_slot_is_named_as_the_one_that_denied(self) -> None:
        program = v130({key4(PEER, 32): namespace((UDP, 53, 0), (RESERVED, 0, 0), (TCP, 80, 0))})

        got = program.verdict(to_pod())

        assert (got.action, got.matched.reason, got.matched.slot) == ("SHOT", "namespace-reserved", 1)
        assert got.matched.path[-1][:2] == ("namespace-slot", "RESERVED")

    def test_no_slot_has_an_entry_and_no_slot(self) -> None:
        program = v130({key4(PEER, 32): namespace((UDP, 53, 0))})

        matched = program.verdict(to_pod()).matched

        assert ("namespace-no-slot", key4(PEER, 32), None, None) == (
            matched.reason, matched.key, matched.slot, matched.slot_bytes,
        )  # fmt: skip
        assert matched.path[-1][:2] == ("namespace-slot", "none")

    def test_namespace_miss_ends_at_the_lookup(self) -> None:
        matched = v130().verdict(to_pod()).matched

        assert (matched.reason, matched.map, matched.key) == ("namespace-miss", "ingress_map", None)
        assert tuple(step.name for step in matched.path[-3:]) == ("cluster-lookup", "admin", "namespace-lookup")
        assert tuple(step.outcome for step in matched.path[-3:]) == ("miss", "none", "miss")

    def test_baseline_decides_and_admin_step_says_that_only_baseline_matched(self) -> None:
        program = v130({}, {key4("10.0.0.0", 8): cluster((TCP, 20000, 80, 0))}, pod_state={0: 2, 1: 0})

        got = program.verdict(to_pod())

        assert (got.action, got.tier, got.matched.reason, got.matched.slot) == ("SHOT", 3, "baseline-deny", 0)
        assert {"admin": "BASELINE", "baseline": "DENY"}.items() <= dict(s[:2] for s in got.matched.path).items()

    def test_undefined_actions_are_named_by_number(self) -> None:
        program = v130({}, {key4(PEER, 32): cluster((TCP, 443, 0, 0), (ANY, 20005, 0, 0))}, pod_state={0: 1, 1: 0})

        got = program.verdict(to_pod())

        assert (got.action, got.event, got.tier, got.matched.reason) == ("SHOT", False, None, "baseline-undefined")
        assert {"admin": "UNDEFINED-3", "baseline": "UNDEFINED-5"}.items() <= dict(
            step[:2] for step in got.matched.path
        ).items()

    @pytest.mark.parametrize(
        ("state", "action", "event", "reason", "outcome"),
        [
            (1, "OK", True, "default-allow", "DEFAULT_ALLOW"),
            (2, "SHOT", True, "default-deny", "DEFAULT_DENY"),
            (3, "SHOT", False, "default-undefined", "UNDEFINED"),
        ],
    )
    def test_default_comes_last(self, state: int, action: str, event: bool, reason: str, outcome: str) -> None:
        got = v130(pod_state={0: state, 1: 0}).verdict(to_pod())

        assert (action, event, reason) == (got.action, got.event, got.matched.reason)
        assert ("default", outcome, "ingress_pod_state_map", b"\0\0\0\0") == got.matched.path[-1][:4]

    def test_missing_pod_state_is_the_whole_path(self) -> None:
        got = v130(pod_state={0: 0}).verdict(to_pod())

        assert got[:4] == ("SHOT", True, 0, ())
        assert [step[:3] for step in got.matched.path] == [("pod-state", "MISSING", "ingress_pod_state_map")]

    def test_default_deny_of_v12_comes_before_conntrack_and_maps(self) -> None:
        flow = bytes.fromhex("0a140001409c00000a090807500006000a090807")
        program = v130({key4(PEER, 32): namespace((ANY, 0, 0))}, None, {0: 2}, {flow: b"\1"}, version="v1.2.7")

        got = program.verdict(to_pod())

        assert got[:4] == ("SHOT", True, None, ())
        assert [step.name for step in got.matched.path] == ["pod-state", "default"]

    def test_default_allow_of_v12_never_looks_into_the_map(self) -> None:
        program = v130({key4(PEER, 32): namespace((RESERVED, 0, 0))}, None, {0: 1}, version="v1.2.7")

        got = program.verdict(to_pod())

        assert (got.action, got.matched.reason, got.matched.namespace_key) == ("OK", "default-allow", None)
        assert [s.name for s in got.matched.path] == ["pod-state", "conntrack-forward", "conntrack-reverse", "default"]

    def test_conntrack_hits_name_key_and_value(self) -> None:
        flow = bytes.fromhex("0a140001409c00000a090807500006000a090807")

        forward = v130(conntrack={flow: b"\5"}).verdict(to_pod())
        reverse = v130(conntrack={flow: b"\5"}).verdict(Packet(POD, PEER, TCP, 80, 40000))
        reply = Datapath("v1.3.0", 4, "egress", {}, {0: 0, 1: 1}, {flow: b"\5"}).verdict(
            Packet(POD, PEER, TCP, 80, 40000)
        )

        assert ("OK", False, None, "conntrack-forward", "aws_conntrack_map", flow, b"\5") == (
            *forward[:3], *forward.matched[0:1], *forward.matched[2:5],
        )  # fmt: skip
        assert reverse.matched.reason == "namespace-miss"  # at the ingress program the owner is the other end
        assert ("OK", "conntrack-reverse", flow) == (reply.action, reply.matched.reason, reply.matched.key)

    def test_stale_entry_is_deleted_when_the_packet_is_dropped(self) -> None:
        flow = bytes.fromhex("0a140001409c00000a090807500006000a090807")

        got = v130(conntrack={flow: b"\7"}).verdict(to_pod())

        assert ("SHOT", ((flow, None),)) == (got.action, got.conntrack)
        assert got.matched.path[1][:2] == ("conntrack-forward", "stale")
        assert "conntrack-reverse" not in [step.name for step in got.matched.path]


class TestEntries:
    def test_longest_prefix_shadows_the_shorter_one_entirely(self) -> None:
        program = v130({key4("10.0.0.0", 8): namespace((ANY, 0, 0)), key4(PEER, 32): namespace((UDP, 53, 0))})

        assert program.verdict(to_pod()).action == "SHOT"
        assert program.verdict(to_pod(src="10.20.0.2")).action == "OK"

    def test_host_bits_of_a_key_do_not_count_and_are_kept(self) -> None:
        key = key4("10.20.255.255", 16)

        assert key == v130({key: namespace((TCP, 80, 0))}).verdict(to_pod()).matched.key

    def test_of_two_keys_for_one_prefix_the_later_counts(self) -> None:
        first, second = key4("10.20.255.255", 16), key4("10.20.0.0", 16)

        got = v130({first: namespace((ANY, 0, 0)), second: namespace((UDP, 53, 0))}).verdict(to_pod())

        assert ("SHOT", second) == (got.action, got.matched.key)

    def test_prefix_zero_covers_everything(self) -> None:
        assert v130({key4("0.0.0.0", 0): namespace((ANY, 0, 0))}).verdict(to_pod(src="255.255.255.255")).action == "OK"

    def test_ipv6_key_of_all_bits(self) -> None:
        address = bytes.fromhex("fd000020000000000000000000000001")
        maps = {"egress_map": {struct.pack("<I", 128) + address: namespace((TCP, 443, 0))}}
        program = Datapath("v1.3.0", 6, "egress", maps, {0: 0, 1: 0})

        assert program.verdict(Packet("fd00:9::7", "fd00:20::1", TCP, 1, 443)).action == "OK"
        assert program.verdict(Packet("fd00:9::7", "fd00:20::2", TCP, 1, 443)).action == "SHOT"

    def test_namespace_value_of_384_bytes_is_read_at_the_programs_own_stride(self) -> None:
        value = cluster((TCP, 80, 0, 0), (UDP, 7, 0, 0))
        program = v130({key4(PEER, 32): value})

        # 12-byte slots over it: {6,80,0} {0,17,7} {0,0,0}: tcp/80 is allowed, udp is not.
        assert (program.verdict(to_pod()).action, program.verdict(to_pod()).matched.slot) == ("OK", 0)
        assert program.verdict(to_pod(dport=7, protocol=UDP)).action == "SHOT"
        assert program.assumptions == (
            "ingress_map: values of 384 bytes are read as the program declares them, 288 bytes",
        )

    def test_short_cluster_value_reads_as_zero_where_it_ends(self) -> None:
        program = v130({}, {key4(PEER, 32): cluster((TCP, 1, 0, 0))[:288]})

        # Slots 18 to 23 are not there: all zero, {protocol 0, priority 0, DENY}.
        assert program.verdict(to_pod(protocol=0))[0:3:2] == ("SHOT", 1)
        assert program.verdict(to_pod())[0:3:2] == ("OK", 1)

    def test_keys_that_no_such_map_holds_are_left_out_and_named(self) -> None:
        entries = {struct.pack("<I", 33) + bytes(4): b"", bytes(20): b"", key4("0.0.0.0", 0): namespace((ANY, 0, 0))}
        program = v130(entries, conntrack={bytes(16): b"\1"})

        assert program.verdict(to_pod()).action == "OK"
        assert program.assumptions == (
            "ingress_map: 2 keys are none of an IPv4 map and are left out",
            "ingress_map: values of 0 bytes are read as the program declares them, 288 bytes",
            "aws_conntrack_map: 1 keys are not of 20 bytes and are never found",
        )

    def test_cluster_map_is_not_read_before_v130(self) -> None:
        program = v130({key4(PEER, 32): namespace((ANY, 0, 0))}, {key4(PEER, 32): cluster((ANY, 0, 0, 0))}, {0: 0},
                       version="v1.2.7")  # fmt: skip

        got = program.verdict(to_pod())

        assert (got.action, got.tier, got.matched.cluster_key) == ("OK", None, None)

    def test_pod_state_means_nothing_before_v120(self) -> None:
        program = v130({}, None, {0: 1}, version="v1.1.6")

        assert (
            program.verdict(to_pod()).action,
            program.verdict(to_pod()).matched.reason,
        ) == ("SHOT", "namespace-miss")

    def test_maps_of_the_other_direction_are_not_looked_at(self) -> None:
        maps = {"egress_map": {key4("0.0.0.0", 0): namespace((ANY, 0, 0))}, "cp_egress_map": {}}

        assert Datapath("v1.3.0", 4, "ingress", maps, {0: 0, 1: 0}).verdict(to_pod()).action == "SHOT"


class TestBuilding:
    def test_is_lazy_and_pure(self) -> None:
        entries = {key4(f"10.{a}.{b}.0", 24): namespace((TCP, a, b)) for a in range(100) for b in range(100)}
        conntrack = {bytes.fromhex("0a140001409c00000a090807500006000a090807"): b"\7"}
        program = v130(entries, entries, {0: 0, 1: 0}, conntrack)
        before = set(vars(program))

        first, second = program.verdict(to_pod()), program.verdict(to_pod())

        assert first == second
        assert set() == before & {"_indexes", "_batch"}
        assert "_batch" not in vars(program)
        assert len(conntrack) == 1
        assert len(entries) == 10_000

    @pytest.mark.parametrize(
        ("changed", "says"),
        [
            ({"agent_version": "latest"}, "agent version 'latest' is not a version like v1.3.0"),
            ({"agent_version": "v1.3"}, "agent version 'v1.3' is not"),
            ({"agent_version": ""}, "agent version '' is not"),
            ({"agent_version": "v1.3.0\n"}, None),
            ({"family": 5}, "family 5 is not 4 or 6"),
            ({"direction": "in"}, "direction 'in' is not ingress or egress"),
            ({"maps": {"ingres_map": {}}}, "map 'ingres_map' is not one of ingress_map"),
        ],
    )
    def test_refuses_what_does_not_exist_in_one_line(self, changed: dict, says: str | None) -> None:
        wanted = {"agent_version": "v1.3.0", "family": 4, "direction": "ingress", **changed}

        if says is None:
            assert Datapath(**wanted).generation.letter == "H"
            return
        with pytest.raises(ValueError, match=f"^{says}.*$"):
            Datapath(**wanted)

    @pytest.mark.parametrize(
        ("packet", "says"),
        [
            (Packet("10.0.0.256", POD, TCP), "10.0.0.256"),
            (Packet(b"\1\2\3", POD, TCP), "a packed IP address has 4 or 16 bytes, not 3"),
            (Packet(bytes(15), bytes(15), TCP), "not 15"),
            (Packet(bytes(17), bytes(17), TCP), "not 17"),
            (Packet("fd00::1", POD, TCP), "not of one family"),
            (Packet(PEER, POD, 256), "protocol 256 is not between 0 and 255"),
            (Packet(PEER, POD, -1), "protocol -1 is not between 0 and 255"),
            (Packet(PEER, POD, TCP, 65536), "source port 65536"),
            (Packet(PEER, POD, TCP, 0, 65536), "destination port 65536"),
            (Packet(PEER, POD, TCP, 0, 0, 1 << 32), "interface index"),
        ],
    )
    def test_refuses_a_packet_that_cannot_exist(self, packet: Packet, says: str) -> None:
        with pytest.raises(ValueError, match=says):
            v130().verdict(packet)

    @pytest.mark.parametrize(
        "packet",
        [
            Packet(PEER, POD, 255, 65535, 65535, 0xFFFFFFFF),
            Packet(PEER, POD, 0, 0, 0, 0),
            Packet(PEER, POD, TCP, 65535),
        ],
    )
    def test_takes_packets_at_the_limits(self, packet: Packet) -> None:
        assert v130().verdict(packet).action == "SHOT"

    def test_a_packet_has_no_ports_and_interface_1_unless_it_says_so(self) -> None:
        assert Packet(PEER, POD, TCP) == (PEER, POD, TCP, 0, 0, 1)

    def test_packed_ipv6_addresses(self) -> None:
        six = Datapath("v1.3.0", 6, "ingress", {}, {0: 1, 1: 1})

        assert six.verdict(Packet(bytes(16), bytes(16), TCP)).action == "OK"

    def test_packed_addresses_read_as_text_does(self) -> None:
        program = v130({key4(PEER, 32): namespace((TCP, 80, 0))})

        packed = program.verdict(Packet(bytes([10, 20, 0, 1]), bytes([10, 9, 8, 7]), TCP, 40000, 80))

        assert program.verdict(to_pod()) == packed


class TestUnread:
    @pytest.mark.parametrize(
        ("frame", "why"),
        [
            (bytes(13), "shorter than an Ethernet header"),
            (bytes(12) + b"\x08\x06" + bytes(28), "ethertype 0x0806"),
            (bytes(12) + b"\x08\x00", "IP header cut short"),
            (bytes(12) + b"\x08\x00" + b"\x45" + bytes(18), "IP header cut short"),
            (bytes(12) + b"\x08\x00" + b"\x55" + bytes(39), "IP version nibble"),
            (bytes(12) + b"\x08\x00" + b"\x45" + bytes(8) + b"\x06" + bytes(10 + 19), "transport header cut short"),
        ],
    )
    def test_frames_pass_with_the_reason_named(self, frame: bytes, why: str) -> None:
        got = v130(pod_state={}).verdict_frame(frame)

        assert got[:4] == ("OK", False, None, ())
        assert [("unread", why)] == [step[:2] for step in got.matched.path]

    def test_the_smallest_frame_that_is_read(self) -> None:
        frame = bytes(12) + b"\x08\x00" + b"\x45" + bytes(8) + b"\x01" + bytes(10)

        assert v130(pod_state={}).verdict_frame(frame)[0:3:2] == ("SHOT", 0)

    def test_icmpv6_and_the_other_family_pass_even_without_pod_state(self) -> None:
        six = Datapath("v1.3.0", 6, "ingress")

        assert six.verdict(Packet("fd00::1", "fd00::2", 58)).matched.path[0].outcome == "ICMPv6"
        assert six.verdict(to_pod()).matched.path[0].outcome == "not IPv6"
        assert v130().verdict(Packet("fd00::1", "fd00::2", TCP)).matched.path[0].outcome == "not IPv4"
        assert v130().verdict(to_pod(protocol=58)).action == "SHOT"

    def test_interface_of_a_frame_is_in_the_key(self) -> None:
        frame = bytes(12) + b"\x08\x00" + b"\x45" + bytes(8) + b"\x01" + bytes(2) + bytes([10, 20, 0, 1, 10, 9, 8, 7])
        program = v130({key4(PEER, 32): namespace((ANY, 0, 0))}, version="v1.3.7")

        ((key, value),) = program.verdict_frame(frame, ifindex=0x01020304).conntrack

        assert bytes([4, 3, 2, 1]) == key[20:]
        assert value == b"\5"
        assert bytes([1, 0, 0, 0]) == program.verdict_frame(frame).conntrack[0][0][20:]
