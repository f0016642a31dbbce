"""Packets in columns: addresses as numbers, protocol and ports checked, and which rows the program reads at all.

An address column is text, packed bytes (Binary of 4 or 16, or Array(UInt8) of 4 or 16), or a number (IPv4; the most
significant byte is the first octet).
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from forensics.packet import packed
from forensics.packet_arrays import PacketColumns, columns_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forensics.prefix_ranges import Words

Array = np.ndarray[Any, Any]
_LIMITS = {"protocol": 0xFF, "sport": 0xFFFF, "dport": 0xFFFF, "ifindex": 0xFFFFFFFF}
_KINDS = {"protocol": np.uint16, "sport": np.uint16, "dport": np.uint16, "ifindex": np.uint32}
_GROUPS = 8
#: Up to so many texts reading them in bulk does not pay.
_FEW = 64
#: So many texts tell whether texts repeat.
_SAMPLE = 4096


def packet_columns(frame: pl.DataFrame | Mapping[str, Any], family: int) -> PacketColumns:
    """The columns src, dst, protocol, sport, dport and (default 1) ifindex of a frame or a mapping of arrays.

    Raises ValueError, naming the column and the row or the text, for an address that is none, a number out of range,
    a null, or source and destination of different families.
    """
    table = frame if isinstance(frame, pl.DataFrame) else pl.DataFrame(dict(frame))
    missing = [name for name in ("src", "dst", "protocol", "sport", "dport") if name not in table.columns]
    if missing:
        raise ValueError(f"the packet frame has no column {', '.join(missing)}")
    src, src_own = _addresses(table["src"], family)
    dst, dst_own = _addresses(table["dst"], family)
    if not np.array_equal(src_own, dst_own):
        row = int(np.flatnonzero(src_own != dst_own)[0])
        raise ValueError(f"row {row}: source and destination are not of one family")
    numbers = {name: _numbers(table, name) for name in _LIMITS}
    ports = numbers["sport"], numbers["dport"]
    return columns_of(src, dst, src_own, numbers["protocol"], *ports, family, ifindex=numbers["ifindex"])


def _numbers(table: pl.DataFrame, name: str) -> Array:
    if name not in table.columns:
        return np.ones(len(table), dtype=_KINDS[name])
    column = table[name]
    if not column.dtype.is_integer():
        raise ValueError(f"column {name} holds {column.dtype}, not whole numbers")
    _no_nulls(column)
    numbers = column.to_numpy()
    wrong = np.flatnonzero((numbers < 0) | (numbers > _LIMITS[name]))
    if len(wrong):
        raise ValueError(f"column {name}, row {wrong[0]}: {numbers[wrong[0]]} is not between 0 and {_LIMITS[name]}")
    return numbers.astype(_KINDS[name])


def _no_nulls(column: pl.Series) -> None:
    if column.null_count():
        raise ValueError(f"column {column.name}, row {column.is_null().arg_max()}: null")


def _addresses(column: pl.Series, family: int) -> tuple[Words, Array]:
    """The words of the addresses of that family (zero elsewhere), and which rows are of it."""
    _no_nulls(column)
    if column.dtype == pl.String:
        return _from_text(column, family)
    if column.dtype == pl.Binary:
        return _from_packed(column, family)
    if isinstance(column.dtype, pl.Array):
        return _from_array(column, family)
    if column.dtype.is_integer():
        return _from_numbers(column, family)
    raise ValueError(f"column {column.name} holds {column.dtype}, not addresses")


def _none_of(count: int, family: int) -> tuple[Words, Array]:
    if family == 4:
        return (np.zeros(count, np.uint32),), np.zeros(count, dtype=bool)
    return (np.zeros(count, np.uint64), np.zeros(count, np.uint64)), np.zeros(count, dtype=bool)


def _from_numbers(column: pl.Series, family: int) -> tuple[Words, Array]:
    if not column.is_between(0, 0xFFFFFFFF).all():
        raise ValueError(f"column {column.name}: a number is no IPv4 address")
    if family == 6:
        return _none_of(len(column), family)
    return (column.to_numpy().astype(np.uint32),), np.ones(len(column), dtype=bool)


def _from_array(column: pl.Series, family: int) -> tuple[Words, Array]:
    rows = np.ascontiguousarray(column.to_numpy())
    width = rows.shape[1] if rows.ndim == 2 else 0
    if rows.dtype != np.uint8 or width not in (4, 16):
        raise ValueError(f"column {column.name} holds {column.dtype}, not addresses of 4 or 16 bytes")
    if width != (4 if family == 4 else 16):
        return _none_of(len(column), family)
    words = rows.view(">u4").astype(np.uint32) if family == 4 else rows.view(">u8").astype(np.uint64)
    return tuple(np.ascontiguousarray(words[:, at]) for at in range(words.shape[1])), np.ones(len(column), dtype=bool)


def _from_packed(column: pl.Series, family: int) -> tuple[Words, Array]:
    size = column.bin.size()
    wrong = ~size.is_in([4, 16])
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise ValueError(f"column {column.name}, row {row}: a packed IP address has 4 or 16 bytes, not {size[row]}")
    own = (size == (4 if family == 4 else 16)).to_numpy()
    at, kind = ((0,), pl.UInt32) if family == 4 else ((0, 8), pl.UInt64)
    width = 4 if family == 4 else 8
    words = tuple(_reinterpreted(column.bin.slice(start, width), kind) for start in at)
    return tuple(np.where(own, word, word.dtype.type(0)) for word in words), own


def _reinterpreted(column: pl.Series, kind: Any) -> Array:
    return column.bin.reinterpret(dtype=kind, endianness="big").fill_null(0).to_numpy()


def _from_text(column: pl.Series, family: int) -> tuple[Words, Array]:
    """Where texts repeat, each is read once."""
    if len(column) <= _SAMPLE or column.head(_SAMPLE).n_unique() > _SAMPLE // 2:
        return _from_texts(column, family)
    distinct = column.unique()
    words, own = _from_texts(distinct, family)
    which = column.cast(pl.Enum(distinct)).to_physical().to_numpy()
    return tuple(word[which] for word in words), own[which]


def _from_texts(column: pl.Series, family: int) -> tuple[Words, Array]:
    """Plain dotted quads and plain IPv6 text are read in bulk, only what is left one text at a time."""
    words, own = _none_of(len(column), family)
    rest = np.arange(len(column))
    if len(column) > _FEW:
        text = column.alias("text")
        four = _dotted_quads(text)
        known = four.is_not_null().to_numpy()
        rest = rest[~known]
        if family == 4:
            words[0][:], own = four.fill_null(0).to_numpy(), known.copy()
        if len(rest):
            high, low, six = _colon_groups(text.gather(rest))
            if family == 6:
                words[0][rest[six]], words[1][rest[six]] = high[six], low[six]
                own[rest[six]] = True
            rest = rest[~six]
    for row in rest.tolist():
        address = _parsed(column.name, column[row])
        if len(address) == (4 if family == 4 else 16):
            own[row] = True
            for at, word in enumerate(words):
                word[row] = int.from_bytes(address[8 * at :][: word.itemsize], "big")
    return words, own


def _parsed(name: str, text: str) -> bytes:
    try:
        return packed(text)
    except ValueError:
        raise ValueError(f"column {name}: {text!r} is no IP address") from None


def _dotted_quads(text: pl.Series) -> pl.Series:
    """uint32 of each `a.b.c.d` without leading zeros, signs or blanks; null for any other text."""
    octets = [pl.col("text").struct.field(f"field_{at}").cast(pl.UInt8, strict=False) for at in range(4)]
    # A part that is no octet is null and must make the whole null: sum_horizontal would pass over it.
    digits = reduce(add, [(octet >= least).cast(pl.UInt32) for octet in octets for least in (10, 100)])
    number = reduce(add, [octet.cast(pl.UInt32) * (1 << (24 - 8 * at)) for at, octet in enumerate(octets)])
    return (
        text.to_frame()
        .with_columns(pl.col("text").str.split_exact(".", 3), size=pl.col("text").str.len_bytes())
        .select(pl.when(digits + 7 == pl.col("size")).then(number))
        .to_series()
    )


def _colon_groups(text: pl.Series) -> tuple[Array, Array, Array]:
    """High and low words of each IPv6 text of hex groups, and which rows are such text.

    A leading `::` is cut to `:`, so that of the parts between colons exactly one is empty where there is a gap.
    """
    whole = text.to_frame().select(
        gap=pl.col("text").str.contains("::", literal=True),
        cut=pl.when(pl.col("text").str.starts_with("::")).then(pl.col("text").str.slice(1)).otherwise(pl.col("text")),
    )
    well = whole["cut"].str.contains(r"^([0-9a-fA-F]{0,4}:){1,7}[0-9a-fA-F]{0,4}$").to_numpy()
    parts = whole.select(pl.col("cut").str.split_exact(":", _GROUPS - 1)).unnest("cut")
    numbers = parts.select(pl.all().str.to_integer(base=16, strict=False).fill_null(0).cast(pl.UInt64, strict=False))
    groups = numbers.select(pl.all().fill_null(0)).to_numpy()
    count = parts.select(pl.sum_horizontal(pl.all().is_not_null())).to_series().to_numpy()
    empty = parts.select(pl.all() == "").select(pl.all().fill_null(value=False)).to_numpy()
    gap_at, gaps = empty.argmax(axis=1), empty.sum(axis=1)
    well = well & np.where(whole["gap"].to_numpy(), gaps == 1, (gaps == 0) & (count == _GROUPS))
    return *_words(groups, count.astype(np.int64), np.where(gaps == 1, gap_at, _GROUPS)), well


def _words(groups: Array, count: Array, gap_at: Array) -> tuple[Array, Array]:
    """The two words of groups whose gap, at index gap_at of `count` parts, is filled up with zeros to eight."""
    high, low = np.zeros(len(groups), np.uint64), np.zeros(len(groups), np.uint64)
    rows = np.arange(len(groups))
    for at in range(_GROUPS):
        part = np.where(at < gap_at, at, at - _GROUPS + count)
        group = np.where((at < gap_at) | (part > gap_at), groups[rows, part], np.uint64(0))
        word = high if at < _GROUPS // 2 else low
        word |= group << np.uint64(48 - 16 * (at % (_GROUPS // 2)))
    return high, low
