"""Many bundles: every archive and collector tree below a folder is one case, analysed in worker processes of its own.

Results are tables: findings.parquet (one row a finding) and bundles.parquet (one row a case, failed ones too).
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.problem import NothingReadable, NpforensicsError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")
_TREES = ("networking", "ipamd", "var_log")
_FINDING = ("id", "detector", "defect", "severity", "confidence", "node", "pod_identifier", "map", "title", "summary")


@dataclass(frozen=True, slots=True)
class Totals:
    """What a scan did."""

    bundles: int
    failed: int
    findings: int
    out: str

    def text(self) -> str:
        """One line for people."""
        return (
            f"{self.bundles} bundles, {self.failed} of them unreadable, {self.findings} findings; tables in {self.out}"
        )


def scan_folder(
    folder: str, out: Path, *, workers: int = 0, progress: Callable[[str, int], None] | None = None
) -> Totals:
    """Analyse every case below `folder` and write the tables into `out`. Raises UsageError when there is none."""
    root = Path(folder)
    if not root.is_dir():
        raise UsageError(f"not a folder: {folder}")
    cases = [(path.relative_to(root).as_posix(), str(path)) for path in find_cases(root)]
    if not cases:
        raise UsageError(f"no bundle below {folder}: neither an archive nor a log collector's tree")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {out}: {error.strerror}") from None
    bundles: list[dict[str, Any]] = []
    findings: list[dict[str, Any]] = []
    for number, (bundle, rows) in enumerate(_analysed(cases, workers)):
        if progress is not None:
            progress(bundle["bundle"], number)
        bundles.append(bundle)
        findings += rows
    _write_tables(out, bundles, findings)
    failed = sum(bundle["error"] is not None for bundle in bundles)
    return Totals(len(bundles), failed, len(findings), str(out))


def find_cases(root: Path) -> Iterator[Path]:
    """Archives, and folders that look like an unpacked collector tree; nothing below such a folder."""
    for directory, names, files in os.walk(root):
        here = Path(directory)
        names.sort()
        if sum((here / tree).is_dir() for tree in _TREES) >= 2:  # noqa: PLR2004 - two of three make a tree
            names.clear()
            yield here
            continue
        yield from (here / name for name in sorted(files) if name.lower().endswith(_ARCHIVES))


def _analysed(cases: list[tuple[str, str]], workers: int) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    count = workers or os.cpu_count() or 1
    with ProcessPoolExecutor(max_workers=count, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(one_case, name, path) for name, path in cases]
        for (name, _), future in zip(cases, futures, strict=True):
            try:
                yield future.result()
            except BrokenProcessPool:
                yield _row(name, error="the worker process died on this or a neighbouring bundle"), []


def one_case(name: str, path: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Analyse one case: its row, and one row for each finding. A failure is a row too."""
    from forensics.analysis import run

    try:
        document = run([path]).document
    except NothingReadable as error:
        return _row(name, error=str(error).replace(path, name)), []
    except NpforensicsError as error:
        return _row(name, error=str(error)), []
    rows = [
        {
            "bundle": name,
            **{column: finding[column] for column in _FINDING},
            "pods": finding["pods"],
            "entries": finding["entries"],
            "since": finding["since"],
            "until": finding["until"],
        }
        for finding in document["findings"]
    ]
    return _row(name, document), rows


def _row(name: str, document: dict[str, Any] | None = None, error: str | None = None) -> dict[str, Any]:
    node = document["nodes"][0] if document and document["nodes"] else {}
    summary = document["summary"] if document else {}
    return {
        "bundle": name,
        "error": error,
        "nodes": summary.get("nodes", 0),
        "instance_id": node.get("instance_id"),
        "agent_version": node.get("agent_version"),
        "cni_version": node.get("cni_version"),
        "worst": summary.get("worst"),
        "headline": summary.get("headline"),
        "findings": sum(summary.get("findings", {}).values()),
        "cannot_tell": sum(counts["cannot-tell"] for counts in summary.get("detectors", {}).values()),
        "problems": len(document["problems"]) if document else 0,
        "detectors": json.dumps(summary.get("detectors", {}), sort_keys=True),
    }


def _write_tables(out: Path, bundles: list[dict[str, Any]], findings: list[dict[str, Any]]) -> None:
    import polars as pl

    text = pl.String
    many = pl.List(pl.String)
    columns: dict[str, Any] = {"bundle": text, **dict.fromkeys(_FINDING, text), "pods": many, "entries": many}
    columns |= {"since": text, "until": text}
    pl.DataFrame(findings, schema=columns).write_parquet(out / "findings.parquet")
    numbers = ("nodes", "findings", "cannot_tell", "problems")
    shape: dict[str, Any] = {name: pl.Int64 if name in numbers else text for name in _row("")}
    pl.DataFrame(bundles, schema=shape).write_parquet(out / "bundles.parquet")
