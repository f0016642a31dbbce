"""The object behind the blocks that `kubectl describe` prints for a custom resource.

Source: kubectl pkg/describe/describe.go, genericDescriber, printUnstructuredContent and smartLabelFor (v1.18 to v1.34).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from formats.k8s_block import resolve
from formats.patterns import lazy

if TYPE_CHECKING:
    from formats.text import Line

FIELD = lazy(r"( *)([A-Za-z][\w ./()-]*?):(?: {1,}(\S.*?))? *")

#: Printed titles whose field name is not the title with its blanks taken out.
_TITLES = {"API Version": "apiVersion", "Host IP": "hostIP", "Pod IP": "podIP", "UID": "uid"}
#: What a block holds: a list of groups, a list of plain values, or one group; everything else is a group.
_GROUPS = frozenset({"egress", "ingress", "podSelectorEndpoints", "ports", "ownerReferences", "matchExpressions"})
_VALUES = frozenset({"podIsolation", "except", "values", "finalizers"})
_VERBATIM = frozenset({"labels", "annotations", "matchLabels"})
#: Fields that an element begins with; one that begins with another hides where its neighbours begin.
_FIRST = frozenset({"action", "apiVersion", "cidr", "domainName", "endPort", "hostIP", "key", "port"})


class Described:
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
        match = FIELD.fullmatch(text)
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
