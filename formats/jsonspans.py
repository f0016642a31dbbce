"""JSON objects found in text, each with its span: one broken object costs itself and not the document."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from formats.base import Problem, Span
from formats.text import lines

if TYPE_CHECKING:
    from collections.abc import Iterator

_DECODER = json.JSONDecoder()
#: An object longer than this is not a record of a listing.
_OBJECT_BYTES = 1024 * 1024


def objects(data: bytes, start: bytes, stop: bytes | None = None) -> Iterator[tuple[dict[str, Any] | Problem, Span]]:
    """Every object whose text begins as `start` (a regular expression) says; a Problem for one that cannot be read.

    `stop`: a member that ends the part of interest; the object is read up to it.
    """
    at, number, counted = 0, 1, 0
    pattern = re.compile(start)
    while match := pattern.search(data, at):
        number += data.count(b"\n", counted, match.start())
        counted = match.start()
        following = pattern.search(data, match.end())
        limit = min(following.start() if following else len(data), match.start() + _OBJECT_BYTES)
        found, size = _read(data[match.start() : limit], stop)
        end = match.start() + size
        span = Span(match.start(), end, number, number + data.count(b"\n", match.start(), max(match.start(), end - 1)))
        if found is None:
            yield Problem("JSON object cut or broken", span, "object left out", "one record"), span
        else:
            yield found, span
        at = max(end, match.end())


def _read(raw: bytes, stop: bytes | None) -> tuple[dict[str, Any] | None, int]:
    """The object at the start of `raw` and its length."""
    cut = raw.find(stop) if stop else -1
    if cut >= 0:
        head = raw[:cut].rstrip(b", \t\r\n") + b"}"
        return _object(head.decode("utf-8", "replace"))[0], cut
    found, size = _object(raw.decode("latin-1"))
    if found is None:
        # quoted or soft-wrapped: the same without line ends
        found, _ = _object("".join(line.text.strip() for line in lines(raw)))
        size = raw.rfind(b"}") + 1 if found is not None else len(raw)
    return found, size


def _object(text: str) -> tuple[dict[str, Any] | None, int]:
    try:
        found, size = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None, 0
    return (found, size) if isinstance(found, dict) else (None, 0)
