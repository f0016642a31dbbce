"""aws-eks-na-cli text: what each form says, what pasting does to it, and what the CLI destroys itself."""

from __future__ import annotations

import ipaddress
import os
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from formats import nacli_lists, nacli_loaded, nacli_maps, nacli_reader
from formats.address import cidr_of_key, key_of_cidr
from formats.base import MapDump, Problem, Record
from formats.layouts import CONNTRACK_KEYS
from formats.mapview import records_of
from formats.nacli_bulk import packed_v6
from formats.source import Source
from tests import render_nacli as render

EXAMPLES = int(os.environ.get("NPF_EXAMPLES", "60"))
FORMS = {"v0.1.0": (96, 12), "v1.0.7": (288, 12), "v1.3.0": (288, 12), "v1.3.0-cp": (384, 16)}


def items(text, path="paste.txt", form=nacli_maps):
    data = text if isinstance(text, bytes) else text.encode()
    return list(form.read(Source(path, data)))


def dumps(text, path="paste.txt"):
    return [item for item in items(text, path) if isinstance(item, MapDump)]


def whats(text, path="paste.txt", form=nacli_maps):
    return [item.what for item in items(text, path, form) if isinstance(item, Problem)]


def errors(text, path="paste.txt", form=nacli_maps):
    return [item.data for item in items(text, path, form) if isinstance(item, Record) and item.kind == "cli_error"]


def slots(dump, row=0):
    rows = dump.text_slots[dump.text_slots["entry"] == row]
    return [tuple(int(x) for x in slot)[1:] for slot in rows]


def cidrs(dump):
    return [cidr_of_key(dump.keys[row].tobytes()) for row in range(dump.count)]


