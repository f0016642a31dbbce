"""Flow records outside the agent's log: CloudWatch Logs records and exports, and plain `Flow Info:` pastes.

The agent publishes `Node: N;SIP: a;SPORT: n;DIP: b;DPORT: n;PROTOCOL: TCP;PolicyVerdict: DENY[;Tier: X]` to the group
/aws/eks/<cluster>/cluster. They come as console text, `aws logs tail`, S3 exports, Logs Insights CSV and JSON (objects
or field/value rows), filter-log-events JSON. The time is looked for in the record's own line, object or row.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from formats.base import NO, Format, Problem, Score, Span
from formats.flow_text import BATCH_ROWS, FLOW_MESSAGE, FLOW_RECORD, TIERS, VERDICTS, FlowRows, message_row, record_row
from formats.source import LINE_BYTES
from formats.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import FlowBatch, Item
    from formats.source import Source

_ISO = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_BEFORE = re.compile(rf"({_ISO})(?=[\s,\"'\\]|$)")
_NAMED = re.compile(rf'"@?timestamp"\s*(?::\s*|,\s*"value"\s*:\s*)"?({_ISO}|\d{{10,13}})"?')
_VALUE = re.compile(rf'"value"\s*:\s*"({_ISO})"')
_PLAIN = re.compile(r"Flow Info:\s+Src IP:")
_CUT = re.compile(r"(?:Node:\s*\S*|;?\s*SIP:\s*\S*)(?:;.*)?$|Flow Info:(?:\s+Src IP:.*)?$")
_START = re.compile(r"\bSIP:|\bNode: \S*$|\bNode: [^;]*;|Flow Info:")
# The rest of a record whose end is missing.
_TORN = re.compile(r"[;,]?\s*(?:D(?:i(?:r\w*)?)?|T(?:i\w*)?):?\s*$")
#: Lines of a JSON object before a message that may hold its time.
_ROW_LINES = 8
#: Characters around a record where its own time may stand.
_NEAR = 600


def sniff(head: bytes, path: str) -> Score:
    """CloudWatch flow records, or printf flow lines that stand outside JSON."""
    if b"SIP:" in head:
        text = head.decode("utf-8", "replace")
        found = FLOW_RECORD.search(text)
        if found is not None:
            return Score(85, "flow records of the CloudWatch form")
    if b"Flow Info:" not in head:
        return NO
    lines = (clean(line) for line in head.split(b"\n") if b"Flow Info:" in line)
    if any(_PLAIN.search(line) and not _in_log(line) for line in lines):
        return Score(60, "flow lines outside a log record")
    return NO


def read(source: Source) -> Iterator[Item]:
    """FlowBatch items, and a Problem for each run of records that are cut."""
    rows = FlowRows("node")
    bad: list[Span] = []
    recent: list[str] = []
    number = 0
    for offset, piece in _pieces(source):
        start = 0
        for raw in piece.splitlines(keepends=True):
            number += 1
            text = clean(raw)
            span = Span(offset + start, offset + start + len(raw.rstrip(b"\r\n")), number, number)
            start += len(raw)
            count, cut = _line(text, recent, rows, span)
            if cut or (count == 0 and _START.search(text) and not _in_log(text) and _CUT.search(text.rstrip())):
                bad.append(span)
            elif bad:
                yield _problem(bad)
                bad = []
            if rows.waiting >= BATCH_ROWS:
                yield from _batch(rows.batch())
            recent = [] if _ends_row(text) else [*recent[-_ROW_LINES:], text]
        # the next piece goes on in the line that this one was cut in
        number -= not piece.endswith(b"\n")
    if bad:
        yield _problem(bad)
    yield from _batch(rows.batch())


def _pieces(source: Source) -> Iterator[tuple[int, bytes]]:
    """line_chunks(), but an export without line ends is cut behind an object and never inside a record."""
    held, at = b"", 0
    for offset, piece in source.line_chunks():
        whole, start = (held + piece, at) if held else (piece, offset)
        cut = len(whole) if whole.endswith(b"\n") else whole.rfind(b"}") + 1
        held, at = whole[cut:], start + cut
        if len(held) > LINE_BYTES:
            cut, held = len(whole), b""
        if cut:
            yield start, whole[:cut]
    if held:
        yield at, held


def _line(text: str, recent: list[str], rows: FlowRows, span: Span) -> tuple[int, bool]:
    """Adds the flow records of one line; how many there were, and whether the last one is cut."""
    count, cut, past = 0, False, 0
    if "SIP:" in text:
        pattern = FLOW_RECORD
    elif "Flow Info:" in text and not _in_log(text):
        pattern = FLOW_MESSAGE
    else:
        return 0, False
    for found in pattern.finditer(text):
        before, after = text[max(past, found.start() - _NEAR) : found.start()], text[found.end() : found.end() + _NEAR]
        ts = _time(before, after, recent if text[:1].isspace() else [])
        past = found.end()
        row = record_row(ts, found) if pattern is FLOW_RECORD else message_row(ts, found[0])
        if row is None or row[7] not in VERDICTS or row[9] not in TIERS or _TORN.match(text, found.end()):
            cut = True
            continue
        # An export may be one endless line: then a record is cited by its own bytes.
        exact = span.end - span.start == len(text) > _NEAR
        where = span._replace(start=span.start + found.start(), end=span.start + found.end()) if exact else span
        node = found[1] if pattern is FLOW_RECORD else None
        rows.add((*row, node), where)
        count += 1
    return count, cut


def _time(before: str, after: str, recent: list[str]) -> str | None:
    """The time that belongs to a record: named in its object, else the last one before it, else of its lines before."""
    own = before[before.rfind("{") + 1 :]
    named = _NAMED.search(own) or _NAMED.search(after[: after.find("}") if "}" in after else len(after)])
    if named is not None:
        return named[1]
    plain = _BEFORE.findall(before)
    if plain:
        return str(plain[-1])
    for line in reversed(recent):
        found = _NAMED.search(line) or _VALUE.search(line)
        if found is not None:
            return found[1]
    return None


def _ends_row(text: str) -> bool:
    """A pretty-printed object or row ends here: times before this line belong to other records."""
    return text.strip().rstrip(",") in ("]", "],", "[", "") or (
        text.strip().startswith("}") and not text.startswith("   ")
    )


def _in_log(text: str) -> bool:
    """Inside a JSON log record: the log's own reader has it."""
    return '"msg"' in text or ('\\"msg\\"' in text and '"log"' in text)


