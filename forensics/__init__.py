"""Offline forensics for EKS network policy: Bundle -> Artifact -> Record -> PodState -> Finding -> Report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forensics.analysis import Report

__all__ = ["__version__", "analyze"]
__version__ = "0.1.0"


def analyze(inputs: Sequence[str] | str) -> Report:
    """Analyse one case from paths of tarballs, folders, zips and files. Raises forensics.problem.NpforensicsError."""
    from forensics.analysis import run

    return run([inputs] if isinstance(inputs, str) else list(inputs))
