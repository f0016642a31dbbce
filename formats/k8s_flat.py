"""A PolicyEndpoint without its indentation: put back where the field names leave one reading, until the first doubt."""

from __future__ import annotations

from formats.k8s_events import Fault
from formats.patterns import lazy

_KIND = lazy(rb"(?m)^kind: *(?:Cluster)?PolicyEndpoint *$")
_LINE = lazy(r"(- )?(?:([\w./-]+):(?: (.*))?|(.*))")
_TOP = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})
_SPEC = frozenset({"egress", "ingress", "podIsolation", "podSelector", "podSelectorEndpoints", "policyRef", "subject"})
_SPEC_SCALARS = frozenset({"priority", "tier"})
_METADATA = frozenset(
    {"name", "namespace", "generateName", "generation", "creationTimestamp", "resourceVersion", "uid"}
)
_METADATA_BLOCKS = frozenset({"annotations", "labels", "ownerReferences", "managedFields", "finalizers"})
_OWNER = frozenset({"apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"})
_RULE = frozenset({"cidr", "domainName", "except", "ports", "action"})
_PORT = frozenset({"port", "endPort", "protocol"})
_POD = frozenset({"hostIP", "name", "namespace", "podIP"})


def is_flat(data: bytes) -> bool:
    """Whether this is a policy object with every line at the left edge."""
    if b"\n " in data or data.startswith(b" ") or _KIND.search(data) is None:
        return False
    return b"\nmetadata:\n" in data and b"\nspec:\n" in data


def indent_again(data: bytes) -> tuple[bytes, list[Fault]]:
    """The text with its indentation, line by line, and the fault that says so; a doubtful line ends it."""
    rows = data.decode("utf-8", "replace").split("\n")
    rebuilt = _Rebuilt()
    out: list[str] = []
    for number, row in enumerate(rows, 1):
        text = row.rstrip()
        placed = "" if not text or text.startswith("#") else rebuilt.place(text)
        if placed is None:
            fault = Fault(
                f"indentation was lost, and from this line on it is open where {text!r} belongs",
                number,
                lost=f"lines {number} to {len(rows)}",
            )
            rest = [""] * (len(rows) - len(out))
            return "\n".join(out + rest).encode(), [fault]
        out.append(placed)
    return "\n".join(out).encode(), [Fault("indentation was lost; it was put back by the field names", 1)]


class _Rebuilt:
    """Where the next line belongs, given those before it."""

    def __init__(self) -> None:
        self.section = ""
        self.block = ""
        self.inner = ""
        self.item: set[str] = set()
        self.port: set[str] = set()
        self.seen: set[str] = set()

    def place(self, text: str) -> str | None:
        """The line with its indentation; None when more than one place, or none, would do."""
        match = _LINE.fullmatch(text)
        if match is None:
            return None
        dash, key, value, bare = bool(match[1]), match[2] or "", match[3], match[4]
        if self.section == "spec":
            return self._spec(text, dash, key, value, bare)
        if self.section == "metadata":
            placed = self._metadata(text, dash, key, value)
            if placed is not None:
                return placed
        if dash or key not in _TOP or key in self.seen:
            return None
        self.seen.add(key)
        self.section = key if value is None else ""
        self.block = ""
        self.item = set()
        return text

    def _metadata(self, text: str, dash: bool, key: str, value: str | None) -> str | None:
        if self.block == "ownerReferences":
            if dash and key in _OWNER:
                self.item = {key}
                return "  " + text
            if key in _OWNER and key not in self.item:
                self.item.add(key)
                return "    " + text
        if not dash and value is None and key in _METADATA_BLOCKS:
            self.block, self.item = key, set()
            return "  " + text
        if not dash and value is not None and key in _METADATA and f"metadata.{key}" not in self.seen:
            if self.block == "labels" and "/" not in key and key in ("name", "namespace"):
                return None
            self.seen.add(f"metadata.{key}")
            return "  " + text
        if self.block in ("annotations", "labels") and value is not None and ("/" in key or self.block == "labels"):
            return "    " + text
        return None

    def _spec(self, text: str, dash: bool, key: str, value: str | None, bare: str | None) -> str | None:
        if not dash and (
            (key in _SPEC and (value is None or value in ("{}", "[]"))) or (key in _SPEC_SCALARS and value is not None)
        ):
            if f"spec.{key}" in self.seen:
                return None
            self.seen.add(f"spec.{key}")
            self.block, self.inner, self.item, self.port = key, "", set(), set()
            return "  " + text
        if key == "status" and not dash:
            self.section = "status"
            return text if value == "{}" else None
        if self.block in ("egress", "ingress"):
            return self._rule(text, dash, key, value, bare)
        if self.block == "podSelectorEndpoints":
            return self._element(text, dash, key, _POD) if value else None
        if self.block == "podIsolation":
            return "  " + text if dash and bare in ("Ingress", "Egress") else None
        if self.block == "policyRef" and not dash and key in ("name", "namespace") and key not in self.item and value:
            self.item.add(key)
            return "    " + text
        if self.block == "podSelector" and not dash:
            if key == "matchLabels" and value is None and not self.inner:
                self.inner = key
                return "    " + text
            return "      " + text if self.inner and value else None
        return None

    def _rule(self, text: str, dash: bool, key: str, value: str | None, bare: str | None) -> str | None:
        if bare is not None:
            return "    " + text if dash and self.inner == "except" else None
        if key in _RULE:
            self.inner = key if value is None else ""
            self.port = set()
            if value is None and key not in ("except", "ports"):
                return None
            return self._element(text, dash, key, _RULE)
        if self.inner != "ports" or key not in _PORT or not value:
            return None
        if dash:
            self.port = {key}
            return "    " + text
        if not self.port or key in self.port:
            return None
        self.port.add(key)
        return "      " + text

    def _element(self, text: str, dash: bool, key: str, keys: frozenset[str]) -> str | None:
        if key not in keys or (not dash and (not self.item or key in self.item)):
            return None
        self.item = {key} if dash else {*self.item, key}
        return ("  " if dash else "    ") + text
