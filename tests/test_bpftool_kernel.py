"""Maps filled at random in this machine's kernel, dumped by the real bpftool, decode to what was written."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from formats.base import MapDump
from formats.bpftool_map_hex import Reader as HexReader
from formats.bpftool_map_json import Reader as JsonReader
from formats.bpftool_show import read as read_show
from formats.source import Source

BPFFS = Path("/sys/fs/bpf")
PREFIX = f"npftest{os.getpid()}"
MAPS = [
    ("lpm_trie", 8, 288),
    ("lpm_trie", 8, 384),
    ("lpm_trie", 8, 96),
    ("lpm_trie", 20, 288),
    ("lpm_trie", 20, 384),
    ("hash", 4, 1),
    ("lru_hash", 16, 4),
    ("lru_hash", 20, 1),
    ("lru_hash", 24, 1),
    ("lru_hash", 60, 16),
]
pytestmark = pytest.mark.kernel


def bpftool(*arguments):
    return subprocess.run(["bpftool", *arguments], capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def bpffs():
    if shutil.which("bpftool") is None:
        pytest.skip("bpftool is not installed")
    if not os.access(BPFFS, os.W_OK) or not BPFFS.is_mount():
        mounted = subprocess.run(["mount", "-t", "bpf", "bpf", str(BPFFS)], capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"no bpf file system here: {mounted.stderr.strip()}")
    pin = BPFFS / f"{PREFIX}_probe"
    made = bpftool("map", "create", str(pin), "type", "hash", "key", "4", "value", "1", "entries", "1", "name", "probe")
    pin.unlink(missing_ok=True)
    if made.returncode:
        pytest.skip(f"bpf maps cannot be made here: {made.stderr.strip()}")
    return BPFFS


@pytest.fixture(params=MAPS, ids=lambda one: f"{one[0]}-{one[1]}-{one[2]}")
def filled(request, bpffs, tmp_path):
    kind, key_size, value_size = request.param
    rng = random.Random(f"{kind}{key_size}{value_size}")
    pin = bpffs / f"{PREFIX}_{key_size}_{value_size}_ingress_map"
    flags = ["flags", "1"] if kind == "lpm_trie" else []
    sizes = ["key", str(key_size), "value", str(value_size), "entries", "4096", "name", "npftest"]
    made = bpftool("map", "create", str(pin), "type", kind, *sizes, *flags)
    assert made.returncode == 0, made.stderr
    written = {}
    for _ in range(60):
        bits = 8 * (key_size - 4)
        prefix = bits.to_bytes(4, "little") if kind == "lpm_trie" else rng.randbytes(4)
        value = rng.randbytes(value_size) if rng.random() < 0.5 else rng.randbytes(1) + bytes(value_size - 1)
        written[prefix + rng.randbytes(key_size - 4)] = value
    batch = tmp_path / "batch"
    batch.write_text(
        "".join(
            f"map update pinned {pin} key hex {key.hex(' ')} value hex {value.hex(' ')} any\n"
            for key, value in written.items()
        )
    )
    try:
        done = bpftool("batch", "file", str(batch))
        assert done.returncode == 0, done.stderr
        yield pin, kind, written
    finally:
        pin.unlink(missing_ok=True)


def test_dumps_decode_to_what_was_written(filled) -> None:
    pin, _, written = filled
    plain = bpftool("map", "dump", "pinned", str(pin)).stdout
    compact = bpftool("-j", "map", "dump", "pinned", str(pin)).stdout
    pretty = bpftool("-p", "map", "dump", "pinned", str(pin)).stdout

    found = [
        *HexReader(Source("-", plain.encode())).items(),
        *JsonReader(compact.encode(), "-").items(),
        *JsonReader(pretty.encode(), "-").items(),
    ]

    assert [type(item) for item in found] == [MapDump] * 3
    for dump in found:
        assert written == dict(zip(map(bytes, dump.keys), map(bytes, dump.values), strict=True))
        assert dump.complete
        assert dump.value_known is None
    assert len(written) == found[0].found


def test_map_show_tells_the_sizes(filled) -> None:
    pin, kind, written = filled
    key, value = next(iter(written.items()))
    wanted = {"type": kind, "name": "npftest", "key_size": len(key), "value_size": len(value), "pinned": [str(pin)]}

    for options in ([], ["-j"], ["-p"]):
        text = bpftool(*options, "-f", "map", "show", "pinned", str(pin)).stdout
        (record,) = read_show(Source("-", text.encode()))

        assert wanted == {name: record.data[name] for name in wanted}
        assert record.data["map_id"] > 0
        assert record.data["max_entries"] == 4096


def test_ringbuf_dump_is_an_empty_map(bpffs) -> None:
    pin = bpffs / f"{PREFIX}_policy_events"
    made = bpftool(
        "map", "create", str(pin), "type", "ringbuf", "key", "0", "value", "0", "entries", "4096", "name", "npftest"
    )
    try:
        if made.returncode:
            pytest.skip(f"no ringbuf here: {made.stderr.strip()}")
        text = bpftool("map", "dump", "pinned", str(pin)).stdout
    finally:
        pin.unlink(missing_ok=True)

    (dump,) = HexReader(Source("-", text.encode())).items()

    assert (dump.count, dump.found, dump.complete) == (0, 0, True)
