"""Hex dumps to entries: ours beside one bytes.fromhex and struct.iter_unpack per entry, and beside construct, compiled."""

from __future__ import annotations

import hashlib
import random
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import generate
from tests.bench.pairs import Row, clock, side, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.__main__ import Asked

ENTRIES = 26_000


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
            row.same &= mine["found"] == theirs["found"] and mine["slots"] == theirs.get("slots", mine["slots"])
        made.append(row)
    return made


def texts(data: bytes) -> Iterator[tuple[str, str]]:
    """(key, value) of every entry as hex text."""
    for block in data.decode("ascii").split("key:\n")[1:]:
        key, _, value = block.partition("value:\n")
        yield key, value.partition("Found")[0]


def _found(keys: bytes, values: bytes, count: int) -> list[object]:
    return [count, hashlib.sha256(keys).hexdigest(), hashlib.sha256(values).hexdigest()]


def ours(data: bytes) -> int:
    from formats import bpftool_map_hex
    from formats.base import MapDump
    from formats.layouts import NAMESPACE_SLOT_DTYPE
    from formats.source import Source

    start = clock()
    dumps = [item for item in bpftool_map_hex.read(Source("x_ingress_map.dump.txt", data)) if isinstance(item, MapDump)]
    keys, values = dumps[0].keys, dumps[0].values
    assert values is not None
    slots = values.view(NAMESPACE_SLOT_DTYPE)
    end = clock()
    return tell(
        start, end, found=_found(keys.tobytes(), values.tobytes(), dumps[0].count), slots=int(slots["start_port"].sum())
    )


def plain(data: bytes) -> int:
    start = clock()
    entries = []
    for key, value in texts(data):
        packed = bytes.fromhex(value)
        entries.append((bytes.fromhex(key), packed, list(struct.iter_unpack("<3I", packed))))
    end = clock()
    found = _found(b"".join(key for key, _, _ in entries), b"".join(value for _, value, _ in entries), len(entries))
    return tell(start, end, found=found, slots=sum(start for _, _, slots in entries for _, start, _ in slots))


def construct(data: bytes) -> int:
    from formats.layouts import LPM_KEY_V4, NAMESPACE_VALUE

    key_of, value_of = LPM_KEY_V4.compile(), NAMESPACE_VALUE.compile()
    start = clock()
    keys, values, parsed = [], [], []
    for key, value in texts(data):
        keys.append(bytes.fromhex(key))
        values.append(bytes.fromhex(value))
        parsed.append((key_of.parse(keys[-1]), value_of.parse(values[-1])))
    return tell(start, clock(), found=_found(b"".join(keys), b"".join(values), len(parsed)))


if __name__ == "__main__":
    sys.exit({"ours": ours, "plain": plain, "construct": construct}[sys.argv[1]](Path(sys.argv[2]).read_bytes()))
