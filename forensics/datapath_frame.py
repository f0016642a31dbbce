"""Packets and answers as polars frames: the tabular face of Datapath."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from forensics.packet_columns import packet_columns
from forensics.ruleset import REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forensics.datapath_batch import Answers, Batch

Array = np.ndarray[Any, Any]
CONNTRACK_CHANGES = ("none", "write", "delete")
COLUMNS = (
    "action", "event", "tier", "reason", "namespace_row", "namespace_slot", "cluster_row", "admin_slot",
    "baseline_slot", "conntrack", "conntrack_state",
)  # fmt: skip
_KINDS = {name: pl.Int32 if name.endswith("_row") else pl.UInt8 for name in COLUMNS}


def verdicts(batch: Batch, frame: pl.DataFrame | Mapping[str, Any], *, conntrack_keys: bool = False) -> pl.DataFrame:
    """One row per packet, in order: see Datapath.verdicts."""
    packets = packet_columns(frame, batch.family)
    out = _frame(batch.answers(packets), states=batch.generation.conntrack_value is not None)
    if not conntrack_keys:
        return out
    rows = batch.conntrack_keys(packets)
    return out.with_columns(pl.Series("conntrack_key", rows, dtype=pl.Array(pl.UInt8, rows.shape[1])))


def _frame(answers: Answers, *, states: bool) -> pl.DataFrame:
    """The answers as a frame. `states`: whether the program has them at all."""
    numbers = {
        "tier": answers.tier,
        "namespace_row": answers.namespace_row,
        "namespace_slot": answers.namespace_slot,
        "cluster_row": answers.cluster_row,
        "admin_slot": answers.admin_slot,
        "baseline_slot": answers.baseline_slot,
        "conntrack_state": answers.state if states else np.full(len(answers.state), -1),
    }
    told = {
        "action": _named(("SHOT", "OK"), answers.passes.astype(np.int64)),
        "event": answers.event,
        "reason": _named(REASONS, answers.reason),
        "conntrack": _named(CONNTRACK_CHANGES, answers.change),
    }
    known = [pl.when(pl.col(name) >= 0).then(pl.col(name)).cast(_KINDS[name]) for name in numbers]
    return pl.DataFrame({**told, **numbers}).with_columns(known).select(COLUMNS)


def _named(names: tuple[str, ...], codes: Array) -> pl.Series:
    return pl.Series(names, dtype=pl.Enum(names)).gather(codes)
