"""The text of flow lines: every printed form to the columns of a FlowBatch, and the batches themselves.

Sources: aws-network-policy-agent pkg/ebpf/events/events.go at v1.0.1 (fields), v1.2.2 (printf), v1.3.0 (tier), and the
record it publishes to CloudWatch Logs (`Node: ...;SIP: ...`).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from formats.base import ENTRY_SPAN_DTYPE, FlowBatch, Span
from formats.columns import LineSpans, joined
from formats.log_time import utc_ns

#: Columns of a FlowBatch, in this order; `utc_ns` stands beside the time as logged.
COLUMNS = ("ts", "utc_ns", "src", "sport", "dst", "dport", "protocol", "verdict", "direction", "tier")
#: Rows of a batch.
BATCH_ROWS = 262_144

#: A flow message with its values in it (v1.2.2 and later), IPv4 and IPv6 punctuation. Groups: COLUMNS from src on.
FLOW_MESSAGE = re.compile(
    r"Flow Info:\s+Src IP:\s*(\S+)\s+Src Port:\s*(\d+)\s+Dest IP:\s*(\S+)\s+Dest Port:\s*(\d+)\s+"
    r"Proto:?\s*(\S(?:.{0,40}?\S)?)\s+Verdict:?\s*([^\s,]+)(?:,?\s+Direction:?\s*(\w+))?(?:,?\s*Tier:?\s*([^\s,\"\\]+))?"
)
#: A clean line with a flow message (v1.2.2 and later), times of any form.
FLOW_LINE = re.compile(
    rb'\{"level":"(?P<level>debug|info|warn|error|panic|fatal)","(?:ts|timestamp)":"(?P<ts>[^"\\]*)"[^\x00-\x20]*'
    rb',"msg":"(?P<msg>Flow Info:[^"\\]*)"\}'
)
#: A record as published to CloudWatch Logs; the tier since v1.3.0, never a direction. The node comes first.
FLOW_RECORD = re.compile(
    r"(?:Node:\s*([^;\s]{0,253})\s*;\s*)?SIP:\s*([^;\s]+)\s*;\s*SPORT:\s*(\d+)\s*;\s*DIP:\s*([^;\s]+)\s*;\s*DPORT:\s*(\d+)\s*;\s*"
    r"PROTOCOL:\s*([^;]{1,40}?)\s*;\s*PolicyVerdict:\s*([\w/]+)(?:\s*;\s*Tier:\s*(\w+))?"
)
#: Field names of v1.0.1 to v1.2.1, in the order of COLUMNS from src on.
FLOW_FIELDS = ("Src IP", "Src Port", "Dest IP", "Dest Port", "Proto", "Verdict", "Direction", "Tier")
#: Verdicts and tiers of all versions (events.go); None where a form has no tier.
VERDICTS = frozenset({"ACCEPT", "DENY", "EXPIRED/DELETED"})
TIERS = frozenset({"ERROR", "ADMIN", "NETWORK_POLICY", "BASELINE", "DEFAULT", None})
_QUAD = re.compile(r"\d{1,3}(?:\.\d{1,3}){0,2}")

Row = tuple[Any, ...]


def restored(address: str) -> str:
    """An address with the trailing `.0` octets put back that the agent's integer formatting drops (all versions)."""
    if _QUAD.fullmatch(address):
        return address + ".0" * (3 - address.count("."))
    return address


def message_row(ts: str | None, message: str) -> Row | None:
    """The row of a printf-style flow message; None when it is none or is cut."""
    found = FLOW_MESSAGE.fullmatch(message.strip())
    if found is None:
        return None
    src, sport, dst, dport, protocol, verdict, direction, tier = found.groups()
    return (ts, utc_ns(ts), restored(src), int(sport), restored(dst), int(dport), protocol, verdict, direction, tier)


def fields_row(ts: str | None, fields: dict[str, Any]) -> Row | None:
    """The row of a flow line with fields (v1.0.1 to v1.2.1); None when a field of it is missing."""
    src, sport, dst, dport, protocol, verdict, direction, tier = (fields.get(name) for name in FLOW_FIELDS)
    if not (isinstance(src, str) and isinstance(dst, str) and isinstance(verdict, str)):
        return None
    if not (isinstance(sport, int) and isinstance(dport, int)):
        return None
    return (ts, utc_ns(ts), restored(src), sport, restored(dst), dport, protocol, verdict, direction, tier)


def record_row(ts: str | None, found: re.Match[str]) -> Row:
    """The row of a CloudWatch record, as FLOW_RECORD found it; its node is found[1]."""
    _, src, sport, dst, dport, protocol, verdict, tier = found.groups()
    return (ts, utc_ns(ts), restored(src), int(sport), restored(dst), int(dport), protocol, verdict, None, tier)


class FlowRows:
    """Collects rows from both paths until a batch is full; `further` columns follow COLUMNS."""

    def __init__(self, *further: str) -> None:
        self._names = (*COLUMNS, *further)
        self._parts: list[dict[str, Any]] = []
        self._spans: list[Any] = []
        self._rows: list[Row] = []
        self._row_spans: list[Span] = []
        self.waiting = 0
        self.total = 0

    def add(self, row: Row, span: Span) -> None:
        """One row of the tolerant path."""
        self._rows.append(row)
        self._row_spans.append(span)
        self.waiting += 1
        self.total += 1

    def extend(self, columns: dict[str, Any], spans: LineSpans) -> None:
        """Rows of the clean path: columns by name, and their spans."""
        self._parts.append(columns)
        self._spans.append(spans.rows)
        self.waiting += len(spans)
        self.total += len(spans)

    def batch(self) -> FlowBatch | None:
        """All waiting rows in file order as one batch; None when there are none."""
        if not self.waiting:
            return None
        clean = LineSpans(np.concatenate(self._spans)) if self._spans else None
        columns = {name: joined([part[name] for part in self._parts]) for name in self._names if self._parts}
        spans: Any = clean
        if self._rows:
            spans = np.array(self._row_spans, ENTRY_SPAN_DTYPE).reshape(-1)
            rows = dict(zip(self._names, map(list, zip(*self._rows, strict=True)), strict=True))
            if clean is not None:
                spans = np.concatenate([clean.whole(), spans])
                order = np.argsort(spans["start"], kind="stable")
                spans = spans[order]
                both = {name: [*columns[name], *rows[name]] for name in self._names}
                rows = {name: [values[at] for at in order] for name, values in both.items()}
            columns = rows
        first, last = spans[0], spans[-1]
        whole = Span(int(first["start"]), int(last["end"]), int(first["first_line"]), int(last["last_line"]))
        self._parts, self._spans, self._rows, self._row_spans, self.waiting = [], [], [], [], 0
        return FlowBatch(columns, spans, whole)
