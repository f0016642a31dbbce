"""The map dumps of the cases `stars` and `stars-wrong`: what the agent writes for their PolicyEndpoints, in plain hex.

The objects of the cases are written by hand; run this after a change to them. `make_stars.py [CASES]`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from render_bpftool import plain  # noqa: E402

from forensics.intent import value_of  # noqa: E402
from forensics.policy import expected_map, expected_pod_state  # noqa: E402
from formats.address import key_of_cidr  # noqa: E402

if TYPE_CHECKING:
    from forensics.policy_rules import Direction

CASES = ROOT / "corpus" / "cases"
NODE_IP = "10.0.1.10"
AGENT = "v1.4.1"
IDENTIFIERS = ("frontend@stars", "client@client")
DIRECTIONS: tuple[Direction, ...] = ("ingress", "egress")


def make(folder: Path) -> None:
    """Write every map of the node's pods beside the case's objects."""
    objects = yaml.safe_load((folder / "policyendpoints.yaml").read_text())["items"]
    for identifier in IDENTIFIERS:
        for direction in DIRECTIONS:
            expected = expected_map(objects, NODE_IP, identifier, direction, AGENT, 4)
            for tier, name in (("namespace", f"{direction}_map"), ("cluster", f"cp_{direction}_map")):
                entries = expected.tier(tier).entries
                pairs = [
                    (key_of_cidr(cidr), value_of(entry.admissible.wanted, tier)) for cidr, entry in entries.items()
                ]
                (folder / f"{identifier}_{name}.txt").write_text(plain(sorted(pairs)))
            states = expected_pod_state(objects, identifier, AGENT, node_ip=NODE_IP)
            pairs = [(key.to_bytes(4, "little"), bytes([min(values)])) for key, values in sorted(states.items())]
            (folder / f"{identifier}_{direction}_pod_state_map.txt").write_text(plain(pairs))


if __name__ == "__main__":
    for case in sys.argv[1:] or ("stars", "stars-wrong"):
        make(CASES / case / "input")
