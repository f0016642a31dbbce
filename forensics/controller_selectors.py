"""Label selectors as the API machinery reads them, with a third answer where labels are not known.

Source: metav1.LabelSelectorAsSelector and labels.Requirement.Matches of k8s.io/apimachinery: requirements are joined by
AND, an empty selector matches everything, `NotIn` and `DoesNotExist` match where the key is absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Every namespace has it, set by the API server: its value is the namespace's name.
NAME_LABEL = "kubernetes.io/metadata.name"
_EXPRESSIONS = ("In", "NotIn", "Exists", "DoesNotExist")


class Labels(NamedTuple):
    """Labels of an object; without `whole` there may be others."""

    known: Mapping[str, str]
    whole: bool = True


def matches(selector: Any, labels: Labels) -> bool | None:
    """Whether a selector matches; None where unknown labels decide, or where the selector cannot be read."""
    if not isinstance(selector, dict):
        return None
    answers = [_matches(requirement, labels) for requirement in _requirements(selector)]
    if False in answers:
        return False
    return None if None in answers else True


class _Requirement(NamedTuple):
    key: str
    operator: str
    values: frozenset[str]


def _requirements(selector: Mapping[str, Any]) -> Iterator[_Requirement | None]:
    """Each requirement of a selector, None for one that the API server would refuse."""
    exact = selector.get("matchLabels") or {}
    if not isinstance(exact, dict):
        yield None
        return
    for key, value in exact.items():
        yield _Requirement(str(key), "In", frozenset({_text(value)}))
    expressions = selector.get("matchExpressions") or []
    if not isinstance(expressions, list):
        yield None
        return
    for item in expressions:
        yield _expression(item)


def _expression(item: Any) -> _Requirement | None:
    if not isinstance(item, dict) or item.get("operator") not in _EXPRESSIONS or not isinstance(item.get("key"), str):
        return None
    values = item.get("values") or []
    if not isinstance(values, list) or bool(values) != (item["operator"] in ("In", "NotIn")):
        return None
    return _Requirement(item["key"], item["operator"], frozenset(_text(value) for value in values))


def _matches(requirement: _Requirement | None, labels: Labels) -> bool | None:
    if requirement is None:
        return None
    key, operator, values = requirement
    if key not in labels.known and not labels.whole:
        return None
    value = labels.known.get(key)
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value is None or value not in values
    return (value is not None) == (operator == "Exists")


def _text(value: Any) -> str:
    """A label value; YAML written by hand may hold a number or a truth value where the API holds text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
