"""Hex text to bytes: rows of pasted text one at a time, and whole runs of clean entries at once.

A clean dump has a fixed frame: every entry has the same length and the same characters in the same columns, only
the hex digits differ. `Frame` is that text with every digit 0. A run is compared with it as arrays: what differs
must be a digit in a digit's column, and is the only thing that has to be decoded; rows of zeros cost a comparison.
The first entry that differs anywhere else ends the run and is left to the line reader.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from formats.base import ENTRY_SPAN_DTYPE

#: Text compared at a time: small enough that its arrays stay in the cache of one core.
_BLOCK_BYTES = 120 * 1024
#: Digit of a character; 255 for one that is none. bpftool writes lower case only.
_VALUES = np.full(256, 255, np.uint8)
_VALUES[list(b"0123456789abcdef")] = np.arange(16)
_VALUES.flags.writeable = False
#: In a marked frame text: a hex digit of the entry.
DIGIT = b"\x00"

_ROW = re.compile(r"(?:0[xX])?([0-9a-fA-F]{2})(?:[ \t]+(?:0[xX])?[0-9a-fA-F]{2})*(?![0-9a-zA-Z_])")
_NOTE = re.compile(r"[<#;|(/=^*]|--|->|\u2190|\u27f5|\u2014")


class Row(NamedTuple):
    """A line's bytes, what follows them (a note, an elision), and whether a digit or a token of it is damaged."""

    data: bytes
    rest: str
    damaged: bool


def read_row(text: str) -> Row | None:
    """The hex bytes a stripped line starts with; None when it is no row of hex.

    `00 0` (a byte cut in two) and a row with one unreadable token are rows that are damaged. A word that happens
    to start with a hex pair is no row.
    """
    match = _ROW.match(text)
    if match is None:
        return None
    pairs = match.group()
    data = bytes.fromhex(pairs.replace("0x", "").replace("0X", "") if "x" in pairs or "X" in pairs else pairs)
    rest = text[match.end() :].strip()
    if not rest:
        return Row(data, "", damaged=False)
    if re.fullmatch(r"[0-9a-fA-F]", rest):
        return Row(data, "", damaged=True)
    if _NOTE.match(rest) or rest.startswith(("...", "\u2026", "[")):
        return Row(data, rest, damaged=False)
    tokens = rest.split()
    pairs_after = sum(1 for token in tokens if re.fullmatch(r"[0-9a-fA-F]{2}", token))
    if pairs_after and 2 * (len(data) + pairs_after) > len(data) + len(tokens):
        return Row(data, rest, damaged=True)
    return Row(data, rest, damaged=False) if len(data) >= 4 else None


@dataclass(frozen=True, slots=True)
class Frame:
    """The text of one entry with every digit 0, and which digit of the entry each column holds (-1: none)."""

    key_size: int
    value_size: int
    stride: int
    lines: int
    per_block: int
    #: template and columns of `per_block` entries in a row
    template: np.ndarray[Any, Any]
    columns: np.ndarray[Any, Any]


@lru_cache(maxsize=32)
def frame_of(marked: bytes, key_size: int, value_size: int) -> Frame:
    """The Frame of an entry's text in which DIGIT stands for every hex digit, key first."""
    text = np.frombuffer(marked, np.uint8)
    digits = text == 0
    count = int(digits.sum())
    if count != 2 * (key_size + value_size):
        raise ValueError(f"{count} digits for {key_size} + {value_size} bytes")
    per_block = max(1, _BLOCK_BYTES // len(marked))
    column = np.where(digits, np.cumsum(digits) - 1, -1)
    shift = np.repeat(np.arange(per_block) * count, len(marked))
    columns = np.tile(column, per_block)
    return Frame(
        key_size,
        value_size,
        len(marked),
        marked.count(b"\n"),
        per_block,
        np.tile(np.where(digits, ord("0"), text).astype(np.uint8), per_block),
        np.where(columns < 0, -1, columns + shift).astype(np.intp),
    )


class Run(NamedTuple):
    """Clean entries in a row: uint8[n, key_size] and uint8[n, value_size]."""

    keys: np.ndarray[Any, Any]
    values: np.ndarray[Any, Any]


def decode_run(frame: Frame, data: bytes, at: int) -> Run:
    """Every consecutive entry from offset `at` whose text has exactly the frame; the run may be empty."""
    limit = (len(data) - at) // frame.stride
    size = frame.key_size + frame.value_size
    keys = np.empty((limit, frame.key_size), np.uint8)
    values = np.empty((limit, frame.value_size), np.uint8)
    differs = np.empty(frame.per_block * frame.stride, bool)
    done = 0
    while done < limit:
        count = min(frame.per_block, limit - done)
        text = np.frombuffer(data, np.uint8, count * frame.stride, at + done * frame.stride)
        clean, digits = _digits(frame, text, count, differs[: len(text)])
        pairs = digits[: 2 * clean * size].view("<u2")
        both = ((pairs << 4) | (pairs >> 8)).astype(np.uint8).reshape(clean, size)
        keys[done : done + clean] = both[:, : frame.key_size]
        values[done : done + clean] = both[:, frame.key_size :]
        done += clean
        if clean < count:
            break
    if done < limit // 2:
        return Run(keys[:done].copy(), values[:done].copy())
    return Run(keys[:done], values[:done])


def _digits(
    frame: Frame, text: np.ndarray[Any, Any], count: int, differs: np.ndarray[Any, Any]
) -> tuple[int, np.ndarray[Any, Any]]:
    """How many entries from the start are clean, and their digits one a byte, the high one of a pair first."""
    np.not_equal(text, frame.template[: len(text)], out=differs)
    odd = np.flatnonzero(differs)
    where = frame.columns[odd]
    chars = text[odd]
    digit = _VALUES[chars]
    clean = count
    if len(odd) and (int(digit.max()) > 15 or int(where.min()) < 0):
        first = int(np.argmax((digit > 15) | (where < 0)))
        clean = int(odd[first]) // frame.stride
        where, digit = where[:first], digit[:first]
    digits = np.zeros(count * 2 * (frame.key_size + frame.value_size), np.uint8)
    digits[where] = digit
    return clean, digits


def fixed_spans(frame: Frame, count: int, start: int, first_line: int) -> np.ndarray[Any, Any]:
    """ENTRY_SPAN_DTYPE rows of `count` entries that follow each other; an end stands before its \\n."""
    spans = np.zeros(count, ENTRY_SPAN_DTYPE)
    row = np.arange(count, dtype=np.int64)
    spans["start"] = start + row * frame.stride
    spans["end"] = spans["start"] + (frame.stride - 1)
    spans["first_line"] = first_line + row * frame.lines
    spans["last_line"] = spans["first_line"] + (frame.lines - 1)
    return spans


def marked_rows(size: int, prefix: bytes = b"", eol: bytes = b"\n", gap: bytes = b"  ") -> bytes:
    """`size` bytes as bpftool's fprint_hex prints them (5.16 to 7.7), DIGIT for every digit, no last line end."""
    rows = []
    for at in range(0, size, 16):
        left = min(16, size - at)
        pair = 2 * DIGIT
        row = b" ".join([pair] * min(8, left))
        if left > 8:
            row += gap + b" ".join([pair] * (left - 8))
        rows.append(prefix + row)
    return eol.join(rows)
