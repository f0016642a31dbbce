"""Clean rule text of aws-eks-na-cli read in bulk: one regular expression accepts a run of whole entries byte for byte,
then arrays take the numbers out. Whatever is not exactly what the CLI prints is left to the reader of lines.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from formats.base import ENTRY_SPAN_DTYPE, SLOT_DTYPE
from formats.layouts import SLOTS

Array = np.ndarray[Any, Any]

_V4 = r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}"
_V6 = r"[0-9a-f]*:[0-9a-f:.]*"
_NUMBER = r"\d{1,10}"
_NAME = r"(?:TCP|UDP|SCTP|ICMP|RESERVED|ANY PROTOCOL|UNKNOWN)"
#: First byte of a printed protocol -> number; U is told apart by its second byte.
_CODES = np.full(256, -1, np.int64)
for _letter, _code in {"T": 6, "S": 132, "I": 1, "R": 255, "A": 254}.items():
    _CODES[ord(_letter)] = _code


class Layout(NamedTuple):
    """One printed form. `per_slot` is how many numbers a slot has; `skip` how many bytes stand between the slot's
    number and its protocol's name (0: the protocol is a number), the line end counted once as `\\n`."""

    name: str
    family: int
    cluster: bool
    lossy: bool
    per_slot: int
    skip: int
    key: str
    slot: str


_OLD_KEY = "Key : IP/Prefixlen - "
_OLD_SLOT = (
    rf"-{{19}}@Value Entry :  \d{{1,2}}@Protocol -  {_NAME}@StartPort -  {_NUMBER}@Endport -  {_NUMBER}@-{{19}}@"
)
_NEW_SLOT = rf"-{{19}}@Entry \d{{1,2}}:@Protocol  - {_NAME}@%sStartPort - {_NUMBER}@EndPort   - {_NUMBER}@-{{19}}@"
_ONE_SLOT = rf"Value : @Protocol -  {_NUMBER}@StartPort -  {_NUMBER}@Endport -  {_NUMBER}@"
LAYOUTS: tuple[Layout, ...] = (
    Layout("v1.3.0", 4, False, False, 3, len(":\nProtocol  - "), "Key: ", _NEW_SLOT % ""),
    Layout("v1.3.0-cp", 4, True, False, 4, len(":\nProtocol  - "), "Key: ", _NEW_SLOT % rf"Priority  - {_NUMBER}@"),
    Layout("v1.0.7", 4, False, False, 3, len("\nProtocol -  "), _OLD_KEY, _OLD_SLOT),
    Layout("v1.0.7-v6", 6, False, False, 3, len("\nProtocol -  "), _OLD_KEY, _OLD_SLOT),
    Layout("v0.1.0", 4, False, True, 3, 0, _OLD_KEY, _ONE_SLOT),
    Layout("v0.1.0-v6", 6, False, True, 3, 0, _OLD_KEY, _ONE_SLOT),
)


class Run(NamedTuple):
    """Entries of one run: keys uint8[n, k], slots (SLOT_DTYPE, `entry` from 0), spans, and where the run ends."""

    layout: Layout
    keys: Array
    slots: Array
    spans: Array
    end: int
    lines: int


@lru_cache(maxsize=32)
def _pattern(layout: Layout, line_end: str) -> re.Pattern[bytes]:
    blank = " " if layout.key == _OLD_KEY else ""
    cidr = rf"{_V4}/\d{{1,2}}" if layout.family == 4 else rf"{_V6}/\d{{1,3}}"
    key = layout.key + ("({0}){1}@" + layout.key + r"\1{1}@" if layout.cluster else "{0}{1}@").format(cidr, blank)
    slots = f"(?:{layout.slot})" + ("" if layout.lossy else "{0,24}+")
    entry = rf"{key}{slots}\*{{31}}@"
    return re.compile(f"(?:{entry})++".replace("@", line_end).encode())


def numbers(buffer: Array, starts: Array, ends: Array) -> Array:
    """The decimal numbers that stand at [start, end), as uint64; at most 19 digits each."""
    out = np.zeros(len(starts), np.uint64)
    lengths = ends - starts
    place = np.uint64(1)
    for digit in range(int(lengths.max(initial=0))):
        rows = np.flatnonzero(lengths > digit)
        out[rows] += (buffer[ends[rows] - 1 - digit] - 48).astype(np.uint64) * place
        place = np.uint64(int(place) * 10)
    return out


def digit_runs(buffer: Array) -> tuple[Array, Array]:
    """Starts and ends of every run of digits. The buffer must begin and end with another byte."""
    digit = (buffer - np.uint8(48)) < 10
    edges = np.flatnonzero(digit[1:] != digit[:-1]) + 1
    return edges[0::2], edges[1::2]


def read_run(data: bytes, at: int) -> Run | int | None:
    """The clean entries that begin at `at`. None when none does; an int is the end of a run that looks clean and has
    an impossible number in it, which the reader of lines must take apart."""
    line = data.find(b"\n", at)
    crlf = line > 0 and data[line - 1] == 13
    for layout in LAYOUTS:
        if data.startswith(layout.key.encode(), at):
            match = _pattern(layout, "\r\n" if crlf else "\n").match(data, at)
            if match is not None:
                return _extract(data, at, match.end(), layout, 2 if crlf else 1) or match.end()
    return None


