"""Container logs of the agent: CRI (`<time> stdout F <json>`) and docker json-file lines, unwrapped and read on."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from formats.base import NO, Format, Problem, Score, Span
from formats.log_catalogue import AGENT
from formats.log_catalogue_node import IPAMD, PLUGIN, SDK, SDK_NOISE
from formats.log_kind import kind_of
from formats.log_reader import LogReader
from formats.log_time import utc_ns
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.log_events import Event
    from formats.source import Source

_CRI = lazy(rb"\s*(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)) (?:stdout|stderr) ([FP])(?:[\w:]*)? ?(.*)", re.DOTALL)
_CATALOGUES: dict[str, tuple[tuple[Event, ...], tuple[str, ...]]] = {
    "agent": (AGENT, ()),
    "sdk": (SDK, SDK_NOISE),
    "ipamd": (IPAMD, ()),
    "plugin": (PLUGIN, ()),
}
#: The runtime splits lines at 16 KiB; more parts than this in a row are no log line.
_PARTS = 64


def sniff(head: bytes, path: str) -> Score:
    """Wrapped lines whose inside is a log of the agent or the CNI."""
    if b" stdout " not in head and b" stderr " not in head and b'{"log":"' not in head:
        return NO
    kind = kind_of(head, path)
    if not kind.wrapped or kind.log is None or not (kind.records or kind.marks):
        return NO
    return Score(min(97, 62 + 5 * kind.marks), f"container log lines with {kind.marks} marks of the {kind.log} log")


def read(source: Source) -> Iterator[Item]:
    """What the log inside gives; spans are those of the wrapped lines."""
    log = kind_of(source.head, source.path).log or "agent"
    events, noise = _CATALOGUES[log]
    yield from _Unwrapper(source, log, events, noise).read(tolerant_only=True)


class _Unwrapper(LogReader):
    """Joins the parts of a line (`P` ... `F`) and hands its inside to the log's reader."""

    def __init__(self, source: Source, log: str, events: tuple[Event, ...], noise: tuple[str, ...] = ()) -> None:
        super().__init__(source, log, events, noise)
        self._parts: list[tuple[bytes, Span]] = []
        self._outer: list[str] = []

    def feed(self, raw: bytes, span: Span) -> None:
        found = _CRI.fullmatch(raw)
        if found is None:
            self._give_up()
            super().feed(raw if not raw.startswith(b'{"log":"') else self._docker(raw), span)
            return
        if not self._outer:
            self._outer.append(found[1].decode())
        self._outer[1:] = [found[1].decode()]
        self._parts.append((found[3], span))
        if found[2] == b"P" and len(self._parts) < _PARTS:
            return
        parts, self._parts = self._parts, []
        whole = Span(parts[0][1].start, span.end, parts[0][1].first_line, span.last_line)
        super().feed(b"".join(part for part, _ in parts), whole)

    def _docker(self, raw: bytes) -> bytes:
        try:
            value = json.loads(raw)
        except ValueError:
            return raw
        inner = value.get("log") if isinstance(value, dict) else None
        return inner.rstrip("\n").encode("utf-8", "surrogatepass") if isinstance(inner, str) else raw

    def _give_up(self) -> None:
        parts, self._parts = self._parts, []
        if parts:
            first, last = parts[0][1], parts[-1][1]
            span = Span(first.start, last.end, first.first_line, last.last_line)
            self.emit(Problem("the last part of a split log line is missing", span, "passed over", "1 line"))

    def finish(self) -> None:
        self._give_up()
        if self.first_ts is None and self._outer and utc_ns(self._outer[0]) is not None:
            self.first_ts, self.last_ts = self._outer[0], self._outer[-1]


FORMAT = Format(
    name="cri-log",
    title="container log of the agent",
    sniff=sniff,
    read=read,
    versions="CRI (containerd, CRI-O) and docker json-file; inside: agent-log, ebpf-sdk-log, ipamd-log, plugin-log",
    about="Container logs (`kubectl logs` files of the runtime) whose lines hold the agent's or the CNI's log.",
    limits=("The runtime's own time is used only when no line inside has one.",),
    loses=("Whatever the runtime rotated away.",),
)
