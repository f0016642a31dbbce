"""ebpf-sdk.log: written by the eBPF SDK inside the agent and inside every aws-eks-na-cli run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from formats.base import Format, Record, Score
from formats.log_catalogue_node import SDK, SDK_NOISE
from formats.log_kind import score_of
from formats.log_reader import LogReader
from formats.pins import split_pin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.log_events import Event
    from formats.source import Source

# Callers only the agent has: its own packages call the SDK; the CLI calls it from main.
_AGENT_CALLERS = (b'"caller":"ebpf/', b'"caller":"conntrack/', b'"caller":"rpc/', b'"caller":"controllers/')

#: Pins of one file; a node has some hundreds.
_PINS = 20_000


def sniff(head: bytes, path: str) -> Score:
    """Log lines with the SDK's callers and messages."""
    return score_of("sdk", head, path)


def read(source: Source) -> Iterator[Item]:
    """log_event records (map-created, process-start, error), pin records, problems, and the log_summary last."""
    yield from _SdkReader(source, "sdk", SDK, SDK_NOISE).read()


class _SdkReader(LogReader):
    """Says of each process start whether it was the agent or a run of the CLI, and of each pin which map it holds."""

    def __init__(self, source: Source, log: str, events: tuple[Event, ...], noise: tuple[str, ...]) -> None:
        super().__init__(source, log, events, noise)
        self._start: Record | None = None
        self._pin: Record | None = None
        self._pins: set[tuple[str, int | None]] = set()

    def made(self, record: Record) -> Record | None:
        kind = record.data["event"]
        if kind == "pin-id":
            self._end_pin(record.data["map_id"])
            return None
        self._end_pin(None)
        if kind == "pin":
            self._pin = record
            return None
        if kind == "process-start":
            self._settle("agent" if self._by_agent(record.span.start) else "cli")
            self._start = record
            return None
        if kind == "map-created":
            self._settle("agent")
        return record

    def block_done(self, size: int) -> None:
        if self._by_agent(self.block[1] + size):
            self._settle("agent")

    def finish(self) -> None:
        self._end_pin(None)
        self._settle("cli")

    def _by_agent(self, stop: int) -> bool:
        """Whether a caller of the agent's stands between the held start (or the block's) and `stop`, a file offset."""
        if self._start is None:
            return False
        pieces, offset = self.block
        start = max(0, self._start.span.start - offset)
        return any(pieces.whole.find(caller, start, stop - offset) >= 0 for caller in _AGENT_CALLERS)

    def _settle(self, run: str) -> None:
        held, self._start = self._start, None
        if held is not None:
            self.emit(replace(held, data={**held.data, "run": run}))

    def _end_pin(self, map_id: int | None) -> None:
        """Every walk over the pins names them all again: each pin with its map is given out once."""
        held, self._pin = self._pin, None
        if held is None or (held.data["path"], map_id) in self._pins or len(self._pins) >= _PINS:
            return
        path = held.data["path"]
        parts = split_pin(path)
        self._pins.add((path, map_id))
        data = {
            "path": path,
            "role": parts.role if parts else None,
            "pod_identifier": parts.pod_identifier if parts else None,
            "direction": parts.direction if parts else None,
            "map_name": parts.map_name if parts else None,
            "map_id": map_id,
            "modified": None,
            "seen_ts": held.data["ts"],
        }
        self.emit(Record("pin", data, held.span))


FORMAT = Format(
    name="ebpf-sdk-log",
    title="ebpf-sdk.log",
    sniff=sniff,
    read=read,
    quiet=True,
    versions="aws-ebpf-sdk-go v1.0.0 to v1.0.15 (agent v1.0.1 to v1.4.1)",
    about=(
        "The eBPF SDK's log, shared by the agent and the CLI: maps created with name and sizes, process "
        "starts (agent or "
        "CLI run), errors. Everything else is counted."
    ),
    limits=(
        "A process start is called a CLI run when no line of the agent's packages and no map creation follows it.",
        "Two error texts that mean nothing (`last entry read done`, `expected prefix - ...`) are counted, not listed.",
    ),
    loses=("Values Go's formatter could not place: `%!(EXTRA string=...)` is kept inside the message.",),
)