def value(*used, stride=12, size=288):
    """A value with these slots from slot 0 on."""
    return b"".join(struct.pack("<" + "I" * (stride // 4), *slot) for slot in used).ljust(size, b"\0")


TCP_80 = value((6, 80, 0))
WEB = key_of_cidr("10.0.0.7/32")
WIDE = key_of_cidr("10.0.0.0/8")


def test_v130_entry_has_key_slot_spans_and_no_value_bytes() -> None:
    text = render.rules([(WEB, value((6, 80, 0), (17, 53, 60)))], "v1.3.0")

    (dump,) = dumps(text)

    assert cidrs(dump) == ["10.0.0.7/32"]
    assert slots(dump) == [(0, 6, -1, 80, 0), (1, 17, -1, 53, 60)]
    assert (
        dump.form, dump.tier, dump.map_type, dump.key_size, dump.value_size, dump.complete
    ) == ("text", "namespace", "lpm_trie", 8, None, True)  # fmt: skip
    assert dump.values is None
    where = dump.spans[0]
    assert text.encode()[where["start"] : where["end"]].decode() == text[: text.index("\nDone")]
    assert (where["first_line"], where["last_line"]) == (1, 14)


def test_doubled_key_lines_are_one_cluster_entry() -> None:
    text = render.rules([(WIDE, value((254, 5001, 0, 0), stride=16, size=384))], "v1.3.0-cp")

    (dump,) = dumps(text)

    assert (dump.tier, dump.count) == ("cluster", 1)
    assert slots(dump) == [(0, 254, 5001, 0, 0)]


def test_damaged_pair_of_key_lines_costs_that_entry() -> None:
    one = (WIDE, value((254, 5001, 0, 0), stride=16, size=384))
    other = (WEB, value((6, 10, 22, 0), stride=16, size=384))
    text = render.rules([one, other], "v1.3.0-cp").replace("Key: 10.0.0.7/32\nKey", "Key: 10.0.0.9/32\nKey")

    (dump,) = dumps(text)

    assert (cidrs(dump), dump.hidden) == (["10.0.0.0/8"], 1)
    assert any("two Key lines of an entry differ" in what for what in whats(text))


def test_gaps_between_slots_and_lost_numbers_survive() -> None:
    text = render.rules([(WEB, value((6, 22, 0), (0, 9, 9), (58, 1, 0)))], "v1.3.0")

    (dump,) = dumps(text)

    assert slots(dump) == [(0, 6, -1, 22, 0), (2, -1, -1, 1, 0)]
    assert next(iter(records_of(dump)))["slots"][1]["protocol"] == "UNKNOWN"


def test_entry_without_a_protocol_in_any_slot_is_known_to_show_nothing() -> None:
    (dump,) = dumps(render.rules([(WEB, value()), (WIDE, TCP_80)], "v1.3.0"))

    assert (dump.count, dump.value_known) == (2, None)
    assert slots(dump, 0) == []


def test_lossy_form_says_so() -> None:
    text = render.rules([(WEB, value((254, 0, 0), (6, 80, 0), size=96))], "v0.1.0")

    (dump,) = dumps(text)

    assert slots(dump) == [(0, 254, -1, 0, 0)]
    assert any("only slot 0 shown (lossy form of v1.0.6 and earlier)" in note for note in dump.notes)


def test_overrun_of_the_lossy_form_gives_no_rules() -> None:
    entry = render.rule_entry(key_of_cidr("0.0.0.0/0"), value((254, 0, 0), size=96), "v0.1.0")

    for text in (entry * 40, entry + render.END, entry.replace("0/0 ", "0/8004 ") * 40):
        assert dumps(text) == []
        assert "overrun of dump-maps of v1.0.6" in errors(text)[0]["meaning"]
        assert len(whats(text)) == 1


def test_lossy_form_in_circles_keeps_each_key_once() -> None:
    text = "".join(render.rule_entry(key, value((6, 80, 0), size=96), "v0.1.0") for key in (WEB, WIDE) * 50)

    (dump,) = dumps(text)

    assert cidrs(dump) == ["10.0.0.7/32", "10.0.0.0/8"]
    assert slots(dump, 1) == [(0, 6, -1, 80, 0)]
    assert any("went in circles: 98 keys" in what for what in whats(text))


def test_v6_binary_keys_have_20_bytes_and_the_walk_gives_the_id() -> None:
    key = key_of_cidr("2001:db8::1/128")
    text = "Walking map:  (type=11, id=314)\n" + render.rules([(key, TCP_80)], "v1.0.7")

    (dump,) = dumps(text)

    assert (dump.map_id, dump.key_size, cidrs(dump), dump.complete) == (314, 20, ["2001:db8::1/128"], True)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("No Entries found, Empty map\n", None),
        ("No entries found, empty HASH map (pod_state_map?)\n", "hash"),
        ("Failed to execute the cmd -  Unable to get First key: no such file or directory\n", None),
        ("Walking map:  (type=11, id=7)\n"
         "Failed to execute the cmd -  Unable to get First key: no such file or directory\n",
         "lpm_trie"),
    ],
)  # fmt: skip
def test_empty_maps_are_complete_dumps_and_no_errors(text, kind) -> None:
    (dump,) = items(text)

    assert isinstance(dump, MapDump)
    assert (0, True, kind) == (dump.count, dump.complete, dump.map_type)


def test_pod_state_is_lossless() -> None:
    (dump,) = dumps(render.pod_state([(1, 1), (0, 2)]))

    assert [(1).to_bytes(4, "little"), bytes(4)] == [row.tobytes() for row in dump.keys]
    assert dump.values.tolist() == [[1], [2]]
    assert (dump.map_type, dump.key_size, dump.value_size, dump.complete) == ("hash", 4, 1, True)
    assert [record["kind"] for record in records_of(dump)] == ["pod_state_entry"] * 2


FLOW_KEYS = {
    16: "0a000001901f00000a000002bb010600",
    20: "0a000001901f00000a000002bb0106000a000001",
    24: "0a000001901f00000a000002bb0106000a00000107000000",
    38: "20010db8000000000000000000000001901f20010db8000000000000000000000002bb010600",
    56: "20010db8000000000000000000000001901f000020010db8000000000000000000000002bb010600"
    "20010db8000000000000000000000001",
    60: "20010db8000000000000000000000001901f000020010db8000000000000000000000002bb010600"
    "20010db800000000000000000000000107000000",
}


@pytest.mark.parametrize("size", sorted(FLOW_KEYS))
def test_conntrack_key_bytes_of_each_layout(size) -> None:
    key = bytes.fromhex(FLOW_KEYS[size])
    (dump,) = dumps(render.flows([(key, b"\x07")]))

    assert [key] == [row.tobytes() for row in dump.keys]
    assert ("lru_hash", size, 1, [[7]]) == (dump.map_type, dump.key_size, dump.value_size, dump.values.tolist())


def test_conntrack_line_is_what_the_program_prints() -> None:
    line = render.flow_entry(bytes.fromhex(FLOW_KEYS[24]), b"\x07").splitlines()[0]

    assert line == (
        "Conntrack Key : Source IP - 10.0.0.1 Source port - 8080 Dest IP - 10.0.0.2 Dest port - 443 Protocol - 6 "
        "Owner IP - 10.0.0.1 Ifindex - 7"
    )


@pytest.mark.parametrize("age", ["1m2.003s ago", "0s ago", "never"])
def test_last_seen_makes_the_value_16_bytes(age) -> None:
    stamp = struct.pack("<QQ", 7, 123456789)
    text = render.flow_entry(bytes.fromhex(FLOW_KEYS[24]), stamp, age) + render.END

    (dump,) = dumps(text)

    assert (16, stamp) == (dump.value_size, dump.values[0].tobytes())


def test_shifted_v6_conntrack_lines_are_left_out_and_counted() -> None:
    # What a struct without the two bytes of padding shows of 2001:db8::1 -> 2001:db8::2, 443/tcp.
    line = (
        "Conntrack Key : Source IP - 2001:db8::1 Source port - 8080 Dest IP - 0:2001:db8:: Dest port - 512"
        " Protocol - 187 Owner IP - 600:2001:db8::\nValue : \nConntrack Val -  1\n" + render.STARS
    )

    (dump,) = dumps(line * 3 + render.END)

    assert (dump.count, dump.hidden, dump.complete) == (0, 3, True)
    assert sum("shifted by two bytes" in what for what in whats(line * 3 + render.END)) == 3


def test_conntrack_line_wrapped_by_a_terminal_is_one_line() -> None:
    text = render.flows([(bytes.fromhex(FLOW_KEYS[24]), b"\x02"), (bytes.fromhex(FLOW_KEYS[20]) + bytes(4), b"\x03")])
    wrapped = "".join(
        "\n".join(line[at : at + 80] for at in range(0, len(line), 80)) + "\n" if line else "\n"
        for line in text.splitlines()
    )

    (whole,), (got,) = dumps(text), dumps(wrapped)

    assert whole.keys.tolist() == got.keys.tolist()
    assert got.values.tolist() == [[2], [3]]


def test_collector_sections_are_one_dump_each_with_their_ids() -> None:
    rules = render.rules([(WEB, TCP_80)], "v1.3.0")
    text = f"*** EBPF Maps Data for Map ID 9 ***\n{rules}*** EBPF Maps Data for Map ID 10 ***\n{render.EMPTY}"
    text += (
        f"*** EBPF Maps Data for Map ID 11 ***\n{render.pod_state([(0, 1)])}*** EBPF Maps Data for Map ID  ***\n{rules}"
    )

    got = dumps(text, "networking/ebpf-maps-data.txt")

    assert [(dump.map_id, dump.count) for dump in got] == [(9, 1), (10, 0), (11, 1), (None, 1)]
    assert all(dump.complete for dump in got)
    assert got[1].span.start == text.index("*** EBPF Maps Data for Map ID 10")


def test_empty_cluster_section_is_no_empty_map() -> None:
    text = "*** EBPF Maps Data for Map ID 12 ***\n*** EBPF Maps Data for Map ID 15 ***\n"

    assert dumps(text) == []
    assert [error["map_id"] for error in errors(text)] == [12, 15]
    assert "does not mean that the map is empty" in errors(text)[0]["meaning"]


def test_v6_pod_state_prints_nothing_but_its_first_line() -> None:
    (error,) = errors("Walking map:  (type=1, id=1842)\n")

    assert error["map_id"] == 1842
    assert "prints nothing of a hash map" in error["meaning"]


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ("unsupported map type: 27 (expected LPM_TRIE, LRU_HASH, or HASH)", "ring buffer"),
        (
            "Unsupported map type, should be - LPM trie (egress/ingress maps) or LRU hash (Conntrack table)",
            "does not dump",
        ),
        ("failed to get map FD: no such file or directory", "no map has this ID"),
        ("Invalid mapID", "no number above 0"),
    ],
)
def test_error_lines_are_about_the_tool(message, meaning) -> None:
    text = f"*** EBPF Maps Data for Map ID 5 ***\nFailed to execute the cmd -  {message}\n"

    (error,) = errors(text)

    assert (message, 5) == (error["message"], error["map_id"])
    assert meaning in error["meaning"]
    assert dumps(text) == []


