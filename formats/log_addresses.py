"""The addresses of flow lines as codes: each distinct text is read once."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from formats.flow_text import restored
from formats.known_bytes import NONE, KnownBytes
from formats.packed_flows import family

Ints = np.ndarray[Any, Any]
#: Words of eight bytes that hold an address and the blank behind it: of IPv4, of any. IPv6 needs up to 39 characters;
#: 45 with an IPv4 tail, which is not clean.
NARROW, WIDE = 2, 5
_ADDRESS = re.compile(rb"[0-9a-fA-F.:]{1,39} ")


class Addresses:
    """Distinct addresses of one log, with vanished octets restored. `words` lists them; `families` says of each whether
    it is of IPv4 (4), of IPv6 (6) or no address (0). The first is none."""

    def __init__(self) -> None:
        self.words: list[Any] = [""]
        self.families = bytearray(1)
        self._codes: dict[bytes, int] = {}
        self._known = {width: KnownBytes(width, self._code) for width in (NARROW, WIDE)}

    def of(self, rows: Ints) -> Ints:
        """Codes (int32[n]) of addresses as NARROW or WIDE words, the blank behind them too; NONE for what is none."""
        return self._known[rows.shape[1]].codes(rows)

    def _code(self, text: bytes) -> int:
        code = self._codes.get(text)
        if code is None:
            if not _ADDRESS.fullmatch(text):
                return NONE
            code = self._codes[text] = len(self.words)
            self.words.append(restored(text[:-1].decode("ascii")))
            self.families.append(family(self.words[-1]))
        return code
