"""What the agent's log says happened: restarts, which map IDs belong to whom, and every map write.

A write is a group of lines: the map's name as the agent believes it (`map-update-begin`), the CIDRs of the intended
content, the ID of the map really written (`map-write`), the result (`bulk-refresh`). Names come from the agent's mind,
IDs from the kernel: where the two disagree, bytes went to the wrong map.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from forensics.log_events import Event, Events
from formats.pins import MAP_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from forensics.artifact import Artifact
    from formats.base import Record

#: Events that show a start of the agent; versions before v1.2.2 do not log the first of them.
_STARTS = ("agent-start", "manager-start", "probes-recovered")
#: What a write's content is made of: the lines between its first line and the ID.
_CONTENT = ("rule-cidr", "rule-except", "rule-skipped", "rule-l4")
#: Events that say where a write or an evaluation begins and ends, and what came of it.
_MARKS = (
    *_STARTS, "map-found", "inmem-created", "rule-count", "map-update-begin", "map-write", "bulk-refresh",
    "kernel-delete-failed", "kernel-update-failed", "error", "reconcile", "policies-for-identifier",
    "no-active-policies", "enforce-request", "delete-request", "default-deny", "catch-all",
)  # fmt: skip


class MapIdentity(NamedTuple):
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
    #: networks that rules except; from v1.2.4 on they are among the CIDRs as well
    excepts: list[str] = field(default_factory=list)
    #: CIDRs that the agent left out for their family
    skipped: list[str] = field(default_factory=list)
    #: {CIDR: [(protocol, start port, end port)]}, where the log level shows them
    slots: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)
    #: the agent logged an error between the first line and the result
    failed: bool = False
    #: the place of the first line among the story's events
    row: int = 0

    @property
    def updated(self) -> int | None:
        """Entries added or changed, by the result line."""
        return self.result.get("updated") if self.result else None

    @property
    def deleted(self) -> int | None:
        """Entries the agent counts as deleted (v1.3.0 counts failed deletes too)."""
        return self.result.get("deleted") if self.result else None


@dataclass(slots=True, repr=False)
class Evaluation:
    """One time the agent worked out an identifier's rules: how many by direction, and where there are none, why.

    `policies` is the number of policy objects, 0 when the last one went.
    """

    row: int
    policies: int
    rules: dict[str, int] = field(default_factory=dict)
    #: directions that are isolated
    denied: set[str] = field(default_factory=set)
    #: directions that got the catch-all
    opened: set[str] = field(default_factory=set)


@dataclass(slots=True, repr=False)
class LogStory:
    """A node's agent log, in order."""

    events: Events = field(default_factory=lambda: Events(()))
    restarts: list[Event] = field(default_factory=list)
    recoveries: list[Event] = field(default_factory=list)
    identities: dict[int, MapIdentity] = field(default_factory=dict)
    writes: list[MapWrite] = field(default_factory=list)
    #: writes whose lines stand among another write's lines, or that never came to an ID: their content is not certain
    torn: list[MapWrite] = field(default_factory=list)
    #: the writes in order, by the ID of the map written
    writes_to: dict[int, list[MapWrite]] = field(default_factory=dict)
    #: how namespace rules were worked out, by pod identifier, in order
    evaluations: dict[str, list[Evaluation]] = field(default_factory=dict)
    #: the places of the events that show a start of the agent
    starts: list[int] = field(default_factory=list)
    #: a line speaks of cluster policies
    cluster_policies: bool = False
    first_ts: str | None = None
    last_ts: str | None = None
    last_ns: int | None = None

    def first(self, name: str) -> Event | None:
        """The first event of a kind."""
        rows = self.events.rows(name)
        return self.events[rows[0]] if rows else None

    def last(self, name: str) -> Event | None:
        """The last event of a kind."""
        rows = self.events.rows(name)
        return self.events[rows[-1]] if rows else None


def tell(artifacts: Iterable[Artifact]) -> LogStory:
    """The story of a node's agent logs, rotated files included, in time order (file order where times are equal)."""
    artifacts = list(artifacts)
    story = LogStory(Events(artifacts))
    for artifact in artifacts:
        for record in artifact.records:
            if record.kind == "log_summary" and record.data.get("log") == "agent":
                _bounds(story, record)
    story.last_ns = story.events.last_ns
    _collect(story)
    return story


def _bounds(story: LogStory, record: Record) -> None:
    first, last = record.data.get("first_ts"), record.data.get("last_ts")
    if first and (story.first_ts is None or first < story.first_ts):
        story.first_ts = first
    if last and (story.last_ts is None or last > story.last_ts):
        story.last_ts = last