GARBAGE = "Key: 0.0.0.0/0\n" + render.rule_entry(WEB, TCP_80, "v1.3.0").split("\n", 1)[1]
SHIFTED_SLOTS = render.rule_entry(WEB, value((6, 0, 22), (0, 0, 0), (58, 32767, 132)), "v1.3.0").split("\n", 1)[1]
TRACE = (
    "unexpected fault address 0x3500000011\nfatal error: fault\n[signal SIGSEGV: segmentation violation code=0x1]\n\n"
    "goroutine 1 gp=0xc000002380 m=0 mp=0x8a06c0 [running]:\nruntime.throw({0x67ccdd?, 0x0?})\n"
    "\t/usr/local/go/src/runtime/panic.go:1094 +0x48 fp=0xc00010f810\n"
)


@pytest.mark.parametrize(
    "text",
    [
        GARBAGE,
        GARBAGE + TRACE,
        GARBAGE.replace("0.0.0.0/0", "0.0.0.0/33600"),
        f"*** EBPF Maps Data for Map ID 12 ***\n{GARBAGE}*** EBPF Maps Data for Map ID 13 ***\n{render.EMPTY}",
        TRACE.join(["*** EBPF Maps Data for Map ID 12 ***\n", ""]),
        "Key: 0.0.0.0/0\n" + SHIFTED_SLOTS,
    ],
    ids=["lone", "trace", "prefix", "collector", "trace only", "slots"],
)  # fmt: skip
def test_crash_of_dump_maps_gives_no_rules(text) -> None:
    assert sum(dump.count for dump in dumps(text)) == 0
    assert "crash of dump-maps on a cluster map: section discarded" in errors(text)[0]["meaning"]
    assert any("no rule of this section is real" in what for what in whats(text))


