"""`analyze` of the big bundle beside `tar xzf` of it to tmpfs; growth with the input; memory against the log's length."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.generate import NAME, Big, generate
from tests.bench.pairs import Row, Run, run

if TYPE_CHECKING:
    from tests.bench.__main__ import Asked

SIZES = (0.125, 0.25, 0.5, 1.0)
CORES = (1, 2, 4)


def rows(asked: Asked) -> list[Row]:
    """The row of the big bundle."""
    folder = asked.folder / "big"
    truth = generate(folder, Big(entries=_scaled(2_000, asked.scale), log_bytes=_scaled(1 << 30, asked.scale)))
    row = Row("`analyze` of the big bundle", "`tar xzf` of it to tmpfs", 1.5, 1.0)
    whole = sum(path.stat().st_size for path in (folder / "bundle").rglob("*") if path.is_file())
    shutil.rmtree(folder / "bundle")
    cpus = []
    for _ in range(asked.pairs):
        mine = analyze(asked, folder / NAME)
        target = folder / "unpacked"
        target.mkdir()
        theirs = run(["tar", "xzf", folder / NAME, "-C", target])
        unpacked = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
        shutil.rmtree(target)
        row.ours.append(mine.wall)
        row.theirs.append(theirs.wall)
        cpus.append(mine.cpu / theirs.cpu)
        row.same &= unpacked == whole and _same(folder / "report.json", whole, truth)
    most = analyze(asked, folder / NAME, watched=True).peak
    row.note = f"{whole / 1e6:,.0f} MB unpacked; most memory of all processes {most:,.0f} MB (bar 600); " + (
        f"processor time {sorted(cpus)[len(cpus) // 2]:.2g} of tar's"
    )
    return [row]


def growth(asked: Asked) -> list[list[str]]:
    """Seconds and memory at four sizes: the last is 8 times the first."""
    table, first = [], 0.0
    for size in SIZES:
        folder = asked.folder / "grown"
        scale = size * asked.scale
        generate(folder, Big(entries=_scaled(2_000, scale), log_bytes=_scaled(1 << 30, scale)))
        runs = sorted((analyze(asked, folder / NAME) for _ in range(max(1, asked.pairs - 2))), key=lambda one: one.wall)
        mine, most = runs[len(runs) // 2], analyze(asked, folder / NAME, watched=True).peak
        first = first or mine.wall
        times = [f"{mine.wall:.2f} s", f"{mine.cpu:.2f} s", f"{mine.wall / first:.1f}x", f"{most:,.0f} MB"]
        table.append([f"{size / SIZES[0]:g}x", *times])
        shutil.rmtree(folder)
    return table


def cores(asked: Asked) -> list[list[str]]:
    """The big bundle by one core, two, and so on: seconds, memory, and whether the report is the same."""
    folder = asked.folder / "shared"
    generate(folder, Big(entries=_scaled(2_000, asked.scale), log_bytes=_scaled(1 << 30, asked.scale)))
    shutil.rmtree(folder / "bundle")
    table, first = [], b""
    for count in (count for count in CORES if count <= len(os.sched_getaffinity(0))):
        runs = sorted(
            (analyze(asked, folder / NAME, cores=count) for _ in range(max(1, asked.pairs - 2))),
            key=lambda one: one.wall,
        )
        mine = runs[len(runs) // 2]
        most = analyze(asked, folder / NAME, watched=True, cores=count).peak
        report = (folder / "report.json").read_bytes()
        first = first or report
        same = "yes" if report == first else "NO"
        table.append([str(count), f"{mine.wall:.2f} s", f"{mine.cpu:.2f} s", f"{most:,.0f} MB", same])
    shutil.rmtree(folder)
    return table


def memory(asked: Asked) -> list[list[str]]:
    """Memory at four lengths of the log, the maps being the same."""
    table = []
    for size in SIZES:
        folder = asked.folder / "long"
        generate(folder, Big(pods=4, entries=200, log_bytes=_scaled(1 << 30, size * asked.scale)))
        wall, most = analyze(asked, folder / NAME).wall, analyze(asked, folder / NAME, watched=True).peak
        table.append([f"{size / SIZES[0]:g}x", f"{wall:.2f} s", f"{most:,.0f} MB"])
        shutil.rmtree(folder)
    return table


def analyze(asked: Asked, archive: Path, *, watched: bool = False, cores: int | None = None) -> Run:
    """One run of the command; the report goes beside the archive."""
    report = archive.parent / "report.json"
    return run([asked.command, "analyze", archive, "--format", "json", "-o", report], watched=watched, cores=cores)


def _same(report: Path, whole: int, truth: dict[str, Any]) -> bool:
    """Every byte was read, every entry is there, every planted entry was found and nothing else of its kind."""
    document = json.loads(report.read_bytes())
    covered = document["coverage"]
    entries = sum(each["entries"] or 0 for pod in document["pods"] for each in pod["maps"] if each["tier"])
    found = {
        (f"{finding['pod_identifier']}_{finding['map']}", cidr)
        for finding in document["findings"]
        if finding["detector"] == "misplaced-tier-entry"
        for cidr in finding["entries"]
    }
    planted = {(name, cidr) for name, cidr in truth["planted"]}
    return (
        covered["bytes"] == whole and not covered["unread_bytes"] and entries == truth["entries"] and found == planted
    )


def _scaled(number: int, scale: float) -> int:
    return max(1, int(number * scale))
