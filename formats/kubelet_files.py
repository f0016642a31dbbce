"""kubelet.log, kubelet_service.txt and svc.log: host name, node IP, failed pod sandboxes, the services of a namespace.

Lines of the journal (`journalctl -u kubelet`, short or short-iso-precise) or of /var/log/messages with klog inside;
the unit as `systemctl cat kubelet` prints it; the table of `kubectl get svc`, which the collector asks for without a
namespace, so that svc.log lists those of `default`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from formats.base import NO, Format, Record, Score, Span
from formats.hints import basename, scored
from formats.line_search import lines_with, span_of
from formats.node_records import address, fact, kubelet_flag, ns_of
from formats.patterns import lazy
from formats.text import lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source
    from formats.text import Line

_JOURNAL = lazy(
    r"^[ \t>]*(?P<ts>[A-Z][a-z]{2} +\d+ [\d:]{8}|\d{4}-\d\d-\d\dT[\d:.]+[+-][\d:]{4,5})"
    r" (?P<host>[\w.-]+) (?:systemd|kubelet|kubelet-eks[\w.-]*)\[\d+\]: (?P<rest>.*)"
)
_JOURNAL_HEAD = lazy(rb"^[ \t>]*\S[^\n]{6,300} (?:kubelet|kubelet-eks[\w.-]*)\[\d+\]: ", re.M)
_TABLE_HEAD = lazy(rb"^[ \t>]*(?:NAMESPACE[ \t]+)?NAME[ \t]+TYPE[ \t]+CLUSTER-IP[ \t]+EXTERNAL-IP[ \t]+PORT\(S\)", re.M)
_SERVICE = lazy(
    r"^[ \t>]*(?:(?P<namespace>[a-z0-9-]+)[ \t]+)?(?P<name>[a-z0-9-]+)[ \t]+(?:ClusterIP|NodePort|LoadBalancer)[ \t]+"
    r"(?P<ip>[0-9a-fA-F.:]+)[ \t]+\S+[ \t]+(?P<ports>\d\S*)"
)
_PORT = lazy(r"(\d+)(?::\d+)?/([A-Z]+)")
_LITERALS = (
    *(b"--node-ip=", b"--hostname-override=", b"Successfully registered", b"for sandbox", b"PodSandbox", b"cni failed"),
    *(b"ClusterIP", b"NodePort", b"LoadBalancer"),
)
_FLAG = lazy(r"--(?:node-ip|hostname-override)=[^\s'\\]+")
_POD = lazy(r'\bpod="(?P<namespace>[a-z0-9-]+)/(?P<name>[a-z0-9.-]+)"')
_REGISTERED = lazy(r'Successfully registered node"? (?:node=)?"?([a-z0-9.-]+)')
_SANDBOX = lazy(r"(?:failed to setup network for sandbox|CreatePodSandbox|RunPodSandbox|networkPlugin cni failed)")
_WANTED = lazy(
    rb"--node-ip=|--hostname-override=|Successfully registered node|setup network for sandbox|CreatePodSandbox"
    rb"|RunPodSandbox|networkPlugin cni failed|(?:ClusterIP|NodePort|LoadBalancer)[ \t]+[0-9a-fA-F]"
)
_NO_CONFIG = b"Unable to find KUBECONFIG, IGNORING POD DATA"
_LEVELS = {"I": "info", "W": "warn", "E": "error", "F": "fatal"}


def sniff(head: bytes, path: str) -> Score:
    """Journal lines of the kubelet, its unit file, or the header of a services table."""
    content = 0
    if b"kubelet" in head and (
        _JOURNAL_HEAD.search(head[:65536]) or (b"kubelet.service" in head and b"ExecStart=" in head)
    ):
        content = 70
    elif (b"CLUSTER-IP" in head and _TABLE_HEAD.search(head)) or _NO_CONFIG in head[:1024]:
        content = 66
    named = basename(path) in ("kubelet.log", "kubelet_service.txt", "kubelet-eks_service.txt", "svc.log")
    return scored(content, named=named, what="kubelet output") if content or named else NO


def read(source: Source) -> Iterator[Item]:
    """node_facts, `service_rule` per port of a service, one `log_event` per pod whose sandbox failed."""
    seen: set[tuple[str, str]] = set()
    failures: dict[str, Record] = {}
    namespace = "default" if basename(source.path) == "svc.log" else None
    yield from _hostname(source)
    for line in lines_with(source, _WANTED, _LITERALS):
        journal = _JOURNAL.match(line.text)
        if journal is not None:
            registered = _REGISTERED.search(journal["rest"])
            if registered is not None and ("node_name", registered[1]) not in seen:
                seen.add(("node_name", registered[1]))
                yield fact(span_of(line), "node_name", registered[1])
            _sandbox(line, journal, failures)
        service = None if journal else _SERVICE.match(line.text)
        if service is not None:
            yield from _ports(line, service, namespace)
        for flag in _FLAG.finditer(line.text):
            for record in kubelet_flag(span_of(line), flag[0].replace('"', "")):
                key = (record.data["fact"], record.data["value"])
                if key not in seen:
                    seen.add(key)
                    yield record
    yield from failures.values()


def _hostname(source: Source) -> Iterator[Record]:
    """The host that the first kubelet line names: every other line of a node's journal says the same."""
    first = _JOURNAL_HEAD.search(source.head)
    if first is None:
        return
    stop = source.head.find(b"\n", first.end())
    line = next(lines(source.head[first.start() : stop if stop >= 0 else None], first.start()))
    journal = _JOURNAL.match(line.text)
    if journal is not None:
        number = 1 + source.head.count(b"\n", 0, first.start())
        yield fact(Span(line.start, line.end, number, number), "hostname", journal["host"])