def test_crash_does_not_cost_the_next_section() -> None:
    good = render.rules([(WEB, TCP_80)], "v1.3.0")
    text = f"*** EBPF Maps Data for Map ID 12 ***\n{GARBAGE}{TRACE}*** EBPF Maps Data for Map ID 13 ***\n{good}"

    (dump,) = dumps(text)

    assert (dump.map_id, cidrs(dump), dump.complete) == (13, ["10.0.0.7/32"], True)


def test_dump_maps_of_a_map_named_cluster_is_never_shown() -> None:
    text = render.rules([(WEB, TCP_80)], "v1.3.0").replace(render.END, "")

    assert dumps(text, "web-1-prod_cp_ingress_map.na-cli-v1.3.0.dump-maps.txt") == []
    (empty,) = dumps(render.EMPTY, "web-1-prod_cp_ingress_map.na-cli-v1.3.0.dump-maps.txt")
    assert (empty.map_name, empty.complete) == ("web-1-prod_cp_ingress_map", True)


def test_cut_namespace_dump_keeps_what_stands_before_the_cut() -> None:
    text = render.rules([(WEB, TCP_80), (WIDE, TCP_80), (key_of_cidr("0.0.0.0/0"), TCP_80)], "v1.3.0")

    (dump,) = dumps(text.replace(render.END, ""))

    assert (cidrs(dump), dump.complete) == (["10.0.0.7/32", "10.0.0.0/8", "0.0.0.0/0"], False)
    assert any("no end line" in what for what in whats(text.replace(render.END, "")))


def test_cluster_form_of_a_namespace_map_is_marked() -> None:
    text = render.rules([(WEB, value((6, 80, 0), (6, 443, 0), size=384))], "v1.3.0-cp")

    (named,) = dumps(text, "web-1-prod_ingress_map.na-cli-v1.3.0.dump-cp-maps.txt")
    (unnamed,) = dumps(text)

    assert any("wrong-stride" in note for note in named.notes)
    assert not any("wrong-stride" in note for note in unnamed.notes)
    assert "dump-cp-maps output; if the map is a namespace map the slots are re-cut at 16 bytes" in unnamed.notes


@pytest.mark.parametrize(
    ("path", "map_id", "name"),
    [
        ("manual/dump-maps-1839.txt", 1839, None),
        ("web-7d4f@prod_egress_map.na-cli-v1.4.1.dump-maps.txt", None, "web-7d4f@prod_egress_map"),
        ("networking/ebpf-maps-data.txt", None, None),
        ("dump-maps-20261121.txt", None, None),
    ],
)
def test_path_gives_id_or_name(path, map_id, name) -> None:
    (dump,) = dumps(render.rules([(WEB, TCP_80)], "v1.3.0"), path)

    assert (map_id, name) == (dump.map_id, dump.map_name)


def test_command_line_gives_the_id_and_beats_the_path() -> None:
    text = "sh-5.2# /opt/cni/bin/aws-eks-na-cli ebpf dump-maps 93\n" + render.rules([(WEB, TCP_80)], "v1.0.7")
    text += "sh-5.2# /opt/cni/bin/aws-eks-na-cli ebpf dump-maps 94\n" + render.EMPTY

    got = dumps(text, "dump-maps-7.txt")

    assert [(dump.map_id, dump.count) for dump in got] == [(93, 1), (94, 0)]


def test_keys_only_paste_has_entries_without_values() -> None:
    text = 'bash-4.2# /aws-eks-na-cli ebpf dump-maps 91 | grep "Key"\nKey : IP/Prefixlen - 10.1.0.7/32\n'
    text += "Key : IP/Prefixlen - 10.1.0.14/32\nKey : IP/Prefixlen -"

    (dump,) = dumps(text)

    assert (dump.map_id, cidrs(dump), dump.hidden, dump.complete) == (91, ["10.1.0.7/32", "10.1.0.14/32"], 1, False)
    assert dump.value_known.tolist() == [False, False]
    assert [record["slots"] for record in records_of(dump)] == [None, None]
    assert len(whats(text)) == 1


