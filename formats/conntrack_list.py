"""`conntrack -L`, also with `-o extended`, and /proc/net/nf_conntrack: the flows the kernel tracks on the node.

Lines: conntrack-tools and libnetfilter_conntrack src/conntrack/snprintf_default.c. The collector writes the headers
`*** Output of conntrack -S ***` and `*** Output of conntrack -L ***` above them. Read block by block: one pattern over
megabytes, no object per line but the record itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from formats.base import NO, Format, Problem, Record, Score, Span
from formats.hints import basename, scored
from formats.layouts import PROTOCOL_NAMES
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

_FLOW = lazy(
    rb"^[ \t>]*(?:ipv[46] +\d+ +)?[a-z][a-z0-9]{2,9} +(?P<protocol>\d{1,3}) +(?:\d+ +)?"
    rb"(?:(?P<state>[A-Z][A-Z_0-9]+) +)?src=(?P<src>[0-9a-fA-F.:]+) dst=(?P<dst>[0-9a-fA-F.:]+) "
    rb"(?:sport=(?P<sport>\d{1,5}) dport=(?P<dport>\d{1,5}) |(?:(?:type|code|id|srckey|dstkey)=\S+ )+)?"
    rb"(?:packets=\d+ bytes=\d+ )?(?:\[(?P<unreplied>UNREPLIED)\] )?"
    rb"src=(?P<reply_src>[0-9a-fA-F.:]+) dst=(?P<reply_dst>[0-9a-fA-F.:]+)"
    rb"(?(sport) sport=(?P<reply_sport>\d{1,5}) dport=(?P<reply_dport>\d{1,5}))(?=[ \t\r\n])(?P<rest>[^\n]*)",
    re.M,
)
_HEAD = lazy(
    rb"^[ \t>]*(?:ipv[46] +\d+ +)?[a-z][a-z0-9]{2,9} +\d{1,3} +(?:\d+ +)?(?:[A-Z_0-9]+ +)?src=[0-9a-fA-F.:]+ dst=", re.M
)
_HALF = lazy(rb"^[^\n]* src=[^\n]*\n?", re.M)
_HEADER = b"*** Output of conntrack -"


def sniff(head: bytes, path: str) -> Score:
    """The collector's header, or a line of conntrack."""
    content = 0
    if _HEADER in head[:4096]:
        content = 72
    elif b"src=" in head and b" dst=" in head and _HEAD.search(head[:65536]):
        content = 68
    named = basename(path) in ("conntrack.txt", "conntrack6.txt", "nf_conntrack")
    return scored(content, named=named, what="conntrack -L output") if content or named else NO


def read(source: Source) -> Iterator[Item]:
    """One `conntrack_flow` per line, in order; lines that are cut or damaged are counted in one Problem."""
    number, unread = 1, 0
    first: Span | None = None
    for offset, block in source.line_chunks():
        begin, counted, flows = number, 0, 0
        for match in _FLOW.finditer(block):
            number += block.count(b"\n", counted, match.start())
            counted = match.start()
            flows += 1
            yield _flow(match, Span(offset + match.start(), offset + match.end(), number, number))
        number += block.count(b"\n", counted)
        if block.count(b" src=") != 2 * flows:
            missed = [half for half in _HALF.finditer(block) if not _FLOW.match(half[0])]
            unread += len(missed)
            if missed and first is None:
                line = begin + block.count(b"\n", 0, missed[0].start())
                first = Span(offset + missed[0].start(), offset + missed[0].end(), line, line)
    if unread:
        yield Problem(f"{unread} conntrack lines are cut or damaged", first, "the others were read", f"{unread} flows")


def _flow(match: re.Match[bytes], span: Span) -> Record:
    protocol, state, src, dst, sport, dport, unreplied, *reply, rest = match.groups()
    reply_src, reply_dst, reply_sport, reply_dport = reply
    number = int(protocol)
    told = state or unreplied or (b"ASSURED" if b"[ASSURED]" in rest else None)
    data = {
        "protocol": PROTOCOL_NAMES.get(number, number),
        "src": src.decode(),
        "dst": dst.decode(),
        "sport": int(sport) if sport else None,
        "dport": int(dport) if dport else None,
        "state": told.decode() if told else None,
        "reply_src": reply_src.decode(),
        "reply_dst": reply_dst.decode(),
        "reply_sport": int(reply_sport) if reply_sport else None,
        "reply_dport": int(reply_dport) if reply_dport else None,
    }
    return Record("conntrack_flow", data, span)


FORMAT = Format(
    name="conntrack-list",
    title="Connection tracking table (conntrack -L)",
    sniff=sniff,
    read=read,
    quiet=True,
    versions="conntrack-tools 1.4.x, IPv4 and IPv6; /proc/net/nf_conntrack",
    about="Which flows the kernel tracks, with their replies: what the agent's own conntrack map can be held against.",
    limits=("ICMP flows have no ports: null",),
    loses=("timeouts, counters, marks, zones; the statistics of `conntrack -S`",),
)
