"""The layout of a value is decided by vote over records, and the losing scores are kept."""

from __future__ import annotations

import pytest
import render_bpftool as render
from bpftool_reading import dumps, hex_items, json_items, known_of

KEYS = {8: bytes.fromhex("200000000a00"), 20: bytes.fromhex("80000000") + bytes(14)}


def pairs(key_size: int, sizes: list[int]) -> list[tuple[bytes, bytes]]:
    """One entry per value size, all with different keys."""
    return [
        (KEYS[key_size] + number.to_bytes(2, "big"), bytes([6]) + bytes(size - 1))
        for number, size in enumerate(sizes, 1)
    ]


@pytest.mark.parametrize("key_size", [8, 20])
@pytest.mark.parametrize("winner", [96, 288, 384])
@pytest.mark.parametrize("loser", [96, 288, 384])
def test_the_size_of_most_records_wins_and_the_others_are_kept(key_size: int, winner: int, loser: int) -> None:
    if winner == loser:
        pytest.skip("no vote between equals")
    text = render.plain(pairs(key_size, [winner, loser, winner, winner, winner]))

    (dump,) = dumps(hex_items(text))

    assert (dump.key_size, dump.value_size) == (key_size, winner)
    assert known_of(dump) == [True, False, True, True, True]
    assert f"value size {winner} by 4 records; other scores: {loser} by 1" in dump.notes


def test_the_vote_is_the_same_for_json() -> None:
    (dump,) = dumps(json_items(render.compact(pairs(8, [288, 384, 288, 288]))))

    assert (dump.value_size, known_of(dump)) == (288, [True, False, True, True])
    assert "value size 288 by 3 records; other scores: 384 by 1" in dump.notes


def test_all_losing_scores_are_named() -> None:
    (dump,) = dumps(hex_items(render.plain(pairs(8, [384, 96, 384, 288, 384, 384]))))

    assert "value size 384 by 4 records; other scores: 96 by 1, 288 by 1" in dump.notes


def test_key_sizes_are_voted_too() -> None:
    mixed = [*pairs(20, [288]), *pairs(8, [288, 288, 288])]

    (dump,) = dumps(hex_items(render.plain(mixed)))

    assert dump.key_size == 8
    assert "key size 8 by 3 records; other scores: 20 by 1" in dump.notes


def test_without_a_dissenting_record_there_is_nothing_to_say() -> None:
    (dump,) = dumps(hex_items(render.plain(pairs(8, [288, 288]))))

    assert [note for note in dump.notes if "scores" in note] == []
