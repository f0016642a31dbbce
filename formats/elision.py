"""What people write where they left something out: `[... 17 rows of zeros ...]`, `[... 188 more entries ...]`."""

from __future__ import annotations

import re
from typing import NamedTuple

from formats.patterns import lazy

_DOTS = r"(?:\.{2,}|\u2026|\. \. \.)"
_MARKED = lazy(rf"{_DOTS}|^[\[(<{{].*[\])>}}]$|\b(?:omitted|snip(?:ped)?|elided|cut|truncated|skipped|removed)\b", re.I)
_COUNT = r"(?P<n>\d[\d,_]*)"
_ZERO = r"(?:zero(?:e?s|ed)?|0x00|00|0|nulls?|NUL)(?:['\u2019]?s)?"
_ZERO_ROWS = lazy(
    rf"{_COUNT}\s+(?:more\s+|further\s+|identical\s+)?(?:(?:all[- ])?{_ZERO}[- ]*(?:rows|lines)"
    rf"|(?:more\s+)?(?:rows?|lines?),?\s+(?:of|with|are|containing)?\s*(?:only\s+|all\s+|all-)?{_ZERO}\b)",
    re.I,
)
_ZERO_BYTES = lazy(
    rf"{_COUNT}\s+(?:more\s+|further\s+)?(?:{_ZERO}[- ]*bytes|bytes?\s+(?:of\s+)?(?:all\s+)?{_ZERO}\b)", re.I
)
_REST_ZERO = lazy(
    rf"\b(?:rest|remaining|remainder|all|only)\b[^.\d]{{0,24}}\b{_ZERO}\b|{_ZERO}\s+(?:to|until)\s+the\s+end|"
    rf"^\W*(?:zeros|zeroes)\W*$",
    re.I,
)
_ENTRIES = lazy(
    rf"{_COUNT}\s+(?:(?:more|other|further|additional|similar|identical|remaining)\s+)*"
    r"(?:entr(?:y|ies)|elements?|keys?|records?|items?|prefix(?:es)?|CIDRs?)\b",
    re.I,
)
_PLAIN_MORE = lazy(rf"^\W*(?:and\s+)?{_COUNT}\s+(?:more|other)\s+(?:entr(?:y|ies)|elements?|keys?)\W*$", re.I)
_NOTHING_ELSE = lazy(
    rf"^\W*(?:{_DOTS}|\b(?:output|lines?|rows?|data|dump|more|entries|omitted|snip(?:ped)?|snap|elided|cut|truncated|"
    r"skipped|removed|here|for|brevity|etc|the|rest|of|and|so|on|some|many|several|other|in|between|\d+)\b|\W)+$",
    re.I,
)


class Elision(NamedTuple):
    """What was left out: kind is rows (`amount` zero rows of 16), bytes (zero bytes), rest (zeros to the end), entries
    (`amount` entries) or unknown."""

    kind: str
    amount: int = 0


def elision(text: str) -> Elision | None:
    """The elision a line states; None when the line is something else."""
    text = text.strip()
    if not text or len(text) > 160:
        return None
    if not _MARKED.search(text):
        match = _PLAIN_MORE.match(text)
        return Elision("entries", _number(match)) if match else None
    for kind, pattern in (("rows", _ZERO_ROWS), ("bytes", _ZERO_BYTES), ("entries", _ENTRIES)):
        if match := pattern.search(text):
            return Elision(kind, _number(match))
    if _REST_ZERO.search(text):
        return Elision("rest")
    return Elision("unknown") if _NOTHING_ELSE.match(text) else None


def _number(match: re.Match[str]) -> int:
    return int(re.sub(r"\D", "", match["n"]))
