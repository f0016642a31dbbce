"""numpy.searchsorted for many values in no order: sorted first, because a binary search that walks along the table
stays in the cache and costs less than half, the sorting included."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np


def distinct(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The distinct values, ascending: numpy.unique of one array, without the masked arrays that it loads."""
    ordered = np.sort(values, axis=None)
    fresh = np.ones(len(ordered), bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    kept: np.ndarray[Any, Any] = ordered[fresh]
    return kept


def search(
    table: np.ndarray[Any, Any], values: np.ndarray[Any, Any], side: Literal["left", "right"]
) -> np.ndarray[Any, Any]:
    """The same as numpy.searchsorted(table, values, side)."""
    order = np.argsort(values)
    found = np.empty(len(values), dtype=np.int64)
    found[order] = np.searchsorted(table, values[order], side=side)
    return found