def _problem(spans: list[Span]) -> Problem:
    span = Span(spans[0].start, spans[-1].end, spans[0].first_line, spans[-1].last_line)
    return Problem("a flow record is cut", span, "passed over", f"{len(spans)} line{'s' if len(spans) > 1 else ''}")


def _batch(batch: FlowBatch | None) -> Iterator[Item]:
    if batch is not None:
        yield batch


FORMAT = Format(
    name="flow-lines",
    title="flow records (CloudWatch Logs, pastes)",
    sniff=sniff,
    read=read,
    versions="agent v1.0.1 to v1.4.1 and main after it; CloudWatch since v1.0.8, tier since v1.3.0",
    about=(
        "Allowed and denied flows outside the agent's log: CloudWatch Logs records as console text, `aws "
        "logs tail`, S3 and "
        "Logs Insights exports (CSV, JSON), and `Flow Info:` lines pasted without their JSON."
    ),
    limits=(
        "A time without a zone (Logs Insights) is taken as UTC.",
        "From v1.3.7 accepted flows reach CloudWatch only at log level debug.",
    ),
    loses=(
        "CloudWatch records have no direction.",
        "The number of a protocol the agent prints as UNKNOWN.",
        "Events lost when the ring buffer overflows leave no trace.",
        "Trailing zero octets of IPv4 addresses are dropped by the agent; they are put back.",
    ),
)
