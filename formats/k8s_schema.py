"""Kubernetes objects against the JSON Schemas beside this file, by a checker compiled from them.

The schema files are what is checked; importing jsonschema costs 300 ms, so the keywords that they use are compiled
here, and a property test holds this checker and jsonschema together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, NamedTuple

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
_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}
_WORDS = {"string": "text", "integer": "a whole number", "boolean": "true or false", "object": "a mapping",
          "array": "a list", "null": "null"}  # fmt: skip
_DIGITS = re.compile(r"0|[1-9][0-9]{0,17}")


class SchemaError(NamedTuple):
    """One departure from the schema: where in the object, which keyword of the schema, and what a person reads."""

    path: Path
    keyword: str
    message: str


_Check = Callable[[Any], list[SchemaError] | None]


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


def _check_of(value: Any) -> _Check | None:
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
def _compiled(name: str) -> _Check:
    schema = load_schema(name)
    return _compile(schema, schema, {})


def _compile(schema: Any, root: dict[str, Any], known: dict[str, _Check]) -> _Check:
    if schema is False:
        return lambda value: [SchemaError((), "false schema", "does not belong here: was its indentation lost?")]
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        if name not in known:
            known[name] = _compile(root["$defs"][name], root, known)
        return known[name]
    checks = [maker(schema) for keyword, maker in _SCALAR_RULES.items() if keyword in schema]
    by_type: _Check | None = _type_rule(schema) if "type" in schema else None
    if "items" in schema:
        checks.append(_items_rule(_compile(schema["items"], root, known)))
    if "properties" in schema or "additionalProperties" in schema:
        properties = {key: _compile(part, root, known) for key, part in schema.get("properties", {}).items()}
        extra = schema.get("additionalProperties")
        checks.append(_properties_rule(properties, _compile(extra, root, known) if extra is not None else None))
    return _all_of(by_type, checks)


def _all_of(by_type: _Check | None, checks: list[_Check]) -> _Check:
    if by_type is not None and not checks:
        return by_type

    def check(value: Any) -> list[SchemaError] | None:
        found = by_type(value) if by_type is not None else None
        for rule in checks:
            more = rule(value)
            if more:
                found = [*found, *more] if found else more
        return found

    return check


def _type_rule(schema: dict[str, Any]) -> _Check:
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    allowed = frozenset(kind for name in names for kind in _PYTHON[name])
    wanted = " or ".join(_WORDS[name] for name in names if name != "null" or len(names) == 1)

    def check(value: Any) -> list[SchemaError] | None:
        if type(value) in allowed or (type(value) is float and int in allowed and value.is_integer()):
            return None
        return [SchemaError((), "type", f"{_shown(value)} is not {wanted}")]

    return check


def _required_rule(schema: dict[str, Any]) -> _Check:
    names = schema["required"]

    def check(value: Any) -> list[SchemaError] | None:
        if type(value) is not dict:
            return None
        return [SchemaError((), "required", f"{name} is missing") for name in names if name not in value] or None

    return check


def _enum_rule(schema: dict[str, Any]) -> _Check:
    options = schema["enum"] if "enum" in schema else [schema["const"]]
    keyword = "enum" if "enum" in schema else "const"
    allowed = frozenset(options)
    listed = ", ".join(str(option) for option in options if option is not None)

    def check(value: Any) -> list[SchemaError] | None:
        if (value is None or type(value) is str) and value in allowed:
            return None
        return [SchemaError((), keyword, f"{_shown(value)} is not one of {listed}")]

    return check


def _pattern_rule(schema: dict[str, Any]) -> _Check:
    search = re.compile(schema["pattern"]).search

    def check(value: Any) -> list[SchemaError] | None:
        if type(value) is not str or search(value):
            return None
        return [SchemaError((), "pattern", f"{_shown(value)} does not have the form of this field")]

    return check


def _bound_rule(keyword: str, *, low: bool, size: bool) -> Callable[[dict[str, Any]], _Check]:
    kinds: dict[str, tuple[type, ...]] = {"Items": (list,), "Properties": (dict,)}
    accepted = kinds.get(keyword[3:], (int, float))

    def make(schema: dict[str, Any]) -> _Check:
        bound = schema[keyword]

        def check(value: Any) -> list[SchemaError] | None:
            if type(value) not in accepted:
                return None
            number = len(value) if size else value
            if number >= bound if low else number <= bound:
                return None
            limit = f"{'at least' if low else 'at most'} {bound}"
            message = f"has {number} entries, must have {limit}" if size else f"{number} must be {limit}"
            return [SchemaError((), keyword, message)]

        return check

    return make


def _not_rule(schema: dict[str, Any]) -> _Check:
    refused = [part["required"] for part in schema["not"].get("anyOf", [schema["not"]])]

    def check(value: Any) -> list[SchemaError] | None:
        if type(value) is not dict:
            return None
        for names in refused:
            if all(name in value for name in names):
                return [SchemaError((), "not", f"{' and '.join(names)} exclude each other")]
        return None

    return check


def _items_rule(part: _Check) -> _Check:
    def check(value: Any) -> list[SchemaError] | None:
        if type(value) is not list:
            return None
        found: list[SchemaError] | None = None
        for index, item in enumerate(value):
            errors = part(item)
            if errors:
                found = found or []
                found.extend(error._replace(path=(index, *error.path)) for error in errors)
        return found

    return check


def _properties_rule(properties: dict[str, _Check], extra: _Check | None) -> _Check:
    def check(value: Any) -> list[SchemaError] | None:
        if type(value) is not dict:
            return None
        found: list[SchemaError] | None = None
        for key, part in value.items():
            rule = properties.get(key, extra)
            errors = rule(part) if rule is not None else None
            if errors:
                found = found or []
                found.extend(error._replace(path=(key, *error.path)) for error in errors)
        return found

    return check


_SCALAR_RULES: dict[str, Callable[[dict[str, Any]], _Check]] = {
    "required": _required_rule,
    "enum": _enum_rule,
    "const": _enum_rule,
    "pattern": _pattern_rule,
    "minimum": _bound_rule("minimum", low=True, size=False),
    "maximum": _bound_rule("maximum", low=False, size=False),
    "minItems": _bound_rule("minItems", low=True, size=True),
    "maxItems": _bound_rule("maxItems", low=False, size=True),
    "minProperties": _bound_rule("minProperties", low=True, size=True),
    "maxProperties": _bound_rule("maxProperties", low=False, size=True),
    "not": _not_rule,
}


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


def _shown(value: Any) -> str:
    text = {dict: "a mapping", list: "a list", type(None): "null", bool: str(value).lower()}.get(
        type(value), repr(value)
    )
    return text if len(text) <= 80 else text[:77] + "..."
