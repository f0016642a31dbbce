"""One entry of a rule map while its lines come: the key, the slots that are whole, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.address import key_of_printed
from formats.base import Span
from formats.layouts import SLOTS
from formats.nacli_text import PROTOCOLS

if TYPE_CHECKING:
    from formats.nacli_table import Slot
    from formats.nacli_text import Token

_MAX = 0xFFFFFFFF


class Entry:
    """An open entry. `key` is None when the printed one is impossible; `damage` says why the value cannot be used."""

    def __init__(self, token: Token) -> None:
        self.text = f"{token.group('addr')}/{token.group('plen')}"
        self.key, self.fault = _key(token.group("addr"), int(token.group("plen")))
        self.family = 6 if ":" in token.group("addr") else 4
        self.start, self.first_line = token.start, token.line.number
        self.end, self.last_line = token.end, token.line.number
        self.doubled = False
        self.starred = False
        self.cluster: bool | None = None
        self.lossy = False
        self.slots: list[Slot] = []
        self.damage = ""
        self.sure = True
        self._index: int | None = None
        self._fields: dict[str, int] = {}
        self._last = -1

    @property
    def span(self) -> Span:
        """Where it stands."""
        return Span(self.start, self.end, self.first_line, self.last_line)

    @property
    def bare(self) -> bool:
        """Whether nothing but its key came yet."""
        return not self.slots and self._index is None and not self._fields and not self.damage

    def reach(self, token: Token) -> None:
        """The entry goes on to this part."""
        self.end, self.last_line = token.end, token.line.number

    def open_slot(self, index: int, *, lossy: bool = False) -> None:
        """A slot's heading."""
        self.close_slot()
        if index >= SLOTS:
            self.hurt(f"slot {index}, where a value has {SLOTS}")
        elif index <= self._last:
            self.hurt(f"slot {index} after slot {self._last}")
        self.lossy |= lossy
        self._index = index

    def field(self, name: str, text: str) -> None:
        """A field of the open slot."""
        if self._index is None:
            self.hurt(f"{name} without the number of its slot")
            return
        name = name.lower()
        value = (
            PROTOCOLS.get(text) if name == "protocol" and not text.isdigit() else int(text) if text.isdigit() else None
        )
        if value is None or value > _MAX:
            self.hurt(f"unreadable {name} {text[:20]!r} in slot {self._index}")
        elif name in self._fields:
            self.hurt(f"{name} twice in slot {self._index}")
        else:
            self._fields[name] = value

    def close_slot(self) -> None:
        """The open slot ends: it is taken when whole."""
        index, fields = self._index, self._fields
        self._index, self._fields = None, {}
        if index is None or self.damage:
            return
        wanted = {"protocol", "startport", "endport"}
        cluster = "priority" in fields
        if not wanted <= fields.keys():
            missing = ", ".join(sorted(wanted - fields.keys()))
            self.hurt(f"slot {index} lacks {missing}")
        elif self.cluster not in (None, cluster):
            self.hurt(f"slot {index} lacks priority" if not cluster else f"priority from slot {index} on only")
        else:
            self.cluster = cluster
            self._last = index
            priority = fields["priority"] if cluster else -1
            self.slots.append((index, fields["protocol"], priority, fields["startport"], fields["endport"]))

    def hurt(self, why: str) -> None:
        """The value cannot be used any more; the first reason counts."""
        self.damage = self.damage or why


def _key(address: str, prefix: int) -> tuple[bytes | None, str]:
    limit = 128 if ":" in address else 32
    if prefix > limit:
        return None, f"prefix length {prefix} is impossible"
    try:
        return key_of_printed(address, prefix), ""
    except ValueError:
        return None, "the address is not one"


def host_bits(key: bytes) -> bool:
    """Whether an address has bits set beyond its prefix: no agent writes such a key, a cut number looks so."""
    width = (len(key) - 4) * 8
    prefix = int.from_bytes(key[:4], "little")
    return bool(int.from_bytes(key[4:], "big") & ((1 << (width - prefix)) - 1))
