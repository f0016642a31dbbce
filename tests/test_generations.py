"""Which tag runs which program, and what the programs do that set them apart."""

from __future__ import annotations

import struct

import pytest
from programs import PEER, TCP, UDP, key4, namespace, to_pod, v130

from forensics.conntrack import counts, flow_key, forward_use, reply_key
from forensics.datapath import Datapath, Packet
from forensics.generations import NEWEST, RELEASES, generation_of
from forensics.packet import Seen


@pytest.mark.parametrize(
    ("tags", "letter"),
    [
        ("v0.1.0 v1.0.1 v1.0.2", "A"),
        ("v1.0.4", "B"),
        ("v1.0.5 v1.0.6 v1.0.7 v1.0.8 v1.1.0 v1.1.1 v1.1.2 v1.1.3 v1.1.4 v1.1.5 v1.1.6", "C"),
        ("v1.2.0 v1.2.1", "D"),
        ("v1.2.2 v1.2.3", "E"),
        ("v1.2.4", "F"),
        ("v1.2.5 v1.2.6 v1.2.7", "G"),
        ("v1.3.0 v1.3.1 v1.3.2 v1.3.4 v1.3.5", "H"),
        ("v1.3.7", "I"),
        ("v1.4.0 v1.4.1", "J"),
    ],
)
def test_every_release_is_in_its_group_without_assumption(tags: str, letter: str) -> None:
    for tag in tags.split():
        for written in (tag, tag[1:]):
            generation, assumptions = generation_of(written)

            assert (letter, ()) == (generation.letter, assumptions)


def test_there_are_31_releases() -> None:
    assert len(RELEASES) == 31


@pytest.mark.parametrize(
    ("version", "letter", "says"),
    [
        ("v0.0.9", "A", "v0.0.9 is earlier than every known release: taken as v0.1.0"),
        ("v1.0.3", "A", "v1.0.3 is no known release: taken as v1.0.2"),
        ("v1.2.9", "G", "v1.2.9 is no known release: taken as v1.2.7"),
        ("v1.3.3", "H", "v1.3.3 is no known release: taken as v1.3.2"),
        ("v1.3.6", "H", "v1.3.6 is no known release: taken as v1.3.5"),
        ("v1.3.8", "I", "v1.3.8 is no known release: taken as v1.3.7"),
        ("v1.2.7-eksbuild.1", "G", "v1.2.7-eksbuild.1 is a rebuild: taken as v1.2.7"),
        ("v1.4.2", "J-head", "v1.4.2 is later than every known release"),
        ("v2.0.0", "J-head", "v2.0.0 is later than every known release"),
        ("HEAD", "J-head", "HEAD: the program is read from source text"),
        ("main", "J-head", "main: the program is read from source text"),
    ],
)
def test_other_versions_say_what_they_are_taken_for(version: str, letter: str, says: str) -> None:
    generation, assumptions = generation_of(version)

    assert letter == generation.letter
    assert len(assumptions) == 1
    assert assumptions[0].startswith(says)
    assert assumptions == Datapath(version, 4, "ingress").assumptions


def test_newest_stores_sixteen_bytes_and_compares_eight() -> None:
    flow = bytes.fromhex("0a140001409c00000a090807500006000a09080701000000")
    program = v130({key4(PEER, 32): namespace((TCP, 80, 0))}, version="v1.4.2")
    seen = (5).to_bytes(8, "little") + (99).to_bytes(8, "little")
    other = (5 + (1 << 32)).to_bytes(8, "little") + bytes(8)

    new = program.verdict(to_pod())
    again = v130(conntrack={flow: seen}, version="v1.4.2").verdict(to_pod())
    stale = v130(conntrack={flow: other}, version="v1.4.2").verdict(to_pod())

    assert NEWEST.measured is None
    assert ((flow, b"\5" + bytes(15)),) == new.conntrack
    assert (again.action, again.matched.reason, again.conntrack) == ("OK", "conntrack-forward", ())
    assert ("SHOT", ((flow, None),)) == (stale.action, stale.conntrack)


def test_slots_examined() -> None:
    late = b"".join([struct.pack("<III", UDP, 1, 0)] * 4) + struct.pack("<III", TCP, 80, 0)
    four = {"ingress_map": {key4(PEER, 32): late}}
    six = {"ingress_map": {bytes(20): late}}

    old = [Datapath("v1.0.4", 4, "ingress", four).verdict(to_pod()).action]
    old.append(Datapath("v1.0.4", 6, "ingress", six).verdict(Packet("fd00::1", "fd00::2", TCP, 1, 80)).action)
    old.append(Datapath("v1.0.5", 6, "ingress", six).verdict(Packet("fd00::1", "fd00::2", TCP, 1, 80)).action)

    assert old == ["OK", "SHOT", "OK"]


def test_an_owner_value_has_no_state() -> None:
    with pytest.raises(TypeError, match="generation A stores the owner's address"):
        generation_of("v1.0.1").generation.conntrack_state(b"\1")


def test_a_stored_owner_counts_by_its_last_four_bytes() -> None:
    generation = generation_of("v1.0.4").generation
    owner = bytes.fromhex("fd000009000000000000000000000007")
    same_end, other_end = bytes.fromhex("00" * 12 + "00000007"), bytes.fromhex("fd000009000000000000000001000007")

    assert counts(generation, same_end, owner)
    assert not counts(generation, other_end, owner)
    assert counts(generation, owner + b"beyond the value", owner)
    assert not counts(generation, owner[:15], owner)
    assert counts(generation_of("v1.0.5").generation, b"", owner)


@pytest.mark.parametrize(
    ("version", "flow", "reply"),
    [
        ("v1.0.4", "0a140001 409c 0000 0a090807 bb01 06 00", "0a090807 bb01 0000 0a140001 409c 06 00"),
        (
            "v1.0.5",
            "0a140001 409c 0000 0a090807 bb01 06 00 0a090807",
            "0a090807 bb01 0000 0a140001 409c 06 00 0a090807",
        ),
        (
            "v1.3.7",
            "0a140001 409c 0000 0a090807 bb01 06 00 0a090807 04000000",
            "0a090807 bb01 0000 0a140001 409c 06 00 0a090807 04000000",
        ),
    ],
)
def test_keys_of_a_flow_and_its_reply(version: str, flow: str, reply: str) -> None:
    layout = generation_of(version).generation.conntrack_key[4]
    owner = bytes([10, 9, 8, 7])
    seen = Seen(bytes([10, 20, 0, 1]), owner, TCP, 40000, 443, 4)

    assert bytes.fromhex(flow) == flow_key(layout, seen, owner)
    assert bytes.fromhex(reply) == reply_key(layout, seen, owner)


@pytest.mark.parametrize(
    ("stored", "uses"),
    [
        (0, {0: "stale", 1: "hit", 3: "ignored"}),
        (1, {0: "hit", 1: "rewritten", 3: "ignored"}),
        (2, {0: "ignored", 1: "ignored", 3: "ignored"}),
    ],
)
def test_use_of_a_stored_value_in_v12(stored: int, uses: dict[int, str]) -> None:
    generation = generation_of("v1.2.0").generation

    assert uses == {state: forward_use(generation, {0: state}, bytes([stored]), b"") for state in uses}