def _extract(data: bytes, at: int, stop: int, layout: Layout, width: int) -> Run | None:
    buffer = np.frombuffer(data, np.uint8, stop - at, at)
    ends_of_lines = np.flatnonzero(buffer == 10)
    line_starts = np.concatenate(([0], ends_of_lines[:-1] + 1))
    first_bytes = buffer[line_starts]
    key_lines = np.flatnonzero(first_bytes == 75)
    last_lines = np.flatnonzero(first_bytes == 42)
    if layout.cluster:
        key_lines = key_lines[0::2]
    run_starts, run_ends = digit_runs(buffer)
    low = np.searchsorted(run_starts, line_starts[key_lines])
    high = np.searchsorted(run_starts, line_starts[key_lines + (2 if layout.cluster else 1)])
    keys = _keys_v4(buffer, run_starts, run_ends, low) if layout.family == 4 else None
    if layout.family == 6:
        first = line_starts[key_lines] + len(layout.key)
        keys = _keys_v6(
            data, at, first, run_starts[high - 1], numbers(buffer, run_starts[high - 1], run_ends[high - 1])
        )
    slots = _slots(buffer, run_starts, run_ends, low, high, layout, width) if keys is not None else None
    if keys is None or slots is None:
        return None
    spans = np.zeros(len(key_lines), ENTRY_SPAN_DTYPE)
    spans["start"], spans["end"] = line_starts[key_lines], ends_of_lines[last_lines]
    spans["first_line"], spans["last_line"] = key_lines, last_lines
    return Run(layout, keys, slots, spans, stop, len(line_starts))


def octets(buffer: Array, starts: Array, ends: Array) -> Array | None:
    """Printed octets as uint8, of the same shape; None when one is above 255 or has a leading zero."""
    values = numbers(buffer, starts.reshape(-1), ends.reshape(-1)).reshape(starts.shape)
    padded = (ends - starts > 1) & (buffer[starts] == 48)
    return None if bool((values > 255).any() or padded.any()) else values.astype(np.uint8)


def _keys_v4(buffer: Array, starts: Array, ends: Array, low: Array) -> Array | None:
    columns = low[:, None] + np.arange(4)
    address = octets(buffer, starts[columns], ends[columns])
    prefix = numbers(buffer, starts[low + 4], ends[low + 4])
    if address is None or bool((prefix > 32).any()):
        return None
    keys = np.zeros((len(low), 8), np.uint8)
    keys[:, 0], keys[:, 4:] = prefix, address
    return keys


def _keys_v6(data: bytes, at: int, first: Array, after: Array, prefix: Array) -> Array | None:
    if bool((prefix > 128).any()):
        return None
    keys = np.zeros((len(first), 20), np.uint8)
    keys[:, 0] = prefix
    text = data[at : at + int(after[-1])].decode("ascii")
    address = packed_v6([text[a : b - 1] for a, b in zip(first.tolist(), after.tolist(), strict=True)])
    if address is None:
        return None
    keys[:, 4:] = address
    return keys


def packed_v6(texts: list[str]) -> Array | None:
    """IPv6 addresses as uint8[n, 16]; None when one of them is none, or is written with an IPv4 tail.

    Twice as fast as the ipaddress module, and no stricter or laxer.
    """
    known: dict[str, str] = {}
    for text in texts:
        if text in known:
            continue
        head, gap, tail = text.partition("::")
        front, back = head.split(":") if head else [], tail.split(":") if tail else []
        missing = 8 - len(front) - len(back)
        if (missing < 1) if gap else missing:
            return None
        groups = [*front, *["0"] * missing, *back]
        if "" in groups or "." in tail or "." in head:
            return None
        known[text] = "".join([group.rjust(4, "0") for group in groups])
        if len(known[text]) != 32:
            return None
    return np.frombuffer(bytes.fromhex("".join([known[text] for text in texts])), np.uint8).reshape(-1, 16)


def _slots(
    buffer: Array, starts: Array, ends: Array, low: Array, high: Array, layout: Layout, width: int
) -> Array | None:
    """SLOT_DTYPE rows of every slot; None when an index or a number cannot be."""
    step = np.zeros(len(starts) + 1, np.int8)
    step[low] += 1
    step[high] -= 1
    mine = np.flatnonzero(np.cumsum(step[:-1]) == 0)
    per_entry = (np.append(low[1:], len(starts)) - high) // layout.per_slot
    values = numbers(buffer, starts[mine], ends[mine]).reshape(-1, layout.per_slot)
    if bool((values > 0xFFFFFFFF).any()):
        return None
    out = np.zeros(len(values), SLOT_DTYPE)
    out["entry"] = np.repeat(np.arange(len(low)), per_entry)
    out["start_port"], out["end_port"] = values[:, -2], values[:, -1]
    out["priority"] = values[:, 1] if layout.cluster else -1
    if layout.lossy:
        out["protocol"] = values[:, 0]
        return out
    index = values[:, 0].astype(np.int64)
    backwards = (out["entry"][1:] == out["entry"][:-1]) & (index[1:] <= index[:-1])
    if bool((index >= SLOTS).any() or backwards.any()):
        return None
    out["slot"] = index
    letters = ends[mine].reshape(-1, layout.per_slot)[:, 0] + layout.skip + width - 1
    codes = _CODES[buffer[letters]]
    codes[(buffer[letters] == 85) & (buffer[letters + 1] == 68)] = 17
    out["protocol"] = codes
    return out
