"""One entry of a pod state or conntrack map while its lines come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.base import Span
from formats.nacli_conntrack import flow_of, key_bytes, shifted, value_bytes

if TYPE_CHECKING:
    import re

    from formats.nacli_section import Section
    from formats.nacli_text import Token

_SHIFTED = "conntrack line of the IPv6 binary of v1.0.4 or v1.0.5, whose fields are shifted by two bytes"
_SIZES = "a line of another layout than the entries before"


def _whole(match: re.Match[str]) -> bool:
    """Whether a key line is one from end to end: what follows Protocol or Owner and is no field is a cut field."""
    rest = match.string[match.end() :].lstrip()
    return match.lastgroup == "flow" and (not rest or rest.startswith(("Value", "Conntrack", "*")))


class StateEntry:
    """An open entry of a pod state map: a u32 key, a u8 state."""

    def __init__(self, token: Token) -> None:
        self._number = int(token.group("number"))
        self._state: int | None = None
        self._start, self._first_line = token.start, token.line.number
        self.cut = False
        self.reach(token)

    def reach(self, token: Token) -> None:
        """The entry goes on to this part."""
        self._end, self._last_line = token.end, token.line.number

    def state(self, text: str) -> None:
        """The printed state."""
        self._state = int(text)

    def store(self, section: Section) -> None:
        """To the section's table, or to its problems."""
        span = Span(self._start, self._end, self._first_line, self._last_line)
        section.end, section.last_line = max(section.end, span.end), max(section.last_line, span.last_line)
        if self._number > 0xFFFFFFFF or self.cut:
            section.hidden += 1
            what = "the text ends inside a key" if self.cut else "a key above 32 bits"
            section.troubles.add(what, span, "record left out", "one entry", str(self._number))
            return
        value = bytes([self._state]) if self._state is not None and self._state <= 0xFF else None
        if value is None:
            why = "no state line" if self._state is None else f"state {self._state} is no byte"
            section.troubles.add(
                f"an entry of a hash map has {why}", span, "key kept", "one value", f"key {self._number}"
            )
        section.values.add(self._number.to_bytes(4, "little"), value, span)


class FlowEntry:
    """An open conntrack entry."""

    def __init__(self, token: Token) -> None:
        self._flow = flow_of(token.match) if token.match is not None and _whole(token.match) else None
        self._text = token.line.text.strip()[:120]
        self._state: int | None = None
        self._seen: int | None = None
        self._start, self._first_line = token.start, token.line.number
        self.cut = False
        self.fault = ""
        self.reach(token)

    def reach(self, token: Token) -> None:
        """The entry goes on to this part."""
        self._end, self._last_line = token.end, token.line.number

    def state(self, text: str) -> None:
        """`Conntrack Val`."""
        self._state = int(text)

    def seen(self, text: str) -> None:
        """`Last Seen (ns)`."""
        self._seen = int(text)

    def store(self, section: Section) -> None:
        """To the section's table, or to its problems."""
        span = Span(self._start, self._end, self._first_line, self._last_line)
        section.end, section.last_line = max(section.end, span.end), max(section.last_line, span.last_line)
        what = ""
        if self._flow is None or self.cut:
            what = "the text ends inside a conntrack key" if self.cut else "a conntrack key that cannot be read"
        elif shifted(self._flow):
            what = _SHIFTED
        if what or self._flow is None:
            section.hidden += 1
            section.troubles.add(what, span, "record left out", "one entry", self._text)
            return
        value = value_bytes(self._state, self._seen) if self._state is not None and not self.fault else None
        if value is None:
            why = self.fault or (
                "no 'Conntrack Val' line" if self._state is None else f"value {self._state} does not fit"
            )
            section.troubles.add("a conntrack entry without its value", span, "key kept", "one value", why)
        if not section.values.add(key_bytes(self._flow), value, span):
            section.hidden += 1
            section.troubles.add(_SIZES, span, "record left out", "one entry", self._text)
