"""bpftool dumps: every form and every mess gives the map back; damage costs what it damaged and is named."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
import render_bpftool as render
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from formats.base import MapDump, Problem
from formats.bpftool_map_hex import Reader as HexReader
from formats.bpftool_map_hex import sniff as sniff_hex
from formats.bpftool_map_json import Reader as JsonReader
from formats.bpftool_map_json import sniff as sniff_json
from formats.bpftool_names import command, heading, of_path
from formats.elision import Elision, elision
from formats.pins import Pin, split_pin
from formats.source import Source

EXAMPLES = int(os.environ.get("NPF_EXAMPLES", "60"))
CAMPAIGN = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
SIZES = [
    (8, 288),
    (8, 384),
    (8, 96),
    (20, 288),
    (20, 384),
    (20, 96),
    (4, 1),
    (16, 4),
    (20, 1),
    (24, 1),
    (24, 16),
    (60, 1),
]


def hex_items(text, path="-", *, fast=True):
    raw = text if isinstance(text, bytes) else text.encode()
    return list(HexReader(Source(path, raw), fast=fast).items())


def json_items(text, path="-", *, fast=True):
    return list(JsonReader(text if isinstance(text, bytes) else text.encode(), path, fast=fast).items())


def dumps(items):
    return [item for item in items if isinstance(item, MapDump)]


def problems(items):
    return [item.what for item in items if isinstance(item, Problem)]


def pairs_of(dump):
    return list(zip(map(bytes, dump.keys), map(bytes, dump.values), strict=True))


def known_of(dump):
    return [True] * dump.count if dump.value_known is None else dump.value_known.tolist()


def known_pairs(dump):
    if dump.values is None:
        return []
    return [pair for pair, known in zip(pairs_of(dump), known_of(dump), strict=True) if known]


def facts(item):
    """Everything a MapDump says, comparable."""
    if not isinstance(item, MapDump):
        return item
    arrays = [
        None if a is None else (a.shape, a.tobytes()) for a in (item.keys, item.values, item.spans, item.value_known)
    ]
    rest = (item.span, item.map_id, item.map_name, item.map_type, item.key_size, item.value_size, item.found)
    return arrays, rest, item.hidden, item.complete, item.notes


def sparse(rng, size):
    """Bytes that look like a value: some numbers, mostly zeros."""
    out = bytearray(size)
    for _ in range(rng.randrange(4)):
        out[rng.randrange(size)] = rng.randrange(256)
    return bytes(out)


@st.composite
def maps(draw, sizes=tuple(SIZES)):
    key_size, value_size = draw(st.sampled_from(sizes))
    count = draw(st.integers(0, 12))
    rng = random.Random(draw(st.integers(0, 2**32)))
    filled = draw(st.booleans())
    keys = {rng.randbytes(key_size) for _ in range(count)}
    return [(key, rng.randbytes(value_size) if filled else sparse(rng, value_size)) for key in sorted(keys)]


@CAMPAIGN
@given(maps())
def test_every_form_gives_the_map_back(pairs):
    for items in (hex_items(render.plain(pairs)), json_items(render.compact(pairs)), json_items(render.pretty(pairs))):
        (dump,) = dumps(items)

        assert pairs == pairs_of(dump)
        assert dump.complete
        assert problems(items) == []


@CAMPAIGN
@given(maps([(8, 288), (8, 384)]))
def test_typed_output_gives_the_bytes_back(pairs):
    for cluster in (False, True):
        mine = [(key, value) for key, value in pairs if (len(value) == 384) == cluster]
        items = json_items(render.typed_rules(mine, cluster=cluster)) if mine else []

        assert mine == [pair for dump in dumps(items) for pair in pairs_of(dump)]


@CAMPAIGN
@given(maps(), st.lists(st.sampled_from(render.LOSSLESS), min_size=1, max_size=3, unique=True))
def test_what_a_paste_does_loses_nothing(pairs, changes):
    text = render.plain(pairs)
    # elision first: it is made by hand from the clean text; quoting last: the rest would not see through it
    for change in sorted(changes, key=lambda one: (one is not render.elided, one in (render.quoted, render.crlf))):
        text = change(text)

    items = hex_items(text)

    (dump,) = dumps(items)
    assert pairs == pairs_of(dump)
    assert all(known_of(dump))
    assert dump.complete


@CAMPAIGN
@given(st.lists(maps(), min_size=1, max_size=3), st.sampled_from(["", "\n", "$ bpftool map dump id 7\n", "see:\n"]),
       st.sampled_from([render.crlf, render.indented, render.quoted, render.collapsed, lambda text: text]))  # fmt: skip
def test_fast_and_tolerant_path_are_equal(many, between, change):
    text = change(between.join(render.plain(pairs) for pairs in many))

    assert list(map(facts, hex_items(text, fast=False))) == list(map(facts, hex_items(text)))
    joined = between.join(render.pretty(pairs) for pairs in many)
    assert list(map(facts, json_items(joined, fast=False))) == list(map(facts, json_items(joined)))


@CAMPAIGN
@given(maps(), st.integers(0, 2**32))
def test_fast_and_tolerant_path_are_equal_on_damage(pairs, seed):
    rng = random.Random(seed)
    for text, items in (
        (render.plain(pairs), hex_items),
        (render.compact(pairs), json_items),
        (render.pretty(pairs), json_items),
    ):
        raw = bytearray(text.encode())
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(raw))
            act = rng.randrange(3)
            if act == 0:
                raw[at] = rng.choice(b'0fgz \n:[{"')
            elif act == 1:
                del raw[at : at + rng.choice((1, 3, 49))]
            else:
                raw[at:at] = rng.choice([b"0", b"\n", b"...\n", b"00 ", b"Found 3 elements\n"])
            raw = raw or bytearray(b"\n")

        assert list(map(facts, items(bytes(raw), fast=False))) == list(map(facts, items(bytes(raw))))


@CAMPAIGN
@given(maps(), st.integers(0, 2**32))
def test_entries_before_a_cut_are_kept(pairs, seed):
    for text, items in (
        (render.plain(pairs), hex_items),
        (render.compact(pairs), json_items),
        (render.pretty(pairs), json_items),
    ):
        cut = random.Random(seed).randrange(len(text))
        whole = sum(1 for index in range(len(pairs)) if _end_of(text, index) <= cut)

        found = dumps(items(text[:cut]))

        got = [pair for dump in found for pair in known_pairs(dump)]
        assert pairs[: max(0, whole - 1)] == got[: max(0, whole - 1)]
        assert set(got) <= set(pairs)
        assert not any(dump.complete for dump in found) or cut >= len(text.rstrip()) - 1


def _end_of(text, index):
    """Offset behind entry `index` of a rendered map."""
    label = '"key"' if '"key"' in text else "key:"
    at = -1
    for _ in range(index + 1):
        at = text.index(label, at + 1)
    following = text.find(label, at + 1)
    return following if following >= 0 else len(text)


RULES = [
    (bytes.fromhex("200000000a640105"), b"\xfe" + bytes(287)),
    (bytes.fromhex("180000000a640100"), bytes(287) + b"\1"),
    (bytes.fromhex("080000000a000000"), bytes(288)),
]
LISTED = (
    "7: hash  flags 0x0\n\tkey 4B  value 4B  max_entries 1\n"
    "221: lpm_trie  flags 0x1\n\tkey 8B  value 288B  max_entries 9\n"
)
MAPS = "/sys/fs/bpf/globals/aws/maps"


def test_a_lost_line_costs_one_value() -> None:
    lines = render.plain(RULES).splitlines(keepends=True)

    items = hex_items("".join(lines[:5] + lines[6:]))

    (dump,) = dumps(items)
    assert (dump.count, dump.value_size, known_of(dump)) == (3, 288, [False, True, True])
    assert problems(items) == ["value has 272 bytes in a dump with values of 288 (10.100.1.5/32)"]
    assert dump.notes == ["value size 288 by 2 records; other scores: 272 by 1"]


def test_the_size_of_a_lone_cut_value_is_not_guessed() -> None:
    lines = render.plain(RULES[:1]).splitlines(keepends=True)

    items = hex_items("".join(lines[:15]))

    (dump,) = dumps(items)
    assert (dump.count, dump.value_size, known_of(dump), dump.complete) == (1, None, [False], False)
    assert "value ends after 192 bytes at the end of the dump (10.100.1.5/32)" in problems(items)


def test_a_lone_value_is_whole_when_the_name_of_the_map_says_so() -> None:
    text = render.entry(*RULES[0])

    (named,) = dumps(hex_items(text, "web-prod_ingress_map.txt"))
    (unnamed,) = dumps(hex_items(text, "paste.txt"))

    assert (named.value_size, known_of(named), named.complete) == (288, [True], False)
    assert (unnamed.value_size, known_of(unnamed)) == (None, [False])


def test_two_dumps_without_a_trailer_between_are_told_apart() -> None:
    wide = [(key, bytes(384)) for key, _ in RULES]
    text = "".join(render.entry(*pair) for pair in wide) + render.plain(RULES)

    first, second = dumps(hex_items(text))

    assert (first.value_size, first.count, first.found, first.complete) == (384, 3, None, False)
    assert (second.value_size, second.count, second.found, second.complete) == (288, 3, 3, True)


def test_a_trailer_that_counts_all_keeps_one_dump() -> None:
    odd = [*RULES, *[(bytes([32, 0, 0, 0, 10, 9, 9, last]), bytes(96)) for last in (1, 2)]]

    (dump,) = dumps(hex_items(render.plain(odd)))

    assert (dump.value_size, known_of(dump), dump.complete) == (288, [True] * 3 + [False] * 2, True)


def test_wrong_count_in_the_trailer() -> None:
    items = hex_items("".join(render.entry(*pair) for pair in RULES) + render.trailer(7))

    (dump,) = dumps(items)
    assert (dump.found, dump.hidden, dump.complete) == (7, 4, True)
    assert problems(items) == ["trailer says 7, 3 shown"]


def test_hidden_entries_are_counted_and_unknown_ones_are_not_invented() -> None:
    entries = "".join(render.entry(*pair) for pair in RULES)

    (stated,) = dumps(hex_items(entries + "[... 188 more entries ...]\n" + render.trailer(191)))
    (unstated,) = dumps(hex_items(entries + "...\n" + render.trailer(191)))
    (open_end,) = dumps(hex_items(entries + "[...]\n"))

    assert (stated.found, stated.hidden, stated.complete, stated.count) == (191, 188, True, 3)
    assert (unstated.found, unstated.hidden, unstated.complete) == (191, 188, False)
    assert (open_end.found, open_end.hidden, open_end.complete, known_of(open_end)) == (None, 0, False, [True] * 3)


def test_an_elision_inside_a_value_hides_the_value() -> None:
    lines = render.plain(RULES).splitlines(keepends=True)

    items = hex_items("".join([*lines[:4], "...\n", *lines[21:]]))

    (dump,) = dumps(items)
    assert (dump.value_size, known_of(dump), dump.complete) == (288, [False, True, True], True)
    assert problems(items) == ["the text leaves out a part of the value (10.100.1.5/32)"]


@pytest.mark.parametrize(
    "text",
    [
        "* key: 01 00 00 00  value: 02 03\n* Found 1 element\n",
        "12:key: 01 00 00 00  value: 02 03\n13:Found 1 element\n",
        "key: 01\u00a000\u00a000\u00a000 value: 02\u00a003\nFound 1 element\n",
        "key: 01 00 00 00  value: 02 03   <-- this one\nFound 1 element\n",
        "key: 01 00 00 00  value: 02 03 # pod\nthat was it.\nFound 1 element\n",
        "Key: 0x01 0x00 0x00 0x00\nValue: 0x02 0x03\nFound 1 element\n",
        "[\nkey: 01 00 00 00  value: 02 03\n]\n",
    ],
)
def test_small_oddities(text) -> None:
    items = hex_items(text)

    (dump,) = dumps(items)
    assert pairs_of(dump) == [(b"\1\0\0\0", b"\2\3")]
    assert dump.complete
    assert problems(items) == []


def test_many_records_without_a_key_are_counted() -> None:
    elements = ",".join(f'{{"key":{{"id":{number}}},"value":{{"x":1}}}}' for number in range(50))

    items = json_items(f"[{elements}]")

    (dump,) = dumps(items)
    assert (dump.count, dump.hidden) == (0, 50)
    assert len(problems(items)) == 21
    assert problems(items)[-1] == "a typed key of an unknown struct has no bytes (30 more records)"


def test_lookup_errors_are_no_entries() -> None:
    text = render.entry(bytes(20), "<no entry>") + render.entry(bytes([1] * 20), b"\7") + render.trailer(1)

    items = hex_items(text)

    (dump,) = dumps(items)
    assert (dump.key_size, dump.value_size, dump.count, dump.found, dump.complete) == (20, 1, 1, 1, True)
    assert [f"1 keys listed whose lookup failed, not entries: {bytes(20).hex()}: <no entry>"] == dump.notes
    assert problems(items) == []


def test_per_cpu_values_stand_one_after_the_other() -> None:
    text = "key:\n01 00 00 00\nvalue (CPU 00): 01 02 03 04\nvalue (CPU 01): 00 00 00 02\nFound 1 element\n"

    (dump,) = dumps(hex_items(text))

    assert [(b"\1\0\0\0", bytes([1, 2, 3, 4, 0, 0, 0, 2]))] == pairs_of(dump)
    assert (dump.value_size, dump.complete) == (8, True)


def test_inner_map_id_is_the_value() -> None:
    text = "key: 01 00 00 00  inner_map_id: 258 \nkey: 02 00 00 00  inner_map_id: 7 \nFound 2 elements\n"

    (dump,) = dumps(hex_items(text))

    assert pairs_of(dump) == [(b"\1\0\0\0", b"\2\1\0\0"), (b"\2\0\0\0", b"\7\0\0\0")]


def test_missing_labels_are_put_back() -> None:
    lines = render.plain(RULES).splitlines(keepends=True)
    no_value_label = "".join(lines[:2] + lines[3:])
    no_key_label = "".join(lines[:21] + lines[22:])

    for text in (no_value_label, no_key_label):
        (dump,) = dumps(hex_items(text))

        assert pairs_of(dump) == RULES
        assert (dump.found, dump.complete) == (3, True)


def test_grep_output_without_key_labels() -> None:
    lines = render.plain(RULES).splitlines(keepends=True)
    text = "$ bpftool map dump id 221 | grep -A 19 '0a 64 01 05'\n" + "".join(lines[1:21]) + "--\n"

    items = hex_items(text)

    (dump,) = dumps(items)
    assert RULES[:1] == pairs_of(dump)
    assert (dump.map_id, dump.complete) == (221, False)
    assert problems(items) == []


def test_keys_only() -> None:
    text = "$ bpftool map dump id 221 | grep '0a 64'\n20 00 00 00 0a 64 01 05\n18 00 00 00 0a 64 01 00\n"

    items = hex_items(text)

    (dump,) = dumps(items)
    assert [key for key, _ in RULES[:2]] == list(map(bytes, dump.keys))
    assert (dump.value_size, known_of(dump), dump.complete) == (None, [False, False], False)
    assert problems(items) == ["no value is shown (2 entries)"]


def test_getnext_is_no_dump() -> None:
    items = hex_items("$ bpftool map getnext id 10 key 0 1 2 3\nkey:\n00 01 02 03\nnext key:\n0d 00 07 00\n")

    (dump,) = dumps(items)
    assert ([bytes.fromhex("0d000700")], [False], False) == (list(map(bytes, dump.keys)), known_of(dump), dump.complete)
    assert dump.notes == ["map getnext: the key asked for is 00010203"]


@pytest.mark.parametrize(
    ("before", "path", "name", "number", "kind"),
    [
        (f"$ bpftool map dump pinned {MAPS}/a_ingress_map\n", "b_ingress_map.txt", "a_ingress_map", None, "lpm_trie"),
        ("# bpftool map dump id 221\n", "a-prod_ingress_map.txt", None, 221, None),
        ("== /sys/fs/bpf/globals/aws/maps/a@prod_ingress_map\n", "x.txt", "a@prod_ingress_map", None, "lpm_trie"),
        ("221: lpm_trie  name rules  flags 0x1\n", "x.txt", "rules", 221, "lpm_trie"),
        ("", "web-7d4f8c9b6-prod_ingress_map.dump-by-id.txt", "web-7d4f8c9b6-prod_ingress_map", None, "lpm_trie"),
        ("", "dump-221.txt", None, 221, None),
        ("", "web-prod_cp_ingress_map.txt", None, None, None),
        (LISTED + "$ bpftool map dump id 221\n", "x", None, 221, "lpm_trie"),
        (LISTED, "x", None, None, None),
    ],
)  # fmt: skip
def test_which_map_it_is(before, path, name, number, kind) -> None:
    (dump,) = dumps(hex_items(before + render.plain(RULES), path))

    assert (name, number, kind) == (dump.map_name, dump.map_id, dump.map_type)


def test_several_maps_of_one_command() -> None:
    one, two = RULES[:1], [(b"\0\0\0\0", b"\1")]
    text = "5: lpm_trie  name a  flags 0x1\n" + render.plain(one) + "\n6: hash  name a  flags 0x0\n" + render.plain(two)
    as_json = (
        f'[{{"id":5,"type":"lpm_trie","name":"a","flags":1,"elements":{render.compact(one)}}},'
        f'{{"id":6,"type":"hash","name":"a","flags":0,"elements":{render.compact(two)}}}]'
    )

    for found in (dumps(hex_items(text)), dumps(json_items(as_json))):
        assert [(5, "lpm_trie", "a", one), (6, "hash", "a", two)] == [
            (dump.map_id, dump.map_type, dump.map_name, pairs_of(dump)) for dump in found
        ]


def test_spans_are_raw_offsets() -> None:
    text = "note\r\n" + render.crlf(render.plain(RULES))

    (dump,) = dumps(hex_items(text))

    starts = [text.index(f"key:\r\n{key.hex(' ')}") for key, _ in RULES]
    assert starts == dump.spans["start"].tolist()
    assert (dump.spans["first_line"].tolist(), dump.spans["last_line"].tolist()) == ([2, 23, 44], [22, 43, 64])


def test_entries_across_pieces_of_a_stream() -> None:
    rng = random.Random(5)
    pairs = [(index.to_bytes(8, "big"), sparse(rng, 384)) for index in range(5000)]
    raw = render.plain(pairs).encode()

    (dump,) = dumps(hex_items(raw))

    assert len(raw) > 4 * 1024 * 1024
    assert pairs == pairs_of(dump)
    assert np.array_equal(dump.spans["first_line"], 1 + 27 * np.arange(5000))


def test_json_accepts_numbers_and_broken_elements() -> None:
    broken = '{"key":["0x20","0x00","0x00","0x00","0x0a","0x00","0x00","0x02"],"value":["0x0]'
    text = f'[{{"key":[32,0,0,0,10,0,0,1],"value":[1]}},{broken},{{"key":[8,0,0,0,10,0,0,0],"value":["0x02"]}}]'

    items = json_items(text)

    (dump,) = dumps(items)
    assert [bytes(key).hex() for key in dump.keys] == ["200000000a000001", "200000000a000002", "080000000a000000"]
    assert (known_of(dump), dump.complete) == ([True, False, True], True)
    assert problems(items) == ["the JSON of the element is broken (10.0.0.2/32)"]


def test_wrapped_and_quoted_json() -> None:
    pairs = RULES[:2]
    flat = render.compact(pairs)
    wrapped = "\n".join(flat[at : at + 78] for at in range(0, len(flat), 78)) + "\n"

    for text in (wrapped, render.quoted(render.pretty(pairs)), render.crlf(render.pretty(pairs))):
        (dump,) = dumps(json_items("> hello\n" + text))

        assert pairs == pairs_of(dump)
        assert dump.complete
        assert dump.spans["first_line"][0] == 2


def test_json_errors_and_empty_dumps() -> None:
    (error,) = json_items('{"error":"get map by id (99): No such file or directory"}')
    (empty,) = json_items("[]\n", "a-prod_egress_map.dump.json")

    assert (error.kind, error.data["map_id"]) == ("cli_error", 99)
    assert (empty.count, empty.complete, empty.map_name) == (0, True, "a-prod_egress_map")


def test_lookup_error_in_json() -> None:
    (dump,) = dumps(
        json_items('[{"key":["0x01"],"value":{"error":"No such file or directory"}},{"key":["0x02"],"value":["0x03"]}]')
    )

    assert pairs_of(dump) == [(b"\2", b"\3")]
    assert dump.notes == ["1 keys listed whose lookup failed, not entries: 01: No such file or directory"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[... 17 rows of zeros ...]", Elision("rows", 17)),
        ("(5 zero rows)", Elision("rows", 5)),
        ("... 272 bytes of zeros", Elision("bytes", 272)),
        ("[... 188 more entries ...]", Elision("entries", 188)),
        ("and 12 more entries", Elision("entries", 12)),
        ("...", Elision("unknown")),
        ("\u2026", Elision("unknown")),
        ("<snip>", Elision("unknown")),
        ("[... rest is zeros ...]", Elision("rest")),
        ("Found 191 elements", None),
        ("No 0a 64 01 05 in there, although that is the new pod...", None),
        ("<no entry>", None),
        ("[root@node /]# ls", None),
    ],
)
def test_elisions(text, expected) -> None:
    assert expected == elision(text)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{MAPS}/web-7d4f8c9b6-prod_cp_ingress_map", Pin("map", "web-7d4f8c9b6-prod", "ingress", "cp_ingress_map")),
        ("web@prod_egress_map", Pin("map", "web@prod", "egress", "egress_map")),
        ("a_b_c-ns_ingress_pod_state_map", Pin("map", "a_b_c-ns", "ingress", "ingress_pod_state_map")),
        ("x_handle_egress", Pin("program", "x", "egress", None)),
        ("global_aws_conntrack_map", Pin("global", None, None, "aws_conntrack_map")),
        ("global_policy_events", Pin("global", None, None, "policy_events")),
        ("ingress_map", None),
        ("_ingress_map", None),
        ("cilium_policy_01234", None),
    ],
)  # fmt: skip
def test_pins(path, expected) -> None:
    assert expected == split_pin(path)


def test_names_in_commands_headings_and_paths() -> None:
    assert command("root@n:/# bpftool map dump id 297") == ("dump", None, 297, False)
    assert command("$ sudo bpftool -j map dump pinned /x/y_egress_map | grep key") == (
        "dump",
        "y_egress_map",
        None,
        True,
    )
    assert command("[root@kind-worker /]# ip link") == ("", None, None, False)
    assert command("20 00 00 00  0a 64 01 05") is None
    assert heading("==> web_cp_ingress_map.dump.txt <==") == (None, "web_cp_ingress_map", None, False)
    assert heading("\tpinned /sys/fs/bpf/globals/aws/maps/a_egress_map") is None
    assert of_path("dumps/dump-2026-11-21.txt") == (None, None, None, False)


@pytest.mark.parametrize(
    "text", ["key: value\nvalue: 80\n", "apiVersion: v1\nkey:\n  name: x\n", "", "\0" * 300, "Found it\n"]
)
def test_other_texts_are_not_claimed(text) -> None:
    assert sniff_hex(text.encode(), "x").value == 0
    assert sniff_json(text.encode(), "x").value == 0
