"""The flow lines of a node in columns: every FlowBatch of its logs as one frame, each row with its place."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from forensics.evidence import cite
from forensics.flow_columns import REPEATED
from formats.base import Span

if TYPE_CHECKING:
    from forensics.artifact import Artifact
    from forensics.case import Node
    from forensics.evidence import Citation
    from formats.base import FlowBatch

#: Protocol as the agent prints it (events.go) -> number; any other text is a number that was lost.
PROTOCOLS = {"ICMP": 1, "TCP": 6, "UDP": 17, "SCTP": 132, "ANY PROTOCOL": 254, "RESERVED": 255}
#: Logged verdict -> what the program answered. EXPIRED/DELETED is the agent's own and no packet's.
ACTIONS = {"ACCEPT": "OK", "DENY": "SHOT"}
_TEXTS = ("ts", "src", "dst", "protocol", "verdict", "direction", "tier")
_NUMBERS = ("utc_ns", "sport", "dport")
_PORT_MAX = 0xFFFF


@dataclass(frozen=True, slots=True)
class FlowRows:
    """Flow lines of one node. `frame` has the columns of FlowBatch, `number` (IP protocol, null where the text lost
    it), `batch` and `row` (the place). `unread` counts lines whose addresses or ports no packet can have, `strays`
    those of no pod that is known here: nobody's maps can be asked about them.
    """

    frame: pl.DataFrame
    batches: tuple[tuple[Artifact, FlowBatch], ...]
    unread: int
    strays: int

    def span(self, batch: int, row: int) -> Span:
        """The place of a row in its artifact."""
        where = self.batches[batch][1].spans[row]
        return Span(*(int(where[name]) for name in ("start", "end", "first_line", "last_line")))

    def cite(self, batch: int, row: int, note: str) -> Citation:
        """Cite a row."""
        return cite(self.batches[batch][0], self.span(batch, row), note)


def flow_rows(node: Node) -> FlowRows:
    """Every flow line of a node's own artifacts, in file order."""
    batches = tuple((artifact, batch) for artifact in node.group.own for batch in artifact.flows if len(batch.spans))
    frames = [_frame(batch, number) for number, (_, batch) in enumerate(batches)]
    if not frames:
        return FlowRows(_EMPTY, (), 0, 0)
    whole = pl.concat(frames)
    known = {side: _addresses(whole[side]) for side in ("src", "dst")}
    wide = {side: [text for text in texts if ":" in text] for side, texts in known.items()}
    readable = whole.select(
        pl.col("src").is_in(known["src"])
        & pl.col("dst").is_in(known["dst"])
        & (pl.col("src").is_in(wide["src"]) == pl.col("dst").is_in(wide["dst"]))
        & pl.col("sport").is_between(0, _PORT_MAX)
        & pl.col("dport").is_between(0, _PORT_MAX)
    ).to_series()
    good = whole if readable.all(ignore_nulls=False) else whole.filter(readable)
    return FlowRows(good, batches, whole.height - good.height, _strays(node, good))


def _strays(node: Node, frame: pl.DataFrame) -> int:
    known = [pod.ip for pod in node.known_pods if pod.ip and pod.local is not False]
    own = {"ingress": pl.col("dst").is_in(known), "egress": pl.col("src").is_in(known)}
    mine = (
        pl.when(pl.col("direction") == "ingress")
        .then(own["ingress"])
        .when(pl.col("direction") == "egress")
        .then(own["egress"])
        .otherwise(own["ingress"] | own["egress"])
    )
    return frame.filter(~mine).height


def _frame(batch: FlowBatch, number: int) -> pl.DataFrame:
    count = len(batch.spans)
    blank: list[Any] = [None] * count
    kinds = dict.fromkeys(_TEXTS, pl.String()) | dict.fromkeys(REPEATED, pl.Categorical())
    columns = [pl.Series(name, batch.columns.get(name, blank), kinds[name], strict=False) for name in _TEXTS]
    columns += [_numbers(name, batch.columns.get(name, blank)) for name in _NUMBERS]
    return pl.DataFrame(columns).with_columns(
        number=pl.col("protocol").cast(pl.String).replace_strict(PROTOCOLS, default=None, return_dtype=pl.Int16),
        batch=pl.lit(number, pl.Int32),
        row=pl.int_range(count, dtype=pl.Int32),
    )


def _numbers(name: str, values: Any) -> pl.Series:
    """Times in 64 bits; ports in 32, which holds what no port can be as well."""
    column = pl.Series(name, values, pl.Int64, strict=False)
    return column if name == "utc_ns" else column.clip(-1, _PORT_MAX + 1).cast(pl.Int32)


def plain(rows: pl.DataFrame) -> pl.DataFrame:
    """Some of the rows with ordinary text and numbers, to work with."""
    return rows.with_columns(pl.col(*REPEATED).cast(pl.String), pl.col("sport", "dport", "number").cast(pl.Int64))


_EMPTY = pl.DataFrame(
    schema={
        **dict.fromkeys(_TEXTS, pl.String),
        **dict.fromkeys(REPEATED, pl.Categorical),
        "utc_ns": pl.Int64,
        **dict.fromkeys(("sport", "dport"), pl.Int32),
        "number": pl.Int16,
        "batch": pl.Int32,
        "row": pl.Int32,
    }
)


def _addresses(column: pl.Series) -> list[str]:
    """The texts of a column that are plain IP addresses."""
    return [text for text in column.unique().drop_nulls().to_list() if _is_address(text)]


def _is_address(text: str) -> bool:
    try:
        return ipaddress.ip_address(text) is not None
    except ValueError:
        return False
