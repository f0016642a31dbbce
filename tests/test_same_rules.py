"""The comparison of whole tables against the one of every entry."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.same_rules import same_rules
from forensics.views import _content
from formats.base import ENTRY_SPAN_DTYPE, MapDump, Span
from formats.mapview import slots_of

RULES = st.lists(
    st.tuples(st.sampled_from([0, 6, 17, 33, 254]), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=3
)
KEYS = st.sampled_from([(32, 1), (32, 2), (24, 1), (24, 2), (0, 9), (33, 1), (8, 255)])
MAPS = st.dictionaries(KEYS, RULES, max_size=6)


def hex_dump(entries: list, known: list[bool] | None = None) -> MapDump:
    keys = [prefix.to_bytes(4, "little") + bytes([10, 0, last, last]) for (prefix, last), _ in entries]
    values = [np.array(rules, "<u4").tobytes().ljust(288, b"\0") for _, rules in entries]
    return MapDump(
        "hex",
        np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 8),
        np.frombuffer(b"".join(values), np.uint8).reshape(-1, 288),
        np.zeros(len(entries), ENTRY_SPAN_DTYPE),
        Span(0, 1, 1, 1),
        map_name="x_ingress_map",
        value_size=288,
        value_known=np.array(known, bool) if known is not None else None,
    )


def as_text(dump: MapDump) -> MapDump:
    """The same as text: slots of protocol 0 are left out, numbers without a name are lost."""
    slots = slots_of(dump)
    slots = slots[slots["protocol"] != 0].copy()
    slots["protocol"][slots["protocol"] == 33] = -1
    return MapDump(
        "text", dump.keys, None, dump.spans, dump.span, map_name=dump.map_name, value_size=288, text_slots=slots
    )


@settings(max_examples=300)
@given(MAPS, MAPS, st.booleans(), st.booleans(), st.randoms(use_true_random=False), st.data())
def test_whole_tables_are_the_same_when_their_entries_are(
    one: dict, other: dict, equal: bool, text: bool, dice: random.Random, data: st.DataObject
) -> None:
    rows = list((one if equal else other).items())
    dice.shuffle(rows)
    known = data.draw(st.none() | st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    mine, theirs = hex_dump(list(one.items())), hex_dump(rows, known)
    if text and known is None:
        theirs = as_text(theirs)

    same = same_rules(mine, theirs)

    wanted = _content(SimpleNamespace(dump=mine)) == _content(SimpleNamespace(dump=theirs))  # type: ignore[arg-type]
    assert not same or wanted
    texts = [(prefix, last >> (32 - prefix) if 24 < prefix <= 32 else last * (prefix > 16)) for prefix, last in one]
    plain = len(set(texts)) == len(texts) and all(prefix <= 32 for prefix, _ in one)
    assert same or not (wanted and plain and known is None)
