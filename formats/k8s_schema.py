"""Kubernetes objects against the JSON Schemas beside this file, by a checker compiled from them.

The schema files are what is checked; importing jsonschema costs 300 ms, so the keywords that they use are compiled
here, and a property test holds this checker and jsonschema together.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from formats.k8s_checker import Check, SchemaError, compile_schema
from formats.patterns import lazy

if TYPE_CHECKING:
    from formats.k8s_events import Path

#: (API group, kind) -> schema file. Versions of a group share one: the fields that count have not changed.
SCHEMAS: dict[tuple[str, str], str] = {
    ("networking.k8s.aws", "PolicyEndpoint"): "policyendpoint",
    ("networking.k8s.aws", "ClusterPolicyEndpoint"): "clusterpolicyendpoint",
    ("networking.k8s.aws", "ApplicationNetworkPolicy"): "applicationnetworkpolicy",
    ("networking.k8s.aws", "ClusterNetworkPolicy"): "clusternetworkpolicy",
    ("networking.k8s.io", "NetworkPolicy"): "networkpolicy",
    ("extensions", "NetworkPolicy"): "networkpolicy",
    ("policy.networking.k8s.io", "ClusterNetworkPolicy"): "upstreamclusternetworkpolicy",
}
_DIGITS = lazy(r"0|[1-9][0-9]{0,17}")


def validate(value: Any) -> list[SchemaError] | None:
    """Every departure of an object from the schema of its kind; None when its kind has no schema here."""
    check = _check_of(value)
    return None if check is None else check(value) or []


def conform(value: Any) -> list[SchemaError] | None:
    """validate(), after scalars that lost their type in the text got it back: `80` for a port, text for a label of `1`.

    Changes the object in place.
    """
    check = _check_of(value)
    if check is None:
        metadata = value.get("metadata") if isinstance(value, dict) else None
        if isinstance(metadata, dict):
            _texts(metadata)
        return None
    errors = check(value) or []
    if errors:
        name = _schema_name(value)
        assert name is not None
        schema = load_schema(name)
        _coerce(schema, value, schema)
        errors = check(value) or []
    return errors


@cache
def load_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a file name without its ending (`policyendpoint`)."""
    text = FilePath(__file__).with_name(f"{name}.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def path_text(path: Path) -> str:
    """`spec.ingress[3].ports[0].port`."""
    out = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return out.removeprefix(".")


def _check_of(value: Any) -> Check | None:
    name = _schema_name(value)
    return None if name is None else _compiled(name)


def _schema_name(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    version, kind = value.get("apiVersion"), value.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str):
        return None
    return SCHEMAS.get((version.rpartition("/")[0], kind))


@cache
def _compiled(name: str) -> Check:
    schema = load_schema(name)
    return compile_schema(schema, schema, {})


def _coerce(schema: Any, value: Any, root: dict[str, Any]) -> Any:
    """The value with the type that the schema gives it, where the text leaves one reading only."""
    if schema is False:
        return value
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if isinstance(value, dict):
        extra = schema.get("additionalProperties")
        for key, part in value.items():
            inner = schema.get("properties", {}).get(key, extra)
            if inner is not None:
                value[key] = _coerce(inner, part, root)
        return value
    if isinstance(value, list):
        if "items" in schema:
            value[:] = [_coerce(schema["items"], part, root) for part in value]
        return value
    kinds = schema.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    if isinstance(value, str) and "integer" in kinds and "string" not in kinds and _DIGITS.fullmatch(value):
        return int(value)
    if isinstance(value, bool | int) and "string" in kinds and "integer" not in kinds:
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def _texts(metadata: dict[str, Any]) -> None:
    """Names, labels and annotations are text in every kind."""
    for holder in (metadata, metadata.get("labels"), metadata.get("annotations")):
        if isinstance(holder, dict):
            for key, part in holder.items():
                if isinstance(part, bool | int) and key not in ("generation", "deletionGracePeriodSeconds"):
                    holder[key] = str(part).lower() if isinstance(part, bool) else str(part)
