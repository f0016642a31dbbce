"""Artifact: one member of a case: its name, size, digest, format, records, and what became of its bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, cast

from forensics.disguise import as_printed
from forensics.flow_columns import Packer
from forensics.hashed_stream import HashedStream
from forensics.identify import Identity, identify
from forensics.packed_dump import packed
from formats.base import EventBatch, FlowBatch, MapDump, Problem, Record
from formats.source import HEAD_BYTES, Oversized, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forensics.archive import Member
    from formats.base import Format, Item
    from formats.source import Helpers

#: Members up to this size keep their bytes, so that a finding can quote them without a second pass.
KEEP_BYTES = 8 * 1024 * 1024
#: Several line formats read one member together only up to this size; a longer one goes to its best format.
SHARED_BYTES = 64 * 1024 * 1024


@dataclass(slots=True, repr=False)
class Artifact:
    """A member after reading. `status` is parsed, partly, recognised-unused, unknown or refused."""

    input: int
    container: tuple[str, ...]
    path: str
    size: int
    sha256: str
    identity: Identity
    modified: int | None = None
    records: list[Record] = field(default_factory=list)
    dumps: list[MapDump] = field(default_factory=list)
    flows: list[FlowBatch] = field(default_factory=list)
    events: list[EventBatch] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    data: bytes | None = None
    id: str = ""
    shown_path: str = ""
    location: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Records read, map entries and flow rows included."""
        entries = sum(max(dump.count, 1) for dump in self.dumps)
        rows = sum(map(len, self.flows)) + sum(map(len, self.events))
        return len(self.records) + entries + rows

    @property
    def lost_bytes(self) -> int:
        """Bytes that problems say could not be read, overlaps counted once."""
        spans = sorted((p.span.start, min(p.span.end, self.size)) for p in self.problems if p.span is not None)
        total = reach = 0
        for start, end in spans:
            total += max(0, end - max(start, reach))
            reach = max(reach, end)
        return total

    @property
    def status(self) -> str:
        """Where this artifact stands in the coverage ledger."""
        if not self.identity.formats:
            return "unknown"
        if self.problems:
            return "partly" if self.count else "refused"
        return "parsed" if self.count else "recognised-unused"

    @property
    def parsed_bytes(self) -> int:
        """Bytes that were read for what they are; with the unread ones they add up to the size."""
        return self.size - self.lost_bytes if self.identity.formats else 0


def read_artifact(member: Member, index: int, helpers: Helpers | None = None) -> Artifact:
    """Read one member to its end: recognise it, take its records, hash every byte. `helpers` may share the work."""
    hashing = HashedStream(member.stream)
    raw = Source(member.path, cast("BinaryIO", hashing), helpers)
    source = as_printed(raw)
    identity = identify(source.head, member.path)
    artifact = Artifact(index, member.container, member.path, 0, "", identity, member.modified)
    readers = identity.formats
    if len(source.head) < HEAD_BYTES:
        source.data()
    elif len(readers) > 1 and not source.fits(SHARED_BYTES):
        readers = readers[:1]
        artifact.identity = Identity(readers, identity.scores)
    for form in readers:
        _sort_items(artifact, _guarded_read(form, source))
    while hashing.read(1 << 20):
        pass
    artifact.size, artifact.sha256 = hashing.size, hashing.hexdigest()
    kept = raw.kept
    artifact.data = kept if kept is not None and len(kept) <= KEEP_BYTES else None
    _report_silence(artifact)
    return artifact


def _sort_items(artifact: Artifact, items: Iterator[Item]) -> None:
    packer = Packer()
    for item in items:
        if isinstance(item, Record):
            artifact.records.append(item)
        elif isinstance(item, MapDump):
            artifact.dumps.append(packed(item))
        elif isinstance(item, FlowBatch):
            artifact.flows += packer.packed(item)
        elif isinstance(item, EventBatch):
            artifact.events.append(item)
        else:
            artifact.problems.append(item)


def _guarded_read(form: Format, source: Source) -> Iterator[Item]:
    try:
        yield from form.read(source)
    except Oversized as error:
        yield Problem(what=f"{form.name}: {error}", done="not read", lost="this member")
    except Exception as error:  # noqa: BLE001 - a reader's defect must cost its member, never the case
        yield Problem(
            what=f"reader {form.name} failed: {type(error).__name__}: {error}",
            done="what it had read before was kept",
            lost="the rest of this member, for this format",
            hint="this is a defect of npforensics: please report it with the artifact's sha256",
        )


def _report_silence(artifact: Artifact) -> None:
    lead = artifact.identity.formats[0] if artifact.identity.formats else None
    if lead and artifact.size and not artifact.count and not artifact.problems and not lead.foreign and not lead.quiet:
        artifact.problems.append(
            Problem(what=f"recognised as {lead.name}, yet no record in it", done="listed", lost="nothing known")
        )
