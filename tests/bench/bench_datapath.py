"""Packets a second of Datapath.verdicts over maps of growing size: `python tests/bench/bench_datapath.py [--check]`.

Prints, for each map size, the time to build the tables, packets a second (best of three, tables built) and the cost of
a packet against the smallest map's, next to how much the map grew. --check fails below a million packets a second at
10,000 entries, and when the cost of a packet grows as fast as the map.
"""

from __future__ import annotations

import argparse
import struct
import sys
import time

import numpy as np
import polars as pl

from forensics.datapath import Datapath

SIZES = (100, 1_000, 10_000, 40_000)
GOAL_ENTRIES, GOAL_RATE = 10_000, 1_000_000
POD = {4: b"\x0a\x09\x08\x07", 6: bytes.fromhex("fd000009000000000000000000000007")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--slots", type=int, default=8, help="rules per entry, of 24")
    parser.add_argument("--flows", type=int, default=0, help="conntrack entries")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    failed = False
    for family in (4, 6):
        frame = packets(asked.packets, family)
        print(
            f"IPv{family}, {asked.packets:,} packets, {asked.slots} rules an entry, {asked.flows:,} conntrack entries"
        )
        print(f"{'entries':>9} {'build s':>8} {'packets/s':>12} {'us/packet':>10} {'map grew':>9} {'cost grew':>10}")
        first = 0.0
        for size in SIZES:
            program = state(size, asked.slots, asked.flows, frame, family)
            start = time.perf_counter()
            program.verdicts(frame[:1])
            built = time.perf_counter() - start
            each = min(timed(program, frame) for _ in range(3)) / asked.packets
            first = first or each
            grew, cost = size / SIZES[0], each / first
            print(f"{size:>9,} {built:>8.3f} {1 / each:>12,.0f} {each * 1e6:>10.3f} {grew:>8.0f}x {cost:>9.2f}x")
            failed |= size == GOAL_ENTRIES and each > 1 / GOAL_RATE
            failed |= size > SIZES[0] and cost >= grew
    return 1 if asked.check and failed else 0


def timed(program: Datapath, frame: pl.DataFrame) -> float:
    start = time.perf_counter()
    program.verdicts(frame)
    return time.perf_counter() - start


def state(entries: int, slots: int, flows: int, frame: pl.DataFrame, family: int) -> Datapath:
    """A v1.3.0 ingress state with `entries` in each tier, three prefix lengths, every value its own."""
    random = np.random.default_rng(entries)
    namespace, cluster = values(random, entries, slots, priority=False), values(random, entries, slots, priority=True)
    keys = [prefixes(random, entries, family) for _ in range(2)]
    program = Datapath("v1.3.0", family, "ingress", {}, {0: 0, 1: 0})
    conntrack = {}
    if flows:
        opened = program.verdicts(frame[:flows], conntrack_keys=True)["conntrack_key"].to_numpy()
        conntrack = {row.tobytes(): b"\x07" for row in opened}
    maps = {
        "ingress_map": dict(zip(keys[0], namespace, strict=True)),
        "cp_ingress_map": dict(zip(keys[1], cluster, strict=True)),
    }
    return Datapath("v1.3.0", family, "ingress", maps, {0: 0, 1: 0}, conntrack)


def prefixes(random: np.random.Generator, count: int, family: int) -> list[bytes]:
    lengths = random.choice([22, 24, 32] if family == 4 else [64, 112, 128], count).tolist()
    return [
        struct.pack("<I", length) + address
        for length, address in zip(lengths, addresses(random, count, family), strict=True)
    ]


def addresses(random: np.random.Generator, count: int, family: int) -> list[bytes]:
    if family == 4:
        return [b"\x0a" + part.tobytes() for part in random.integers(0, 256, (count, 3), dtype=np.uint8)]
    return [b"\xfd\0\0\x20\0\0" + part.tobytes() for part in random.integers(0, 256, (count, 10), dtype=np.uint8)]


def values(random: np.random.Generator, count: int, slots: int, *, priority: bool) -> list[bytes]:
    """Slots of random protocols and ports, a third of them ranges, in 24 slots."""
    rows = np.zeros((count, 24, 4 if priority else 3), dtype="<u4")
    used = rows[:, :slots]
    used[..., 0] = random.choice([6, 17, 132], used.shape[:2])
    used[..., -2] = random.integers(1, 65536, used.shape[:2])
    used[..., -1] = np.where(random.random(used.shape[:2]) < 0.33, used[..., -2] + 1000, 0)
    if priority:
        used[..., 1] = random.integers(0, 1000, used.shape[:2]) * 10 + random.integers(0, 3, used.shape[:2])
    return [row.tobytes() for row in rows]


def packets(count: int, family: int) -> pl.DataFrame:
    random = np.random.default_rng(7)
    width = 4 if family == 4 else 16
    src = np.frombuffer(b"".join(addresses(random, count, family)), np.uint8).reshape(count, width)
    return pl.DataFrame(
        {
            "src": pl.Series(src, dtype=pl.Array(pl.UInt8, width)),
            "dst": pl.Series(
                np.tile(np.frombuffer(POD[family], np.uint8), (count, 1)), dtype=pl.Array(pl.UInt8, width)
            ),
            "protocol": random.choice([6, 17, 132, 1], count).astype(np.uint8),
            "sport": random.integers(1024, 65536, count).astype(np.uint16),
            "dport": random.integers(0, 65536, count).astype(np.uint16),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