def test_key_cut_inside_its_prefix_length_is_no_rule() -> None:
    text = "Key : IP/Prefixlen - 10.1.0.7/32\nKey : IP/Prefixlen - 10.1.0.14/3"

    (dump,) = dumps(text)

    assert (cidrs(dump), dump.hidden) == (["10.1.0.7/32"], 1)
    assert any("the text ends inside a key" in what for what in whats(text))


def test_asterisks_eaten_by_a_page() -> None:
    text = render.rules([(WEB, TCP_80), (WIDE, value((254, 0, 0)))], "v1.0.7").replace(render.STARS, "* ")
    text = "\n".join(" ".join(line.split()) for line in text.splitlines())

    (dump,) = dumps(text)

    assert (cidrs(dump), dump.complete) == (["10.0.0.7/32", "10.0.0.0/8"], True)
    assert [slots(dump, 0), slots(dump, 1)] == [[(0, 6, -1, 80, 0)], [(0, 254, -1, 0, 0)]]


def test_everything_on_one_line() -> None:
    text = "output: " + " ".join(render.rules([(WEB, TCP_80), (WIDE, value((254, 0, 0)))], "v1.3.0").split("\n"))
    text = text.replace("output: Key", "output:  Key")

    (dump,) = dumps(text)

    assert (cidrs(dump), dump.complete) == (["10.0.0.7/32", "10.0.0.0/8"], True)
    where = dump.spans[1]
    assert text[where["start"] :].startswith("Key: 10.0.0.0/8")


def test_log_line_that_mentions_a_key_is_no_entry() -> None:
    line = '{"level":"info","msg":"Updating Map with IP Key: 10.1.2.3/32"}\n'

    assert items(line * 3 + "Done reading all entries\n") == []


def test_fences_and_unrelated_prose_do_not_join_two_dumps() -> None:
    one = render.rules([(WEB, TCP_80)], "v1.0.7").replace(render.END, "")
    text = f"the ingress map:\n```\n{one}```\nand the egress map:\n```\n{render.rules([(WIDE, TCP_80)], 'v1.0.7')}```\n"

    got = dumps(text)

    assert [(cidrs(dump), dump.complete) for dump in got] == [(["10.0.0.7/32"], False), (["10.0.0.0/8"], True)]


def test_elided_entries_are_counted_as_hidden() -> None:
    first, second = (render.rule_entry(key, TCP_80, "v1.3.0") for key in (WEB, WIDE))

    (dump,) = dumps(f"{first}[... 188 more entries ...]\n{second}{render.END}")

    assert (dump.count, dump.hidden, dump.complete) == (2, 188, True)


def test_damaged_entry_costs_its_own_value_only() -> None:
    text = render.rules([(WEB, TCP_80), (WIDE, TCP_80), (key_of_cidr("10.9.0.0/16"), TCP_80)], "v1.3.0")
    at = text.index("Key: 10.0.0.0/8")
    damaged = text[:at] + text[at:].replace("Entry 0:\n", "", 1)

    (dump,) = dumps(damaged)

    assert dump.value_known.tolist() == [True, False, True]
    assert any("damaged (10.0.0.0/8: Protocol without the number of its slot)" in what for what in whats(damaged))


def test_slots_whose_key_is_lost_are_reported() -> None:
    text = render.rules([(WEB, TCP_80), (WIDE, TCP_80)], "v1.3.0").replace("Key: 10.0.0.0/8\n", "")

    (dump,) = dumps(text)

    assert (cidrs(dump), dump.hidden) == (["10.0.0.7/32"], 1)
    assert any("slots without their Key line" in what for what in whats(text))


def test_walk_that_stopped_is_partial() -> None:
    text = render.rule_entry(WEB, TCP_80, "v1.3.0") + "Failed to get next entry Done searching\n"

    (dump,) = dumps(text)

    assert (dump.count, dump.complete) == (1, False)
    assert any("stopped before the end" in what for what in whats(text))


def test_value_that_the_cli_could_not_read() -> None:
    text = "error reading ClusterNetworkPolicy entry: unable to get map entry: no such file or directory\n"
    text += render.rules([(WIDE, value((254, 5001, 0, 0), stride=16, size=384))], "v1.3.0-cp")

    (dump,) = dumps(text)

    assert (dump.count, dump.hidden, dump.complete) == (1, 1, True)
    assert any("could not read an entry" in what for what in whats(text))


def test_ipv4_binary_on_an_ipv6_map_gives_no_keys() -> None:
    text = "Key : IP/Prefixlen - 38.0.31.20/128 \n" + render.rule_entry(WEB, TCP_80, "v1.0.7").split("\n", 1)[1]

    (dump,) = dumps(text * 30 + render.END)

    assert (dump.count, dump.hidden) == (0, 30)
    assert any("IPv4 binary was run on an IPv6 map" in note for note in dump.notes)
    assert len(whats(text * 30 + render.END)) == 21


