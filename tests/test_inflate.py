"""gzip in this process and in a helper: the same bytes, the same word about a break, the same report."""

from __future__ import annotations

import gzip
import io
import json
import random
import sys
import tarfile
from pathlib import Path

import pytest

from forensics import inflate
from forensics.analysis import run
from forensics.archive import Peekable

CASES = Path(__file__).parents[1] / "corpus" / "cases"
TEXT = b"".join(b"key: %08x value: %d\n" % (number, number * 7) for number in range(60_000))
PACKED = gzip.compress(TEXT)
SHAPES = {
    "whole": PACKED,
    "two members": PACKED + gzip.compress(b"more"),
    "padded": PACKED + b"\0" * 512 + gzip.compress(b"more") + b"\0" * 100,
    "cut": PACKED[: len(PACKED) // 2],
    "cut in its checksum": PACKED[:-3],
    "flipped": PACKED[:-6] + bytes([PACKED[-6] ^ 1]) + PACKED[-5:],
    "damaged": PACKED[: len(PACKED) // 3] + random.Random(1).randbytes(64) + PACKED[len(PACKED) // 3 + 64 :],
    "followed by text": PACKED + b"not gzip",
    "empty": gzip.compress(b""),
}


def drained(work: inflate.Inflater | inflate.Helper, limit: int) -> bytes:
    out = b""
    while data := work.piece(limit):
        assert len(data) <= limit
        out += data
    return out


@pytest.mark.parametrize("limit", [1000, 1 << 20])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_helper_gives_what_this_process_gives(shape: str, limit: int, tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(SHAPES[shape])
    here = inflate.Inflater(Peekable(io.BytesIO(SHAPES[shape])))
    helper = inflate.Helper(path, Peekable(io.BytesIO(b"")))

    expected = drained(here, limit)
    actual = drained(helper, limit)
    helper.close()

    assert expected == actual
    assert here.error == helper.error
    assert (shape in ("whole", "two members", "padded", "empty")) == (here.error is None)


def test_without_a_helper_the_work_is_done_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(PACKED)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    helper = inflate.Helper(path, Peekable(io.BytesIO(PACKED)))

    actual = drained(helper, 1 << 16)
    helper.close()

    assert actual == TEXT
    assert helper.error is None


def test_a_small_file_starts_no_helper(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(PACKED)

    work = inflate.inflater(Peekable(io.BytesIO(PACKED)), path)

    assert isinstance(work, inflate.Inflater)


def test_a_helper_that_is_left_early_ends(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(bytes(64 << 20)))
    helper = inflate.Helper(path, Peekable(io.BytesIO(b"")))
    helper.piece(10)

    helper.close()

    assert helper._process.returncode is not None


@pytest.mark.parametrize("cut", [False, True])
def test_reports_are_the_same_with_and_without_a_helper(
    cut: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = next((CASES / "incident" / "input").glob("*.tar.gz"))
    packed = source.read_bytes()
    target = tmp_path / source.name
    target.write_bytes(packed[: len(packed) * 2 // 3] if cut else packed)
    plain = run([str(target)]).document
    monkeypatch.setattr(inflate, "HELPED_BYTES", 0)
    monkeypatch.setattr(inflate.os, "cpu_count", lambda: 2)

    helped = run([str(target)]).document

    assert json.dumps(plain, sort_keys=True) == json.dumps(helped, sort_keys=True)
    assert tarfile.is_tarfile(source)
