"""`ip route show table all`, `ip route`, `ip -6 route`: the node's own address, and which veth leads to which pod.

Lines: iproute2 ip/iproute.c print_route. The CNI adds `10.0.1.20 dev eni… scope link` per pod (amazon-vpc-cni-k8s
cmd/routed-eni-cni-plugin/driver/driver.go), on IPv6 nodes a host route with metric 1024.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, NamedTuple

from formats.base import NO, Format, Record, Score
from formats.hints import basename, scored
from formats.line_search import lines_with, span_of
from formats.node_records import address, fact, family_of
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source
    from formats.text import Line

_HEAD = lazy(
    rb"^[ \t>]*(?:default|(?:local |broadcast |anycast |multicast |unreachable |blackhole )?"
    rb"(?=[0-9a-fA-F]{0,4}[.:])[0-9a-fA-F.:]{2,45}(?:/\d+)?)(?: via [0-9a-fA-F.:]{2,45})? dev [\w.@-]{1,20}"
    rb" +(?:table|proto|scope|metric|src|onlink|weight|nhid|linkdown)\b",
    re.M,
)
_ROUTE = lazy(
    r"^[ \t>]*(?:(?P<kind>local|broadcast|anycast|multicast|unreachable|blackhole) )?"
    r"(?P<to>default|[0-9a-fA-F.:]+)(?:/(?P<prefix>\d+))?(?: via \S+)?(?: dev (?P<dev>\S+))(?P<rest>.*)"
)
_WANTED = lazy(rb" dev \S")
#: prefix and 11 hex digits of a hash: what the CNI calls a pod's host interface, whatever the prefix.
_VETH = lazy(r"[a-z][a-z0-9]{0,3}[0-9a-f]{11}")
_NOT_UPLINK = lazy(r"lo$|docker|br-|virbr|cni|veth|eni|vlan|dummy|nodelocaldns|kube-|flannel|cali|cilium|vpc|pod-id")


class _Candidate(NamedTuple):
    rank: int
    metric: int
    line: Line
    ip: str
    dev: str


def sniff(head: bytes, path: str) -> Score:
    """A whole route line: destination, device, and one of the words that follow it."""
    content = 62 if b" dev " in head and _HEAD.search(head[:65536]) else 0
    named = basename(path) in ("iproute.txt", "ip6route.txt", "route.out")
    return scored(content, named=named, what="a route table (ip route)") if content or named else NO


def read(source: Source) -> Iterator[Item]:
    """`host_interface` per pod route, then at most one `node_ip` fact per address family."""
    seen: set[tuple[str, str]] = set()
    candidates: list[_Candidate] = []
    default_devices: list[str] = []
    for line in lines_with(source, _WANTED):
        route = _ROUTE.match(line.text)
        if route is None:
            continue
        pod = _pod_route(route)
        if pod is not None and pod not in seen:
            seen.add(pod)
            yield Record("host_interface", {"dev": pod[0], "ip": pod[1]}, span_of(line))
        elif pod is None:
            if route["to"] == "default" and _word(route["rest"], "table") in (None, "main", "254"):
                default_devices.append(route["dev"])
            candidates.extend(_own_address(route, line))
    for family in (4, 6):
        chosen = _choose([c for c in candidates if family_of(c.ip) == family], default_devices)
        if chosen is not None:
            yield fact(span_of(chosen.line), "node_ip", chosen.ip)


def _word(rest: str, name: str) -> str | None:
    match = re.search(rf"\b{name} (\S+)", rest)
    return match[1] if match else None


def _pod_route(route: re.Match[str]) -> tuple[str, str] | None:
    ip = address(route["to"])
    if route["kind"] or ip is None or route["prefix"] not in (None, "32", "128") or not _VETH.fullmatch(route["dev"]):
        return None
    rest = route["rest"]
    if "proto kernel" in rest or " src " in rest or " via " in route[0] or not _is_usable(ip):
        return None
    return (route["dev"], ip) if "scope link" in rest or family_of(ip) == 6 else None


def _is_usable(ip: str) -> bool:
    known = ipaddress.ip_address(ip)
    return not (known.is_link_local or known.is_loopback or known.is_multicast or known.is_unspecified)


def _own_address(route: re.Match[str], line: Line) -> Iterator[_Candidate]:
    """The node's address as one route says it: rank 0 the default route, 1 the subnet's, 2 the local table."""
    rest, dev, source = route["rest"], route["dev"], address(_word(route["rest"], "src"))
    if _NOT_UPLINK.match(dev):
        return
    table, metric = _word(rest, "table"), _word(rest, "metric")
    order = int(metric) if metric and metric.isdigit() else 0
    if route["kind"] == "local":
        own = address(route["to"]) if route["prefix"] in (None, "32", "128") else None
        rank = 2
    elif route["kind"] is not None or table not in (None, "main", "254"):
        return
    else:
        own = source
        rank = 0 if route["to"] == "default" else 1
        if rank == 1 and "proto kernel" not in rest:
            return
    if own is not None and _is_usable(own):
        yield _Candidate(rank, order, line, own, dev)


def _choose(candidates: list[_Candidate], default_devices: list[str]) -> _Candidate | None:
    """The best statement; None when equally good ones name different addresses."""
    if not candidates:
        return None

    def order(candidate: _Candidate) -> tuple[int, bool, int]:
        away = bool(default_devices) and candidate.dev not in default_devices
        return (candidate.rank, away, candidate.metric)

    best = min(candidates, key=order)
    same = {candidate.ip for candidate in candidates if order(candidate) == order(best)}
    return best if len(same) == 1 else None


FORMAT = Format(
    name="iproute",
    title="Route tables (ip route)",
    sniff=sniff,
    read=read,
    quiet=True,
    versions="iproute2 4.x to 6.x, IPv4 and IPv6",
    about="Which host interface leads to which pod address, and the node's own address.",
    limits=("a node with several equal addresses gives no node IP: other files decide",),
    loses=("every other route",),
)
