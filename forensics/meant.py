"""The namespace value that a misplaced entry was meant to be, as far as its dump shows it.

Raw bytes show all of it. The text form of a cluster map leaves out slots whose first word is 0 and the number of a
protocol it has no name for: then parts of the rules are lost, and only a least and a most of what was meant is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from formats import layouts

if TYPE_CHECKING:
    from collections.abc import Sequence

_STRIDE = layouts.NAMESPACE_STRIDE // 4
_ANY = (layouts.PROTOCOL_ANY, 0, 0)


class Meant(NamedTuple):
    """Two values of 288 bytes between which the truth lies; equal where the dump shows every rule."""

    least: bytes
    most: bytes

    @property
    def whole(self) -> bool:
        """Whether every rule is known."""
        return self.least == self.most


def meant(words: Sequence[int], known: Sequence[bool]) -> Meant:
    """What 12-byte slots say; a slot not fully known is left out in the least and allows everything in the most.

    The agent fills slots from 0 on without gaps: the first slot known to be empty ends the value.
    """
    least: list[tuple[int, ...]] = []
    most: list[tuple[int, ...]] = []
    for at in range(0, layouts.SLOTS * _STRIDE, _STRIDE):
        slot, sure = tuple(words[at : at + _STRIDE]), known[at : at + _STRIDE]
        if sure[0] and slot[0] == 0:
            break
        if all(sure) or (sure[0] and slot[0] == layouts.PROTOCOL_RESERVED):
            least.append(slot)
            most.append(slot)
        else:
            most.append((slot[0], 0, 0) if sure[0] else _ANY)
    return Meant(_packed(least), _packed(most))


def _packed(slots: list[tuple[int, ...]]) -> bytes:
    made = b"".join(int(number).to_bytes(4, "little") for slot in slots for number in slot)
    return made.ljust(layouts.NAMESPACE_VALUE_SIZE, b"\0")
