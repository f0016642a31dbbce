"""Small map states in the shape the agent writes them, and packets against them."""

from __future__ import annotations

import struct

from forensics.datapath import Datapath, Packet

POD, PEER = "10.9.8.7", "10.20.0.1"
TCP, UDP, SCTP, ICMP, ANY, RESERVED = 6, 17, 132, 1, 254, 255


def namespace(*slots: tuple[int, int, int]) -> bytes:
    return b"".join(struct.pack("<III", *slot) for slot in slots).ljust(288, b"\0")


def cluster(*slots: tuple[int, int, int, int]) -> bytes:
    return b"".join(struct.pack("<IIII", *slot) for slot in slots).ljust(384, b"\0")


def key4(address: str, prefix: int) -> bytes:
    return struct.pack("<I4B", prefix, *map(int, address.split(".")))


def v130(namespace_entries=None, cluster_entries=None, pod_state=None, conntrack=None, version="v1.3.0") -> Datapath:
    maps = {"ingress_map": namespace_entries or {}, "cp_ingress_map": cluster_entries or {}}
    states = {0: 0, 1: 1} if pod_state is None else pod_state
    return Datapath(version, 4, "ingress", maps, states, conntrack or {})


def to_pod(dport: int = 80, protocol: int = TCP, src: str = PEER, sport: int = 40000) -> Packet:
    return Packet(src, POD, protocol, sport, dport)