def _collect(story: LogStory) -> None:
    events = story.events
    story.starts = events.rows(*_STARTS)
    writes, evaluations = _Writes(story), _Evaluations(story)
    cluster_rules = False
    story.cluster_policies = any(fields.get("cluster") for fields in events.said("reconcile"))
    # a long log is mostly made of these two: of those in a row only the first of each can change anything
    for row, name, fields in events.told(_MARKS, once=("reconcile", "bulk-refresh")):
        if name == "reconcile":
            evaluations.close()
            continue
        if name == "bulk-refresh":
            writes.result(row)
            continue
        if name == "agent-start":
            story.restarts.append(events[row])
        elif name == "probes-recovered":
            if fields.get("count"):
                story.recoveries.append(events[row])
        elif name in ("map-found", "inmem-created"):
            _identify(story, events[row])
        elif name == "rule-count":
            cluster_rules = bool(fields.get("cluster"))
            story.cluster_policies |= cluster_rules
        elif name == "map-update-begin":
            said = str(fields.get("map_name"))
            writes.begin(MapWrite(said, None, events[row], cluster_rules=cluster_rules, row=row))
        else:
            writes.grow(row, name, fields)
        evaluations.take(row, name, fields)
    writes.end()
    for write in story.writes:
        if write.map_id is not None:
            story.writes_to.setdefault(write.map_id, []).append(write)


class _Evaluations:
    """Groups the lines about an identifier's rules: they follow the line that names it."""

    def __init__(self, story: LogStory) -> None:
        self._story = story
        self._open: Evaluation | None = None

    def take(self, row: int, name: str, fields: Mapping[str, Any]) -> None:
        """Any line, in order."""
        if name == "policies-for-identifier":
            self._open = None if fields.get("cluster") else self._new(row, fields, int(fields.get("count") or 0))
        elif name == "no-active-policies":
            self._new(row, fields, 0)
        elif name in ("map-update-begin", "enforce-request", "delete-request"):
            self.close()
        elif self._open is None:
            return
        elif name == "rule-count" and not fields.get("cluster"):
            self._open.rules = {key: int(fields.get(key) or 0) for key in ("ingress", "egress")}
        elif name == "default-deny":
            self._open.denied.add(str(fields.get("direction")))
        elif name == "catch-all":
            self._open.opened.add(str(fields.get("direction")))

    def close(self) -> None:
        """What follows belongs to no identifier until one is named."""
        self._open = None

    def _new(self, row: int, fields: Mapping[str, Any], policies: int) -> Evaluation:
        made = Evaluation(row, policies)
        self._story.evaluations.setdefault(str(fields.get("pod_identifier")), []).append(made)
        return made


class _Writes:
    """Groups lines into writes. Several workers log at once: a line is given to the write that is open for its kind."""

    def __init__(self, story: LogStory) -> None:
        self._story = story
        self._open: MapWrite | None = None
        self._waiting: MapWrite | None = None
        self._torn = False
        self._content = story.events.rows(*_CONTENT)

    def begin(self, write: MapWrite) -> None:
        """A write's first line. One that is still open has not come to its ID: unless it failed, lines are mixed."""
        last = self._open
        if last is not None and last.write is None:
            self._fill(last, write.row)
            self._story.torn.append(last)
            self._torn = not last.failed
        else:
            self._torn = False
            self._waiting = last
        self._open = write

    def grow(self, row: int, name: str, fields: Mapping[str, Any]) -> None:
        """Any other line."""
        current = self._open
        if current is None:
            return
        if name == "map-write":
            self._written(current, row, fields)
        elif name == "kernel-delete-failed":
            (current if current.write is not None else self._waiting or current).failed_deletes += 1
        elif name == "kernel-update-failed" or (name == "error" and current.write is None):
            current.failed = True

    def end(self) -> None:
        """The log is over: what is still open has no ID."""
        if self._open is not None and self._open.write is None:
            self._fill(self._open, len(self._story.events))
            self._story.torn.append(self._open)

    def _written(self, current: MapWrite, row: int, fields: Mapping[str, Any]) -> None:
        if current.write is not None:
            return  # the ID of a write whose first line was followed by another one's
        self._fill(current, row)
        current.map_id, current.write = fields.get("map_id"), self._story.events[row]
        (self._story.torn if self._torn else self._story.writes).append(current)

    def result(self, row: int) -> None:
        """What came of a write."""
        current = self._open
        if current is None:
            return
        if current.write is not None:
            current.result = self._story.events[row]
            self._open = None
        elif self._waiting is not None:
            self._waiting.result, self._waiting = self._story.events[row], None

    def _fill(self, current: MapWrite, stop: int) -> None:
        """The content: what the lines between the first line and `stop` say."""
        events = self._story.events
        for row in self._content[bisect_right(self._content, current.row) : bisect_left(self._content, stop)]:
            _content(current, events.names[events.codes[row]], events.fields(row))


def _content(current: MapWrite, name: str, fields: Mapping[str, Any]) -> None:
    if name == "rule-cidr":
        current.cidrs.append(str(fields.get("cidr")))
    elif name == "rule-except":
        current.excepts.append(str(fields.get("cidr")))
    elif name == "rule-skipped":
        current.skipped.append(str(fields.get("cidr")))
    elif name == "rule-l4" and current.cidrs:
        slot = tuple(int(fields.get(key) or 0) for key in ("protocol", "start_port", "end_port"))
        current.slots.setdefault(current.cidrs[-1], []).append(slot)  # type: ignore[arg-type]


def _identify(story: LogStory, event: Event) -> None:
    map_id, name = event.get("map_id"), event.get("map_name")
    if map_id is None or name not in MAP_SUFFIXES:
        return
    known = story.identities.get(map_id)
    identifier = event.get("pod_identifier") or (known.pod_identifier if known else None)
    story.identities[map_id] = MapIdentity(
        map_id, identifier, name, event.get("key_size"), event.get("value_size"), event
    )
