"""A damaged header inside a tar archive costs its member and is said; tarfile by itself ends there in silence."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from forensics.bundle import read_bundle

NAMES = ("system/one.txt", "system/two.txt", "system/three.txt")


def archive() -> bytearray:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as made:
        for name in NAMES:
            info = tarfile.TarInfo(name)
            info.size = 700
            made.addfile(info, io.BytesIO(name.encode().ljust(700, b".")))
    return bytearray(packed.getvalue())


@pytest.mark.parametrize("hit", range(len(NAMES)))
def test_a_damaged_header_costs_its_own_member(tmp_path: Path, hit: int) -> None:
    data = archive()
    data[hit * 3 * 512 + 20] ^= 0x55
    (tmp_path / "case.tar").write_bytes(data)

    bundle = read_bundle([str(tmp_path / "case.tar")])

    assert [each.path for each in bundle.artifacts] == sorted(name for name in NAMES if name != NAMES[hit])
    assert [f"damaged at byte {hit * 3 * 512} of" in each.what for each in bundle.problems] == [True]


def test_a_sound_archive_has_no_problem(tmp_path: Path) -> None:
    (tmp_path / "case.tar").write_bytes(archive())

    bundle = read_bundle([str(tmp_path / "case.tar")])

    assert (len(bundle.artifacts), bundle.problems) == (3, [])
