"""One log line to its records, whatever happened to it on the way: the tolerant reading of all zap logs."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from formats.log_events import ENCODER_KEYS, Pairs

#: A line just as the encoders write it, without escapes. Groups: level, ts, caller, msg, rest (further fields).
CLEAN = re.compile(
    rb'\{"level":"(?P<level>[a-z]+)","(?:ts|timestamp)":"(?P<ts>[^"\\]*)"(?:,"logger":"[^"\\]*")?'
    rb'(?:,"caller":"(?P<caller>[^"\\]*)")?,"msg":"(?P<msg>[^"\\]*)"(?:\}|,(?P<rest>.*\}))[ \t\r]*'
)
_KEY = re.compile(r'(?:^|[,\s])("(?:level|ts|timestamp|logger|caller|msg)"\s*:)')
_BAD_ESCAPE = re.compile(r'\\(?!["\\/bfnrtu]|$)')
_PLAIN = re.compile(
    r"(?:(?P<ts>\d{4}-\d\d-\d\d[T ][\d:.]+\S*)\s+)?(?:(?P<level>DEBUG|INFO|WARN|WARNING|ERROR|DPANIC|PANIC|FATAL)\s+)?"
    r"(?:(?P<caller>[\w./-]+\.go:\d+):?\s+)?(?P<msg>\S.*)"
)
#: Records of one line that may fail before the rest of the line is given up.
_FAILURES = 32
_WORDS = {"WARNING": "warn", "DPANIC": "panic"}


class Entry(NamedTuple):
    """One log record: its level and time as logged, its message, and its own fields in order, duplicates kept."""

    level: str | None
    ts: str | None
    caller: str | None
    message: str
    pairs: Pairs


class Reading(NamedTuple):
    """What a line gave: its records, whether something was left that could not be read, and a text cut mid-record."""

    entries: list[Entry]
    failed: bool = False
    open_end: bool = False
    headless: bool = False


class _Object(list[tuple[str, Any]]):
    """A JSON object as pairs: a duplicate key keeps both values."""


_decoder = json.JSONDecoder(object_pairs_hook=_Object, strict=False)


def clean_entry(raw: bytes) -> Entry | None:
    """The record of a line just as the encoders write it; None when it is anything else."""
    found = CLEAN.fullmatch(raw)
    if found is None:
        return None
    pairs: Pairs = []
    if found["rest"] is not None:
        try:
            pairs = _fields(_decoder.decode("{" + found["rest"].decode("utf-8", "replace")))
        except ValueError:
            return None
    caller = found["caller"].decode("utf-8", "replace") if found["caller"] is not None else None
    message = found["msg"].decode("utf-8", "replace")
    return Entry(found["level"].decode(), found["ts"].decode("utf-8", "replace"), caller, message, pairs)


def read_text(text: str) -> Reading:
    """The records of a cleaned line: any number of them, with or without their first brace, in any prefix."""
    headless = False
    brace = text.find("{")
    key = _KEY.search(text)
    if key is not None and (brace < 0 or key.start(1) < brace):
        text, brace, headless = "{" + text[key.start(1) :], 0, True
    entries: list[Entry] = []
    failures, open_end = 0, False
    while brace >= 0 and failures < _FAILURES:
        try:
            value, end = _decode(text, brace)
        except ValueError as error:
            failures += 1
            at = getattr(error, "pos", len(text))
            following = text.find('{"level"', brace + 1)
            open_end = following < 0 and ("Unterminated" in str(error) or not text[at:].strip())
            brace = following
            continue
        entries.extend(_entries(value))
        brace = text.find("{", end)
    return Reading(entries, failures > 0, open_end, headless and bool(entries))


def plain_entry(text: str) -> Entry | None:
    """A digest line: [time] [LEVEL] [file.go:line] message; None for a blank one."""
    found = _PLAIN.fullmatch(text.strip().lstrip("*-").strip())
    if found is None:
        return None
    level = found["level"]
    return Entry(_WORDS.get(level, level.lower()) if level else None, found["ts"], found["caller"], found["msg"], [])


def _decode(text: str, at: int) -> tuple[Any, int]:
    try:
        return _decoder.raw_decode(text, at)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:
        if "escape" not in str(error):
            raise
        # `\x30` is no JSON: the backslash is kept as a character, what it meant is for the message's reader.
        fixed = _BAD_ESCAPE.sub(r"\\\\", text[at:])
        value, _ = _decoder.raw_decode(fixed)
        return value, len(text)


def _entries(value: Any) -> list[Entry]:
    if not isinstance(value, _Object):
        return []
    known = dict(value)
    message = known.get("msg")
    if not isinstance(message, str):
        inner = known.get("log")
        return read_text(inner).entries if isinstance(inner, str) else []
    ts = known.get("ts", known.get("timestamp"))
    level = known.get("level")
    caller = known.get("caller")
    return [
        Entry(
            level.lower() if isinstance(level, str) else None,
            ts if isinstance(ts, str) else str(ts) if isinstance(ts, int | float) else None,
            caller if isinstance(caller, str) else None,
            message,
            _fields(value),
        )
    ]


def _fields(value: Any) -> Pairs:
    return [(key, _plain(item)) for key, item in value if key not in ENCODER_KEYS]


def _plain(value: Any) -> Any:
    if isinstance(value, _Object):
        return {key: _plain(item) for key, item in value}
    return [_plain(item) for item in value] if isinstance(value, list) else value
