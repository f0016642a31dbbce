"""Archives that are cut, altered or hostile: nothing is written, nothing raises, what is readable is read."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from forensics.budget import Budget
from forensics.bundle import read_bundle
from forensics.problem import NothingReadable, UsageError

MEMBERS = {"a.txt": b"first\n" * 50, "b/c.txt": bytes(range(256)) * 40, "d.txt": b"last\n"}


def tar_bytes(members: dict[str, bytes] = MEMBERS) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def read(tmp_path: Path, data: bytes, name: str = "x.bin", budget: Budget | None = None):
    path = tmp_path / name
    path.write_bytes(data)
    bundle = read_bundle([str(path)], budget)
    return {artifact.shown_path: artifact for artifact in bundle.artifacts}, bundle.problems


@pytest.mark.parametrize("packed", [tar_bytes(), gzip.compress(tar_bytes())], ids=["tar", "tar.gz"])
def test_members_are_read_whole(tmp_path: Path, packed: bytes) -> None:
    got, problems = read(tmp_path, packed)

    assert {name: len(data) for name, data in MEMBERS.items()} == {name: a.size for name, a in got.items()}
    assert problems == []


def test_zip_is_read_like_a_tar(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in MEMBERS.items():
            archive.writestr(name, data)

    got, _ = read(tmp_path, out.getvalue())

    assert {name: data for name, data in MEMBERS.items()} == {name: a.data for name, a in got.items()}


@pytest.mark.parametrize("zipped", [False, True], ids=["tar", "tar.gz"])
def test_cut_anywhere_keeps_what_came_before(tmp_path: Path, zipped: bool) -> None:
    plain = tar_bytes()
    packed = gzip.compress(plain) if zipped else plain
    cuts = random.Random(7).sample(range(1, len(packed)), 40)

    for cut in cuts:
        try:
            got, problems = read(tmp_path, packed[:cut])
        except NothingReadable:
            continue
        if "x.bin" in got:
            continue  # cut before the first header ended: no archive any more
        for name, artifact in got.items():
            assert MEMBERS[name].startswith(artifact.data or b"")
        short = [name for name, artifact in got.items() if artifact.size < len(MEMBERS[name])]
        assert len(short) <= 1
        assert problems or (not zipped and not short)


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    packed = gzip.compress(tar_bytes())
    for position in random.Random(5).sample(range(20, len(packed)), 40):
        altered = bytearray(packed)
        altered[position] ^= 1 << (position % 8)

        try:
            _, problems = read(tmp_path, bytes(altered))
        except NothingReadable:
            continue

        assert problems, position


HOSTILE = ["../../escape.txt", "/etc/escape.txt", "a/../../escape.txt", "x" * 3000, "new\nline", "nul\x01", "-rf", "~"]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_data(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    monkeypatch.chdir(inside)

    got, _ = read(inside, tar_bytes({name: b"content\n", "ok.txt": b"fine\n"}))

    assert sorted(a.data for a in got.values()) == [b"content\n", b"fine\n"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "x.bin"]


def test_links_and_devices_are_listed_and_not_followed(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind, target in (
            ("link", tarfile.SYMTYPE, "/etc/passwd"),
            ("hard", tarfile.LNKTYPE, "../../secret"),
            ("dev", tarfile.CHRTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
        info = tarfile.TarInfo("link/inside")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))

    got, problems = read(tmp_path, out.getvalue())

    assert {"link/inside": b"abc"} == {name: a.data for name, a in got.items()}
    assert ["dev: a device", "hard: a hard link", "link: a symbolic link"] == sorted(
        p.what.split(" to ")[0].split(" or ")[0] for p in problems
    )


def test_bomb_stops_at_the_budget(tmp_path: Path) -> None:
    packed = gzip.compress(b"\0" * 8_000_000)

    _, problems = read(tmp_path, packed, budget=Budget(ratio=50, ratio_after=1_000_000))

    assert ["stopped: unpacks to more than 50 times"] == [p.what.split(": ", 1)[1][:38] for p in problems]


def test_member_count_stops_at_the_budget(tmp_path: Path) -> None:
    packed = tar_bytes({f"{number}.txt": b"x" for number in range(50)})

    got, problems = read(tmp_path, packed, budget=Budget(members=20))

    assert 0 < len(got) < 20
    assert any("more than 20 members" in p.what for p in problems)


def test_nesting_stops_at_the_budget(tmp_path: Path) -> None:
    packed = tar_bytes({"deep.txt": b"bottom\n"})
    for _ in range(5):
        packed = tar_bytes({"inner.tar": packed, "beside.txt": b"here\n"})

    got, problems = read(tmp_path, packed, budget=Budget(depth=3))

    assert any(name.endswith("beside.txt") for name in got)
    assert any("nested deeper" in p.what for p in problems)


@pytest.mark.parametrize("data", [b"", gzip.compress(b"")], ids=["empty", "empty gzip"])
def test_nothing_readable_says_so(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(NothingReadable, match="nothing readable"):
        read(tmp_path, data)


def test_a_path_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        read_bundle(["/does/not/exist"])
