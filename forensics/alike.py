"""A dumped map that holds what the policies ask, entry for entry: no packet can tell the two apart, so none is asked.

Only for maps without an entry difference; whatever makes equal entries less than certain is answered with no.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.comparable import tier_known
from forensics.generations import generation_of
from forensics.sides import own_entry
from formats.layouts import PROTOCOL_RESERVED, SLOTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forensics.admissible import Slots
    from forensics.context import Context
    from forensics.podstate import MapState
    from forensics.policy import ExpectedTier


def alike(
    context: Context,
    tier: str,
    state: MapState | None,
    present: Mapping[str, Slots | None] | None,
    ideal: ExpectedTier,
    strays: set[str],
) -> bool:
    """Whether a map without entry differences is to the program what the policies ask. present: its slots_of."""
    if state is None or present is None:
        return True
    intent = context.intent
    # an entry that two rows spell, or whose value or place is not known, is left to the exact comparison
    each_once = {id(slots): slots for slots in present.values()}
    if strays or len(present) != state.count or not all(map(_plain, each_once.values())):
        return False
    if generation_of(intent.version).generation.slots_examined[intent.family] < SLOTS:
        return False
    if not tier_known(context, tier).yes:
        return all("/" in cidr for cidr in present)
    lacking = ideal.entries.keys() - present.keys()
    if lacking - {ideal.entries.node}:
        return False
    return state.whole and (not lacking or own_entry(context) is None)


def _plain(slots: Slots | None) -> bool:
    """Whether the order of the slots cannot matter: a RESERVED one hides those behind it."""
    return slots is not None and (len(slots) < 2 or all(slot[0] != PROTOCOL_RESERVED for slot in slots))
