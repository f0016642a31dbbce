"""Hex dumps to entries: ours beside one bytes.fromhex and struct.iter_unpack per entry, and beside construct, compiled."""

from __future__ import annotations

import hashlib
import random
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench import generate
from tests.bench.pairs import Row, clock, side, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.__main__ import Asked

    #: What is timed, and what it found: asked outside the time.
    Side = tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]

ENTRIES = 26_000
#: Each side reads the dump so often in its process; the median counts. A node has hundreds of dumps.
TIMES = 3


def rows(asked: Asked) -> list[Row]:
    path = asked.folder / "maps_ingress_map.dump.txt"
    dice = random.Random(3)
    values = [generate.namespace_value(rules) for rules in generate.pools(dice)[0]]
    octets = generate.addresses(dice, max(100, int(ENTRIES * asked.scale)))
    path.write_text(generate.dump([(generate.lpm(each), dice.choice(values)) for each in octets], {}))
    made = []
    work = f"hex dump of {path.stat().st_size / 1e6:.0f} MB to entries"
    for name, title, bar, pairs in (
        ("plain", "`bytes.fromhex` per entry and `struct.iter_unpack`", 0.2, asked.pairs),
        ("construct", "construct, compiled", 0.02, max(1, asked.pairs - 2)),
    ):
        row = Row(work, title, bar)
        for _ in range(pairs):
            mine, theirs = side("hexdump", "ours", path), side("hexdump", name, path)
            row.ours.append(mine["seconds"])
            row.theirs.append(theirs["seconds"])
            row.same &= mine["found"] == theirs["found"] and mine["slots"] == theirs["slots"]
        made.append(row)
    return made


def texts(data: bytes) -> Iterator[tuple[str, str]]:
    """(key, value) of every entry as hex text."""
    for block in data.decode("ascii").split("key:\n")[1:]:
        key, _, value = block.partition("value:\n")
        yield key, value.partition("Found")[0]


def _found(keys: bytes, values: bytes, count: int) -> list[object]:
    return [count, hashlib.sha256(keys).hexdigest(), hashlib.sha256(values).hexdigest()]


def ours(data: bytes) -> Side:
    from formats import bpftool_map_hex
    from formats.base import MapDump
    from formats.layouts import NAMESPACE_SLOT_DTYPE
    from formats.source import Source

    def read() -> tuple[MapDump, Any]:
        source = Source("x_ingress_map.dump.txt", data)
        (dump,) = (item for item in bpftool_map_hex.read(source) if isinstance(item, MapDump))
        assert dump.values is not None
        return dump, dump.values.view(NAMESPACE_SLOT_DTYPE)

    def told(read: tuple[MapDump, Any]) -> dict[str, Any]:
        dump, slots = read
        assert dump.values is not None
        found = _found(dump.keys.tobytes(), dump.values.tobytes(), dump.count)
        return {"found": found, "slots": int(slots["start_port"].sum())}

    return read, told


def plain(data: bytes) -> Side:
    def read() -> list[tuple[bytes, bytes, list[tuple[int, ...]]]]:
        entries = []
        for key, value in texts(data):
            packed = bytes.fromhex(value)
            entries.append((bytes.fromhex(key), packed, list(struct.iter_unpack("<3I", packed))))
        return entries

    def told(entries: list[tuple[bytes, bytes, list[tuple[int, ...]]]]) -> dict[str, Any]:
        found = _found(b"".join(key for key, _, _ in entries), b"".join(value for _, value, _ in entries), len(entries))
        return {"found": found, "slots": sum(slot[1] for _, _, slots in entries for slot in slots)}

    return read, told


def construct(data: bytes) -> Side:
    from formats.layouts import LPM_KEY_V4, NAMESPACE_VALUE

    key_of, value_of = LPM_KEY_V4.compile(), NAMESPACE_VALUE.compile()

    def read() -> list[tuple[bytes, bytes, Any]]:
        entries = []
        for key, value in texts(data):
            packed = bytes.fromhex(key), bytes.fromhex(value)
            entries.append((packed[0], packed[1], (key_of.parse(packed[0]), value_of.parse(packed[1]))))
        return entries

    def told(entries: list[tuple[bytes, bytes, Any]]) -> dict[str, Any]:
        found = _found(b"".join(key for key, _, _ in entries), b"".join(value for _, value, _ in entries), len(entries))
        return {"found": found, "slots": sum(slot.start_port for _, _, both in entries for slot in both[1].slots)}

    return read, told


def measured(made: Side) -> int:
    """Read a few times, tell the median."""
    read, told = made
    runs = []
    for _ in range(TIMES):
        start = clock()
        result = read()
        end = clock()
        runs.append((end[0] - start[0], end[1] - start[1]))
        facts = told(result)
        del result
    wall, cpu = sorted(runs)[TIMES // 2]
    return tell((0.0, 0.0), (wall, cpu), **facts)


if __name__ == "__main__":
    chosen = {"ours": ours, "plain": plain, "construct": construct}[sys.argv[1]]
    sys.exit(measured(chosen(Path(sys.argv[2]).read_bytes())))
