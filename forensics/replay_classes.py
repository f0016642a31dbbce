"""What kind of denial a DENY line is, for people who see many of them and must know which to act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from forensics.captured import Captured
from formats.address import canonical

if TYPE_CHECKING:
    from forensics.context import Context
    from forensics.policy_rules import Direction

NODE = "node-ip"
AGAINST_POLICY = "against-policy"
POD_STATE = "pod-state-missing"
MISPLACED = "misplaced-entry"
LATE = "late-packet"
REPLY = "reply-without-conntrack"
SERVICE = "service-ip"
PORT = "port-not-in-rule"
REAL = "real-block"
#: Class -> what it means, in the order in which they are tried.
CLASSES = {
    NODE: "from or to the node's own address: health checks and other node traffic, which is always to be allowed",
    AGAINST_POLICY: "the policies allow it: the maps are wrong or were, at that moment",
    POD_STATE: "the pod state map lacks an entry: the program drops every packet of the pod",
    MISPLACED: "an entry that was written for the other tier decided, and the policies are not known",
    LATE: "of a flow that was allowed earlier: its conntrack entry was gone when this packet came",
    REPLY: "looks like a reply: it comes from the port of a service that the pod may call, and no flow was tracked",
    SERVICE: "to a service address: the program sees it before DNAT, so a rule must list it",
    PORT: "a rule names the peer, and none of its ports is this one",
    REAL: "no rule allows it",
}
#: Linux chooses source ports of clients from here on (net.ipv4.ip_local_port_range).
_EPHEMERAL = 32768
_TUPLE = ("src", "sport", "dst", "dport", "protocol", "direction")


def classify(context: Context, denials: pl.DataFrame, logged: pl.DataFrame, direction: Direction) -> pl.DataFrame:
    """`at` and `class` of each DENY row. `logged` are all lines of the program."""
    peer = pl.col("src" if direction == "ingress" else "dst")
    node = (canonical(context.node.node_ip or "") or "").split("/")[0]
    services = context.neighbours.services
    inside = [
        text
        for text in denials["dst"].unique().to_list()
        if direction == "egress" and (services.at(text) is not None or services.covers(text) is not None)
    ]
    rows = denials.with_columns(late=_late(context, denials, logged), reply=_reply(context, denials, direction))
    found = (
        pl.when(peer == node)
        .then(pl.lit(NODE))
        .when(pl.col("policy") == "OK")
        .then(pl.lit(AGAINST_POLICY))
        .when(pl.col("reason") == "pod-state-missing")
        .then(pl.lit(POD_STATE))
        .when(pl.col("misplaced") & pl.col("policy").is_null())
        .then(pl.lit(MISPLACED))
        .when(pl.col("late"))
        .then(pl.lit(LATE))
        .when(pl.col("reply"))
        .then(pl.lit(REPLY))
        .when(pl.col("dst").is_in(inside))
        .then(pl.lit(SERVICE))
        .when(pl.col("reason") == "namespace-no-slot")
        .then(pl.lit(PORT))
        .otherwise(pl.lit(REAL))
    )
    return rows.select("at", found.alias("class"))


def _late(context: Context, denials: pl.DataFrame, logged: pl.DataFrame) -> pl.Series:
    """Whether the same program had allowed the flow, or it was cleaned out of conntrack, before the denial."""
    allowed = logged.filter(pl.col("verdict") == "ACCEPT").group_by(_TUPLE).agg(since=pl.col("utc_ns").min())
    swept = pl.DataFrame(context.neighbours.changes.swept, schema=_SWEPT, orient="row", strict=False)
    rows = denials.join(allowed, on=list(_TUPLE), how="left", nulls_equal=True, maintain_order="left")
    rows = rows.join(swept, on=list(_SWEPT_KEY), how="left", maintain_order="left")
    return rows.select(
        late=((pl.col("since") < pl.col("utc_ns")) | (pl.col("swept") <= pl.col("utc_ns"))).fill_null(value=False)
    ).to_series()


_SWEPT = {"src": pl.String, "sport": pl.Int64, "dst": pl.String, "dport": pl.Int64, "swept": pl.Int64}
_SWEPT_KEY = ("src", "sport", "dst", "dport")


def _reply(context: Context, denials: pl.DataFrame, direction: Direction) -> pl.Series:
    """Whether the packet runs from a service port to a client port, and the pod may open the reverse flow."""
    shape = (denials["sport"] < _EPHEMERAL) & (denials["dport"] >= _EPHEMERAL) & (denials["sport"] > 0)
    other: Direction = "egress" if direction == "ingress" else "ingress"
    captured = Captured(context, other)
    state = captured.state_or_inferred()
    if not shape.any() or captured.missing or (state is None and captured.generation.pod_state_keys):
        return pl.Series([False] * denials.height)
    rows = denials.filter(shape)
    back = {"src": rows["dst"], "dst": rows["src"], "sport": rows["dport"], "dport": rows["sport"]}
    answers = captured.datapath(state or {}).verdicts({**back, "protocol": rows["number"].fill_null(0)})
    mine = rows["at"].filter(answers["action"].cast(pl.String) == "OK")
    return denials["at"].is_in(mine.to_list())
