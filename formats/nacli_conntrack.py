"""Conntrack lines of `dump-maps`: the key's bytes are built again from what is printed, in the layout that prints so.

    Conntrack Key : Source IP - A Source port - N Dest IP - A Dest port - N Protocol - N[ Owner IP - A[ Ifindex - N]]

Owner since v1.0.5, Ifindex since v1.3.7, `Last Seen (ns)` in main after v1.4.1 (value of 16 bytes). Padding is zero in
the kernel's keys (the programs clear them), so the bytes are the map's.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from formats.base import ENTRY_SPAN_DTYPE
from formats.layouts import CONNTRACK_KEY_DTYPES, CONNTRACK_VALUE_HEAD, dtype_of
from formats.nacli_bulk import digit_runs, numbers, octets, packed_v6

Array = np.ndarray[Any, Any]

#: (family, owner printed, ifindex printed) -> key size. Without an owner an IPv6 line is of v1.0.3 or earlier:
#: that of v1.0.4 is shifted and never usable.
KEY_SIZES: dict[tuple[int, bool, bool], int] = {
    (4, False, False): 16,
    (4, True, False): 20,
    (4, True, True): 24,
    (6, False, False): 38,
    (6, True, False): 56,
    (6, True, True): 60,
}
HEAD_VALUE_SIZE: int = CONNTRACK_VALUE_HEAD.sizeof()
_HEAD_DTYPE = dtype_of(CONNTRACK_VALUE_HEAD)
_V4 = r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}"
_V6 = r"[0-9a-f]*:[0-9a-f:.]*"


class Flow(NamedTuple):
    """The printed fields of one key: packed addresses, numbers; owner and ifindex None where the layout has none."""

    src: bytes
    sport: int
    dst: bytes
    dport: int
    protocol: int
    owner: bytes | None
    ifindex: int | None


class FlowRun(NamedTuple):
    """Conntrack entries of one clean run: keys uint8[n, k], values uint8[n, 1 or 16], spans, and where the run ends."""

    keys: Array
    values: Array
    spans: Array
    end: int
    lines: int


def flow_of(match: re.Match[str]) -> Flow | None:
    """The fields of a matched line; None when one of them cannot be (an octet above 255, two families in one line)."""
    try:
        src, dst = ipaddress.ip_address(match["src"]).packed, ipaddress.ip_address(match["dst"]).packed
        owner = ipaddress.ip_address(match["owner"]).packed if match["owner"] else None
    except ValueError:
        return None
    sport, dport, protocol = int(match["sport"]), int(match["dport"]), int(match["proto"])
    ifindex = int(match["ifindex"]) if match["ifindex"] else None
    if len(src) != len(dst) or (owner is not None and len(owner) != len(src)):
        return None
    if max(sport, dport) > 0xFFFF or protocol > 0xFF or (ifindex or 0) > 0xFFFFFFFF:
        return None
    return Flow(src, sport, dst, dport, protocol, owner, ifindex)


def shifted(flow: Flow) -> bool:
    """Whether this is a line of the IPv6 binary of v1.0.4 or v1.0.5: its struct lacks the padding before the
    destination, so the address printed begins with two zero bytes and lacks its own last two."""
    return len(flow.dst) == 16 and flow.dst[:2] == b"\0\0" and flow.dst[2:4] != b"\0\0"


def key_size_of(flow: Flow) -> int:
    """The key size of the layout that prints such a line."""
    return KEY_SIZES[4 if len(flow.src) == 4 else 6, flow.owner is not None, flow.ifindex is not None]


def key_bytes(flow: Flow) -> bytes:
    """The map's key."""
    row = np.zeros(1, CONNTRACK_KEY_DTYPES[key_size_of(flow)])
    for name in row.dtype.names or ():
        value = getattr(flow, name)
        row[name] = np.frombuffer(value, np.uint8) if isinstance(value, bytes) else value
    return row.tobytes()


def value_bytes(state: int, last_seen: int | None) -> bytes | None:
    """The map's value: one byte, or two words where the line `Last Seen` was printed; None when it does not fit."""
    if last_seen is None:
        return bytes([state]) if state <= 0xFF else None
    if max(state, last_seen) >= 1 << 64:
        return None
    return state.to_bytes(8, "little") + last_seen.to_bytes(8, "little")


