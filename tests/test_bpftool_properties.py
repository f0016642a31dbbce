"""Every form and every mess gives the map back; the array path and the line path are equal, on damage too."""

from __future__ import annotations

import os
import random

import render_bpftool as render
from bpftool_reading import dumps, facts, hex_items, json_items, known_of, known_pairs, pairs_of, problems
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
