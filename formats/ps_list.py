"""ps.txt: `ps fauxwww`, `ps -ef`, `ps aux`: the command lines of the agent and of the kubelet.

The agent is `/controller` with flags of its own (aws-network-policy-agent pkg/config/controller_config.go, v1.0.1 to
v1.4.1); other programs are called `/controller` too, so one of those flags must be there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from formats.base import NO, Format, Score
from formats.hints import basename, scored
from formats.line_search import lines_with, span_of
from formats.node_records import agent_flag, kubelet_flag
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item, Record, Span
    from formats.source import Source

_HEADER = lazy(rb"^[ \t>]*(?:USER|UID|PID|F S UID|S UID)[ \t]+(?:[A-Z%]+[ \t]+)*(?:CMD|COMMAND)\b", re.M)
_AGENT = lazy(
    r"(?:^|[\s/\\_|])controller\s.*--(?:enable-network-policy|enable-policy-event-logs|conntrack-cache-cleanup-period)\b"
)
_KUBELET = lazy(r"(?:^|[\s/])(?:kubelet|kubelet-eks\S*)\s+--\S")
_AGENT_HEAD = lazy(rb"controller\s[^\n]{0,2000}--enable-network-policy\b")
_WANTED = lazy(rb"controller\s|kubelet[^\n ]*\s")
_FLAG = lazy(r"--[a-z][a-z0-9-]*(?:=(?:\"[^\"]*\"|'[^']*'|\S*))?")


def sniff(head: bytes, path: str) -> Score:
    """The column header of ps, or the agent's own command line."""
    content = 0
    if b"controller" in head and b"--enable-network-policy" in head and _AGENT_HEAD.search(head):
        content = 72
    elif (b"COMMAND" in head or b" CMD" in head) and _HEADER.search(head[:65536]):
        content = 62
    named = basename(path) in ("ps.txt", "ps-threads.txt")
    return scored(content, named=named, what="a process list") if content or named else NO


def read(source: Source) -> Iterator[Item]:
    """agent_flag, ipv6 and node_ip facts, each different command line once (ps-threads.txt repeats them per thread)."""
    seen: set[str] = set()
    for line in lines_with(source, _WANTED):
        yield from _command(line.text, span_of(line), seen)


def _command(text: str, span: Span, seen: set[str]) -> Iterator[Record]:
    agent = _AGENT.search(text)
    kubelet = None if agent else _KUBELET.search(text)
    begin = agent.start() if agent else kubelet.start() if kubelet else 0
    command = text[begin:].strip()
    if not (agent or kubelet) or command in seen:
        return
    seen.add(command)
    for flag in _FLAG.finditer(command):
        argument = flag[0].replace('"', "").replace("'", "")
        if agent:
            yield from agent_flag(span, argument)
        else:
            yield from kubelet_flag(span, argument)


FORMAT = Format(
    name="ps-list",
    title="Process list (ps)",
    sniff=sniff,
    read=read,
    quiet=True,
    versions="procps 3.3 to 4.0; agent flags v1.0.1 to v1.4.1",
    about="The flags the agent was started with (address family, event logs, log level), and the kubelet's node IP.",
    limits=("a list cut at the terminal's width shows the first flags only",),
    loses=("every other process",),
)
