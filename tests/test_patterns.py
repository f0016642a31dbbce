"""Patterns that are compiled late are compiled here: a broken one is found by its first use otherwise."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import forensics
import formats
from formats.patterns import _Lazy, lazy

MODULES = [
    f"{package.__name__}.{module.name}"
    for package in (formats, forensics)
    for module in pkgutil.iter_modules(package.__path__)
]


def lazies(value):
    if isinstance(value, _Lazy):
        yield value
    elif isinstance(value, dict):
        yield from lazies(tuple(value.values()))
    elif isinstance(value, tuple):
        for part in value:
            yield from lazies(part)


@pytest.mark.parametrize("module", MODULES)
def test_every_pattern_compiles(module: str) -> None:
    patterns = [found for value in vars(importlib.import_module(module)).values() for found in lazies(value)]

    assert [] == [found for found in patterns if found.groups < 0]


def test_a_lazy_pattern_answers_as_a_compiled_one() -> None:
    pattern, compiled = lazy(rb"^(?P<name>k)(\d)", re.M), re.compile(rb"^(?P<name>k)(\d)", re.M)
    text = b"k1\nx\nk2"

    assert [match.span() for match in compiled.finditer(text)] == [match.span() for match in pattern.finditer(text)]
    assert compiled.findall(text) == pattern.findall(text)
    assert compiled.sub(b"-", text) == pattern.sub(b"-", text)
    assert compiled.search(text, 1).group("name") == pattern.search(text, 1).group("name")
    assert (compiled.groups, compiled.flags, compiled.pattern) == (pattern.groups, pattern.flags, pattern.pattern)
    assert pattern.match(text) is not None
    assert pattern.fullmatch(text) is None


def test_a_broken_pattern_raises_where_it_is_asked() -> None:
    pattern = lazy("(")

    with pytest.raises(re.error):
        pattern.search("")


def test_a_lazy_pattern_is_compiled_once() -> None:
    pattern = lazy("a")

    pattern.search("a")

    assert {"search", "match", "sub"} < vars(pattern).keys()
