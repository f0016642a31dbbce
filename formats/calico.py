"""Calico: its BPF maps and programs, iptables chains and host interfaces by name. Recognised, never read as AWS maps.

Names: projectcalico/calico felix/bpf/maps and felix/bpf-gpl (v3.20 to v3.30): maps `cali_v4_ct3`, `cali_v4_ip_sets`,
programs `calico_…` and `cali_tc_…`; felix/rules (`cali-…` chains); libcalico-go (`cali` + 11 hex digits interfaces).
Calico is often run beside the VPC CNI as the policy engine: then both want to decide.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from formats.base import NO, Format, Score
from formats.foreign_cni import foreign_records, has_sign, map_of_path
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.foreign_cni import Sign
    from formats.source import Source

_MAP_FILE = lazy(
    r"cali_(?:v4_|v6_|state|jump|prog|counters|iface|ifstate|ctlb|qos|events|profiling|xdp|log_filter|rule_ctrs)[a-z0-9_]*"
)
_SIGNS: tuple[Sign, ...] = (
    ("map", lazy(rb"(?:\bname |/globals/|\bpinned \S{1,200}/)(cali_(?!tc_|xdp_)[a-z][a-z0-9_]*)")),
    ("program", lazy(rb"(?:\bname |[ /])((?:calico|cali_tc|cali_xdp)_[a-z][a-z0-9_]*)")),
    ("iptables chain", lazy(rb"^[ \t>]*(?::cali-\S+ |-N cali-)|^Chain cali-", re.M)),
    ("host interface", lazy(rb"\bdev cali[0-9a-f]{11}\b")),
    ("conntrack entry", lazy(rb"^[ \t>]*ConntrackKey\{proto=", re.M)),
)
_LITERALS = (b"cali_", b"calico_", b"cali-", b"dev cali", b"ConntrackKey{")


def sniff(head: bytes, path: str) -> Score:
    """A file named for one of the maps that holds a dump, or names of Calico in text."""
    dumped = map_of_path(head, path, _MAP_FILE)
    if dumped is not None:
        return Score(96, f"dump of Calico's map {dumped}, by name and content")
    return Score(50, "names of Calico's maps, programs or chains") if has_sign(head, _LITERALS, _SIGNS) else NO


def read(source: Source) -> Iterator[Item]:
    """`foreign` records."""
    yield from foreign_records(source, "calico", _SIGNS, map_of_path(source.head, source.path, _MAP_FILE))


FORMAT = Format(
    name="calico",
    title="Calico: maps, programs, chains, interfaces",
    sniff=sniff,
    read=read,
    foreign=True,
    quiet=True,
    versions="Calico 3.20 to 3.30",
    about="Says that another policy engine is here, and how much of it; it is not analysed.",
    limits=("counts are of what the text shows, not of the cluster",),
    loses=("everything but names and counts",),
)
