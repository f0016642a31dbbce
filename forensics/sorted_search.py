"""numpy.searchsorted for many values in no order: sorted first, because a binary search that walks along the table
stays in the cache and costs less than half, the sorting included."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np


def search(
    table: np.ndarray[Any, Any], values: np.ndarray[Any, Any], side: Literal["left", "right"]
) -> np.ndarray[Any, Any]:
    """The same as numpy.searchsorted(table, values, side)."""
    order = np.argsort(values)
    found = np.empty(len(values), dtype=np.int64)
    found[order] = np.searchsorted(table, values[order], side=side)
    return found
