"""Flow-log replay: each logged verdict of a pod held against the answer that its captured maps give to the packet.

    FlowRows -> rows of one identifier and direction -> Datapath.verdicts -> explained, corrupt, or unexplained and why

Columns only: a Python object exists for a row only when a finding quotes it. Each line is taken as the first packet of
its flow, because the programs log nothing for tracked flows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from forensics.captured import Captured
from forensics.context import Context
from forensics.flow_rows import ACTIONS, plain
from forensics.pod_names import identifiers
from forensics.replay_classes import classify
from forensics.replay_reasons import reasons
from forensics.tierjudge import judge_cluster, judge_namespace
from forensics.wanted import Wanted
from formats.address import cidr_of_key
from formats.layouts import TIER_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forensics.datapath import Datapath
    from forensics.finding import Missing
    from forensics.flow_rows import FlowRows
    from forensics.policy_rules import Direction

#: Tried for a protocol whose number the log lost: hop-by-hop headers (0), which unused slots match, and one that no
#: slot names. Of the two answers the one that the line gives counts.
_LOST_PROTOCOLS = (252, 0)
_ADMITTED = "OK"
#: What of a row an answer is held against.
_LOGGED = ("at", "src", "dst", "sport", "dport", "number", "verdict", "tier")


@dataclass
class Replay:
    """What the captured maps say to the flow lines of one pod identifier and direction.

    `rows` holds what they do not explain, and what they explain only by a misplaced entry, in log order: the columns of
    FlowRows, the answer (`action`, `tier_now`, `reason`, `cidr`, `map`), `policy` (OK, SHOT or null), `why` (one of
    replay_reasons), `class` (one of replay_classes; null for ACCEPT). `denied` counts every DENY line by its class.
    """

    direction: Direction
    total: int = 0
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)
    denied: dict[str, int] = field(default_factory=dict)
    missing: tuple[Missing, ...] = ()

    @cached_property
    def counts(self) -> dict[str, int]:
        """Rows by why they are listed."""
        return _counted(self.rows, "why")


def replay(context: Context, flows: FlowRows, direction: Direction) -> Replay:
    """Replay the lines of one identifier and direction."""
    out = Replay(direction)
    rows = lines_of(context, flows.frame, direction)
    out.total = rows.height
    if not rows.height:
        return out
    captured = Captured(context, direction)
    state = captured.state_or_inferred()
    if captured.missing or (state is None and captured.generation.pod_state_keys):
        out.missing = captured.missing
        return out
    datapath = captured.datapath(state or {})
    rows = _answered(rows, datapath)
    rows = _other_side(context, rows, direction)
    rows = _placed(context, rows, datapath)
    rows = rows.with_columns(policy=_policy(context, rows, direction))
    denials = rows.filter(pl.col("verdict") == "DENY")
    if denials.height:
        rows = rows.join(classify(context, denials, rows, direction), on="at", how="left", maintain_order="left")
        out.denied = _counted(rows.filter(pl.col("class").is_not_null()), "class")
    else:
        rows = rows.with_columns(pl.lit(None, pl.String).alias("class"))
    listed = rows.filter(~pl.col("explained") | pl.col("misplaced"))
    if listed.height:
        out.rows = listed.with_columns(why=reasons(context, captured, listed, rows))
    return out


def lines_of(context: Context, frame: pl.DataFrame, direction: Direction) -> pl.DataFrame:
    """The lines that a program of the identifier wrote: its pods are the source (egress) or destination (ingress).

    Logs before v1.2.2 and CloudWatch records have no direction: then either side may have written the line.
    """
    own = "dst" if direction == "ingress" else "src"
    logged = pl.col("direction").is_null() | (pl.col("direction") == direction)
    rows = frame.filter(pl.col(own).is_in(addresses_of(context)), logged, pl.col("verdict").is_in(list(ACTIONS)))
    return plain(rows).with_row_index("at")


def addresses_of(context: Context) -> list[str]:
    """The addresses of the identifier's pods on this node, as logs print them."""
    pods = context.pod.local_pods or [pod for pod in context.pod.pods if pod.local is None]
    return [pod.ip for pod in pods if pod.ip]


def packets(rows: pl.DataFrame, protocol: int) -> dict[str, Any]:
    """Columns for Datapath.verdicts; `protocol` stands in where the log lost the number."""
    number = rows["number"].fill_null(protocol)
    return {"src": rows["src"], "dst": rows["dst"], "protocol": number, "sport": rows["sport"], "dport": rows["dport"]}


def _answered(rows: pl.DataFrame, datapath: Datapath) -> pl.DataFrame:
    """The rows with the program's answer, and whether it is the logged one."""
    best = _asked(rows, datapath, _LOST_PROTOCOLS[0])
    lost = best.filter(pl.col("number").is_null() & ~pl.col("explained"))
    if lost.height:
        again = _asked(lost.select(rows.columns), datapath, _LOST_PROTOCOLS[1]).filter(pl.col("explained"))
        best = pl.concat([best.filter(~pl.col("at").is_in(again["at"].to_list())), again]).sort("at")
    return best