@lru_cache(maxsize=64)
def _patterns(kind: tuple[int, bool, bool], seen: bool, line_end: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """What accepts a run of such entries, and what takes one apart (nine groups, empty where the layout has none)."""
    return re.compile(f"(?:{_entry(kind, seen, '(?:')})++".replace("@", line_end).encode()), re.compile(
        _entry(kind, seen, "(").replace("@", line_end).encode()
    )


def _entry(kind: tuple[int, bool, bool], seen: bool, group: str) -> str:
    family, owner, ifindex = kind
    address = group + (_V4 if family == 4 else _V6) + ")"
    port, byte, none = group + r"\d{1,5})", group + r"\d{1,3})", group + ")"
    parts = [f"Conntrack Key : Source IP - {address} Source port - {port} Dest IP - {address} Dest port - {port}"]
    parts.append(f" Protocol - {byte}")
    parts.append(f" Owner IP - {address}" if owner else none)
    parts.append((f" Ifindex - {group}\\d{{1,10}})" if ifindex else none) + "@")
    parts.append(f"Value : @Conntrack Val -  {byte}@")
    parts.append(rf"Last Seen \(ns\) -  {group}\d{{1,19}})  \([^)\n]*\)@" if seen else none)
    return "".join(parts) + r"\*{31}@"


def read_run(data: bytes, at: int) -> FlowRun | int | None:
    """The clean conntrack entries that begin at `at`, all of one layout; otherwise as nacli_bulk.read_run."""
    if not data.startswith(b"Conntrack Key : Source IP - ", at):
        return None
    stop = data.find(b"\n", at)
    line = data[at:stop]
    family = 6 if b":" in line[18:40] else 4
    kind = (family, b" Owner IP - " in line, b" Ifindex - " in line)
    if kind not in KEY_SIZES:
        return None
    crlf = line.endswith(b"\r")
    seen = b"Last Seen" in data[stop : stop + 60]
    runs, entry = _patterns(kind, seen, "\r\n" if crlf else "\n")
    match = runs.match(data, at)
    if match is None:
        return None
    lines = 5 if seen else 4
    run = _numbers_v4(data, at, match.end(), kind, lines) if family == 4 else None
    if family == 6:
        run = _fields_v6(entry, data, at, match.end(), kind, lines)
    return run or match.end()


def _frame(buffer: Array, lines: int) -> tuple[Array, Array]:
    """Start of every entry, and the spans, relative to the run."""
    ends = np.flatnonzero(buffer == 10)
    starts = np.concatenate(([0], ends[:-1] + 1))
    spans = np.zeros(len(ends) // lines, ENTRY_SPAN_DTYPE)
    spans["start"], spans["end"] = starts[::lines], ends[lines - 1 :: lines]
    spans["first_line"] = np.arange(len(spans)) * lines
    spans["last_line"] = spans["first_line"] + lines - 1
    return starts[::lines], spans


def _numbers_v4(data: bytes, at: int, stop: int, kind: tuple[int, bool, bool], lines: int) -> FlowRun | None:
    buffer = np.frombuffer(data, np.uint8, stop - at, at)
    entry_starts, spans = _frame(buffer, lines)
    run_starts, run_ends = digit_runs(buffer)
    first = np.searchsorted(run_starts, entry_starts)
    names = [
        "src",
        "sport",
        "dst",
        "dport",
        "protocol",
        *(["owner"] if kind[1] else []),
        *(["ifindex"] if kind[2] else []),
    ]
    names += ["state", *(["last_seen"] if lines == 5 else [])]
    fields: dict[str, Array] = {}
    column = 0
    for name in names:
        if name in ("src", "dst", "owner"):
            columns = first[:, None] + column + np.arange(4)
            found = octets(buffer, run_starts[columns], run_ends[columns])
            if found is None:
                return None
            fields[name] = found
            column += 4
        else:
            fields[name] = numbers(buffer, run_starts[first + column], run_ends[first + column])
            column += 1
    return _build(fields, kind, spans, stop)


def _fields_v6(
    entry: re.Pattern[bytes], data: bytes, at: int, stop: int, kind: tuple[int, bool, bool], lines: int
) -> FlowRun | None:
    buffer = np.frombuffer(data, np.uint8, stop - at, at)
    _, spans = _frame(buffer, lines)
    found = list(zip(*entry.findall(data, at, stop), strict=True))
    names = ("src", "sport", "dst", "dport", "protocol", "owner", "ifindex", "state", "last_seen")
    fields: dict[str, Array] = {}
    for name, column in zip(names, found, strict=True):
        if not column[0]:
            continue
        if name in ("src", "dst", "owner"):
            address = packed_v6([text.decode("ascii") for text in column])
            if address is None:
                return None
            fields[name] = address
        else:
            fields[name] = np.array([int(text) for text in column], np.uint64)
    dst = fields["dst"]
    if bool((~dst[:, :2].any(axis=1) & dst[:, 2:4].any(axis=1)).any()):
        return None
    return _build(fields, kind, spans, stop)


def _build(fields: dict[str, Array], kind: tuple[int, bool, bool], spans: Array, stop: int) -> FlowRun | None:
    if bool((fields["sport"] > 0xFFFF).any() or (fields["dport"] > 0xFFFF).any() or (fields["protocol"] > 0xFF).any()):
        return None
    if "ifindex" in fields and bool((fields["ifindex"] > 0xFFFFFFFF).any()):
        return None
    size = KEY_SIZES[kind]
    rows = np.zeros(len(spans), CONNTRACK_KEY_DTYPES[size])
    for name in rows.dtype.names or ():
        rows[name] = fields[name]
    if "last_seen" in fields:
        heads = np.zeros(len(spans), _HEAD_DTYPE)
        heads["state"], heads["last_seen"] = fields["state"], fields["last_seen"]
        values = heads.view(np.uint8).reshape(-1, HEAD_VALUE_SIZE)
    elif bool((fields["state"] > 0xFF).any()):
        return None
    else:
        values = fields["state"].astype(np.uint8).reshape(-1, 1)
    lines = int(spans["last_line"][-1]) + 1
    return FlowRun(rows.view(np.uint8).reshape(-1, size), values, spans, stop, lines)
