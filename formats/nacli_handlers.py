"""What each part of dump-maps text does to the section that is open: the rules of the text, without its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.base import Span
from formats.nacli_entry import Entry
from formats.nacli_errors import WALK_FAILED, error_record, is_empty
from formats.nacli_names import Target, of_command, of_path
from formats.nacli_section import Section
from formats.nacli_values import FlowEntry, StateEntry

if TYPE_CHECKING:
    from collections.abc import Callable

    from formats.base import Item
    from formats.nacli_text import Token

_RESTARTS = frozenset({"header", "boundary", "command", "prompt", "fence", "walk"})
_ORPHAN = "slots without their Key line"


class Sections:
    """The open section and the open entry; `out` holds what was completed."""

    def __init__(self, path: str) -> None:
        self.out: list[Item] = []
        self._hint = of_path(path)
        self._target: Target | None = None
        self._section: Section | None = None
        self._entry: Entry | None = None
        self._value: StateEntry | FlowEntry | None = None
        self._orphan = False
        self._handlers: dict[str, Callable[[Token], None]] = {
            name.removeprefix("_on_"): getattr(self, name) for name in dir(self) if name.startswith("_on_")
        }

    def part(self, token: Token) -> None:
        """One part of the text. After a crash nothing counts until something begins anew."""
        section = self._section
        if section is not None and section.crash is not None and token.kind not in _RESTARTS:
            section.end, section.last_line = token.end, token.line.number
        elif (handler := self._handlers.get(token.kind)) is not None:
            handler(token)

    def _ensure(self, kind: str | None, start: int, first_line: int) -> Section:
        """The open section, begun here when there is none; of this kind from now on."""
        section = self._section
        if section is None or (kind is not None and section.kind not in (None, kind)):
            self._close()
            section = self._section = Section(self._aim(), start, first_line)
        section.kind = kind or section.kind
        return section

    def _aim(self) -> Target:
        """What is known of the next section's map; the file's name speaks for its first section only."""
        target, self._target = self._target or Target(), None
        hint, self._hint = self._hint, Target(verb=self._hint.verb)
        if target.map_name is None and (target.map_id is None or hint.map_name):
            target = target._replace(map_name=hint.map_name)
        map_id = target.map_id if target.map_id is not None else hint.map_id
        return target._replace(map_id=map_id, verb=target.verb or hint.verb)

    def _close_entry(self) -> None:
        entry, self._entry = self._entry, None
        if entry is not None and self._section is not None:
            entry.close_slot()
            self._section.end = max(self._section.end, entry.end)
            self._section.last_line = max(self._section.last_line, entry.last_line)
            self._pair(entry, self._section)
        value, self._value = self._value, None
        if value is not None and self._section is not None:
            value.store(self._section)

    def _pair(self, entry: Entry, section: Section) -> None:
        """Takes an entry. In the cluster form the key stands twice: two that differ are one damaged entry."""
        if entry.cluster and not entry.doubled and (before := section.rules.pop()) is not None:
            key, known, span, slots = before
            if not known and not slots and span.last_line + 1 == entry.first_line and span.first_line == span.last_line:
                section.hidden += 1
                both = Span(span.start, entry.end, span.first_line, entry.last_line)
                section.troubles.add(
                    "the two Key lines of an entry differ", both, "record left out", "one entry", entry.text
                )
                return
            section.rules.add(key, span, slots, known=known)
        section.take(entry)

    def _close(self) -> None:
        self._close_entry()
        section, self._section = self._section, None
        self._orphan = False
        if section is not None:
            self.out.extend(section.close())

    def _on_header(self, token: Token) -> None:
        self._close()
        number = token.group("hid")
        self._target = Target(int(number) if number.isdecimal() and len(number) < 20 else None, None, self._hint.verb)
        self._section = Section(self._aim(), token.start, token.line.number, header=True)
        self._reach(token)

    def _reach(self, token: Token) -> Section | None:
        if self._section is not None:
            self._section.end, self._section.last_line = token.end, token.line.number
        return self._section

    def _on_boundary(self, token: Token) -> None:
        self._close()
        self._target = None

    _on_prompt = _on_boundary

    def _on_fence(self, token: Token) -> None:
        self._close()

    def _on_command(self, token: Token) -> None:
        self._close()
        target = of_command(token.group("verb"), token.group("cmd_id"), token.group("rest"))
        self._target = target if target.verb in ("dump-maps", "dump-cp-maps") else None

    def _on_walk(self, token: Token) -> None:
        if self._section is not None and (self._section.kind or self._section.walk is not None):
            self._close()
        section = self._ensure(None, token.start, token.line.number)
        section.walk = int(token.group("type"))
        if section.target.map_id is None:
            section.target = section.target._replace(map_id=int(token.group("walk_id")))
        self._reach(token)

    def _on_key(self, token: Token) -> None:
        entry = self._entry
        text = f"{token.group('addr')}/{token.group('plen')}"
        if entry is not None and entry.bare and not entry.doubled and entry.text == text and not token.bullet:
            entry.doubled = True
            entry.reach(token)
            return
        if entry is not None and token.bullet:
            entry.starred = True
        opened = Entry(token)
        section = self._section
        size = section.rules.key_size if section is not None else 0
        if size and opened.key is not None and len(opened.key) != size:
            self._close()
        self._close_entry()
        section = self._ensure("rules", token.start, token.line.number)
        section.new_form |= token.group("key").startswith("Key: ")
        self._entry, self._orphan = opened, False
        self._reach(token)

    def _on_badkey(self, token: Token) -> None:
        if self._section is None and self._target is None and "IP/P" not in token.group("badkey"):
            return
        self._close_entry()
        section = self._ensure("rules", token.start, token.line.number)
        section.hidden += 1
        span = Span(token.start, token.end, token.line.number, token.line.number)
        shown = token.line.text.strip()[:60]
        section.troubles.add("a key that is cut or cannot be read", span, "record left out", "one entry", shown)
        self._orphan = True
        self._reach(token)

    def _on_slot(self, token: Token) -> None:
        entry = self._entry
        if entry is None:
            self._lost(token)
        else:
            entry.open_slot(int(token.group("slot_a") or token.group("slot_b")))
            entry.reach(token)

    def _lost(self, token: Token) -> None:
        """A slot that belongs to no key: told once for each group."""
        section = self._ensure("rules", token.start, token.line.number)
        if not self._orphan:
            span = Span(token.start, token.end, token.line.number, token.line.number)
            section.hidden += 1
            section.troubles.add(_ORPHAN, span, "slots left out", "one entry")
        self._orphan = True
        self._reach(token)

    def _on_value(self, token: Token) -> None:
        if self._entry is not None and self._entry.bare:
            self._entry.open_slot(0, lossy=True)
            self._entry.reach(token)
        elif self._value is not None:
            self._value.reach(token)

    def _on_field(self, token: Token) -> None:
        if self._entry is not None:
            self._entry.field(token.group("name"), token.group("text"))
            self._entry.reach(token)

    def _on_dashes(self, token: Token) -> None:
        if self._entry is not None:
            self._entry.close_slot()
            self._entry.reach(token)

    def _on_stars(self, token: Token) -> None:
        entry = self._entry
        if entry is not None:
            entry.close_slot()
            entry.starred = True
            entry.reach(token)
        elif self._value is not None:
            self._value.reach(token)
        self._orphan = False
        self._close_entry()

    def _on_state_key(self, token: Token) -> None:
        self._close_entry()
        self._ensure("state", token.start, token.line.number)
        self._value = StateEntry(token)

    def _on_state(self, token: Token) -> None:
        if isinstance(self._value, StateEntry):
            self._value.state(token.group("state_value"))
            self._value.reach(token)

    def _on_flow(self, token: Token) -> None:
        self._close_entry()
        self._ensure("flows", token.start, token.line.number)
        self._value = FlowEntry(token)

    _on_badflow = _on_flow

    def _on_verdict(self, token: Token) -> None:
        if isinstance(self._value, FlowEntry):
            self._value.state(token.group("val"))
            self._value.reach(token)

    def _on_seen(self, token: Token) -> None:
        if isinstance(self._value, FlowEntry):
            self._value.seen(token.group("ns"))
            self._value.reach(token)

    def _on_end(self, token: Token) -> None:
        if self._entry is not None and token.bullet:
            self._entry.starred = True
        self._close_entry()
        if self._section is not None:
            self._section.ended = self._section.kind is not None
            self._reach(token)
            self._close()

    def _on_partial(self, token: Token) -> None:
        self._close_entry()
        if self._section is not None:
            self._section.partial = True
            self._reach(token)
            self._close()

    def _on_empty(self, token: Token) -> None:
        self._nothing(token, "map")

    def _on_empty_hash(self, token: Token) -> None:
        self._nothing(token, "hash")

    def _nothing(self, token: Token, kind: str) -> None:
        if self._section is not None and self._section.kind is not None:
            self._close()
        self._ensure(None, token.start, token.line.number).empty = kind
        self._reach(token)
        self._close()

    def _on_error(self, token: Token) -> None:
        message = token.group("message")
        if WALK_FAILED in message:
            self._on_boundary(token)
        elif is_empty(message):
            self._nothing(token, "map")
        else:
            self._failed(token, message)

    def _on_usage(self, token: Token) -> None:
        self._failed(token, token.group("usage"))

    def _failed(self, token: Token, message: str) -> None:
        if self._section is not None and self._section.kind is not None:
            self._close()
        section = self._ensure(None, token.start, token.line.number)
        section.said = True
        self._reach(token)
        span = Span(token.start, token.end, token.line.number, token.line.number)
        self.out.append(error_record(message, section.target.map_id, span))
        self._close()

    def _on_unread(self, token: Token) -> None:
        entry = self._entry
        if entry is not None:
            entry.hurt("the CLI could not read its value")
            entry.reach(token)
            return
        section = self._ensure("rules", token.start, token.line.number)
        section.hidden += 1
        span = Span(token.start, token.end, token.line.number, token.line.number)
        shown = token.group("unread")[:120]
        section.troubles.add("the CLI could not read an entry", span, "entry skipped by the CLI", "one entry", shown)
        self._reach(token)

    def _on_clock(self, token: Token) -> None:
        if self._section is not None and self._section.kind is not None:
            self._close_entry()
        self._ensure(None, token.start, token.line.number).notes.append(token.group("clock"))

    def _on_crash(self, token: Token) -> None:
        if self._section is None and self._target is None and not self._hint.verb and self._hint.map_name is None:
            return
        self._close_entry()
        self._ensure(None, token.start, token.line.number).crash = token.group("crash")[:200]
        self._reach(token)
