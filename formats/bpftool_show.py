"""`bpftool map show|list` and `prog show|list`, plain and JSON, with the pins of `-f`.

bpftool 5.16 to 7.7 (src/map.c show_map_close_plain, src/prog.c print_prog_plain). Maps and programs of the agent have
no name. `memlock` is what the kernel charges and no measure of the number of entries.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from formats.base import NO, Format, Problem, Record, Score, Span
from formats.json_documents import straight_quotes
from formats.jsonspans import objects
from formats.patterns import lazy
from formats.source import Oversized
from formats.text import Line, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

#: A record's first line anywhere in the text; what it really is, its fields decide.
_HEAD = lazy(rb"^[^\n]{0,32}?(?<![\w:.-])\d{1,9}:[ \t]+[a-z][a-z_0-9]+(?=[ \t])[^\n]*", re.M)
_HEAD_TEXT = lazy(r"(?:^|\s)(\d{1,9}):\s+([a-z][a-z_0-9]+)(?=\s)(.*)$")
_MORE = lazy(
    r"(?:key \d|value \d|max_entries |memlock \d|pinned /|btf_id \d|frozen\b|pids [^\s(]|owner_prog_type |loaded_at |"
    r"uid \d|xlated \d|jited \d|not jited|map_ids \d|run_time_ns |recursion_misses |metadata:|orphaned\b|tag [0-9a-f]|"
    r"flags 0x|name \S+\s+(?:flags|tag) )"
)
_IDS = lazy(r"[\d,]+$")
_PID = lazy(r"([^,(]+)\((\d+)\)")
_AFTER = 4096
_MAP_MARK = lazy(r"\bflags 0x[0-9a-f]+|\bkey \d+B\b")
_PROG_MARK = lazy(r"\btag [0-9a-f]{2,16}")


def sniff(head: bytes, path: str) -> Score:
    """First lines of maps or programs, or their JSON members."""
    if b'"bytes_key"' in head and b'"max_entries"' in head:
        return Score(88, "JSON members of maps")
    if b'"tag"' in head and (b'"loaded_at"' in head or b'"bytes_xlated"' in head):
        return Score(88, "JSON members of programs")
    for match in _HEAD.finditer(head):
        if _kind(match.group().decode("utf-8", "replace")) is not None:
            return Score(80, "lines of map or program listings")
    return NO


def read(source: Source) -> Iterator[Item]:
    """One `map_info` or `prog_info` for each map or program."""
    try:
        data = straight_quotes(source.data())
    except Oversized as error:
        yield Problem(f"listing {error}", done="not read", lost="the listing")
        return
    yield from _plain(data)
    if b'"id"' in data:
        yield from _json(data)


def _kind(text: str) -> str | None:
    """map_info or prog_info for a record's first line, None for another line."""
    match = _HEAD_TEXT.search(text)
    if match is None:
        return None
    if _PROG_MARK.search(match[3]):
        return "prog_info"
    return "map_info" if _MAP_MARK.search(match[3]) else None


def _plain(data: bytes) -> Iterator[Item]:
    number, counted = 1, 0
    for match in _HEAD.finditer(data):
        if (kind := _kind(match.group().decode("utf-8", "replace"))) is None:
            continue
        start = match.start()
        number += data.count(b"\n", counted, start)
        counted = start
        following = lines(data[start : start + _AFTER], start, number)
        head = next(following)
        mine = [head, *_continued(following)]
        texts = [line.text.strip() for line in mine]
        found = _HEAD_TEXT.search(head.text.strip())
        if found is None:
            continue
        text = "\n".join([found[3], *texts[1:]])
        make = _map_info if kind == "map_info" else _prog_info
        span = Span(head.start, mine[-1].end, head.number, mine[-1].number)
        yield Record(kind, make(int(found[1]), found[2], text), span)


def _continued(following: Iterator[Line]) -> list[Line]:
    """The further lines of a record: fields of it, or the rest of a wrapped list of ids."""
    mine: list[Line] = []
    ids = False
    for line in following:
        text = line.text.strip()
        if not _MORE.match(text) and not (ids and _IDS.match(text)):
            break
        ids = "map_ids" in text or ids
        mine.append(line)
    return mine


def _number(pattern: str, text: str, base: int = 10) -> int | None:
    match = re.search(pattern, text)
    return int(match[1], base) if match else None