keys_v4 = st.builds(
    lambda prefix, address: struct.pack("<I", prefix) + address, st.integers(0, 32), st.binary(min_size=4, max_size=4)
)
keys_v6 = st.builds(
    lambda prefix, address: struct.pack("<I", prefix) + address,
    st.integers(0, 128),
    st.binary(min_size=16, max_size=16),
)
words = st.one_of(st.sampled_from([0, 1, 6, 17, 80, 132, 254, 255, 65535, 65536, 2**32 - 1]), st.integers(0, 2**32 - 1))


@st.composite
def rule_maps(draw, form):
    size, stride = FORMS[form]
    keys = keys_v4 if form.startswith("v1.3") else draw(st.sampled_from([keys_v4, keys_v6]))
    word = st.lists(words, max_size=size // 4)
    table = draw(st.dictionaries(keys, word, min_size=1, max_size=6))
    first = next(iter(table))
    if not any(first[4:]):
        table.pop(first)
        table = {first[:4] + b"\x0a" + first[5:]: [6, 80], **table}
    return [(key, b"".join(struct.pack("<I", one) for one in value).ljust(size, b"\0")) for key, value in table.items()]


@given(st.one_of(st.from_regex(r"[0-9a-f:.]{2,40}", fullmatch=True), st.ip_addresses(v=6).map(str)))
def test_fast_ipv6_reading_is_that_of_the_library(text) -> None:
    try:
        want = list(ipaddress.IPv6Address(text).packed)
    except ValueError:
        want = None

    got = packed_v6([text])

    assert (got is None and "." in text) or (None if got is None else got[0].tolist()) == want


def known_slots(value, form):
    """The slots a form shows, as the reader gives them: unknown numbers are -1."""
    stride = FORMS[form][1]
    if form == "v0.1.0":
        return [(0, *struct.unpack_from("<I", value), -1, *struct.unpack_from("<II", value, 4))]
    out = []
    for index, protocol, *rest in render.slots_of(value, stride):
        priority = rest[0] if stride == 16 else -1
        out.append((index, protocol if protocol in render.NAMES else -1, priority, *rest[-2:]))
    return out


@pytest.mark.parametrize("form", list(FORMS))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_round_trip_of_rule_maps(form, data) -> None:
    entries = data.draw(rule_maps(form))

    (dump,) = items(render.rules(entries, form))

    assert [key for key, _ in entries] == [row.tobytes() for row in dump.keys]
    for row, (_, value) in enumerate(entries):
        assert known_slots(value, form) == slots(dump, row)
    assert (dump.complete, dump.value_known) == (True, None)


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_round_trip_of_conntrack_and_pod_state(data) -> None:
    size = data.draw(st.sampled_from(sorted(FLOW_KEYS)))
    head = size in (24, 60) and data.draw(st.booleans())
    number = st.integers(0, 2**63)
    layout = CONNTRACK_KEYS[size]
    wide = 16 if size > 24 else 4
    field = {"src": wide, "dst": wide, "owner": wide}
    rows = []
    for _ in range(data.draw(st.integers(1, 5))):
        values = {
            part.name: b"\x20" + data.draw(st.binary(min_size=wide - 1, max_size=wide - 1))
            if part.name in field
            else data.draw(st.integers(0, {"protocol": 255, "ifindex": 2**32 - 1}.get(part.name, 65535)))
            for part in layout.subcons
            if part.name
        }
        stored = struct.pack("<QQ", data.draw(st.integers(0, 7)), data.draw(number)) if head else b"\x05"
        rows.append((layout.build(values), stored))
    states = data.draw(st.dictionaries(st.integers(0, 2**32 - 1), st.integers(0, 255), min_size=1, max_size=3))

    (flows,) = items(render.flows(rows))
    (state,) = items(render.pod_state(list(states.items())))

    assert rows == [(k.tobytes(), v.tobytes()) for k, v in zip(flows.keys, flows.values, strict=True)]
    assert [(key.to_bytes(4, "little"), bytes([one])) for key, one in states.items()] == [
        (k.tobytes(), v.tobytes()) for k, v in zip(state.keys, state.values, strict=True)
    ]


def told(got):
    """What items say, in plain values."""
    out = []
    for item in got:
        if isinstance(item, MapDump):
            content = item.values if item.values is not None else item.text_slots
            out.append(
                (item.span, item.map_id, item.tier, item.keys.tolist(), content.tolist(), item.spans.tolist(),
                 item.hidden, item.complete, item.notes,
                 None if item.value_known is None else item.value_known.tolist())
            )  # fmt: skip
        else:
            out.append(item)
    return out


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_bulk_and_line_reading_give_the_same(data) -> None:
    text = ""
    for form in data.draw(st.lists(st.sampled_from([*FORMS, "flows"]), min_size=1, max_size=4)):
        if form == "flows":
            sizes = data.draw(st.lists(st.sampled_from(sorted(FLOW_KEYS)), min_size=1, max_size=3))
            text += render.flows([(bytes.fromhex(FLOW_KEYS[size]), b"\x03") for size in sizes])
        else:
            text += render.rules(data.draw(rule_maps(form)), form)
        if data.draw(st.booleans()):
            text = text.removesuffix(render.END)
    raw = bytearray(text.encode())
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b"9", b"\n", b" ", b"x", b"\r\n"])
        )
    line_end = data.draw(st.sampled_from([b"\n", b"\r\n"]))
    source = bytes(raw).replace(b"\n", line_end)

    bulk = told(nacli_maps.read(Source("paste.txt", source)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nacli_reader.Reader, "_run", lambda *_: 0)
        slow = told(nacli_maps.read(Source("paste.txt", source)))

    assert slow == bulk


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_blocks_may_end_at_any_line(data) -> None:
    flows = render.flows([(bytes.fromhex(FLOW_KEYS[24]), b"\x02")] * 2)
    text = render.rules([(WEB, TCP_80), (WIDE, TCP_80)], "v1.3.0") + flows + render.pod_state([(0, 1), (1, 2)])
    pieces = text.encode().splitlines(keepends=True)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(pieces) - 1))))
    reader = nacli_reader.Reader("paste.txt")

    got, offset = [], 0
    for first, last in zip([0, *cuts], [*cuts, len(pieces)], strict=True):
        block = b"".join(pieces[first:last])
        got += reader.feed(offset, block, {})
        offset += len(block)
    got += reader.finish()

    assert told(got) == told(items(text))


