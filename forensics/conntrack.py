"""Conntrack keys as the program of a generation lays them out, and what a stored value is worth.

Padding is zero in every key the programs build, so an entry with anything else there is never found. The key of a
reply carries the same owner (the pod's own address) and interface as the flow's, where the generation has them.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from forensics.ruleset import DEFAULT_ALLOW, POLICIES_APPLIED, conntrack_pair
from formats.layouts import dtype_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from construct import Construct

    from forensics.generations import Generation
    from forensics.packet import Seen

_CODES = {1: "B", 2: "H", 4: "I"}


def flow_key(layout: Construct[Any, Any], seen: Seen, owner: bytes) -> bytes:
    """The key the program looks up first, and writes."""
    return _pack(layout, (seen.src, seen.sport, seen.dst, seen.dport, seen.protocol, owner, seen.ifindex))


def reply_key(layout: Construct[Any, Any], seen: Seen, owner: bytes) -> bytes:
    """The key under which the flow was stored that this packet answers."""
    return _pack(layout, (seen.dst, seen.dport, seen.src, seen.sport, seen.protocol, owner, seen.ifindex))


def _pack(layout: Construct[Any, Any], values: tuple[Any, ...]) -> bytes:
    packer, count = _packer(layout)
    return packer.pack(*values[:count])


@lru_cache(maxsize=16)
def _packer(layout: Construct[Any, Any]) -> tuple[struct.Struct, int]:
    """A struct of the layout and the number of its fields. The layouts agree on the fields' order and only end earlier:
    src, sport, dst, dport, protocol, owner, ifindex."""
    dtype = dtype_of(layout)
    codes, at = "<", 0
    for field, offset, *_ in (dtype.fields or {}).values():
        codes += "x" * (offset - at)
        codes += f"{field.itemsize}s" if field.subdtype else _CODES[field.itemsize]
        at = offset + field.itemsize
    return struct.Struct(codes + "x" * (dtype.itemsize - at)), len(dtype.names or ())


def counts(generation: Generation, value: bytes, owner: bytes) -> bool:
    """Whether a stored value counts at all. Up to v1.0.4 it must be the owner's address, of which IPv6 compares the
    last four bytes only; later any value counts."""
    if generation.conntrack_value is not None:
        return True
    return value.ljust(len(owner), b"\0")[: len(owner)].endswith(owner[-4:])


def forward_use(generation: Generation, pod_state: Mapping[int, int], value: bytes, owner: bytes) -> str:
    """What the flow's own entry is worth.

    hit: the packet passes. rewritten: it passes, and the value becomes 0. stale: the packet is looked up again, and
    the entry goes if it is dropped. ignored: as if there were no entry.
    """
    if generation.conntrack_value is None or not generation.pod_state_keys:
        return "hit" if counts(generation, value, owner) else "ignored"
    state = generation.conntrack_state(value)
    if generation.tiers:
        return "hit" if state == conntrack_pair(pod_state[0], pod_state[1]) else "stale"
    return _USE_V120.get((state, pod_state[0]), "ignored")


#: v1.2.x: (stored state, pod state) -> use.
_USE_V120 = {
    (0, DEFAULT_ALLOW): "hit",
    (1, POLICIES_APPLIED): "hit",
    (1, DEFAULT_ALLOW): "rewritten",
    (0, POLICIES_APPLIED): "stale",
}
