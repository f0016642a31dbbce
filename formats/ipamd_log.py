"""ipamd.log: the VPC CNI's address manager: which pod got which address when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.base import Format, Score
from formats.log_catalogue_node import IPAMD
from formats.log_kind import score_of
from formats.log_reader import LogReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source


def sniff(head: bytes, path: str) -> Score:
    """Log lines with ipamd's callers and messages."""
    return score_of("ipamd", head, path)


def read(source: Source) -> Iterator[Item]:
    """log_event records (pod-ip, pod-ip-released, ipamd-start, error ...), problems, and the log_summary last."""
    yield from LogReader(source, "ipamd", IPAMD).read()


FORMAT = Format(
    name="ipamd-log",
    title="ipamd.log",
    sniff=sniff,
    read=read,
    quiet=True,
    versions="VPC CNI v1.14 to v1.23",
    about="The VPC CNI's ipamd log: addresses given to pods and taken back, pool counts, starts, errors.",
    limits=("Pool and ENI bookkeeping is counted, not listed.",),
    loses=("The pod's name where the line has only the sandbox: older releases and releases of an address.",),
)