def _asked(rows: pl.DataFrame, datapath: Datapath, protocol: int) -> pl.DataFrame:
    answers = datapath.verdicts(packets(rows, protocol))
    kept = answers.select(
        pl.col("action", "reason").cast(pl.String), "event", "namespace_row", "cluster_row", tier_now=_tier_name("tier")
    )
    logged = pl.col("verdict").replace_strict(ACTIONS, default=None)
    same_tier = pl.col("tier").is_null() | pl.col("tier_now").is_null() | (pl.col("tier") == pl.col("tier_now"))
    return pl.concat([rows, kept], how="horizontal").with_columns(
        explained=pl.col("event") & (pl.col("action") == logged) & same_tier
    )


def _tier_name(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Int64).replace_strict(TIER_NAMES, default=None, return_dtype=pl.String)


def _other_side(context: Context, rows: pl.DataFrame, direction: Direction) -> pl.DataFrame:
    """Without a direction in the log the program of the other end may have written a line that this one does not."""
    other: Direction = "egress" if direction == "ingress" else "ingress"
    peer = "src" if direction == "ingress" else "dst"
    open_rows = rows.filter(pl.col("direction").is_null() & ~pl.col("explained"))
    if not open_rows.height:
        return rows
    told: list[int] = []
    for identifier, owned in _pods_at(context, set(open_rows[peer].unique().to_list())).items():
        side = Context(context.case, context.node, context.node.pods[identifier], context.neighbours)
        captured = Captured(side, other)
        state = captured.state_or_inferred()
        if captured.missing or (state is None and captured.generation.pod_state_keys):
            continue
        asked = _asked(open_rows.filter(pl.col(peer).is_in(owned)).select(_LOGGED), captured.datapath(state or {}), 252)
        told += asked.filter(pl.col("explained"))["at"].to_list()
    return rows.with_columns(explained=pl.col("explained") | pl.col("at").is_in(told))


def _pods_at(context: Context, addresses: set[str]) -> dict[str, list[str]]:
    """{identifier with maps here: those of its pods' addresses}."""
    out: dict[str, list[str]] = {}
    for ref in context.node.known_pods:
        if ref.ip in addresses and ref.local is not False:
            name = next((each for each in identifiers(ref.name, ref.namespace) if each in context.node.pods), None)
            if name is not None:
                out.setdefault(name, []).append(ref.ip)
    return out


def _placed(context: Context, rows: pl.DataFrame, datapath: Datapath) -> pl.DataFrame:
    """The entry that decided, and whether it was written for the other tier."""
    by_cluster = pl.col("reason").str.contains("^(?:admin|baseline)")
    by_namespace = pl.col("reason").str.starts_with("namespace")
    cluster = _entries(context, datapath.entries(datapath.cluster_map), datapath.cluster_map)
    namespace = _entries(context, datapath.entries(datapath.namespace_map), datapath.namespace_map)
    rows = rows.join(cluster.rename(lambda name: f"cp_{name}"), left_on="cluster_row", right_on="cp_n", how="left")
    rows = rows.join(namespace.rename(lambda name: f"ns_{name}"), left_on="namespace_row", right_on="ns_n", how="left")
    chosen = {
        name: pl.when(by_cluster).then(pl.col(f"cp_{name}")).when(by_namespace).then(pl.col(f"ns_{name}"))
        for name in ("cidr", "map", "misplaced")
    }
    return rows.with_columns(**chosen).with_columns(pl.col("misplaced").fill_null(value=False)).sort("at")


def _entries(context: Context, entries: Mapping[bytes, bytes], name: str) -> pl.DataFrame:
    """Row number -> CIDR, map name, and whether the entry is misplaced."""
    state = context.dumped(name)
    wrong: set[bytes] = set()
    if state is not None:
        judgement = judge_cluster(context, state) if state.tier == "cluster" else judge_namespace(context, state)
        wrong = {item.entry.key for item in judgement.misplaced}
    return pl.DataFrame(
        {
            "n": pl.Series(range(len(entries)), dtype=pl.Int32),
            "cidr": pl.Series([cidr_of_key(key) for key in entries], dtype=pl.String),
            "map": pl.Series([name] * len(entries), dtype=pl.String),
            "misplaced": pl.Series([key in wrong for key in entries], dtype=pl.Boolean),
        }
    )


def _policy(context: Context, rows: pl.DataFrame, direction: Direction) -> pl.Series:
    """What the policies ask for each row that may be quoted; null where they are not known."""
    if not context.intent.known.yes:
        return pl.Series([None] * rows.height, dtype=pl.String)
    return wanted_actions(Wanted(context, direction), packets(rows, _LOST_PROTOCOLS[0]))


def wanted_actions(wanted: Wanted, frame: Mapping[str, Any]) -> pl.Series:
    """OK or SHOT for each packet, over every layer of the wanted rules."""
    if wanted.unprogrammed:
        return pl.Series([_ADMITTED] * len(frame["src"]), dtype=pl.String)
    first, *rest = (layer.verdicts(frame) for layer in wanted.layers)
    action = first["action"].cast(pl.String)
    for answers in rest:
        undecided = first["reason"].cast(pl.String) == "namespace-no-slot"
        action = answers["action"].cast(pl.String).zip_with(undecided & (action != _ADMITTED), action)
    return action


def _counted(rows: pl.DataFrame, column: str) -> dict[str, int]:
    if not rows.height:
        return {}
    return dict(rows.group_by(column).len().sort(column).iter_rows())
