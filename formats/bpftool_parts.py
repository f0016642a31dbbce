"""The parts of a dump in text order, and where one dump ends and the next begins without a trailer between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from formats.layouts import CLUSTER_VALUE_SIZE, LPM_KEY_SIZES, NAMESPACE_VALUE_SIZE, NAMESPACE_VALUE_SIZE_BEFORE_V105

if TYPE_CHECKING:
    import numpy as np

    from formats.base import Span

TRIE_VALUES = frozenset({CLUSTER_VALUE_SIZE, NAMESPACE_VALUE_SIZE, NAMESPACE_VALUE_SIZE_BEFORE_V105})
TRIE_KEYS = frozenset(LPM_KEY_SIZES.values())
#: Entries of a size the agent does not use that must follow each other to be a dump of their own.
_OWN_RUN = 3


class Block(NamedTuple):
    """Clean entries in a row."""

    keys: np.ndarray[Any, Any]
    values: np.ndarray[Any, Any]
    spans: np.ndarray[Any, Any]


@dataclass(slots=True, repr=False, eq=False)
class Loose:
    """One entry read by itself. `fault` says why its value (or, with an empty key, the entry) cannot be used; `sure` is
    False for the last record of a dump without an end; `fill`: the text says that the rest of the value is zero."""

    key: bytes
    value: bytes | None
    span: Span
    fault: str = ""
    sure: bool = True
    fill: bool = False


class Gap(NamedTuple):
    """Entries left out by hand: how many, None when the text does not say."""

    amount: int | None
    span: Span


@dataclass(slots=True)
class Stated:
    """What a `map show` line says of the dumped map."""

    map_id: int | None = None
    name: str | None = None
    map_type: str | None = None
    key_size: int | None = None
    value_size: int | None = None
    #: one of several in a list, so that what follows need not be its dump
    in_list: bool = False


def sizes_of(part: Block | Loose | Gap) -> tuple[int, int] | None:
    """Key and value size of a part that may vote; None for the others."""
    if isinstance(part, Block):
        return part.keys.shape[1], part.values.shape[1]
    if (
        isinstance(part, Loose)
        and part.key
        and part.value is not None
        and not part.fault
        and part.sure
        and not part.fill
    ):
        return len(part.key), len(part.value)
    return None


def weight(part: Block | Loose | Gap) -> int:
    """Entries in a part."""
    return len(part.keys) if isinstance(part, Block) else int(isinstance(part, Loose))


def segments(parts: list[Block | Loose | Gap], found: int | None) -> list[list[Block | Loose | Gap]]:
    """Parts of dumps that follow each other without a trailer, told apart by a change of sizes that lasts."""
    if found is not None and found == sum(weight(part) for part in parts):
        return [parts]
    runs: list[tuple[tuple[int, int] | None, int, int]] = []  # sizes, first part, entries
    for index, part in enumerate(parts):
        sizes = sizes_of(part)
        if sizes is None and runs:
            continue
        if runs and (runs[-1][0] == sizes or runs[-1][0] is None):
            runs[-1] = (sizes, runs[-1][1], runs[-1][2] + weight(part))
        else:
            runs.append((sizes, index, weight(part)))
    cuts = [0]
    current: tuple[int, int] | None = None
    for number, (sizes, first, count) in enumerate(runs):
        if sizes is None or sizes == current:
            continue
        known = sizes[0] in TRIE_KEYS and sizes[1] in TRIE_VALUES
        own = count >= (2 if known else _OWN_RUN) or (number == len(runs) - 1 and count == found and known)
        if current is None or own:
            if current is not None and _outvoted(runs[:number], current) is False:
                cuts.append(first)
            current = sizes if own or current is None else current
    return [parts[a:b] for a, b in zip(cuts, [*cuts[1:], len(parts)], strict=True)]


def _outvoted(runs: list[tuple[tuple[int, int] | None, int, int]], current: tuple[int, int]) -> bool:
    """True when what came before is one record of an unlikely size: the damaged first record of this same dump."""
    before = sum(count for sizes, _, count in runs if sizes == current)
    known = current[0] in TRIE_KEYS and current[1] in TRIE_VALUES
    return before == 1 and not known
