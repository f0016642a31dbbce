"""JSON Schema keywords compiled to plain functions: those that the schemas of policy objects use."""

from __future__ import annotations

import marshal
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from formats.k8s_events import Path

_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}
#: Lists that are remembered, and the items of each at most.
_KNOWN, _SHORT = 4096, 24
#: The version of marshal in which equal values have equal bytes.
_NO_REFERENCES = 2
_WORDS = {"string": "text", "integer": "a whole number", "boolean": "true or false", "object": "a mapping",
          "array": "a list", "null": "null"}  # fmt: skip


class SchemaError(NamedTuple):
    """One departure from the schema: where in the object, which keyword of the schema, and what a person reads."""

    path: Path
    keyword: str
    message: str


#: None or an empty list: the value is as the schema wants it.
Check = Callable[[Any], list[SchemaError] | None]


def compile_schema(schema: Any, root: dict[str, Any], known: dict[str, Check]) -> Check:
    """A checker of one schema; `known` holds those of `$defs`. Keywords that no schema here uses are not compiled."""
    if schema is False:
        return lambda value: [SchemaError((), "false schema", "does not belong here: was its indentation lost?")]
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        if name not in known:
            known[name] = compile_schema(root["$defs"][name], root, known)
        return known[name]
    checks = [maker(schema) for keyword, maker in _SCALAR_RULES.items() if keyword in schema]
    by_type: Check | None = _type_rule(schema) if "type" in schema else None
    if "items" in schema:
        checks.append(_items_rule(compile_schema(schema["items"], root, known)))
    if "properties" in schema or "additionalProperties" in schema:
        properties = {key: compile_schema(part, root, known) for key, part in schema.get("properties", {}).items()}
        extra = schema.get("additionalProperties")
        checks.append(_properties_rule(properties, compile_schema(extra, root, known) if extra is not None else None))
    return _all_of(by_type, checks)


def _all_of(by_type: Check | None, checks: list[Check]) -> Check:
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


def _type_rule(schema: dict[str, Any]) -> Check:
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    allowed = frozenset(kind for name in names for kind in _PYTHON[name])
    wanted = " or ".join(_WORDS[name] for name in names if name != "null" or len(names) == 1)

    def check(value: Any) -> list[SchemaError] | None:
        if type(value) in allowed or (type(value) is float and int in allowed and value.is_integer()):
            return None
        return [SchemaError((), "type", f"{_shown(value)} is not {wanted}")]

    return check


def _required_rule(schema: dict[str, Any]) -> Check:
    names = schema["required"]

    def check(value: Any) -> list[SchemaError] | None:
        if type(value) is not dict:
            return None
        return [SchemaError((), "required", f"{name} is missing") for name in names if name not in value] or None

    return check


def _enum_rule(schema: dict[str, Any]) -> Check:
    options = schema["enum"] if "enum" in schema else [schema["const"]]
    keyword = "enum" if "enum" in schema else "const"
    allowed = frozenset(options)
    listed = ", ".join(str(option) for option in options if option is not None)

    def check(value: Any) -> list[SchemaError] | None:
        if (value is None or type(value) is str) and value in allowed:
            return None
        return [SchemaError((), keyword, f"{_shown(value)} is not one of {listed}")]

    return check


def _pattern_rule(schema: dict[str, Any]) -> Check:
    search = re.compile(schema["pattern"]).search

    def check(value: Any) -> list[SchemaError] | None:
        if type(value) is not str or search(value):
            return None
        return [SchemaError((), "pattern", f"{_shown(value)} does not have the form of this field")]

    return check


def _bound_rule(keyword: str, *, low: bool, size: bool) -> Callable[[dict[str, Any]], Check]:
    kinds: dict[str, tuple[type, ...]] = {"Items": (list,), "Properties": (dict,)}
    accepted = kinds.get(keyword[3:], (int, float))

    def make(schema: dict[str, Any]) -> Check:
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


def _not_rule(schema: dict[str, Any]) -> Check:
    refused = [part["required"] for part in schema["not"].get("anyOf", [schema["not"]])]

    def check(value: Any) -> list[SchemaError] | None:
        if type(value) is not dict:
            return None
        for names in refused:
            if all(name in value for name in names):
                return [SchemaError((), "not", f"{' and '.join(names)} exclude each other")]
        return None

    return check


def _items_rule(part: Check) -> Check:
    # the lists of ports of a thousand rules are few: one that was found good is known by its bytes
    good: set[bytes] = set()

    def check(value: Any) -> list[SchemaError] | None:
        if type(value) is not list:
            return None
        key = _bytes(value) if 0 < len(value) <= _SHORT else None
        if key in good:
            return None
        found: list[SchemaError] | None = None
        for index, item in enumerate(value):
            errors = part(item)
            if errors:
                found = found or []
                found.extend(error._replace(path=(index, *error.path)) for error in errors)
        if found is None and key is not None:
            if len(good) >= _KNOWN:
                good.clear()
            good.add(key)
        return found

    return check


def _bytes(value: Any) -> bytes | None:
    """Other values have other bytes, be they different only in a type; None for what is no plain value."""
    try:
        return marshal.dumps(value, _NO_REFERENCES)
    except ValueError:
        return None


def _properties_rule(properties: dict[str, Check], extra: Check | None) -> Check:
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


_SCALAR_RULES: dict[str, Callable[[dict[str, Any]], Check]] = {
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


def _shown(value: Any) -> str:
    text = {dict: "a mapping", list: "a list", type(None): "null", bool: str(value).lower()}.get(
        type(value), repr(value)
    )
    return text if len(text) <= 80 else text[:77] + "..."
