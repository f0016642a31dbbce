"""PolicyEndpoint YAML, 1,000 objects: guards, validation and places beside PyYAML's C loader alone."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.bench import generate
from tests.bench.pairs import Row, clock, side, tell

if TYPE_CHECKING:
    from tests.bench.__main__ import Asked

OBJECTS = 1_000


def rows(asked: Asked) -> list[Row]:
    path = asked.folder / "policyendpoints.yaml"
    dice = random.Random(7)
    rules = generate.pools(dice)[0]
    items = []
    for number in range(max(10, int(OBJECTS * asked.scale))):
        sides = {
            side: [(".".join(map(str, octets)), dice.choice(rules)[:3]) for octets in generate.addresses(dice, 5)]
            for side in ("ingress", "egress")
        }
        items.append(generate.endpoint(f"np{number}", "prod", f"web{number}-x", f"10.0.{number % 250}.7", sides))
    path.write_text(yaml.dump({"apiVersion": "v1", "kind": "List", "items": items}, Dumper=yaml.CSafeDumper))
    row = Row(f"PolicyEndpoint YAML, {len(items):,} objects", "PyYAML C loader alone", 1.3, 0.5)
    for _ in range(asked.pairs):
        mine, theirs = side("policies", "ours", path), side("policies", "plain", path)
        row.ours.append(mine["seconds"])
        row.theirs.append(theirs["seconds"])
        row.same &= mine["found"] == theirs["found"]
    return [row]


def ours(path: str) -> int:
    from formats import k8s_objects
    from formats.base import Record
    from formats.source import Source

    data = Path(path).read_bytes()
    start = clock()
    items = [each for each in k8s_objects.read(Source(path, data)) if isinstance(each, Record)]
    specs = [each.data["object"]["spec"] for each in items if each.kind == "k8s_object"]
    return tell(start, clock(), found=json.dumps(specs, sort_keys=True))


def plain(path: str) -> int:
    data = Path(path).read_bytes()
    start = clock()
    loaded = yaml.load(data, Loader=yaml.CSafeLoader)
    return tell(start, clock(), found=json.dumps([item["spec"] for item in loaded["items"]], sort_keys=True))


if __name__ == "__main__":
    sys.exit({"ours": ours, "plain": plain}[sys.argv[1]](sys.argv[2]))
