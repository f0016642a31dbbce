"""`kubectl get` tables: pods with addresses and nodes, and the names of policies, policy endpoints, nodes and CRDs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from formats.base import NO, Format, Problem, Record, Score, Span
from formats.patterns import lazy
from formats.text import Line, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

_SNIFF = lazy(rb"(?m)^[ \t>]*((?:NAMESPACE[ \t]+)?NAME[ \t]+[A-Z][A-Z \t-]+)\r?$")
#: Columns of the tables that are read here; a table with any other column is somebody else's.
_COLUMNS = frozenset(
    b"NAMESPACE NAME READY STATUS RESTARTS AGE IP NODE NOMINATED READINESS GATES LABELS POD-SELECTOR ROLES VERSION "
    b"INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME CREATED AT".split()
)
_TITLES = lazy(r"NOMINATED NODE|READINESS GATES|CREATED AT|[A-Z][A-Z0-9-]*")
_COMMAND = lazy(r"\bkubectl\b.*?\bget\s+(?:-\S+\s+)*([a-z][a-z.0-9]*)", re.I)
_AGE = lazy(r"(?:\d+[ydhms])+|<unknown>|<invalid>")
#: The suffix that generateName adds (apimachinery, util/rand: no vowels, no 0, 1, 3).
_GENERATED = lazy(r".+-[bcdfghjklmnpqrstvwxz2456789]{5}")
_RESTARTS = lazy(r"(\d+) \(([^)]*)\)")
_RESOURCES = {
    "policyendpoint": "PolicyEndpoint",
    "clusterpolicyendpoint": "ClusterPolicyEndpoint",
    "cpe": "ClusterPolicyEndpoint",
    "networkpolicy": "NetworkPolicy",
    "networkpolicie": "NetworkPolicy",
    "netpol": "NetworkPolicy",
    "clusternetworkpolicy": "ClusterNetworkPolicy",
    "clusternetworkpolicie": "ClusterNetworkPolicy",
    "cnp": "ClusterNetworkPolicy",
    "applicationnetworkpolicy": "ApplicationNetworkPolicy",
    "applicationnetworkpolicie": "ApplicationNetworkPolicy",
    "crd": "CustomResourceDefinition",
    "customresourcedefinition": "CustomResourceDefinition",
    "node": "Node",
    "no": "Node",
    "pod": "Pod",
    "po": "Pod",
}


def sniff(head: bytes, path: str) -> Score:
    """A header line of `kubectl get`: NAME first, or NAMESPACE and NAME, and AGE or CREATED AT."""
    for match in _SNIFF.finditer(head):
        words = match[1].split()
        if _COLUMNS.issuperset(words) and (b"AGE" in words or words[-2:] == [b"CREATED", b"AT"]):
            return Score(75 if head.count(b"\n", 0, match.start()) < 3 else 60, "header line of kubectl get")
    return NO


def read(source: Source) -> Iterator[Item]:
    """A pod for each row about one; for other rows a k8s_object whose `object` is null: only its name is known."""
    resource: str | None = None
    header: Line | None = None
    rows: list[Line] = []
    for line in lines(source.data()):
        text = line.text.expandtabs(8).rstrip()
        if _is_header(text):
            yield from _table(header, rows, resource)
            header, rows = line, []
            continue
        command = _COMMAND.search(text)
        if command:
            yield from _table(header, rows, resource)
            header, rows, resource = None, [], command[1]
        elif header is not None and text.strip():
            if re.match(r"\s*(?:```|~~~|[$#] )", text) or len(text.split()) < 2:
                yield from _table(header, rows, resource)
                header, rows, resource = None, [], None
            else:
                rows.append(line)
        elif header is not None and rows:
            yield from _table(header, rows, resource)
            header, rows, resource = None, [], None
    yield from _table(header, rows, resource)


def _is_header(text: str) -> bool:
    words = text.split()
    if len(words) < 2 or not (words[0] == "NAME" or words[:2] == ["NAMESPACE", "NAME"]):
        return False
    return ("AGE" in words or words[-2:] == ["CREATED", "AT"]) and all(word.isupper() for word in words)


def _table(header: Line | None, rows: list[Line], resource: str | None) -> Iterator[Item]:
    if header is None or not rows:
        return
    text = header.text.expandtabs(8)
    marks = list(_TITLES.finditer(text))
    titles = tuple(mark[0] for mark in marks)
    cells = []
    problems = []
    for row in rows:
        cut = _cells(row.text.expandtabs(8), titles, tuple(mark.start() for mark in marks))
        if cut is None:
            where = Span(row.start, row.end, row.number, row.number)
            what = f"kubectl get: a row that does not fit its header: {row.text.strip()[:80]!r}"
            problems.append(Problem(what, where, "left out", "the row"))
        else:
            cells.append((row, cut))
    kind = _kind(titles, resource, [cut for _, cut in cells])
    if kind is not None:
        yield from problems
    for row, cut in cells:
        where = Span(row.start, row.end, row.number, row.number)
        if kind == "Pod":
            yield Record("pod", _pod(cut), where)
        elif kind is not None:
            name = cut["NAME"].rpartition("/")[2]
            data: dict[str, Any] = {
                "kind": kind, "api_version": None, "namespace": _some(cut.get("NAMESPACE")), "name": name,
                "object": None, "valid": None, "errors": [], "columns": cut,
            }  # fmt: skip
            yield Record("k8s_object", data, where)


def _kind(titles: tuple[str, ...], resource: str | None, rows: list[dict[str, str]]) -> str | None:
    prefixes = {row["NAME"].partition("/")[0] for row in rows if "/" in row["NAME"]}
    for word in (*sorted(prefixes), resource):
        if word is not None:
            stem = word.lower().partition(".")[0]
            known = _RESOURCES.get(stem) or _RESOURCES.get(stem.removesuffix("s"))
            if known:
                return known
    if "READY" in titles and "STATUS" in titles and "RESTARTS" in titles:
        return "Pod"
    if "POD-SELECTOR" in titles:
        return "NetworkPolicy"
    if titles[-1] == "CREATED AT":
        return "CustomResourceDefinition"
    if "ROLES" in titles and "VERSION" in titles:
        return "Node"
    # Policy endpoints have no printer columns and a generated name; with nothing else said, that is their sign.
    bare = resource is None and [title for title in titles if title != "NAMESPACE"] == ["NAME", "AGE"]
    return "PolicyEndpoint" if bare and all(_GENERATED.fullmatch(row["NAME"]) for row in rows) else None


def _cells(text: str, titles: tuple[str, ...], starts: tuple[int, ...]) -> dict[str, str] | None:
    """The row's cells by title: by the header's columns when every border is blank, else by words."""
    aligned = all(start >= len(text) or (text[start - 1 : start] in ("", " ")) for start in starts)
    if aligned:
        ends = [*starts[1:], len(text)]
        cut = [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]
        if all(cut) and not any(re.search(r"\S {2,}\S", cell) for cell in cut):
            return dict(zip(titles, cut, strict=True))
    words = _RESTARTS.sub(lambda match: match[0].replace(" ", "\0"), text).split()
    if len(words) != len(titles):
        return None
    found = dict(zip(titles, (word.replace("\0", " ") for word in words), strict=True))
    age = found.get("AGE")
    return found if age is None or _AGE.fullmatch(age) else None


def _pod(cut: dict[str, str]) -> dict[str, object]:
    address = _some(cut.get("IP"))
    labels = _some(cut.get("LABELS"))
    return {
        "namespace": _some(cut.get("NAMESPACE")),
        "name": cut["NAME"].rpartition("/")[2],
        "ip": address if address and ":" not in address else None,
        "ipv6": address if address and ":" in address else None,
        "node_ip": None,
        "node_name": _some(cut.get("NODE")),
        "host_network": None,
        "labels": dict(pair.split("=", 1) for pair in labels.split(",") if "=" in pair) if labels else None,
        "started_ns": None,
        "source": "kubectl get pods",
    }


def _some(cell: str | None) -> str | None:
    return None if cell in (None, "", "<none>", "<unknown>") else cell


FORMAT = Format(
    name="k8s-tables",
    title="kubectl get tables",
    sniff=sniff,
    read=read,
    versions="kubectl 1.18 and later",
    about="Pods with `-o wide`; names and ages of policy endpoints, network policies, nodes and CRDs. The kind comes "
    "from the command, the name's prefix or the columns.",
    limits=("a bare NAME AGE table is taken for policy endpoints only when every name has a generated suffix",),
    loses=("everything but the columns",),
    quiet=True,
)
