"""The members of a large archive read by several processes: this one unpacks, forks of it recognise and read."""

from __future__ import annotations

import io
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from forensics.allocator import keep_freed_memory
from forensics.archive import Member
from forensics.artifact import Artifact, read_artifact
from forensics.beside import workers
from forensics.flow_spool import Spool
from forensics.hashed_stream import settle
from forensics.identify import Identity
from forensics.servants import Servants
from formats import FORMATS
from formats.log_sorting import SORT, sort_there
from formats.nacli_ahead import RUNS, runs_there
from formats.packed_flows import PackedFlows
from formats.pieces import Pieces

if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import BinaryIO

#: Inputs of this many packed bytes are worth the forks.
LARGE_BYTES = 8 * 1024 * 1024
#: Members of these sizes are handed over; logs are not: their stretches are.
HANDED_BYTES = range(128 * 1024, 32 * 1024 * 1024)
_LOG = ".log"
_READ = "read"
_PIECE = 4 * 1024 * 1024
#: Members that wait to be read, for each fork: what is held in memory.
_WAITING = 2


class Readers:
    """Reads the members of one input, here or in a fork."""

    def __init__(self, size: int, index: int) -> None:
        """`size`: packed bytes of the input; `index`: its number."""
        self._index = index
        count = workers() if size >= LARGE_BYTES else 1
        if size >= LARGE_BYTES:
            keep_freed_memory()
        self._servants = Servants({_READ: _read, SORT: sort_there, RUNS: runs_there}, count) if count > 1 else None
        self._bound = _WAITING * count
        self._waiting: list[tuple[int, Member, Pieces, Future[Artifact | None]]] = []
        self._found: list[Artifact | None] = []

    def take(self, member: Member) -> None:
        """Read a member, now or soon: its stream is read to its end."""
        if self._servants is None or member.size not in HANDED_BYTES or _LOG in member.path:
            self._found.append(read_artifact(member, self._index, self._servants))
            return
        data = Pieces(list(iter(lambda: member.stream.read(_PIECE), b"")))
        bare = (member.container, member.path, member.modified)
        self._waiting.append(
            (len(self._found), member, data, self._servants.submit(_READ, *bare, self._index, payload=data))
        )
        self._found.append(None)
        if len(self._waiting) > self._bound:
            self._settle()

    def close(self) -> list[Artifact]:
        """Everything that was taken, in order. Nothing of the work goes on after it."""
        while self._waiting:
            self._settle()
        if self._servants is not None:
            self._servants.close()
        settle()
        return [artifact for artifact in self._found if artifact is not None]

    def _settle(self) -> None:
        at, member, data, future = self._waiting.pop(0)
        try:
            artifact = future.result()
        except (OSError, EOFError, pickle.PickleError):
            artifact = None  # a fork that ended early costs time, nothing else
        if artifact is None:
            again = Member(member.container, member.path, cast("BinaryIO", io.BytesIO(data.whole)), member.modified)
            artifact = read_artifact(again, self._index)
        elif artifact.data is not None:
            artifact.data = data.whole
        artifact.identity = _registered(artifact.identity)
        self._found[at] = artifact


def _read(container: tuple[str, ...], path: str, modified: int | None, index: int, data: memoryview) -> Artifact | None:
    """In a fork. None for what cannot be handed over: rows in a file of this process."""
    artifact = read_artifact(Member(container, path, cast("BinaryIO", io.BytesIO(data)), modified), index)
    if any(isinstance(batch, PackedFlows) and isinstance(batch.rows.store, Spool) for batch in artifact.flows):
        return None
    kept = artifact.data is not None
    return replace(artifact, data=b"" if kept else None)


def _registered(identity: Identity) -> Identity:
    """With the formats of the registry for the copies that came through a pipe."""
    names = {form.name: form for form in FORMATS}
    return Identity(tuple(names[form.name] for form in identity.formats), identity.scores)
