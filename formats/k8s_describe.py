"""`kubectl describe` of policy endpoints, put together again; the addresses of pods; the environment of aws-node."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from formats.base import NO, Format, Problem, Record, Score, Span
from formats.k8s_described import FIELD, Described
from formats.k8s_events import Fault
from formats.k8s_partial import element_of, ends_early, last_path, leave_out, record_data
from formats.k8s_schema import conform, path_text
from formats.patterns import lazy
from formats.text import Line, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

_NAME = lazy(r"(\s*)Name: {2,}(\S+)\s*")
_STOP = lazy(r"\s*(?:```|~~~|\$ |Events: )")
_ENV_HEAD = lazy(r"\s*Environment(?: variables)?:\s*")
_ENV = lazy(r"\s*([A-Z][A-Za-z0-9_]*):\s+(\S.*?)\s*")
_OWN = lazy(r"AWS_VPC_|AWS_VPC_K8S_|NETWORK_POLICY_ENFORCING_MODE|ANNOTATE_POD_IP")
_SNIFF_CRD = lazy(rb"(?m)^[ \t>]*API Version: +networking\.k8s\.aws/")
_SNIFF_POD = lazy(rb"(?m)^[ \t>]*Node: +\S+/[0-9a-fA-F.:]+[ \t\r]*$")
_ENV_NAMES = (b"AWS_VPC_", b"NETWORK_POLICY_ENFORCING_MODE", b"ANNOTATE_POD_IP")
_SNIFF_ENV = lazy(rb"(?m)^[ \t>]*(?:AWS_VPC_\w+|NETWORK_POLICY_ENFORCING_MODE|ANNOTATE_POD_IP): +\S")

_FACTS = {"NETWORK_POLICY_ENFORCING_MODE": "enforcing_mode", "AWS_VPC_K8S_CNI_VETHPREFIX": "veth_prefix",
          "ENABLE_IPv6": "ipv6"}  # fmt: skip


def sniff(head: bytes, path: str) -> Score:
    """`API Version:  networking.k8s.aws/…`, a described pod's `Node:  name/address`, or aws-node's environment."""
    if b"API Version:" in head and _SNIFF_CRD.search(head):
        return Score(80, "kubectl describe of a policy endpoint")
    if b"Node:" in head and b"Name:" in head and _SNIFF_POD.search(head):
        return Score(60, "kubectl describe of a pod")
    if any(name in head for name in _ENV_NAMES) and _SNIFF_ENV.search(head):
        return Score(45, "environment of aws-node as kubectl describe prints it")
    return NO


def read(source: Source) -> Iterator[Item]:
    """k8s_object of each described policy object, pod of each described pod, node_fact of aws-node's environment."""
    block: list[Line] = []
    environment: list[Line] | None = None
    base = 0
    for line in lines(source.data()):
        head = _NAME.fullmatch(line.text)
        if environment and line.text.strip() and not _ENV.fullmatch(line.text):
            yield from _environment(environment)
            environment = None
        if _ENV_HEAD.fullmatch(line.text):
            environment = []
        elif environment is not None and _ENV.fullmatch(line.text):
            environment.append(line)
        if head is not None and (not block or len(head[1]) <= base):
            yield from _described(block, base)
            block, base = [line], len(head[1])
        elif block and (_STOP.match(line.text) or _outside(line.text, base)):
            yield from _described(block, base, ended="Events:" in line.text)
            block = []
        elif block:
            block.append(line)
    yield from _described(block, base)
    yield from _environment(environment or [])


def _outside(text: str, base: int) -> bool:
    body = text.lstrip(" ")
    if not body:
        return False
    indent = len(text) - len(body)
    return indent < base or (indent == base and FIELD.fullmatch(text) is None)


def _environment(block: list[Line]) -> Iterator[Record]:
    """The variables of aws-node; those of any other container are nobody's business."""
    found = [(line, match) for line in block if (match := _ENV.fullmatch(line.text))]
    if not any(_OWN.match(match[1]) for _, match in found):
        return
    for line, match in found:
        name, value = match.groups()
        span = Span(line.start, line.end, line.number, line.number)
        yield Record("node_fact", {"fact": "agent_flag", "value": {"name": name, "value": value}}, span)
        if name in _FACTS:
            yield Record("node_fact", {"fact": _FACTS[name], "value": value}, span)


