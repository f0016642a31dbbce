"""Whether two dumps of a rule map say the same of every entry, whatever their forms: asked for whole tables at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from formats.base import SLOT_DTYPE
from formats.layouts import LPM_KEY_SIZES, PROTOCOL_NAMES
from formats.mapview import slots_of, tier_of

if TYPE_CHECKING:
    from formats.base import MapDump

Array = np.ndarray[Any, Any]
_FIELDS = SLOT_DTYPE.names or ()
_PROTOCOL = _FIELDS.index("protocol")
#: Whether a protocol has a name, by its number; the last two stand for larger ones and for lost ones (-1).
_NAMED = np.array([number in PROTOCOL_NAMES for number in range(max(PROTOCOL_NAMES) + 1)] + [False, False])
#: The bits of an address that count, by prefix length: of the longest address there is.
_BITS = 128
_MASKS = np.packbits(np.tri(_BITS + 1, _BITS, -1, dtype=np.uint8), axis=1)


def same_rules(mine: MapDump, theirs: MapDump) -> bool:
    """True when both have the same keys and the same rules for each. False when they differ or when that takes a closer
    look: values that are not known, keys that no prefix has or that stand twice, maps that have no rules.
    """
    if not (_comparable(mine) and _comparable(theirs)) or mine.keys.shape != theirs.keys.shape:
        return False
    first, second = mine.keys, theirs.keys
    slots = _slots(mine), _slots(theirs)
    if not np.array_equal(first, second):
        sorted_first, sorted_second = _in_order(first, slots[0]), _in_order(second, slots[1])
        if sorted_first is None or sorted_second is None:
            return False
        (first, *one), (second, *other) = sorted_first, sorted_second
        if not np.array_equal(first, second):
            return False
        slots = one[0], other[0]
    return np.array_equal(*slots)


def _comparable(dump: MapDump) -> bool:
    known = dump.value_known is None or bool(dump.value_known.all())
    return known and tier_of(dump) is not None and dump.keys.ndim == 2


def _slots(dump: MapDump) -> Array:
    """int64[6, m]: row of the key, slot, protocol, priority, ports.

    Text forms skip slots of protocol 0 and lose numbers that have no name: neither is told.
    """
    slots = slots_of(dump)
    kept = np.flatnonzero(slots["protocol"])
    whole = len(kept) == len(slots)
    out = np.empty((len(_FIELDS), len(kept)), np.int64)
    for column, name in enumerate(_FIELDS):
        out[column] = slots[name] if whole else slots[name][kept]
    protocol = out[_PROTOCOL]
    protocol[~_NAMED[np.clip(protocol, -1, len(_NAMED) - 2)]] = -1
    return out


def _in_order(keys: Array, slots: Array) -> tuple[Array, Array] | None:
    """Masked keys in order, and the slots with their rows in that order; None for keys that are none or stand twice."""
    keys = np.array(keys)
    if keys.shape[1] not in LPM_KEY_SIZES.values():
        return None
    prefix = keys[:, :4].copy().view("<u4")[:, 0]
    if (prefix > 8 * (keys.shape[1] - 4)).any():
        return None
    keys[:, 4:] &= _MASKS[prefix, : keys.shape[1] - 4]
    order = np.lexsort(keys.view("<u4").T)
    keys = keys[order]
    if (keys[1:] == keys[:-1]).all(axis=1).any():
        return None
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    slots = np.concatenate([rank[slots[:1]], slots[1:]])
    return keys, slots[:, np.lexsort((slots[1], slots[0]))]
