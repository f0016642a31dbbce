"""Two programs over one input, by turns: wall time, processor time and memory of each run, and what each one found."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MEGABYTE = 1e6


class NotInstalled(Exception):
    """A yardstick that is not on this machine."""


class Run(NamedTuple):
    """One run: seconds on the wall, seconds of processor, most memory of the whole process tree, what it printed."""

    wall: float
    cpu: float
    peak: float
    said: str

    @property
    def told(self) -> dict[str, Any]:
        """What a module's side printed last."""
        return dict(json.loads(self.said.strip().splitlines()[-1]))


@dataclass
class Row:
    """One line of the table. `seconds` are those of the runs, ours and the yardstick's."""

    work: str
    yardstick: str
    bar: float
    stretch: float | None = None
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    note: str = ""
    same: bool = True

    @property
    def ratios(self) -> list[float]:
        """Of each pair."""
        return [mine / theirs for mine, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def met(self) -> bool:
        """Whether the median ratio keeps the bar and both sides did the same work."""
        return bool(self.ours) and self.same and statistics.median(self.ratios) <= self.bar

    def cells(self) -> list[str]:
        """The row as text: work, yardstick, seconds of both, median ratio with its range, bar, verdict."""
        bar = f"≤ {self.bar:g}" + (f" ({self.stretch:g})" if self.stretch else "")
        if not self.ours:
            return [self.work, self.yardstick, "", "", self.note or "not run", bar, ""]
        ratios = self.ratios
        told = f"{statistics.median(ratios):.2g} ({min(ratios):.2g}-{max(ratios):.2g})"
        verdict = "met" if self.met else "not met" if self.same else "DIFFERENT WORK"
        if self.met and self.stretch and statistics.median(ratios) <= self.stretch:
            verdict = "met, stretch too"
        shown = [f"{statistics.median(side):.3g} s" for side in (self.ours, self.theirs)]
        return [self.work, self.yardstick, *shown, told, bar, verdict]


def run(
    command: Sequence[str | Path], cwd: Path | None = None, *, watched: bool = False, cores: int | None = None
) -> Run:
    """Start a program and wait for it. Raises RuntimeError when it fails.

    `watched`: look at its memory all the time, which slows it down: such a run's seconds are not its own. `cores`: how
    many of the cores it may use.
    """
    usable = sorted(os.sched_getaffinity(0))[:cores]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=_environment(),
        preexec_fn=(lambda: os.sched_setaffinity(0, usable)) if cores else None,
    )
    watch = _Watch(process.pid) if watched else None
    out, errors = process.communicate()
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if watch is not None:
        watch.stop()
    if process.returncode:
        raise RuntimeError(f"{command[0]}: {errors.decode(errors='replace')[-800:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, (watch.peak if watch is not None else 0) / MEGABYTE, out.decode(errors="replace"))


def side(module: str, name: str, *arguments: str | Path, python: str = sys.executable) -> dict[str, Any]:
    """Run one side of a module in a process of its own; what it printed, its own seconds among it."""
    return run([python, "-m", f"tests.bench.{module}", name, *arguments]).told


def clock() -> tuple[float, float]:
    """Wall and processor seconds."""
    return time.perf_counter(), time.process_time()


def tell(start: tuple[float, float], end: tuple[float, float], **found: Any) -> int:
    """Print what one side took and found, for side()."""
    wall, cpu = end
    sys.stdout.write(json.dumps({"seconds": wall - start[0], "cpu": cpu - start[1], **found}) + "\n")
    return 0


def _environment() -> dict[str, str]:
    """As users run it: byte code is kept."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONHASHSEED": "0"}


class _Watch:
    """The largest sum of memory over a process and its children, looked at fifty times a second.

    Pages that several of them share are counted once (Pss): a fork's pages are its parent's until one of them writes.
    """

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._pid, self._over = pid, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self.peak = max(self.peak, sum(_memory(pid) for pid in _family(self._pid)))


def _family(pid: int) -> list[int]:
    """A process and all below it, whichever of their threads started them."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(each) for task in tasks for each in (task / "children").read_text().split()]
    except (OSError, ValueError):
        return [pid]
    return [pid, *(each for child in children for each in _family(child))]


def _memory(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
