"""Cilium: its BPF maps and programs by name, its CLI's tables and JSON. Recognised and named, never read as AWS maps.

Names: cilium/cilium pkg/maps/*, bpf/*.c (v1.10 to v1.17): maps `cilium_policy_NNNNN` (`cilium_policy_v2_NNNNN` from
v1.17), `cilium_lxc`, `cilium_ct4_global`, programs `cil_…`; output of `cilium monitor -t drop`, `cilium endpoint list`,
`cilium bpf policy get`, `cilium policy get`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from formats.base import NO, Format, Score
from formats.foreign_cni import foreign_records, has_sign, map_of_path
from formats.hints import begins_as_json
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.foreign_cni import Sign
    from formats.source import Source

_MAP_FILE = lazy(
    r"cilium_(?:policy|lxc|ct4|ct6|ct_any|ipcache|lb4|lb6|metrics|calls|call_policy|events|signals|snat|tunnel|nodeport"
    r"|node_map|encrypt|auth_map|throttle|runtime|egress|l2_)[a-z0-9_]*"
)
_SIGNS: tuple[Sign, ...] = (
    ("map", lazy(rb"(?:\bname |/globals/|\bpinned \S{1,200}/)(cilium_[a-z][a-z0-9]*(?:_v2)?)(?:_[a-z0-9_]+)?\b")),
    ("program", lazy(rb"(?:\bname |[ /])(cil_(?:from|to|lxc|host|sock|overlay|xdp|policy)[a-z0-9_]*)")),
    ("program", lazy(rb"\b(bpf_(?:lxc|host|netdev|overlay|network)[\w-]*\.o):\[")),
    ("drop notification", lazy(rb"^[ \t>]*xx drop \([^)\n]{1,80}\) flow 0x", re.M)),
    (
        "policy map listing",
        lazy(rb"^[^\n]{0,40}\bDIRECTION +(?:LABELS|IDENTITY)[^\n]{0,60}PORT/PROTO +PROXY PORT", re.M),
    ),
    ("endpoint listing", lazy(rb"^[ \t>]*ENDPOINT +POLICY \(ingress\) +POLICY \(egress\)", re.M)),
    ("identity cache listing", lazy(rb"^[ \t>]*IP PREFIX/ADDRESS +IDENTITY", re.M)),
)
_LITERALS = (b"cilium_", b"cil_", b"xx drop (", b"PROXY PORT", b"POLICY (ingress)", b"IP PREFIX/ADDRESS", b".o:[")
_JSON_SIGNS: tuple[Sign, ...] = (
    ("endpoint (endpoint list -o json)", lazy(rb'"external-identifiers"\s*:')),
    ("policy rule (policy get)", lazy(rb'"(?:endpointSelector|nodeSelector)"\s*:')),
    (
        "typed policy map entry",
        lazy(rb'"(?:sec_label|sec_identity)"\s*:\s*(?:0x)?\w+,\s*"(?:egress|protocol|dport)"'),
    ),
    ("typed endpoint map entry", lazy(rb'"lxc_id"\s*:')),
    ("typed conntrack map entry", lazy(rb'"(?:rx_flags_seen|rx_closing)"\s*:')),
)
_JSON_LITERALS = (
    b'"external-identifiers"',
    b'"endpointSelector"',
    b'"sec_label"',
    b'"sec_identity"',
    b'"lxc_id"',
    b'"rx_',
)


def sniff(head: bytes, path: str) -> Score:
    """A file named for one of the maps that holds a dump, or names and tables of Cilium in text."""
    dumped = map_of_path(head, path, _MAP_FILE)
    if dumped is not None:
        return Score(96, f"dump of Cilium's map {dumped}, by name and content")
    return Score(55, "names or tables of Cilium") if has_sign(head, _LITERALS, _SIGNS) else NO


def read(source: Source) -> Iterator[Item]:
    """`foreign` records."""
    yield from foreign_records(source, "cilium", _SIGNS, map_of_path(source.head, source.path, _MAP_FILE))


def sniff_json(head: bytes, path: str) -> Score:
    """Keys of Cilium's API or of the types of its maps; a Kubernetes object is none of them."""
    if head.lstrip()[:1] in (b"[", b"{") and (dumped := map_of_path(head, path, _MAP_FILE)) is not None:
        return Score(96, f"dump of Cilium's map {dumped}, by name and content")
    if b'"apiVersion"' in head or not has_sign(head, _JSON_LITERALS, _JSON_SIGNS):
        return NO
    return Score(85 if begins_as_json(head) else 55, "JSON of Cilium's API or maps")


def read_json_signs(source: Source) -> Iterator[Item]:
    """`foreign` records."""
    yield from foreign_records(source, "cilium", _JSON_SIGNS, map_of_path(source.head, source.path, _MAP_FILE))


FORMAT = Format(
    name="cilium",
    title="Cilium: maps, programs and CLI tables",
    sniff=sniff,
    read=read,
    foreign=True,
    quiet=True,
    versions="Cilium 1.10 to 1.17",
    about="Says that another CNI's data is here, and how much of it; it is not analysed.",
    limits=("counts are of what the text shows, not of the cluster",),
    loses=("everything but names and counts",),
)
JSON_FORMAT = Format(
    name="cilium-json",
    title="Cilium: endpoint list, policy get and typed map dumps as JSON",
    sniff=sniff_json,
    read=read_json_signs,
    exclusive=True,
    foreign=True,
    quiet=True,
    versions="Cilium 1.10 to 1.17",
    about="Says that another CNI's data is here, and how much of it; it is not analysed.",
    limits=("counts are of what the text shows, not of the cluster",),
    loses=("everything but names and counts",),
)
