"""A big node, generated: map dumps of many pods as bpftool hex, the agent's log, the pods, the policies, as one tar.gz.

    python -m tests.bench.generate OUT [--scale 1.0] [--pods 60] [--entries 2000] [--log-bytes 1073741824] [--below bundle]

`--scale` multiplies entries and log bytes. OUT gets bundle/ (the tree), the tarball of it, and truth.json (what was
written: entries, lines of each kind, the keys that were planted in a map of the wrong tier). In the tarball the tree lies
below a folder. Same arguments, same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import shutil
import struct
import sys
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAME = "eks_i-0b0b0b0b0b0b0b0b0_2026-11-21_0400-UTC_0.7.9.tar.gz"
NODE, NODE_OCTETS = "10.100.1.10", (10, 100, 1, 10)
START = 1_795_219_200  # 2026-11-21T00:00:00Z
AGENT = "v1.3.0"
NAMESPACE_SIZE, CLUSTER_SIZE = 288, 384
#: Distinct values a map draws from.
POOL = 400
#: Pods with namespace values in a cluster map, and how many such values each has.
FAULTY, PLANTED = 3, 5
#: Lines of a log that are made up anew; the rest repeats them at other times.
LINES = 40_000
_HEX = [f"{number:02x}" for number in range(256)]


@dataclass
class Big:
    """What is generated. Sizes are those of the big bundle at scale 1."""

    pods: int = 60
    entries: int = 2_000
    log_bytes: int = 1 << 30
    seed: int = 1
    #: Folder of the archive that the collector's root lies in; empty for none.
    below: str = "bundle"
    truth: dict[str, Any] = field(default_factory=dict)


def rows(data: bytes) -> str:
    """Bytes as bpftool's fprint_hex prints them: rows of 16, a second blank after the eighth."""
    out = []
    for at in range(0, len(data), 16):
        row = [_HEX[byte] for byte in data[at : at + 16]]
        out.append(" ".join(row[:8]) + ("  " + " ".join(row[8:]) if len(row) > 8 else ""))
    return "\n".join(out)


def dump(pairs: list[tuple[bytes, bytes]], shown: dict[bytes, str]) -> str:
    """A plain dump of an LPM map; `shown` remembers the text of values."""
    parts = []
    for key, value in pairs:
        text = shown.get(value)
        if text is None:
            text = shown[value] = rows(value)
        parts.append(f"key:\n{rows(key)}\nvalue:\n{text}\n")
    return "".join(parts) + f"Found {len(pairs)} element{'' if len(pairs) == 1 else 's'}\n"


def lpm(octets: tuple[int, ...], length: int = 32) -> bytes:
    return struct.pack("<I", length) + bytes(octets)


def namespace_value(rules: list[tuple[int, int, int]]) -> bytes:
    return b"".join(struct.pack("<3I", *rule) for rule in rules).ljust(NAMESPACE_SIZE, b"\0")


def cluster_value(rules: list[tuple[int, int, int, int]]) -> bytes:
    return b"".join(struct.pack("<4I", *rule) for rule in rules).ljust(CLUSTER_SIZE, b"\0")


POD_STATES = "key: 00 00 00 00  value: 00\nkey: 01 00 00 00  value: 01\nFound 2 elements\n"
ALLOW_ALL = namespace_value([(254, 0, 0)])


def pools(dice: random.Random) -> tuple[list[list[tuple[int, int, int]]], list[bytes]]:
    """Rules of namespace values, and whole cluster values."""
    namespace = []
    for _ in range(POOL):
        count = dice.choice((1, 1, 1, 2, 3, 5, 8, 24))
        ports = sorted(dice.sample(range(1, 65_000), count))
        namespace.append([(dice.choice((6, 6, 17)), port, 0) for port in ports])
    cluster = []
    for _ in range(POOL):
        # a lone cluster rule can be read as a namespace rule too; two cannot
        count = dice.choice((2, 2, 3, 4, 24))
        rules = [
            (dice.choice((6, 17)), dice.randrange(0, 1001) * 10 + dice.randrange(3), dice.randrange(1, 65_000), 0)
            for _ in range(count)
        ]
        cluster.append(cluster_value(sorted(rules, key=lambda rule: rule[1])))
    return namespace, cluster


def addresses(dice: random.Random, count: int) -> list[tuple[int, ...]]:
    found: set[tuple[int, ...]] = set()
    while len(found) < count:
        found.add((dice.choice((10, 172, 192)), dice.randrange(256), dice.randrange(256), dice.randrange(1, 255)))
    return sorted(found - {NODE_OCTETS})


