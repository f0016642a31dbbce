"""Patterns that are compiled when they are first asked: a run meets a few of the formats, and pays for those only."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast

_METHODS = ("search", "match", "fullmatch", "finditer", "findall", "split", "sub", "subn")


def lazy(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """What re.compile gives, to be asked through its methods only: functions of `re` do not take it.

    Raises re.error where it is first asked, not here (tests/test_patterns.py asks them all).
    """
    return cast("re.Pattern[AnyStr]", _Lazy(pattern, flags))


class _Lazy:
    """Stands for a compiled pattern, whose methods become its own attributes: later calls cost what they always did."""

    def __init__(self, pattern: str | bytes, flags: int) -> None:
        self._asked = pattern, flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copying and pickling look for what no pattern has
            raise AttributeError(name)
        compiled: re.Pattern[Any] = re.compile(*self._asked)
        vars(self).update((method, getattr(compiled, method)) for method in _METHODS)
        return getattr(compiled, name)
