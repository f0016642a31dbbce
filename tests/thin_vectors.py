"""Makes corpus/vectors from the full collection: `python tests/thin_vectors.py FULL_DIRECTORY corpus/vectors`.

Chosen by what the records themselves say, never by what our code says of them: for each state one packet of each
combination of answer, protocol and deciding slot, and every packet next to a port bound of the port states.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from pathlib import Path

#: Packets kept per state of a suite.
PER_STATE = {"random": 12, "podstate-matrix": 24, "ports": 260, "reserved-position": 60}
#: Of the random states one in so many is kept, of the stateful combinations, of the seed records.
RANDOM_STEP, STATEFUL_EACH, SEED_STEP = 2, 2, 5


def main(full: Path, thin: Path) -> None:
    thin.mkdir(parents=True, exist_ok=True)
    states = {state["id"]: state for state in read(full, "states")}
    packets = list(some_packets(read(full, "packets"), states))
    stateful = list(some_stateful(read(full, "stateful")))
    sequences, frames = list(read(full, "sequences")), list(read(full, "raw_frames"))
    used = {record["s"] for record in packets + stateful + frames}
    used |= {step["s"] for sequence in sequences for step in sequence["steps"]}
    write(thin, "states", [state for name, state in states.items() if name in used])
    write(thin, "packets", packets)
    write(thin, "stateful", stateful)
    write(thin, "sequences", sequences)
    write(thin, "raw_frames", frames)
    write(thin, "seed_incident", list(read(full, "seed_incident"))[::SEED_STEP])


def some_packets(packets, states):
    random = [name for name, state in states.items() if state["suite"] == "random"]
    dropped = set(random) - set(random[::RANDOM_STEP])
    seen, kept = set(), Counter()
    for record in packets:
        state = states[record["s"]]
        if record["s"] in dropped or kept[record["s"]] >= PER_STATE[state["suite"]]:
            continue
        same = [record["s"], record["proto"], *(record.get(part) for part in ("verdict", "event", "tier", "ct", "via"))]
        if state["suite"] == "ports":
            if not at_bound(record["dport"], state):
                continue
            same.append(record["dport"])
        if json.dumps(same) not in seen:
            seen.add(json.dumps(same))
            kept[record["s"]] += 1
            yield record


def at_bound(port: int, state: dict) -> bool:
    """Whether some slot of some value has a word that is this port or next to it."""
    for entries in state["maps"].values():
        for entry in entries:
            value = bytes.fromhex(entry["value_hex"])
            words = (int.from_bytes(value[at : at + 4], "little") for at in range(0, len(value), 4))
            if any(abs(word - port) <= 1 for word in words):
                return True
    return False


def some_stateful(records):
    kept = Counter()
    for record in records:
        before = [entry["value_hex"] for entry in record["conntrack"]]
        changed = record["conntrack"] != record["conntrack_after"]
        same = [record["s"], record["case"], record["verdict"], record["event"], record.get("tier"), before, changed]
        if kept[json.dumps(same)] < STATEFUL_EACH:
            kept[json.dumps(same)] += 1
            yield record


def read(folder: Path, name: str):
    with gzip.open(folder / f"{name}.jsonl.gz", "rt") as lines:
        yield from map(json.loads, lines)


def write(folder: Path, name: str, records: list[dict]) -> None:
    text = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)
    (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