def endpoint(name: str, space: str, pod: str, address: str, sides: dict[str, list[Any]]) -> dict[str, Any]:
    """A PolicyEndpoint (networking.k8s.aws/v1alpha1) that asks for exactly the entries of the pod's namespace maps."""
    names = {6: "TCP", 17: "UDP", 132: "SCTP"}
    spec: dict[str, Any] = {
        "podSelector": {"matchLabels": {"app": name}},
        "podSelectorEndpoints": [{"name": pod, "namespace": space, "podIP": address, "hostIP": NODE}],
        "podIsolation": ["Ingress", "Egress"],
        "policyRef": {"name": name, "namespace": space},
    }
    for side, pairs in sides.items():
        spec[side] = [
            {"cidr": cidr, "ports": [{"protocol": names[protocol], "port": port} for protocol, port, _ in rules]}
            for cidr, rules in pairs
        ]
    meta = {"name": f"{name}-x7k2p", "namespace": space, "creationTimestamp": "2026-11-20T00:00:00Z"}
    return {"apiVersion": "networking.k8s.aws/v1alpha1", "kind": "PolicyEndpoint", "metadata": meta, "spec": spec}


class Writer:
    """A tree of files on disk and their truth."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self, name: str) -> io.BufferedWriter:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb", buffering=1 << 20)

    def text(self, name: str, text: str) -> None:
        with self.open(name) as file:
            file.write(text.encode())


def generate(out: Path, big: Big) -> dict[str, Any]:
    """Write bundle/, the tarball and truth.json below `out`; returns the truth."""
    if out.exists():
        shutil.rmtree(out)
    dice = random.Random(big.seed)
    writer = Writer(out / "bundle")
    truth = big.truth = {"agent": AGENT, "node_ip": NODE, "entries": 0, "dump_bytes": 0, "planted": []}
    pods = _pods(writer, dice, big)
    writer.text("system/instance-id.txt", "i-0b0b0b0b0b0b0b0b0\n")
    image = f"602401143452.dkr.ecr.us-west-2.amazonaws.com/amazon/aws-network-policy-agent:{AGENT}-eksbuild.1"
    writer.text("containerd/containerd-images.txt", f"REF TYPE DIGEST SIZE PLATFORMS LABELS\n{image} - - - - -\n")
    if big.log_bytes:
        with writer.open("var_log/aws-routed-eni/network-policy-agent.log") as file:
            truth["log"] = write_log(file, dice, big.log_bytes, pods)
    pack(out / "bundle", out / NAME, big.below)
    (out / "truth.json").write_text(json.dumps(truth, indent=1))
    return truth


def _pods(writer: Writer, dice: random.Random, big: Big) -> list[dict[str, str]]:
    pods, allocations, documents = [], [], []
    namespace, cluster = pools(dice)
    shown: dict[bytes, str] = {}
    map_id = 1000
    programs = []
    for number in range(big.pods):
        mark = hashlib.sha256(b"%d" % number).hexdigest()
        name, address = f"app{number:03d}", f"10.100.{4 + number // 250}.{2 + number % 250}"
        pod = f"{name}-{mark[:9]}-{mark[9:14]}"
        space = f"ns{number:03d}"
        identifier = f"{name}-{mark[:9]}-{space}"
        pods.append({"name": pod, "ip": address, "identifier": identifier})
        allocations.append(_allocation(pod, space, address, number))
        sides: dict[str, list[Any]] = {}
        for side in ("ingress", "egress"):
            asked = [(octets, dice.choice(namespace)) for octets in addresses(dice, big.entries)]
            sides[side] = [(".".join(map(str, octets)), rules) for octets, rules in asked]
            own = [(lpm(octets), namespace_value(rules)) for octets, rules in asked] + [(lpm(NODE_OCTETS), ALLOW_ALL)]
            other = [(lpm(octets), dice.choice(cluster)) for octets in addresses(dice, big.entries)]
            if number < FAULTY:
                other = sorted({**dict(other), **_planted(dice, own, big, f"{identifier}_cp_{side}_map")}.items())
            maps = []
            for map_name, pairs in ((f"{side}_map", own), (f"cp_{side}_map", other)):
                map_id += 1
                text = dump(pairs, shown)
                writer.text(f"maps/{identifier}_{map_name}.dump.txt", text)
                big.truth["entries"] += len(pairs)
                big.truth["dump_bytes"] += len(text)
                maps.append(f"Map Name:  {map_name}\nMap ID:  {map_id}\n")
            state = f"{side}_pod_state_map"
            writer.text(f"maps/{identifier}_{state}.dump.txt", POD_STATES)
            programs.append(
                f"PinPath:  /sys/fs/bpf/globals/aws/programs/{identifier}_handle_{side}\n"
                f"Pod Identifier : {identifier}  Direction : {side} \nProg ID:  {5000 + map_id}\n"
                f"Associated Maps -> \n{''.join(maps)}{'=' * 88}\n"
            )
        if number < FAULTY:
            documents.append(endpoint(name, space, pod, address, sides))
    writer.text("networking/ebpf-data.txt", "*** EBPF loaded data ***\n" + "".join(programs))
    writer.text("ipamd/ipam.json", json.dumps({"version": "vpc-cni-ipam/1", "allocations": allocations}))
    listed = {"apiVersion": "v1", "kind": "List", "items": documents}
    writer.text("policyendpoints.json", json.dumps(listed))
    return pods


def _planted(dice: random.Random, own: list[tuple[bytes, bytes]], big: Big, name: str) -> dict[bytes, bytes]:
    """Namespace values written into a cluster map, trailed by the first bytes of a neighbour."""
    out = {}
    for key, value in dice.sample(own[:-1], min(PLANTED, len(own) - 1)):
        out[key] = value + dice.choice(own)[1][: CLUSTER_SIZE - NAMESPACE_SIZE]
        big.truth["planted"].append([name, ".".join(map(str, key[4:])) + "/32"])
    return out


def _allocation(pod: str, space: str, address: str, number: int) -> dict[str, Any]:
    return {
        "networkName": "aws-cni",
        "containerID": hashlib.sha256(pod.encode()).hexdigest(),
        "ifName": "eth0",
        "ipv4": address,
        "allocationTimestamp": START * 1_000_000_000 + number,
        "metadata": {"k8sPodNamespace": space, "k8sPodName": pod, "interfacesCount": 1},
    }


def _flow(dice: random.Random, pods: list[dict[str, str]], kind: float) -> tuple[str, str]:
    """Level and message of a flow line."""
    pod = dice.choice(pods)["ip"]
    peer = f"10.100.{dice.randrange(1, 8)}.{dice.randrange(1, 255)}"
    side = dice.choice(("ingress", "egress"))
    source, target = (peer, pod) if side == "ingress" else (pod, peer)
    accepted = kind < 0.80
    verdict, level = ("ACCEPT", "debug") if accepted else ("DENY", "info")
    return level, (
        f"Flow Info: Src IP: {source} Src Port: {dice.randrange(1024, 65_535)} Dest IP: {target} Dest Port: "
        f"{dice.choice((80, 443, 8080, 53, 5432))} Proto {dice.choice(('TCP', 'TCP', 'UDP', 'ICMP'))} Verdict {verdict} "
        f"Direction {side}, Tier NETWORK_POLICY"
    )


def _line(dice: random.Random, pods: list[dict[str, str]]) -> tuple[str, str, str, str]:
    """(kind, what stands before the time, what stands behind it, ...) of one line."""
    kind = dice.random()
    if kind < 0.90:
        level, message = _flow(dice, pods, kind)
        label, caller = ("accept" if level == "debug" else "deny"), "runtime/asm_amd64.s:1693"
    elif kind < 0.95:
        label, level, caller = "update", "info", "ebpf/bpf_client.go:1208"
        message = f"Updating Map with IP Key: 10.100.{dice.randrange(8)}.{dice.randrange(1, 255)}/32"
    elif kind < 0.97:
        label, level, caller = "bulk", "info", "ebpf/bpf_client.go:1215"
        message = f"Bulk refresh: added/updated {dice.randrange(9)} entries, deleted {dice.randrange(3)} entries"
    elif kind < 0.99:
        label, level, caller = "reconcile", "info", "controller/controller.go:216"
        message = f"Received a new reconcile request big/np-{dice.choice(pods)['name'][:6]}-x7k2p"
    else:
        label, level, caller = "stale", "info", "runtime/asm_amd64.s:1693"
        message = "Check for any stale entries in the conntrack map"
    return label, f'{{"level":"{level}","ts":"', f'Z","caller":"{caller}","msg":"{message}"}}\n', level


def write_log(file: Any, dice: random.Random, size: int, pods: list[dict[str, str]]) -> dict[str, int]:
    """About `size` bytes of log, 2,000 lines a second; returns lines of each kind and the bytes."""
    made = [_line(dice, pods) for _ in range(LINES)]
    counts: dict[str, int] = {"bytes": 0}
    clock = START * 1000
    while counts["bytes"] < size:
        dice.shuffle(made)
        for at in range(0, LINES, 2_000):
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(clock // 1000))
            text = "".join(
                [
                    f"{before}{stamp}{number >> 1:03d}{behind}"
                    for number, (_, before, behind, _) in enumerate(made[at : at + 2_000])
                ]
            )
            file.write(text.encode())
            counts["bytes"] += len(text)
            clock += 1000
            for label, _, _, _ in made[at : at + 2_000]:
                counts[label] = counts.get(label, 0) + 1
            if counts["bytes"] >= size:
                break
    return counts


def pack(tree: Path, target: Path, below: str) -> None:
    """The tree as the collector packs it, below a folder, with times that do not change."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime, info.uid, info.gid, info.uname, info.gname = START, 0, 0, "root", "root"
        return info

    from isal import igzip

    with igzip.open(target, "wb", compresslevel=2) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
        for path in sorted(tree.rglob("*")):
            archive.add(path, f"./{Path(below) / path.relative_to(tree)}", recursive=False, filter=plain)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--pods", type=int, default=60)
    parser.add_argument("--entries", type=int, default=2_000)
    parser.add_argument("--log-bytes", type=int, default=1 << 30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--below", default=Big.below)
    asked = parser.parse_args()
    entries, log_bytes = max(1, int(asked.entries * asked.scale)), int(asked.log_bytes * asked.scale)
    truth = generate(asked.out, Big(asked.pods, entries, log_bytes, asked.seed, asked.below))
    sys.stdout.write(json.dumps({**truth, "planted": len(truth["planted"])}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