@pytest.mark.parametrize("form", [*FORMS, "flows", "state"])
def test_every_cut_keeps_the_entries_before_it_and_says_so(form) -> None:
    if form == "flows":
        text = render.flows([(bytes.fromhex(FLOW_KEYS[24]), b"\x02"), (bytes.fromhex(FLOW_KEYS[24])[::-1], b"\x03")])
    elif form == "state":
        text = render.pod_state([(0, 1), (1, 2)])
    else:
        size, stride = FORMS[form]
        slot = (6, 1001, 8080, 9090) if stride == 16 else (17, 8080, 9090)
        text = render.rules([(key, value(slot, slot, stride=stride, size=size)) for key in (WEB, WIDE)], form)
    data = text.encode()
    (whole,) = dumps(data)
    ends = [int(end) for end in whole.spans["end"]]

    for cut in range(1, len(data) - 1):
        got = items(data[:cut])
        shown = [item for item in got if isinstance(item, MapDump)]
        kept = sum(end <= cut for end in ends)
        keys = [row.tobytes() for dump in shown for row in dump.keys]
        assert [row.tobytes() for row in whole.keys[:kept]] == keys[:kept], data[:cut]
        assert set(keys) <= {row.tobytes() for row in whole.keys}, data[:cut]
        for dump in shown:
            for row in range(dump.count):
                if dump.value_known is not None and not dump.value_known[row]:
                    continue
                if dump.values is not None:
                    assert dump.values[row].tolist() == whole.values[row].tolist(), data[:cut]
                else:
                    assert slots(dump, row) == slots(whole, row)[: len(slots(dump, row))], data[:cut]
        assert not shown or not shown[0].complete or b"Done reading all entries" in data[:cut]
        if data[:cut].strip() and kept:
            assert any(isinstance(item, Problem) for item in got) or shown[0].complete


LOADED = render.program(
    "/sys/fs/bpf/globals/aws/programs/my_app-0-prod_handle_ingress",
    "ingress",
    415,
    [("aws_conntrack_map", 344), ("", 346), ("cp_ingress_map", 345)],
)


def test_program_identifier_comes_from_the_pin_path() -> None:
    wrong = LOADED.replace(
        "Pod Identifier : my_app-0-prod  Direction : ingress", "Pod Identifier : my  Direction : handle"
    )

    (record,) = items(wrong, form=nacli_loaded)

    assert record.data == {
        "pin_path": "/sys/fs/bpf/globals/aws/programs/my_app-0-prod_handle_ingress",
        "pod_identifier": "my_app-0-prod",
        "direction": "ingress",
        "prog_id": 415,
        "maps": [
            {"name": "aws_conntrack_map", "map_id": 344},
            {"name": None, "map_id": 346},
            {"name": "cp_ingress_map", "map_id": 345},
        ],
    }
    assert (record.span.first_line, record.span.last_line) == (1, 10)