def _sandbox(line: Line, journal: re.Match[str], failures: dict[str, Record]) -> None:
    """Failures repeat for hours: one record per pod, at its first line, with the count and the last time."""
    rest = journal["rest"]
    pod = _POD.search(rest) if _SANDBOX.search(rest) else None
    if pod is None or rest[:1] not in ("E", "W"):
        return
    known = failures.get(pod[0])
    if known is not None:
        known.data["count"] += 1
        known.data["last_ts"] = journal["ts"]
        return
    data: dict[str, Any] = {
        "log": "kubelet",
        "ts": journal["ts"],
        "utc_ns": ns_of(journal["ts"]),
        "level": _LEVELS[rest[0]],
        "event": "sandbox-failed",
        "msg": rest.rstrip(),
        "namespace": pod["namespace"],
        "pod": pod["name"],
        "count": 1,
        "last_ts": journal["ts"],
    }
    failures[pod[0]] = Record("log_event", data, span_of(line))


def _ports(line: Line, service: re.Match[str], namespace: str | None) -> Iterator[Record]:
    cluster_ip = address(service["ip"])
    if cluster_ip is None:
        return
    for port, protocol in _PORT.findall(service["ports"]):
        data: dict[str, Any] = {
            "cluster_ip": cluster_ip,
            "port": int(port),
            "protocol": protocol,
            "namespace": service["namespace"] or namespace,
            "service": service["name"],
            "port_name": None,
            "pod_ip": None,
            "pod_port": None,
        }
        yield Record("service_rule", data, span_of(line))


FORMAT = Format(
    name="kubelet-files",
    title="Kubelet log, kubelet unit, services table",
    sniff=sniff,
    read=read,
    quiet=True,
    versions="kubelet 1.21 to 1.34; journalctl short and short-iso-precise; kubectl get svc",
    about="Host name, node IP and node name; pods whose network could not be set up; service addresses.",
    limits=("times of the short form have no year: utc_ns is null there",),
    loses=("every other kubelet line",),
)
