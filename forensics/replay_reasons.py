"""Why the captured maps do not give the answer that a flow line has, or give it only by an entry out of its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from forensics.pod_names import identifiers

if TYPE_CHECKING:
    from forensics.captured import Captured
    from forensics.context import Context

CORRUPTION = "corruption"
CHANGED = "maps-changed-since"
CONNTRACK = "conntrack"
HALF = "dump-not-whole"
NO_STATE = "pod-state-not-dumped"
UNKNOWN = "unknown"
#: Reason -> what it means, worst first.
REASONS = {
    CORRUPTION: "an entry that was written for the other tier decided",
    UNKNOWN: "neither the log nor the maps say why",
    CHANGED: "the maps were written after this line",
    CONNTRACK: "the flow is tracked by now: a later packet of it was let through",
    HALF: "the dump of the map does not show every entry",
    NO_STATE: "the pod state was not dumped and the answer depends on it",
}
#: The log lines of one packet and of one write come from different goroutines; so far they may be out of order.
_SKEW_NS = 1_000_000_000
_BY_ENTRY = ("namespace-allow", "namespace-reserved", "namespace-no-slot")


def reasons(context: Context, captured: Captured, listed: pl.DataFrame, every: pl.DataFrame) -> pl.Series:
    """One reason for each listed row. `every` are all rows of the identifier and direction, answered."""
    last = last_change(context, captured.direction)
    changed = listed["utc_ns"] <= last + _SKEW_NS if last is not None else pl.Series([False] * listed.height)
    maps = [state for name in captured.maps if (state := context.dumped(name)) is not None]
    half = any(not state.whole or any(not entry.known for entry in state.entries) for state in maps)
    stateless = captured.state is None and bool(captured.generation.pod_state_keys)
    rows = listed.with_columns(
        changed=changed.fill_null(value=False),
        tracked=_tracked(captured, listed),
        settled=_settled_later(listed, every),
        half=pl.lit(half),
        stateless=pl.lit(stateless) & (_by_state(captured) | (pl.col("tier") == "ERROR").fill_null(value=False)),
    )
    found = (
        pl.when(pl.col("misplaced") & pl.col("explained"))
        .then(pl.lit(CORRUPTION))
        .when(pl.col("changed") | pl.col("settled"))
        .then(pl.lit(CHANGED))
        .when(pl.col("tracked"))
        .then(pl.lit(CONNTRACK))
        .when(pl.col("half"))
        .then(pl.lit(HALF))
        .when(pl.col("stateless"))
        .then(pl.lit(NO_STATE))
        .otherwise(pl.lit(UNKNOWN))
    )
    return rows.select(found.alias("why")).to_series()


def last_change(context: Context, direction: str) -> int | None:
    """Time of the last logged change of the identifier's maps, pod states or programs of a direction, ns UTC."""
    pod, changes = context.pod, context.neighbours.changes
    ids = [state.map_id for state in pod.maps.values() if state.map_id is not None and state.direction == direction]
    places = [identifiers(ref.name, ref.namespace) for ref in pod.pods]
    names = {pod.identifier, *(name for pair in places for name in pair)}
    times = [changes.by_map.get(number) for number in ids] + [changes.by_identifier.get(name) for name in names]
    return max((time for time in times if time is not None), default=None)


def _by_state(captured: Captured) -> pl.Expr:
    """Whether the pod state has a say in the answer: from v1.3.0 an entry that covers the peer decides without it."""
    if not captured.generation.tiers:
        return pl.lit(value=True)
    return ~pl.col("reason").is_in(["admin-deny", "admin-allow", *_BY_ENTRY])


def _settled_later(listed: pl.DataFrame, every: pl.DataFrame) -> pl.Series:
    """Whether a later line of the same ends, protocol and port is as the maps say: then they changed in between."""
    same = ["src", "dst", "protocol", "dport"]
    later = every.filter(pl.col("explained")).group_by(same).agg(settled=pl.col("utc_ns").max())
    rows = listed.join(later, on=same, how="left", maintain_order="left")
    return rows.select(settled=(pl.col("settled") > pl.col("utc_ns")).fill_null(value=False)).to_series()


def _tracked(captured: Captured, listed: pl.DataFrame) -> pl.Series:
    """Whether the captured conntrack map holds the flow of a denied row."""
    if not captured.tracks:
        return pl.Series([False] * listed.height)
    columns = {name: listed[name] for name in ("src", "dst", "sport", "dport")}
    found = captured.tracked_flows({**columns, "protocol": listed["number"].fill_null(0)})
    return pl.Series(found) & (listed["verdict"] == "DENY")
