"""What the agent's log says happened: restarts, which map IDs belong to whom, and every map write.

A write is a group of lines: the map's name as the agent believes it (`map-update-begin`), the CIDRs of the intended
content, the ID of the map really written (`map-write`), the result (`bulk-refresh`). Names come from the agent's mind,
IDs from the kernel: where the two disagree, bytes went to the wrong map.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from formats.pins import MAP_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forensics.artifact import Artifact
    from formats.base import Record


@dataclass(frozen=True, slots=True, repr=False)
class Event:
    """One diagnostic log line, placed in its artifact."""

    artifact: Artifact
    record: Record

    @property
    def name(self) -> str:
        """The event's slug."""
        return str(self.record.data.get("event"))

    @property
    def utc_ns(self) -> int | None:
        """Time in ns since 1970, UTC; None when the line has none that can be read."""
        return self.record.data.get("utc_ns")

    def get(self, key: str) -> Any:
        """A field of the event; None when the line does not carry it."""
        return self.record.data.get(key)


@dataclass(slots=True, repr=False)
class MapIdentity:
    """Whose map an ID is, by the log: pod identifier, real name (from the map's own sizes and name) and sizes."""

    map_id: int
    pod_identifier: str | None
    map_name: str
    key_size: int | None
    value_size: int | None
    event: Event


@dataclass(slots=True, repr=False)
class MapWrite:
    """One write group. `said` is the map name the agent logged; `map_id` the ID it really updated."""

    said: str
    map_id: int | None
    begin: Event
    cidrs: list[str] = field(default_factory=list)
    write: Event | None = None
    result: Event | None = None
    failed_deletes: int = 0
    #: the rules came from cluster policies (their count was logged just before)
    cluster_rules: bool = False

    @property
    def updated(self) -> int | None:
        """Entries added or changed, by the result line."""
        return self.result.get("updated") if self.result else None

    @property
    def deleted(self) -> int | None:
        """Entries the agent counts as deleted (v1.3.0 counts failed deletes too)."""
        return self.result.get("deleted") if self.result else None


@dataclass(slots=True, repr=False)
class LogStory:
    """A node's agent log, in order."""

    events: list[Event] = field(default_factory=list)
    restarts: list[Event] = field(default_factory=list)
    recoveries: list[Event] = field(default_factory=list)
    identities: dict[int, MapIdentity] = field(default_factory=dict)
    writes: list[MapWrite] = field(default_factory=list)
    first_ts: str | None = None
    last_ts: str | None = None
    last_ns: int | None = None

    def first(self, name: str) -> Event | None:
        """The first event of a kind."""
        return next((event for event in self.events if event.name == name), None)

    def last(self, name: str) -> Event | None:
        """The last event of a kind."""
        return next((event for event in reversed(self.events) if event.name == name), None)


def tell(artifacts: Iterable[Artifact]) -> LogStory:
    """The story of a node's agent logs, rotated files included, in time order (file order where times are equal)."""
    story = LogStory()
    events: list[tuple[int, int, int, Event]] = []
    for number, artifact in enumerate(artifacts):
        for row, record in enumerate(artifact.records):
            if record.kind == "log_event" and record.data.get("log") == "agent":
                events.append((0, number, row, Event(artifact, record)))
            elif record.kind == "log_summary" and record.data.get("log") == "agent":
                _bounds(story, record)
    story.events = [event for *_, event in _in_time(events)]
    _collect(story)
    return story


def _bounds(story: LogStory, record: Record) -> None:
    first, last = record.data.get("first_ts"), record.data.get("last_ts")
    if first and (story.first_ts is None or first < story.first_ts):
        story.first_ts = first
    if last and (story.last_ts is None or last > story.last_ts):
        story.last_ts = last


def _in_time(events: list[tuple[int, int, int, Event]]) -> list[tuple[int, int, int, Event]]:
    """Files are put in the order of their first time; lines inside a file keep their order."""
    first: dict[int, int] = {}
    for _, number, _, event in events:
        if event.utc_ns is not None:
            first.setdefault(number, event.utc_ns)
    return sorted(events, key=lambda item: (first.get(item[1], 0), item[1], item[2]))


def _collect(story: LogStory) -> None:
    current: MapWrite | None = None
    cluster_rules = False
    for event in story.events:
        name = event.name
        if event.utc_ns is not None and (story.last_ns is None or event.utc_ns > story.last_ns):
            story.last_ns = event.utc_ns
        if name == "agent-start":
            story.restarts.append(event)
        elif name == "probes-recovered":
            if event.get("count"):
                story.recoveries.append(event)
        elif name in ("map-found", "inmem-created"):
            _identify(story, event)
        elif name == "rule-count":
            cluster_rules = bool(event.get("cluster"))
        elif name == "map-update-begin":
            current = MapWrite(str(event.get("map_name")), None, event, cluster_rules=cluster_rules)
        elif current is not None:
            _grow(story, current, event)
            if event.name == "bulk-refresh":
                current = None


def _grow(story: LogStory, current: MapWrite, event: Event) -> None:
    if event.name == "rule-cidr":
        current.cidrs.append(str(event.get("cidr")))
    elif event.name == "map-write":
        current.map_id, current.write = event.get("map_id"), event
        story.writes.append(current)
    elif event.name == "kernel-delete-failed":
        current.failed_deletes += 1
    elif event.name == "bulk-refresh":
        current.result = event


def _identify(story: LogStory, event: Event) -> None:
    map_id, name = event.get("map_id"), event.get("map_name")
    if map_id is None or name not in MAP_SUFFIXES:
        return
    known = story.identities.get(map_id)
    identifier = event.get("pod_identifier") or (known.pod_identifier if known else None)
    story.identities[map_id] = MapIdentity(
        map_id, identifier, name, event.get("key_size"), event.get("value_size"), event
    )
