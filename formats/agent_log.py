"""network-policy-agent.log: the agent's own log, every encoder generation from v1.0.1 on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.base import Format, Score
from formats.log_catalogue import AGENT
from formats.log_kind import score_of
from formats.log_reader import LogReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source


def sniff(head: bytes, path: str) -> Score:
    """Log lines with the agent's messages, callers or loggers."""
    return score_of("agent", head, path)


def read(source: Source) -> Iterator[Item]:
    """log_event records (many: EventBatch), FlowBatch of flow lines, problems, and the log_summary last."""
    yield from LogReader(source, "agent", AGENT, batches=True).read()


FORMAT = Format(
    name="agent-log",
    title="network-policy-agent.log",
    sniff=sniff,
    read=read,
    versions="agent v1.0.1 to v1.4.1 and main after it",
    about=(
        "The network policy agent's log: starts, recovered maps with their IDs and sizes, map writes, policy events, "
        "probes attached, conntrack clean-ups, panics, and flow lines when policy event logging is enabled. "
        "Reads whole "
        "files of any size and pasted pieces: several records on a line, a lost first brace, records torn "
        "over lines or "
        "pretty-printed, curled quotes, invalid escapes, a cut end."
    ),
    limits=(
        "Concurrent reconciles interleave and lines carry no goroutine id: which pod a map write belongs to is for the "
        "reader of the events to work out.",
        "Level debug and info lines outside the catalogue are counted, not listed.",
        "The caller field is two frames off in all versions and is not used.",
        "A time without a zone is taken as UTC.",
    ),
    loses=(
        "The number of a protocol the agent prints as UNKNOWN.",
        "Flow lines the agent never wrote: policy event logging is off by default, and events lost when the "
        "ring buffer "
        "overflows leave no trace.",
        "Trailing zero octets of IPv4 addresses are dropped by the agent in flow lines; they are put back.",
        "Key bytes that are no UTF-8: the encoder writes U+FFFD for them.",
    ),
)
