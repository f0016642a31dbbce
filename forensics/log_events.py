"""The events of a node's agent logs, in time order, as columns: only an event that is asked for becomes an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from forensics.sorted_search import distinct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from forensics.artifact import Artifact
    from formats.base import EventBatch, Record, Said

Array = np.ndarray[Any, Any]
#: Stands for a time that is not known.
_NO_TIME = np.iinfo(np.int64).min


class Event(NamedTuple):
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


class _Records:
    """Single records with the face of an EventBatch."""

    def __init__(self, records: list[Record]) -> None:
        self.records = records

    def record(self, row: int) -> Record:
        return self.records[row]


class Events:
    """Every event of log `log`, rotated files included, in time order (file order where times are equal).

    `names` are the slugs there are, `codes` the place of each row's slug among them.
    """

    def __init__(self, artifacts: Iterable[Artifact], log: str = "agent") -> None:
        self._artifacts: list[Artifact] = []
        self._parts: list[EventBatch | _Records] = []
        #: Of each part the own fields of all that it may say; batches that share their texts share these.
        self._fields: list[list[Mapping[str, Any]]] = []
        self._known: dict[int, tuple[list[Mapping[str, Any]], Array]] = {}
        self._places: dict[str, int] = {}
        #: The latest time of all, ns UTC.
        self.last_ns: int | None = None
        files = [self._file(parts) for artifact in artifacts if (parts := list(self._read(artifact, log)))]
        # files in the order of their first time; lines inside a file keep their order
        files.sort(key=lambda file: file[0])
        self.names = list(self._places)
        whole = [np.concatenate(column) for column in zip(*(own for _, own in files), strict=True)]
        self._part, self._row, self._word, self.codes = whole or [np.zeros(0, np.int32) for _ in range(4)]

    def _read(self, artifact: Artifact, log: str) -> Iterator[list[Array]]:
        records = [each for each in artifact.records if each.kind == "log_event" and each.data.get("log") == log]
        if records:
            codes = [self._place(str(record.data.get("event"))) for record in records]
            times = [_NO_TIME if (time := record.data.get("utc_ns")) is None else time for record in records]
            starts = [record.span.start for record in records]
            self._fields.append([record.data for record in records])
            yield self._part_of(artifact, _Records(records), starts, np.arange(len(records)), codes, times)
        for batch in artifact.events:
            if batch.log == log:
                fields, places = self._told(batch.said)
                self._fields.append(fields)
                starts = batch.spans["start"]
                yield self._part_of(artifact, batch, starts, batch.codes, places[batch.codes], batch.utc_ns)

    def _told(self, said: list[Said | None]) -> tuple[list[Mapping[str, Any]], Array]:
        """The own fields of what batches say, and the place of each slug."""
        if id(said) not in self._known:
            fields: list[Mapping[str, Any]] = [each.fields if each is not None else {} for each in said]
            places = [self._place(each.event) if each is not None else -1 for each in said]
            self._known[id(said)] = fields, np.array(places, np.int32)
        return self._known[id(said)]

    def _part_of(
        self,
        artifact: Artifact,
        part: EventBatch | _Records,
        starts: Any,
        words: Any,
        codes: Any,
        times: Any,
    ) -> list[Array]:
        self._artifacts.append(artifact)
        self._parts.append(part)
        size = len(codes)
        return [
            np.asarray(starts, np.int64),
            np.full(size, len(self._parts) - 1, np.int32),
            np.arange(size, dtype=np.int32),
            np.asarray(words, np.int32),
            np.asarray(codes, np.int16),
            np.asarray(times, np.int64),
        ]

    def _place(self, name: str) -> int:
        return self._places.setdefault(name, len(self._places))

    def _file(self, parts: list[list[Array]]) -> tuple[int, list[Array]]:
        """The first time of a file, 0 where none is known, and its columns in the order of its lines."""
        start, *own, times = (np.concatenate(column) for column in zip(*parts, strict=True))
        if (start[1:] < start[:-1]).any():
            order = np.argsort(start, kind="stable")
            own, times = [column[order] for column in own], times[order]
        known = times[times != _NO_TIME]
        if not len(known):
            return 0, own
        self.last_ns = max(int(known.max()), self.last_ns or _NO_TIME)
        return int(known[0]), own

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, at: int) -> Event:
        part = int(self._part[at])
        return Event(self._artifacts[part], self._parts[part].record(int(self._row[at])))

    def __iter__(self) -> Iterator[Event]:
        return (self[at] for at in range(len(self)))

    def fields(self, at: int) -> Mapping[str, Any]:
        """The event's own fields, without a record being made."""
        found: Mapping[str, Any] = self._fields[self._part[at]][self._word[at]]
        return found

    def rows(self, *names: str) -> list[int]:
        """The places of the events of these slugs, in order."""
        wanted = [self._places[name] for name in names if name in self._places]
        found: list[int] = np.flatnonzero(np.isin(self.codes, wanted)).tolist() if wanted else []
        return found

    def said(self, name: str) -> Iterator[Mapping[str, Any]]:
        """The own fields of the events of a slug; of events that say the same once at least, in any order."""
        rows = self.rows(name)
        pairs = self._part[rows].astype(np.int64) << 32 | self._word[rows]
        return (self._fields[pair >> 32][pair & 0xFFFFFFFF] for pair in distinct(pairs).tolist())

    def told(self, names: tuple[str, ...], once: tuple[str, ...] = ()) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
        """(place, slug, own fields) of the events of these slugs, in order, without a record being made. Of events of
        the slugs `once` that have none but each other between them only the first of each slug is told.
        """
        rows = self.rows(*names)
        rows = [rows[at] for at in self._first_of_each(rows, once)] if once else rows
        columns = (self._part[rows].tolist(), self._word[rows].tolist(), self.codes[rows].tolist())
        fields = self._fields
        return ((at, self.names[code], fields[part][word]) for at, part, word, code in zip(rows, *columns, strict=True))

    def _first_of_each(self, rows: list[int], once: tuple[str, ...]) -> list[int]:
        """Which of some rows are told."""
        codes = self.codes[rows]
        wanted = [self._places[name] for name in once if name in self._places]
        repeated = np.isin(codes, wanted)
        # events with none but each other between them have one number
        group = np.cumsum(~repeated)
        kept = ~repeated
        for code in wanted:
            mine = np.flatnonzero(codes == code)
            kept[mine[np.diff(group[mine], prepend=-1) != 0]] = True
        told: list[int] = np.flatnonzero(kept).tolist()
        return told

    def named(self, *names: str) -> Iterator[Event]:
        """The events of these slugs, in order."""
        return (self[at] for at in self.rows(*names))
