"""Times of log lines, as logged, to UTC nanoseconds.

Forms: zap ISO8601 (`2026-11-21T03:22:18.164Z`, `+0200` without a colon), RFC3339Nano of container runtimes, Go's
`time.String()` (`2026-11-21 03:22:18.1 +0000 UTC`), CloudWatch Insights (`2026-11-21 03:22:18.164`, UTC by definition)
and epoch numbers (seconds or milliseconds).
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?\d*\s*(Z|UTC|[+-]\d\d(?::?\d\d)?)?"
    r"(?:\s+[A-Z]{3,5})?(?:\s+m=\S+)?$"
)
_EPOCH = re.compile(r"\d{10}(?:\d{3})?(?:\.\d+)?$")
# lumberjack's backup stamp (backupTimeFormat 2006-01-02T15-04-05.000), always UTC here: LocalTime is not set.
_ROTATED = re.compile(r"-(\d{4}-\d\d-\d\dT)(\d\d)-(\d\d)-(\d\d\.\d{3})\.log(?:\.gz)?$")
_SECOND = 1_000_000_000
#: Past this second nanoseconds no longer fit 64 bits (the year 2262); such a time is none.
_LAST_SECOND = 2**63 // _SECOND
#: Length of the zap form with a `Z`: the clean path of bulk reading takes no other.
ZAP_BYTES = 24
# The last eight bytes of a zap time, `:18.164Z`: its fixed characters, its digits, and what shows a non-digit.
_REST_ZERO = np.uint64(int.from_bytes(b":00.000Z", "little"))
_REST_MARK = np.uint64(0xFF000000_FF0000FF)
_REST_SIX = np.uint64(0x00060606_00060600)
_BYTE = np.uint64(255)
_REST_HIGH = np.uint64(0x00F0F0F0_00F0F000)


@lru_cache(maxsize=4096)
def _seconds(date: str, clock: str, zone: str) -> int | None:
    try:
        base = datetime.strptime(f"{date} {clock}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    shift = 0
    if zone not in ("", "Z", "UTC"):
        digits = zone[1:].replace(":", "").ljust(4, "0")
        shift = (int(digits[:2]) * 60 + int(digits[2:])) * 60 * (-1 if zone[0] == "-" else 1)
    seconds = int(base.timestamp()) - shift
    return seconds if 0 <= seconds < _LAST_SECOND else None


def utc_ns(text: str | None) -> int | None:
    """Nanoseconds since 1970 in UTC; None when it is no time. A form without a zone is taken as UTC."""
    if not text:
        return None
    if (
        len(text) == ZAP_BYTES
        and text[23] == "Z"
        and text[19] == "."
        and text[20:23].isascii()
        and text[20:23].isdigit()
    ):
        second = _seconds(text[:10], text[11:19], "Z") if text[10] == "T" else None
        return None if second is None else second * _SECOND + int(text[20:23]) * 1_000_000
    if _EPOCH.match(text):
        whole, _, part = text.partition(".")
        scale = _SECOND if len(whole) == 10 else 1_000_000
        return int(whole) * scale + (int((part + "000000000")[:9]) * scale // _SECOND if part else 0)
    found = _TIME.match(text.strip())
    if found is None:
        return None
    date, clock, part, zone = found.groups()
    second = _seconds(date, clock, zone or "")
    return None if second is None else second * _SECOND + int((part or "0").ljust(9, "0"))


def rotated_at(path: str) -> str | None:
    """The rotation time in a rotated log's name, as `2026-11-21T03:22:23.108Z`; None for a live log.

    The stamp is the end of the content: everything in the file was written before it.
    """
    found = _ROTATED.search(path)
    return f"{found[1]}{found[2]}:{found[3]}:{found[4]}Z" if found else None


def zap_times(words: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """UTC nanoseconds (int64[n]) of texts of 24 bytes, as little-endian words (uint64[n, 3]), and which are zap times.

    Lines of one minute share their first 16 bytes, so the calendar is asked once a minute of log, not once a line.
    """
    minute_a, minute_b, rest = words[:, 0], words[:, 1], words[:, 2]
    fresh = np.ones(len(words), bool)
    fresh[1:] = (minute_a[1:] != minute_a[:-1]) | (minute_b[1:] != minute_b[:-1])
    bounds = [*np.flatnonzero(fresh).tolist(), len(words)]
    base = np.empty(len(words), np.int64)
    for begin, end in pairwise(bounds):
        found = _minute_ns(int(minute_a[begin]), int(minute_b[begin]))
        base[begin:end] = -1 if found is None else found
    digit = (rest ^ _REST_ZERO) & ~_REST_MARK
    good = (base >= 0) & ((rest & _REST_MARK) == _REST_ZERO & _REST_MARK)
    good &= ((digit | (digit + _REST_SIX)) & _REST_HIGH) == 0
    # of two digits side by side each becomes ten times itself and the next one
    pairs = digit * np.uint64(10) + (digit >> np.uint64(8))
    second = (pairs >> np.uint64(8)) & _BYTE
    millis = second * np.uint64(1000) + ((pairs >> np.uint64(32)) & _BYTE) * np.uint64(10)
    millis += (digit >> np.uint64(48)) & _BYTE
    good &= second < 60
    return base + millis.astype(np.int64) * 1_000_000, good


def zap_texts(nanos: np.ndarray[Any, Any]) -> list[str]:
    """The 24 characters that the encoder writes for each UTC time (int64[n], whole milliseconds)."""
    texts: list[str] = np.datetime_as_string((nanos // 1_000_000).astype("datetime64[ms]"), timezone="UTC").tolist()
    return texts


def zap_text(nanos: int) -> str:
    """As zap_texts, of one time."""
    if nanos < 0:
        return zap_texts(np.array([nanos]))[0]
    second, millis = divmod(nanos // 1_000_000, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{millis:03d}Z"


def _minute_ns(first: int, second: int) -> int | None:
    text = (first.to_bytes(8, "little") + second.to_bytes(8, "little")).decode("latin-1")
    if len(text) != 16 or text[4] != "-" or text[7] != "-" or text[10] != "T" or text[13] != ":":
        return None
    digits = text[:4] + text[5:7] + text[8:10] + text[11:13] + text[14:]
    if not (digits.isascii() and digits.isdigit()):
        return None
    base = _seconds(text[:10], text[11:] + ":00", "Z")
    return None if base is None else base * _SECOND
