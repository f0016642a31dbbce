"""What the tests of bpftool dumps share: text to items, and items to plain facts."""

from __future__ import annotations

from formats.base import MapDump, Problem
from formats.bpftool_map_hex import Reader as HexReader
from formats.bpftool_map_json import Reader as JsonReader
from formats.source import Source


def hex_items(text, path="-", *, fast=True):
    raw = text if isinstance(text, bytes) else text.encode()
    return list(HexReader(Source(path, raw), fast=fast).items())


def json_items(text, path="-", *, fast=True):
    return list(JsonReader(text if isinstance(text, bytes) else text.encode(), path, fast=fast).items())


def dumps(items):
    return [item for item in items if isinstance(item, MapDump)]


def problems(items):
    return [item.what for item in items if isinstance(item, Problem)]


def pairs_of(dump):
    return list(zip(map(bytes, dump.keys), map(bytes, dump.values), strict=True))


def known_of(dump):
    return [True] * dump.count if dump.value_known is None else dump.value_known.tolist()


def known_pairs(dump):
    if dump.values is None:
        return []
    return [pair for pair, known in zip(pairs_of(dump), known_of(dump), strict=True) if known]


def facts(item):
    """Everything a MapDump says, comparable."""
    if not isinstance(item, MapDump):
        return item
    arrays = [
        None if a is None else (a.shape, a.tobytes()) for a in (item.keys, item.values, item.spans, item.value_known)
    ]
    rest = (item.span, item.map_id, item.map_name, item.map_type, item.key_size, item.value_size, item.found)
    return arrays, rest, item.hidden, item.complete, item.notes
