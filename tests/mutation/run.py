"""Mutation campaign over the datapath: `python tests/mutation/run.py [--sample N --seed S] [--jobs J] [FILE ...]`.

Each mutant runs, in a process of its own, the tests that hold its file to the truth; it is killed when they fail, crash
or hang. Prints the survivors with file and line, then killed of all, by file. Exit status 1 when fewer than
`--least` (0.9) of the mutants were killed, 2 when the tests fail as they are. The files on disk are never changed.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.util
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

# Whatever is not the project's own is imported before the mutants fork; polars is not, it cannot be forked.
import construct  # noqa: F401
import hypothesis.strategies  # noqa: F401
import numpy as np  # noqa: F401
import pytest
from mutants import mutants

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
import vector_files  # noqa: E402

LAYOUTS = ("tests/test_layouts.py",)
SCALAR = ("tests/test_ruleset.py", "tests/test_generations.py", "tests/test_datapath.py")
BATCH = ("tests/test_datapath_batch.py",)
#: File -> the tests that answer for it, quickest first.
TARGETS = {
    "formats/layouts.py": (*LAYOUTS, *SCALAR),
    "forensics/datapath.py": (*SCALAR, *BATCH),
    "forensics/ruleset.py": SCALAR,
    "forensics/conntrack.py": SCALAR,
    "forensics/packet.py": SCALAR,
    "forensics/prefixes.py": SCALAR,
    "forensics/generations.py": SCALAR,
    "forensics/verdict_path.py": SCALAR,
    "forensics/datapath_batch.py": BATCH,
    "forensics/slot_table.py": BATCH,
    "forensics/flow_table.py": BATCH,
    "forensics/prefix_ranges.py": BATCH,
    "forensics/packet_columns.py": BATCH,
    "forensics/sorted_search.py": BATCH,
}
TIMEOUT = 120
MEMORY = 8 << 30
#: The index of the file as it is, which must pass.
UNCHANGED = -1


class Job(NamedTuple):
    file: str
    index: int
    line: int
    change: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", default=list(TARGETS), help="files to mutate (default: all)")
    parser.add_argument("--sample", type=int, help="run only so many mutants, chosen by the seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--least", type=float, default=0.9)
    asked = parser.parse_args()
    for name in ("packets", "stateful", "sequences", "raw_frames", "seed_incident"):
        vector_files.records(vector_files.THIN, name)
    vector_files.states(vector_files.THIN)
    jobs = [
        Job(file, index, mutant.line, mutant.change)
        for file in asked.files
        for index, mutant in enumerate(mutants((ROOT / file).read_text()))
    ]
    if asked.sample is not None:
        jobs = sorted(random.Random(asked.seed).sample(jobs, min(asked.sample, len(jobs))))
    unchanged = [Job(file, UNCHANGED, 0, "nothing changed") for file in sorted({job.file for job in jobs})]
    broken = [job.file for job, was_killed in zip(unchanged, run_all(unchanged, asked.jobs), strict=True) if was_killed]
    if broken:
        print(f"the tests fail without any mutant: {', '.join(broken)}")
        return 2
    return report(jobs, run_all(jobs, asked.jobs), asked.least)


def run_all(jobs: list[Job], workers: int) -> list[bool]:
    """Whether each mutant was killed; `workers` of them at a time, each in a forked process of its own."""
    dead, running, waiting = [False] * len(jobs), {}, list(reversed(range(len(jobs))))
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.update(HYPOTHESIS_STORAGE_DIRECTORY=scratch, POLARS_MAX_THREADS="1")
        while waiting or running:
            while waiting and len(running) < workers:
                at = waiting.pop()
                running[start(jobs[at])] = at, time.monotonic()
            time.sleep(0.02)
            for pid, (at, since) in list(running.items()):
                done, status = os.waitpid(pid, os.WNOHANG)
                if not done and time.monotonic() - since > TIMEOUT:
                    os.kill(pid, signal.SIGKILL)
                    done, status = os.waitpid(pid, 0)
                if done:
                    del running[pid]
                    dead[at] = status != 0
                    if not status and jobs[at].index != UNCHANGED:
                        print(f"survived  {jobs[at].file}:{jobs[at].line}  {jobs[at].change}", flush=True)
    return dead


def start(job: Job) -> int:
    """The process of one mutant: status 0 when the tests pass, so that it survived."""
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        status = run_one(job.file, job.index)
    finally:
        os._exit(status)


def report(jobs: list[Job], dead: list[bool], least: float) -> int:
    of_file, killed_of = Counter(job.file for job in jobs), Counter()
    for job, was_killed in zip(jobs, dead, strict=True):
        killed_of[job.file] += was_killed
    for file, count in of_file.items():
        print(f"{killed_of[file]:>5} of {count:>5} killed  {killed_of[file] / count:>6.1%}  {file}")
    share = sum(dead) / len(jobs)
    print(f"{sum(dead):>5} of {len(jobs):>5} killed  {share:>6.1%}  in all")
    return 0 if share >= least else 1


class Swapped(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Serves one module from the mutated tree; everything else comes from disk."""

    def __init__(self, file: str, tree) -> None:
        self.name = file.removesuffix(".py").replace("/", ".")
        self.path = str(ROOT / file)
        self.code = compile(tree, self.path, "exec")

    def find_spec(self, fullname, path=None, target=None):
        return importlib.util.spec_from_loader(fullname, self, origin=self.path) if fullname == self.name else None

    def exec_module(self, module) -> None:
        exec(self.code, module.__dict__)


def run_one(file: str, index: int) -> int:
    """Run the tests of a file with one mutant in its place; the exit status of pytest, 0 when it survived."""
    for at, mutant in enumerate(mutants((ROOT / file).read_text())):
        if at == index:
            sys.meta_path.insert(0, Swapped(file, mutant.tree))
            break
    quiet = ["-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    return int(pytest.main([*quiet, *(str(ROOT / test) for test in TARGETS[file])]))


if __name__ == "__main__":
    sys.exit(main())
