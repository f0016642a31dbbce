"""Intent against kernel over maps of growing size: `python tests/bench/bench_compare.py [--check]`.

Every rule is one address with 24 ports of its own, the worst that class compression can meet. Four kinds: `shuffled`
(a healthy map, slots in another order), `planted` (one entry in a hundred has one other port), `half` (half of the
entries are missing), `all` (every slot of every entry is another one). Prints the time of the whole comparison
(expectation from the policies, entry diff, packet diff) as processor seconds, peak memory, questions asked, and the
cost against n log n of the smallest map. --check fails past 10 s or 600 MB at 10,000 entries, and when the cost has
grown faster than n log n by more than half there. Each figure is the better of two runs: the machine may be busy.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

SIZES = (1_250, 2_500, 5_000, 10_000)
KINDS = ("shuffled", "planted", "half", "all")
GOAL_SECONDS, GOAL_MEGABYTES, SLACK = 10.0, 600, 1.5
SLOTS = 24
WEB = "web-7d4f8c9b6-prod"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "SIZE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one[0], int(asked.one[1]))))
        return 0
    failed = False
    for kind in KINDS:
        heads = (
            f"{'entries':>9} {'cpu s':>7} {'of it policy':>13} {'MB':>6} {'asked':>10} {'lines':>7} {'/ n log n':>10}"
        )
        print(f"{kind}\n{heads}")
        first = 0.0
        for size in SIZES:
            command = [sys.executable, __file__, "--one", kind, str(size)]
            runs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(2)]
            told = min(map(json.loads, runs), key=lambda run: run["seconds"])
            each = told["seconds"] / (size * math.log2(size))
            first = first or each
            print(f"{size:>9,} {told['seconds']:>7.2f} {told['policy']:>13.2f} {told['mb']:>6.0f} {told['asked']:>10,}"
                  f" {told['lines']:>7,} {each / first:>9.2f}x")  # fmt: skip
            if size == SIZES[-1]:
                failed |= told["seconds"] > GOAL_SECONDS or told["mb"] > GOAL_MEGABYTES or each / first > SLACK
    return 1 if asked.check and failed else 0


def measure(kind: str, size: int) -> dict[str, float]:
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
    from small_case import NODE, context

    from forensics.compare import compare
    from forensics.fold import AGAINST_POLICY, fold

    dice = random.Random(size)
    rules = {f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}/32": ports(dice) for n in dice.sample(range(1 << 22), size)}
    policy = endpoint(rules, NODE)
    held = {f"{NODE}/32": [(254, 0, 0)]}
    for number, (cidr, slots) in enumerate(rules.items()):
        if kind == "half" and number % 2:
            continue
        held[cidr] = ports(dice) if kind == "all" else dice.sample(slots, SLOTS)
        if kind == "planted" and number % 100 == 0:
            held[cidr][0] = (6, 65_000, 0)
    maps = {"ingress_map": held, "cp_ingress_map": {}}
    made = context([policy], maps, identifier=WEB, states={0: 0, 1: 1})
    start = time.process_time()
    made.intent.expected("ingress")
    made.intent.expected("ingress", ideal=True)
    policy_seconds = time.process_time() - start
    found = compare(made, "ingress")
    lines = fold(found.differences, AGAINST_POLICY)
    seconds = time.process_time() - start
    assert bool(found.differences) == (kind != "shuffled")
    return {
        "seconds": seconds,
        "policy": policy_seconds,
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "asked": found.compared.asked,
        "lines": len(lines),
    }


def ports(dice: random.Random) -> list[tuple[int, int, int]]:
    return [(protocol, number, 0) for protocol, number in zip(
        dice.choices((6, 17), k=SLOTS), dice.sample(range(1, 60_000), SLOTS), strict=True)]  # fmt: skip


def endpoint(rules: dict[str, list[tuple[int, int, int]]], node: str) -> dict:
    names = {6: "TCP", 17: "UDP"}
    return {
        "kind": "PolicyEndpoint",
        "metadata": {"name": "web-1", "namespace": "prod"},
        "spec": {
            "policyRef": {"name": "web", "namespace": "prod"},
            "podSelectorEndpoints": [
                {"name": "web-7d4f8c9b6-abcde", "namespace": "prod", "podIP": "172.16.0.9", "hostIP": node}
            ],
            "ingress": [
                {"cidr": cidr, "ports": [{"protocol": names[p], "port": number} for p, number, _ in slots]}
                for cidr, slots in rules.items()
            ],
        },
    }


if __name__ == "__main__":
    sys.exit(main())
