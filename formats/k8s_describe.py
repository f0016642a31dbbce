"""`kubectl describe` of policy endpoints, put together again; the addresses of pods; the environment of aws-node."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from formats.base import NO, Format, Problem, Record, Score, Span
from formats.k8s_block import resolve
from formats.k8s_schema import conform, path_text
from formats.text import Line, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

_FIELD = re.compile(r"( *)([A-Za-z][\w ./()-]*?):(?: {1,}(\S.*?))? *")
_NAME = re.compile(r"(\s*)Name: {2,}(\S+)\s*")
_STOP = re.compile(r"\s*(?:```|~~~|\$ |Events: )")
_ENV_HEAD = re.compile(r"\s*Environment(?: variables)?:\s*")
_ENV = re.compile(r"\s*([A-Z][A-Za-z0-9_]*):\s+(\S.*?)\s*")
_OWN = re.compile(r"AWS_VPC_|AWS_VPC_K8S_|NETWORK_POLICY_ENFORCING_MODE|ANNOTATE_POD_IP")
_SNIFF_CRD = re.compile(rb"(?m)^[ \t>]*API Version: +networking\.k8s\.aws/")
_SNIFF_POD = re.compile(rb"(?m)^[ \t>]*Node: +\S+/[0-9a-fA-F.:]+[ \t\r]*$")
_SNIFF_ENV = re.compile(rb"(?m)^[ \t>]*(?:AWS_VPC_\w+|NETWORK_POLICY_ENFORCING_MODE|ANNOTATE_POD_IP): +\S")

#: Printed titles whose field name is not the title with its blanks taken out.
_TITLES = {"API Version": "apiVersion", "Host IP": "hostIP", "Pod IP": "podIP", "UID": "uid"}
#: What a block holds: a list of groups, a list of plain values, or one group; everything else is a group.
_GROUPS = frozenset({"egress", "ingress", "podSelectorEndpoints", "ports", "ownerReferences", "matchExpressions"})
_VALUES = frozenset({"podIsolation", "except", "values", "finalizers"})
_VERBATIM = frozenset({"labels", "annotations", "matchLabels"})
#: Fields that an element begins with; one that begins with another hides where its neighbours begin.
_FIRST = frozenset({"action", "apiVersion", "cidr", "domainName", "endPort", "hostIP", "key", "port"})
_FACTS = {"NETWORK_POLICY_ENFORCING_MODE": "enforcing_mode", "AWS_VPC_K8S_CNI_VETHPREFIX": "veth_prefix",
          "ENABLE_IPv6": "ipv6"}  # fmt: skip


def sniff(head: bytes, path: str) -> Score:
    """`API Version:  networking.k8s.aws/…`, a described pod's `Node:  name/address`, or aws-node's environment."""
    if _SNIFF_CRD.search(head):
        return Score(80, "kubectl describe of a policy endpoint")
    if _SNIFF_POD.search(head) and b"Name:" in head:
        return Score(60, "kubectl describe of a pod")
    if _SNIFF_ENV.search(head):
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
            yield from _described(block, base)
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
    return indent < base or (indent == base and _FIELD.fullmatch(text) is None)


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


def _described(block: list[Line], base: int) -> Iterator[Item]:
    while block and not block[-1].text.strip():
        block.pop()
    top: dict[str, str] = {}
    for line in block:
        match = _FIELD.fullmatch(line.text)
        if match and len(match[1]) == base and match[3]:
            top.setdefault(match[2], match[3])
    if not block:
        return
    span = Span(block[0].start, block[-1].end, block[0].number, block[-1].number)
    if top.get("API Version", "").startswith("networking.k8s.aws/") and "Kind" in top:
        yield from _policy(block, base, span)
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
    builder = _Described(base)
    problems: list[Problem] = []
    for line in block:
        if not builder.take(line):
            where = Span(line.start, line.end, line.number, line.number)
            problems.append(Problem(f"describe: not understood: {line.text.strip()!r}", where, "left out"))
    value = builder.object()
    metadata = value["metadata"]
    errors = conform(value)
    wrong = [
        {"path": path_text(error.path), "message": error.message, "line": builder.line_of(error.path)}
        for error in errors or []
    ]
    yield Record(
        "k8s_object",
        {
            "kind": value.get("kind"),
            "api_version": value.get("apiVersion"),
            "namespace": metadata.get("namespace"),
            "name": metadata.get("name"),
            "object": value,
            "valid": None if errors is None else not wrong,
            "errors": wrong,
        },
        span,
    )
    label = f"{value.get('kind')} {metadata.get('name')}"
    for entry in wrong:
        yield Problem(f"{label}: {entry['path']}: {entry['message']}".replace(": : ", ": "), span, "kept what is there")
    for line in builder.doubtful:
        yield Problem(
            f"{label}: describe prints no border between list elements, and here it is not certain",
            Span(line.start, line.end, line.number, line.number),
            "began a new element where a field repeats or sorts before the last",
            "",
            "kubectl get -o yaml keeps the borders",
        )
    yield from problems


class _Described:
    """The object that the printed blocks stand for."""

    def __init__(self, base: int) -> None:
        self.base = base
        self.root: dict[str, Any] = {}
        #: open blocks: indentation of their fields, container, name, path
        self.open: list[tuple[int, Any, str, tuple[str | int, ...]]] = [(base, self.root, "", ())]
        self.lines: dict[tuple[str | int, ...], int] = {}
        self.doubtful: list[Line] = []
        self.verbatim: tuple[int, dict[str, str]] | None = None

    def take(self, line: Line) -> bool:
        """Read a line into the object; False when it fits nowhere."""
        text = line.text.rstrip()
        if not text.strip():
            return True
        indent = len(text) - len(text.lstrip(" "))
        if self.verbatim is not None:
            if indent >= self.verbatim[0]:
                return self._pair(text.strip())
            self.verbatim = None
        while len(self.open) > 1 and indent < self.open[-1][0]:
            self.open.pop()
        container, name, path = self.open[-1][1:]
        if isinstance(container, list) and name in _VALUES:
            container.append(text.strip())
            return True
        match = _FIELD.fullmatch(text)
        if match is None:
            return False
        field = _field(match[2])
        if isinstance(container, list):
            if self._begins(container, field, line):
                container.append({})
            path = (*path, len(container) - 1)
            self.lines.setdefault(path, line.number)
            container = container[-1]
        self.lines[(*path, field)] = line.number
        self._field(container, field, match[3], indent, path, match.start(3))
        return True

    def _field(
        self,
        container: dict[str, Any],
        field: str,
        value: str | None,
        indent: int,
        path: tuple[str | int, ...],
        at: int,
    ) -> None:
        if field in _VERBATIM:
            pairs: dict[str, str] = {}
            container[field] = pairs
            self.verbatim = (indent + 1, pairs)
            if value and value != "<none>":
                self._pair(value)
        elif value is not None:
            container[field] = resolve(value) if value != "<none>" else None
        else:
            child: Any = [] if field in _GROUPS | _VALUES else {}
            container[field] = child
            self.open.append((indent + 1, child, field, (*path, field)))

    def _begins(self, elements: list[dict[str, Any]], field: str, line: Line) -> bool:
        """Whether a field begins a new element: fields are sorted, given once, and some exclude each other."""
        if elements:
            element = elements[-1]
            excluded = field == "domainName" and "cidr" in element
            if field not in element and field > next(reversed(element), "") and not excluded:
                return False
        if field not in _FIRST:
            self.doubtful.append(line)
        return True

    def _pair(self, text: str) -> bool:
        assert self.verbatim is not None
        key, separator, value = text.partition("=") if "=" in text.partition(":")[0] else text.partition(":")
        if separator:
            self.verbatim[1][key.strip()] = value.strip()
        return bool(separator)

    def line_of(self, path: tuple[str | int, ...]) -> int:
        """The line of a path, or of its nearest parent."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def object(self) -> dict[str, Any]:
        """The object as the API gives it."""
        root = self.root
        metadata = root.get("metadata") if isinstance(root.get("metadata"), dict) else {}
        assert isinstance(metadata, dict)
        for field in ("name", "namespace", "labels", "annotations"):
            if root.get(field):
                metadata[field] = root[field]
        spec = root.get("spec")
        if isinstance(spec, dict):
            for field in ("podSelector", "subject"):
                # Labels are printed like titles (`app` as `App`): a selector that may have been changed is unknown.
                if field in spec and not _labels_certain(spec[field]):
                    spec[field] = None
        out: dict[str, Any] = {"apiVersion": root.get("apiVersion"), "kind": root.get("kind"), "metadata": metadata}
        return {**out, "spec": spec, **({"status": root["status"]} if root.get("status") else {})}


def _labels_certain(selector: Any) -> bool:
    if not isinstance(selector, dict) or set(selector) - {"matchLabels"}:
        return False
    return all(re.search(r"[^A-Za-z -]", key) for key in selector.get("matchLabels") or {})


def _field(title: str) -> str:
    """The field name of a printed title: `Pod Selector Endpoints` is podSelectorEndpoints."""
    if title in _TITLES:
        return _TITLES[title]
    first, *rest = title.split(" ")
    return first[:1].lower() + first[1:] + "".join(rest)


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
