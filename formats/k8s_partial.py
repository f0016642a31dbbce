"""An object of which a part is wrong or missing: what is left out of it, and what its record says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from formats.k8s_checker import SchemaError
    from formats.k8s_events import Fault, Path


def record_data(value: Any, valid: bool | None, errors: list[dict[str, Any]]) -> dict[str, Any]:
    """The data of a k8s_object record."""
    named = value if isinstance(value, dict) and isinstance(value.get("kind"), str) else {}
    metadata = named.get("metadata") if isinstance(named.get("metadata"), dict) else {}
    return {
        "kind": named.get("kind"),
        "api_version": _text(named.get("apiVersion")),
        "namespace": _text(metadata.get("namespace")) if metadata else None,
        "name": _text(metadata.get("name")) if metadata else None,
        "object": value,
        "valid": valid,
        "errors": errors,
    }


def ends_early(errors: list[SchemaError]) -> bool:
    """What comes last in an object is missing: its text was cut."""
    return any(error.keyword == "required" and error.path in ((), ("spec",), ("spec", "policyRef")) for error in errors)


def last_path(value: Any) -> Path:
    """The path of the last value of an object."""
    path: list[str | int] = []
    node = value
    while isinstance(node, dict | list) and node:
        key: Any = list(node)[-1] if isinstance(node, dict) else len(node) - 1
        path.append(key)
        node = node[key]
    return tuple(path)


def element_of(path: Path) -> Path | None:
    """The path of the rule or endpoint that a path lies in: the outermost list element below spec."""
    for depth, part in enumerate(path):
        if isinstance(part, int):
            return path[: depth + 1] if path[0] == "spec" else None
    return None


def leave_out(value: dict[str, Any], errors: list[SchemaError], faults: list[Fault]) -> set[Path]:
    """Take the wrong rules, and values of a wrong type, out of the object. Returns their paths."""
    gone: set[Path] = set()
    for path in [error.path for error in errors] + [fault.path for fault in faults]:
        element = element_of(path)
        if element is not None:
            gone.add(element)
    for error in errors:
        if error.keyword == "type" and error.path[:1] == ("spec",) and element_of(error.path) is None:
            gone.add(error.path)
    # From the back, so that the numbers of the elements before them hold.
    for path in sorted(gone, key=lambda path: [str(part).rjust(12) for part in path], reverse=True):
        parent = node_at(value, path[:-1])
        if isinstance(parent, dict):
            parent.pop(path[-1], None)
        elif isinstance(parent, list) and isinstance(path[-1], int) and path[-1] < len(parent):
            del parent[path[-1]]
    return gone


def node_at(value: Any, path: Path) -> Any:
    """What stands at a path; None when nothing does."""
    for part in path:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
