"""`bpftool net show`: programs on the tc hooks (and xdp) of network devices, plain and JSON.

bpftool 5.16 to 7.7 (src/net.c). The hook is the device's: what a pod receives leaves through its host-side veth, so
`clsact/egress` carries the pod's ingress program. From 7.3 on, tcx attachments say `prog_id` for `id`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from formats.base import NO, Format, Problem, Record, Score, Span
from formats.json_documents import straight_quotes
from formats.jsonspans import objects
from formats.patterns import lazy
from formats.source import Oversized
from formats.tc_filter import filter_data
from formats.text import lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

_ENTRY = lazy(
    r"(?P<dev>[^\s()]{1,15})\((?P<index>\d+)\)\s+(?P<kind>clsact|tcx|netkit)/(?P<hook>ingress|egress|peer|primary)"
    r"(?:\s+(?P<name>(?!id\b|prog_id\b)\S+))?\s+(?:prog_)?id\s+(?P<id>\d+)"
)
_XDP = lazy(r"(?P<dev>[^\s()]{1,15})\((?P<index>\d+)\)\s+(?P<mode>generic|driver|offload)\s+id\s+(?P<id>\d+)")
_SNIFF = lazy(rb"\(\d+\)\s+(?:clsact|tcx|netkit)/(?:ingress|egress|peer|primary)\s")
_SNIFF_EMPTY = lazy(rb"^xdp:\s*\n\s*(?:\n\s*)*tc:\s*$", re.M)
_SNIFF_JSON = lazy(rb'"devname"\s*:\s*"[^"]*"\s*,\s*"ifindex"\s*:\s*\d+')


def sniff(head: bytes, path: str) -> Score:
    """Entries of the tc section, or their JSON members."""
    if _SNIFF.search(head) or _SNIFF_JSON.search(head):
        return Score(85, "programs attached to devices")
    if b"xdp:" in head and _SNIFF_EMPTY.search(head):
        return Score(50, "sections xdp and tc without entries")
    return NO


def read(source: Source) -> Iterator[Item]:
    """One `tc_filter` for each attachment."""
    try:
        data = straight_quotes(source.data())
    except Oversized as error:
        yield Problem(f"listing {error}", done="not read", lost="the listing")
        return
    for line in lines(data):
        if match := _ENTRY.search(line.text) or _XDP.search(line.text):
            parts = match.groupdict()
            kind = parts.get("kind") or "xdp"
            found = _data(parts["dev"], kind, parts.get("hook"), parts.get("name"), int(parts["id"]))
            yield Record("tc_filter", found, Span(line.start, line.end, line.number, line.number))
    if b'"devname"' not in data:
        return
    for item, span in objects(data, rb'\{\s*"devname"\s*:'):
        if isinstance(item, Problem):
            yield item
        else:
            kind, _, hook = str(item.get("kind", item.get("mode", "xdp"))).partition("/")
            number = item.get("id", item.get("prog_id"))
            name = item.get("name")
            yield Record("tc_filter", _data(str(item["devname"]), kind, hook, name, number), span)


def _data(dev: str, kind: str, hook: str | None, name: str | None, number: int | None) -> dict[str, Any]:
    return filter_data(dev=dev, hook=hook or None, kind=kind, prog_name=name, prog_id=number)


FORMAT = Format(
    "bpftool-net",
    "bpftool net show",
    sniff,
    read,
    versions="bpftool 5.16 to 7.7",
    about="Programs on the tc and xdp hooks of devices. Hooks are the device's, the opposite of the pod's direction.",
    limits=("the sections flow_dissector and netfilter are passed over: the agent attaches nothing there",),
    loses=("pref, handle, chain and tag, which bpftool does not print",),
)
