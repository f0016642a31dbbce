"""bpftool dumps: damage costs what it damaged and is named; every form is read for what it is."""

from __future__ import annotations

import random

import numpy as np
import pytest
import render_bpftool as render
from bpftool_reading import dumps, hex_items, json_items, known_of, pairs_of, problems

from formats.bpftool_map_hex import sniff as sniff_hex
from formats.bpftool_map_json import sniff as sniff_json

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
    pairs = [(index.to_bytes(8, "big"), rng.randbytes(9) + bytes(375)) for index in range(5000)]
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
    "text", ["key: value\nvalue: 80\n", "apiVersion: v1\nkey:\n  name: x\n", "", "\0" * 300, "Found it\n"]
)
def test_other_texts_are_not_claimed(text) -> None:
    assert sniff_hex(text.encode(), "x").value == 0
    assert sniff_json(text.encode(), "x").value == 0
