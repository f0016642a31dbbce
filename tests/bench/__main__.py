"""`python -m tests.bench`: every row of the table, growth and memory. docs/benchmarks.md keeps what was measured.

Each row makes its input, runs ours and the yardstick by turns in processes of their own, checks that both did the same
work, and prints the median ratio of the pairs with the smallest and the largest.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import big, hexdump, logs, policies, starts

if TYPE_CHECKING:
    from collections.abc import Sequence

MODULES = {"big": big, "hexdump": hexdump, "logs": logs, "policies": policies, "starts": starts}
_HEAD = ("work", "yardstick", "ours", "yardstick's", "ratio, median (range)", "bar (stretch)", "")


@dataclass(frozen=True)
class Asked:
    """What the rows need to know."""

    folder: Path
    scale: float
    pairs: int
    command: str
    duckdb: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROWS", help="only these")
    parser.add_argument("--scale", type=float, default=1.0, help="of every input; 1 is what the bars are for")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"), help="on tmpfs, with room for twice the input")
    parser.add_argument("--duckdb-python", default=sys.executable, help="an interpreter that has duckdb")
    parser.add_argument("--growth", action="store_true", help="also time and memory at four sizes and by cores")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is not kept")
    asked = parser.parse_args()
    _say(f"{machine()}\nscale {asked.scale:g}, {asked.pairs} pairs\n")
    kept = True
    with tempfile.TemporaryDirectory(dir=asked.folder if asked.folder.is_dir() else None) as name:
        command = str(Path(sys.executable).parent / "npforensics")
        told = Asked(Path(name), asked.scale, asked.pairs, command, asked.duckdb_python)
        _say(_line(_HEAD) + "\n" + _line(["---"] * len(_HEAD)))
        for module in asked.rows or MODULES:
            for row in MODULES[module].rows(told):
                _say(_line(row.cells()))
                kept &= row.met or not row.ours
                if row.ours and row.note:
                    sys.stderr.write(f"  {row.note}\n")
        if asked.growth:
            _say("\n" + _line(["input", "wall", "processor", "grew", "most memory"]) + "\n" + _line(["---"] * 5))
            _say("\n".join(map(_line, big.growth(told))))
            _say("\n" + _line(["log", "wall", "most memory"]) + "\n" + _line(["---"] * 3))
            _say("\n".join(map(_line, big.memory(told))))
            _say("\n" + _line(["cores", "wall", "processor", "most memory", "same report"]) + "\n" + _line(["---"] * 5))
            _say("\n".join(map(_line, big.cores(told))))
    return 1 if asked.check and not kept else 0


def machine() -> str:
    """Processor, cores, memory, kernel and Python in one line."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GB, Linux {platform.release()}, Python {platform.python_version()}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