def test_prog_fd_is_no_program_id() -> None:
    old = "pinPathName:  web-prod_handle_egress\n" + LOADED.replace("Prog ID:", "Prog FD:")

    (record,) = items(old, form=nacli_loaded)

    assert (record.data["prog_id"], record.data["pod_identifier"]) == (None, "my_app-0-prod")


def test_loaded_data_collected_twice_is_kept_and_told() -> None:
    text = "*** EBPF loaded data ***\n" + LOADED

    got = items(text * 2, form=nacli_loaded)

    assert [type(item).__name__ for item in got] == ["Record", "Problem", "Record"]
    assert "stands twice" in got[1].what


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("failed to get err", "does not mean that there are no policies"),
        ("unable to get FD", "v1.0.7 and later do not fail so"),
        ("no such file or directory", "a pin was removed during the walk"),
    ],
)
def test_failed_walk_is_told_once_by_its_own_format(reason, meaning) -> None:
    text = f"*** EBPF loaded data ***\nFailed to execute the cmd -  failed walking the bpfdirectory {reason}\n"

    (error,) = errors(text, form=nacli_loaded)

    assert meaning in error["meaning"]
    assert items(text) == []


def test_heading_with_nothing_behind_it() -> None:
    (error,) = errors("*** EBPF loaded data ***\n", form=nacli_loaded)

    assert "no program is pinned on this node" in error["meaning"]


def test_program_cut_behind_a_map_name() -> None:
    text = LOADED[: LOADED.index("Map ID:  345")]

    (record, problem) = items(text, form=nacli_loaded)

    assert [one["map_id"] for one in record.data["maps"]] == [344, 346]
    assert "cp_ingress_map without its ID" in problem.what


def test_map_id_cut_in_its_digits_is_left_out() -> None:
    (record, problem) = items(LOADED[: LOADED.index("Map ID:  345") + 11], form=nacli_loaded)

    assert [one["map_id"] for one in record.data["maps"]] == [344, 346]
    assert "ends inside a map ID" in problem.what


def test_pin_path_behind_a_title_and_indented_lines() -> None:
    text = "  STEP: capturing state @ 01/02/26      loaded-ebpfdata output:     " + LOADED.replace("\n", "\n  ")

    (record,) = items(text, form=nacli_loaded)

    assert (record.data["pod_identifier"], len(record.data["maps"])) == ("my_app-0-prod", 3)


def test_lists_give_types_by_name() -> None:
    got = items(render.map_list([(11, 25, 8, 288, 65536), (99, 26, 4, 1, 2)]), form=nacli_lists)
    programs = items(render.prog_list([(3, 57, 3)]), form=nacli_lists)

    assert [
        tuple(item.data[name] for name in ("map_id", "type", "key_size", "value_size", "max_entries")) for item in got
    ] == [(25, "lpm_trie", 8, 288, 65536), (26, "type 99", 4, 1, 2)]
    assert [tuple(item.data[name] for name in ("prog_id", "type", "map_count", "map_ids")) for item in programs] == [
        (57, "sched_cls", 3, None)
    ]


def test_cut_lists_lose_the_cut_line_only() -> None:
    maps = render.map_list([(11, 25, 8, 288, 65536), (1, 26, 4, 1, 2)])

    got = items(maps[: maps.index("MaxEntries 2") + 4], form=nacli_lists)

    assert [item.data["map_id"] for item in got if isinstance(item, Record) and item.data["key_size"]] == [25]
    assert any(isinstance(item, Problem) for item in got)


@pytest.mark.parametrize(
    "noise", ["", "\n", "hello\n", "Key: value\nEntry point\n", "\x00" * 100, "*" * 4000, "Key : " * 999]
)
def test_other_text_is_claimed_by_none_and_never_raises(noise) -> None:
    for form in (nacli_maps, nacli_loaded, nacli_lists):
        assert form.sniff(noise.encode(), "notes.txt").value == 0
        assert [item for item in items(noise, form=form) if not isinstance(item, Problem)] == []


@pytest.mark.parametrize("digits", ["9" * 30, "9" * 6000, "\u00b2"])
def test_numbers_no_program_prints_cost_their_record_only(digits) -> None:
    good = render.rules([(WEB, TCP_80)], "v1.3.0")
    text = f"*** EBPF Maps Data for Map ID {digits} ***\nKey: 10.0.0.9/{digits}\n{good}"
    flow = render.flow_entry(bytes.fromhex(FLOW_KEYS[24]), b"\x02").replace("8080", digits)

    (dump,) = dumps(text)

    assert (cidrs(dump), dump.map_id) == (["10.0.0.7/32"], None)
    assert sum(dump.count for dump in dumps(flow + render.END)) == 0
    assert items(LOADED.replace("415", digits).replace("344", digits), form=nacli_loaded)