def _described(block: list[Line], base: int, *, ended: bool = False) -> Iterator[Item]:
    while block and not block[-1].text.strip():
        block.pop()
    top: dict[str, str] = {}
    for line in block:
        match = FIELD.fullmatch(line.text)
        if match and len(match[1]) == base and match[3]:
            top.setdefault(match[2], match[3])
    if not block:
        return
    span = Span(block[0].start, block[-1].end, block[0].number, block[-1].number)
    if top.get("API Version", "").startswith("networking.k8s.aws/") and "Kind" in top:
        items = list(_policy(block, base, span))
        yield from items
        if not ended and not any(isinstance(item, Problem) and "cut here" in item.what for item in items):
            what = f"{top['Kind']} {top.get('Name')}: no Events line ends the description: it may be cut"
            yield Problem(what, span, "what is shown was read", "the fields after the last one, if there were any")
    elif re.fullmatch(r"\S+/[0-9a-fA-F.:]+", top.get("Node", "")):
        yield _pod(block, top, span)


def _pod(block: list[Line], top: dict[str, str], span: Span) -> Record:
    node, _, node_ip = top["Node"].rpartition("/")
    listed = [match[1] for line in block if (match := re.fullmatch(r"\s+IP:\s+([0-9a-fA-F.:]+)\s*", line.text))]
    addresses = list(dict.fromkeys([top.get("IP", "<none>"), *listed]))
    four = next((text for text in addresses if text.count(".") == 3), None)
    six = next((text for text in addresses if ":" in text), None)
    data = {
        "namespace": top.get("Namespace"), "name": top["Name"], "ip": four, "ipv6": six, "node_ip": node_ip,
        "node_name": node, "host_network": True if node_ip in (four, six) else None, "labels": None,
        "started_ns": None, "source": "kubectl describe pod",
    }  # fmt: skip
    return Record("pod", data, span)


def _policy(block: list[Line], base: int, span: Span) -> Iterator[Item]:
    builder = Described(base)
    problems = [
        Problem(f"describe: not understood: {line.text.strip()!r}", _span(line), "left out")
        for line in block
        if not builder.take(line)
    ]
    value = builder.object()
    errors = conform(value) or []
    faults: list[Fault] = []
    path = last_path(value)
    if ends_early(errors) and element_of(path) is not None:
        faults.append(Fault("the text is cut here, in the middle of this", block[-1].number, path))
    wrong: list[dict[str, Any]] = [
        {"path": path_text(error.path), "message": error.message, "line": builder.line_of(error.path)}
        for error in errors
    ]
    wrong += [{"path": path_text(fault.path), "message": fault.message, "line": fault.line} for fault in faults]
    leave_out(value, errors, faults)
    data = record_data(value, not wrong, wrong)
    yield Record("k8s_object", data, span)
    label = f"{data['kind']} {data['name']}"
    numbered = {line.number: line for line in block}
    for entry in wrong:
        where = _span(numbered.get(entry["line"], block[0]))
        at = f"{entry['path']}: " if entry["path"] else ""
        yield Problem(f"{label}: {at}{entry['message']}", where, "left it out where it is a rule, used the rest")
    for line in builder.doubtful:
        yield Problem(
            f"{label}: describe prints no border between list elements, and here it is not certain",
            _span(line),
            "began a new element where a field repeats or sorts before the last",
            "",
            "kubectl get -o yaml keeps the borders",
        )
    yield from problems


def _span(line: Line) -> Span:
    return Span(line.start, line.end, line.number, line.number)


FORMAT = Format(
    name="k8s-describe",
    title="kubectl describe of policy endpoints, pods and aws-node",
    sniff=sniff,
    read=read,
    versions="kubectl 1.18 and later",
    about="The generic describer of custom resources prints fields with split titles and list elements without a "
    "border; the object is put together again and checked like its YAML.",
    limits=("elements that lack their first field run into the one before: said where it may have happened",),
    loses=(
        "borders of list elements",
        "the difference between an empty list and none",
        "selectors whose labels are plain words: describe prints `app` as `App`",
    ),
)
