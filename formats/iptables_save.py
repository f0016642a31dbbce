"""`iptables-save`: the node IP that the CNI masquerades to, and kube-proxy's services with the pods behind them.

Rules: amazon-vpc-cni-k8s pkg/networkutils/network.go (AWS-SNAT-CHAIN-n, `--to-source`); kube-proxy
pkg/proxy/iptables/proxier.go: KUBE-SERVICES (cluster IP) -> KUBE-SVC-… -> KUBE-SEP-… (pod), joined by chain name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from formats.base import NO, Format, Problem, Record, Score
from formats.hints import basename, scored
from formats.line_search import lines_with, span_of
from formats.node_records import address, fact
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source
    from formats.text import Line

_TABLE = lazy(rb"^[ \t>]*\*(?:nat|filter|mangle|raw|security)[ \t\r]*$", re.M)
_RULE_HEAD = lazy(rb"^[ \t>]*-A (?:KUBE-S|AWS-SNAT-CHAIN-)[^\n]* -[jg] ", re.M)
_WANTED = lazy(rb"^[ \t>]*(?:-A (?:KUBE-SERVICES|KUBE-SVC-|KUBE-SEP-|AWS-SNAT-CHAIN)|\*|COMMIT)", re.M)
_COMMENT = lazy(r'--comment (?:"([^"]*)"|(\S+))')
_SERVICE = lazy(r"(?P<namespace>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)(?::(?P<port>[a-z0-9-]*))?")
_TO = lazy(r"--to-destination \[?([0-9a-fA-F.:]+?)\]?:(\d+)(?:\s|$)")
_CHAIN = lazy(r"-A (\S+) ")


@dataclass(slots=True)
class _Rules:
    """What the rules of one file say, by chain."""

    services: list[tuple[Line, str | None, dict[str, Any]]] = field(default_factory=list)
    endpoints_of: dict[str, list[str]] = field(default_factory=dict)
    endpoints: dict[str, tuple[Line, dict[str, Any]]] = field(default_factory=dict)


def sniff(head: bytes, path: str) -> Score:
    """A table line with chains, or a rule of the CNI or kube-proxy."""
    content = 0
    if (b"*nat" in head or b"*filter" in head or b"*mangle" in head or b"*raw" in head) and _TABLE.search(head):
        content = 72 if b"\n:" in head else 0
    if not content and b"-A " in head and _RULE_HEAD.search(head):
        content = 64
    named = basename(path) in ("iptables-save.txt", "ip6tables-save.txt", "iptables-save.out")
    return scored(content, named=named, what="iptables-save output") if content or named else NO


def read(source: Source) -> Iterator[Item]:
    """node_ip facts, then `service_rule` per service port and pod; null pod for a service without endpoints."""
    rules = _Rules()
    seen: set[str] = set()
    open_table: Line | None = None
    for line in lines_with(source, _WANTED):
        text = line.text.strip()
        if text.startswith("*"):
            open_table = line
        elif text == "COMMIT":
            open_table = None
        elif text.startswith("-A AWS-SNAT-CHAIN"):
            ip = address(_option(text, "--to-source"))
            if ip is not None and ip not in seen:
                seen.add(ip)
                yield fact(span_of(line), "node_ip", ip)
        else:
            _kube_rule(rules, line, text)
    yield from sorted(_joined(rules), key=lambda record: record.span.start)
    if open_table is not None:
        what = f"table {open_table.text.strip()[1:]} has no COMMIT: the output is cut"
        yield Problem(what, None, "the rules before the cut were read", "the rules after it")


def _option(text: str, name: str) -> str | None:
    match = re.search(rf"(?:^|\s){name} (\S+)", text)
    return match[1] if match else None


def _kube_rule(rules: _Rules, line: Line, text: str) -> None:
    chain = _CHAIN.match(text)
    target = _option(text, "-j") or ""
    if chain is None:
        return
    if chain[1] == "KUBE-SERVICES":
        _service(rules, line, text, target)
    elif chain[1].startswith("KUBE-SVC-") and target.startswith("KUBE-SEP-"):
        rules.endpoints_of.setdefault(chain[1], []).append(target)
    elif chain[1].startswith("KUBE-SEP-") and target == "DNAT":
        to = _TO.search(text)
        if to is not None:
            named = _named(text) | {"protocol": (_option(text, "-p") or "").upper() or None}
            rules.endpoints[chain[1]] = (line, named | {"pod_ip": address(to[1]), "pod_port": int(to[2])})


def _service(rules: _Rules, line: Line, text: str, target: str) -> None:
    comment = _COMMENT.search(text)
    told = (comment[1] or comment[2] or "") if comment else ""
    ip = address((_option(text, "-d") or "").split("/")[0])
    empty = told.endswith("has no endpoints")
    if ip is None or not (told.endswith("cluster IP") or empty) or (target != "REJECT" and "KUBE-SVC-" not in target):
        return
    port = _option(text, "--dport")
    data = _named(text) | {
        "cluster_ip": ip,
        "port": int(port) if port and port.isdigit() else None,
        "protocol": (_option(text, "-p") or "").upper() or None,
    }
    rules.services.append((line, None if empty else target, data))


def _named(text: str) -> dict[str, Any]:
    comment = _COMMENT.search(text)
    match = _SERVICE.match((comment[1] or comment[2] or "") if comment else "")
    if match is None:
        return {"namespace": None, "service": None, "port_name": None}
    return {"namespace": match["namespace"], "service": match["service"], "port_name": match["port"] or None}


def _joined(rules: _Rules) -> Iterator[Record]:
    empty: dict[str, Any] = dict.fromkeys(
        ("cluster_ip", "port", "protocol", "namespace", "service", "port_name", "pod_ip", "pod_port")
    )
    used: set[str] = set()
    for line, chain, data in rules.services:
        known = [end for end in rules.endpoints_of.get(chain or "", []) if end in rules.endpoints]
        for end in known:
            used.add(end)
            at, behind = rules.endpoints[end]
            pod = {"pod_ip": behind["pod_ip"], "pod_port": behind["pod_port"]}
            yield Record("service_rule", empty | data | pod, span_of(at))
        if not known:
            yield Record("service_rule", empty | data, span_of(line))
    for end, (line, data) in rules.endpoints.items():
        if end not in used:
            yield Record("service_rule", empty | data, span_of(line))


FORMAT = Format(
    name="iptables-save",
    title="iptables-save",
    sniff=sniff,
    read=read,
    quiet=True,
    versions="iptables 1.8 (legacy and nft), kube-proxy 1.19 to 1.34 in iptables mode",
    about="The node's address, and which pods stand behind which service address.",
    limits=("kube-proxy in ipvs or nftables mode leaves no such rules",),
    loses=("node ports, load balancer addresses and every other rule",),
)
