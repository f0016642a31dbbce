"""Folder, tar, tar.gz and zip of one bundle give the same report, byte for byte, whatever the hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

CASE = Path(__file__).parent.parent / "corpus" / "cases" / "incident" / "input"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("packed")
    folder = root / "one" / "bundle"
    source = next(CASE.glob("*.tar.gz"))
    with tarfile.open(source) as archive:
        for info in archive:
            target = folder / info.name.removeprefix("./")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.extractfile(info).read())
    out = {"folder": folder, "original": source}
    for name, mode in (("bundle.tar", "w"), ("bundle.tar.gz", "w:gz")):
        out[name] = root / name
        with tarfile.open(out[name], mode) as archive:
            archive.add(folder, ".")
    out["bundle.zip"] = root / "bundle.zip"
    with zipfile.ZipFile(out["bundle.zip"], "w") as archive:
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return out


def report(path: Path, seed: str = "0") -> bytes:
    command = [sys.executable, "-m", "forensics.cli", "analyze", str(path), "--format", "json"]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed}, check=True)
    assert done.stderr == b""
    return done.stdout


def test_packing_changes_nothing(packed: dict[str, Path]) -> None:
    reports = {name: report(path) for name, path in packed.items()}

    assert len(set(reports.values())) == 1, {name: len(text) for name, text in reports.items()}


def test_hash_seed_changes_nothing(packed: dict[str, Path]) -> None:
    path = packed["bundle.tar.gz"]

    assert report(path, "1") == report(path, "2")