def _word(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match[1] if match else None


def _map_info(number: int, kind: str, text: str) -> dict[str, Any]:
    fields = re.sub(r"(?m)^(?:pinned|pids) .*$", "", text)
    return {
        "map_id": number,
        "type": kind,
        "name": _word(r"\bname (\S+)", fields),
        "flags": _number(r"\bflags 0x([0-9a-f]+)", fields, 16),
        "key_size": _number(r"\bkey (\d+)B", fields),
        "value_size": _number(r"\bvalue (\d+)B", fields),
        "max_entries": _number(r"\bmax_entries (\d+)", fields),
        "memlock": _number(r"\bmemlock (\d+)B", fields),
        "frozen": bool(re.search(r"(?m)(?:^|\s)frozen\b", fields)),
        "btf_id": _number(r"\bbtf_id (\d+)", fields),
        "pinned": re.findall(r"(?m)^pinned (\S+)", text),
        "pids": [
            {"pid": int(pid), "comm": comm.strip()} for comm, pid in _PID.findall(_word(r"(?m)^pids (.*)$", text) or "")
        ],
    }


def _prog_info(number: int, kind: str, text: str) -> dict[str, Any]:
    ids = _word(r"\bmap_ids ([\d,\s]+)", text)
    map_ids = [int(item) for item in re.findall(r"\d+", ids)] if ids else None
    return {
        "prog_id": number,
        "type": kind,
        "name": _word(r"\bname (\S+)", text),
        "tag": _word(r"\btag ([0-9a-f]{16})\b", text),
        "loaded_at": _word(r"\bloaded_at (\S+(?: \d\d:\d\d(?::\d\d)?\b)?)", text),
        "uid": _number(r"\buid (\d+)", text),
        "map_ids": map_ids,
        "map_count": len(map_ids) if map_ids is not None else None,
        "pinned": re.findall(r"(?m)^pinned (\S+)", text),
        "bytes_xlated": _number(r"\bxlated (\d+)B", text),
        "bytes_jited": _number(r"\bjited (\d+)B", text),
    }


def _json(data: bytes) -> Iterator[Item]:
    for found, span in objects(data, rb'\{\s*(?:>\s*)*"id"\s*:\s*\d+\s*,\s*(?:>\s*)*"type"\s*:', stop=b'"elements"'):
        if isinstance(found, Problem):
            yield found
        elif "tag" in found and ("loaded_at" in found or "bytes_xlated" in found):
            yield Record("prog_info", _json_prog(found), span)
        elif isinstance(found.get("flags"), int) or "bytes_key" in found:
            yield Record("map_info", _json_map(found), span)


def _json_map(found: dict[str, Any]) -> dict[str, Any]:
    frozen = found.get("frozen")
    pids = found.get("pids")
    return {
        "map_id": found["id"],
        "type": found["type"],
        "name": found.get("name"),
        "flags": found.get("flags"),
        "key_size": found.get("bytes_key"),
        "value_size": found.get("bytes_value"),
        "max_entries": found.get("max_entries"),
        "memlock": found.get("bytes_memlock"),
        "frozen": bool(frozen) if frozen is not None else None,
        "btf_id": found.get("btf_id"),
        "pinned": found.get("pinned") or [],
        "pids": pids if isinstance(pids, list) else [],
    }


def _json_prog(found: dict[str, Any]) -> dict[str, Any]:
    ids = found.get("map_ids")
    return {
        "prog_id": found["id"],
        "type": found["type"],
        "name": found.get("name"),
        "tag": found.get("tag"),
        "loaded_at": found.get("loaded_at"),
        "uid": found.get("uid"),
        "map_ids": ids,
        "map_count": len(ids) if isinstance(ids, list) else None,
        "pinned": found.get("pinned") or [],
        "bytes_xlated": found.get("bytes_xlated"),
        "bytes_jited": found.get("bytes_jited"),
    }


FORMAT = Format(
    "bpftool-show",
    "bpftool map show, prog show",
    sniff,
    read,
    versions="bpftool 5.16 to 7.7, plain, -j and -p, with and without -f",
    about="Listings of BPF maps and programs: ids, types, sizes, pins, and which maps a program uses.",
    limits=("memlock is not used: kernels count it differently", "a tag that was cut by hand is null"),
    loses=("run times and counts, licence, BTF of programs, and the owner of a prog_array",),
)
