"""`ls -l` of /var/log/aws-routed-eni: which logs a node has, how big, and when they were last written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from formats.base import NO, Format, Record, Score, Span
from formats.text import lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

_ROW = re.compile(
    r"\s*-[rwxsStT-]{9}[.+@]?\s+\d+\s+\S+\s+\S+\s+(?P<size>[\d.]+[KMG]?)\s+"
    r"(?P<modified>\w{3}\s+\d+\s+[\d:]+|\d{4}-\d\d-\d\d \d\d:\d\d(?::[\d.]+ [+-]\d{4})?)\s+(?:\S*/)?(?P<name>\S+)\s*$"
)
_OURS = re.compile(
    r"(?:network-policy-agent|ebpf-sdk|ipamd|plugin|egress-v[46]-plugin)(?:-\d{4}-\d\d-\d\dT[\d.-]+)?\.log(?:\.\w+)*$"
)
_MARK = re.compile(rb"^\s*-[rwx-]{9}.*\.log\b", re.MULTILINE)


def sniff(head: bytes, path: str) -> Score:
    """Rows of `ls -l` that name the agent's or the CNI's logs."""
    if b"-rw" not in head or _MARK.search(head) is None:
        return NO
    count = sum(1 for line in lines(head) if (row := _ROW.match(line.text)) and _OURS.fullmatch(row["name"]))
    return Score(min(75, 45 + 10 * count), f"listing with {count} logs of the agent and the CNI") if count else NO


def read(source: Source) -> Iterator[Item]:
    """One log_file record per log: name, size (bytes; None for a rounded size), modified as printed."""
    for line in lines(source.data()):
        row = _ROW.match(line.text)
        if row is None or not _OURS.fullmatch(row["name"]):
            continue
        size = int(row["size"]) if row["size"].isdigit() else None
        data = {"name": row["name"], "size": size, "modified": row["modified"]}
        yield Record("log_file", data, Span(line.start, line.end, line.number, line.number))


FORMAT = Format(
    name="log-listing",
    title="listing of the log directory",
    sniff=sniff,
    read=read,
    versions="ls -l of coreutils and busybox",
    about="`ls -l` of /var/log/aws-routed-eni: the logs of the agent and the CNI with size and time.",
    limits=("The time is kept as printed: `ls` prints no zone and for recent files no year.",),
    loses=("Owner, mode and links of the files; files that are no logs.",),
)
