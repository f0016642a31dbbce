"""Work longer than a test run may take: `python -m tests.campaign roundtrip|cuts|kernel|all [--cases N] [--seed S]`.

Each campaign is a set of ordinary tests with more cases; docs/campaigns.md says what each of them shows and how long it
takes. The exit status is pytest's: 0 when every case held.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
CASES = 10_000
#: Campaign -> the tests it runs. NPF_EXAMPLES is the number of cases of each of them, NPF_ALL=1 means no sampling.
CAMPAIGNS = {
    "roundtrip": (
        "tests/test_bpftool_properties.py::test_every_form_gives_the_map_back",
        "tests/test_bpftool_properties.py::test_typed_output_gives_the_bytes_back",
        "tests/test_bpftool_properties.py::test_what_a_paste_does_loses_nothing",
        "tests/test_nacli.py::test_round_trip_of_rule_maps",
        "tests/test_nacli.py::test_round_trip_of_conntrack_and_pod_state",
    ),
    "cuts": ("tests/test_cuts.py",),
    "kernel": ("tests/test_bpftool_kernel.py",),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__.partition("\n")[0])
    parser.add_argument("campaign", choices=(*CAMPAIGNS, "all"))
    parser.add_argument("--cases", type=int, default=CASES, help="cases of each round trip")
    parser.add_argument("--seed", type=int, default=1, help="of the random cases")
    asked = parser.parse_args()
    worst = 0
    for name in CAMPAIGNS if asked.campaign == "all" else (asked.campaign,):
        start = time.monotonic()
        status = run(CAMPAIGNS[name], asked.cases, asked.seed)
        print(f"{name}: {'held' if status == 0 else f'exit {status}'}, {time.monotonic() - start:.0f} s", flush=True)
        worst = max(worst, status)
    return worst


def run(tests: tuple[str, ...], cases: int, seed: int) -> int:
    """pytest's exit status over `tests`."""
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "--durations=0", "--durations-min=1",
               f"--hypothesis-seed={seed}", *tests]  # fmt: skip
    more = {"NPF_EXAMPLES": str(cases), "NPF_ALL": "1", "NPF_SEED": str(seed)}
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **more}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
