"""One artifact or paste to the records of the `decode` contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forensics.disguise import as_printed
from forensics.identify import identify
from formats.base import EventBatch, FlowBatch, MapDump, Problem, Record
from formats.mapview import records_of
from formats.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forensics.artifact import Artifact
    from formats.base import Item


#: Said of a text whose last line has no line end and does not close what it opened: most texts cut by size end so.
OPEN_END = "the text ends in the middle of a line: what its last record says may be cut"
#: What the last line of JSON or of a markdown fence begins with, and what it ends with when nothing of it is missing.
_BEGINS, _CLOSES = (b"{", b"}", b"[", b"]", b"`"), (b"}", b"]", b"`")
#: Fields whose name the record's own kind takes.
_RENAMED = {("k8s_object", "kind"): "object_kind", ("tc_filter", "kind"): "filter_kind"}


def decode_source(source: Source) -> dict[str, Any]:
    """`{"path", "format", "records", "problems"}` of one source; format is null when nothing recognised it."""
    raw, source = source, as_printed(source)
    identity = identify(source.head, source.path)
    records: list[tuple[int, dict[str, Any]]] = []
    problems: list[dict[str, Any]] = []
    if len(identity.formats) > 1:
        source.data()
    for form in identity.formats:
        for item in form.read(source):
            if isinstance(item, Problem):
                problems.append(problem_json(item))
            else:
                for single in _singles(item):
                    records.extend((single.span.start, record) for record in item_records(single))  # type: ignore[union-attr]
    records.sort(key=lambda pair: pair[0])
    return {
        "path": source.path,
        "format": identity.name,
        "formats": [form.name for form in identity.formats],
        "why": identity.why,
        "records": [record for _, record in records],
        "problems": problems,
        "notes": end_notes(raw.kept),
    }


def decode_bytes(data: bytes, path: str = "-") -> dict[str, Any]:
    """decode_source of bytes at hand."""
    return decode_source(Source(path, data))


def decode_inputs(path: str) -> dict[str, Any]:
    """The decode contract for a file, an archive, a folder or `-`. Raises UsageError for a path that is not there."""
    from forensics.bundle import read_bundle

    bundle = read_bundle([path])
    artifacts = [_artifact_json(artifact) for artifact in bundle.artifacts]
    out: dict[str, Any] = {"artifacts": artifacts}
    if bundle.problems:
        out["problems"] = [problem.as_json() for problem in bundle.problems]
    return out


def _artifact_json(artifact: Artifact) -> dict[str, Any]:
    items: list[Item] = [*artifact.records, *artifact.dumps, *artifact.flows]
    items += [single for batch in artifact.events for single in _singles(batch)]
    items.sort(key=lambda item: item.span.start)  # type: ignore[union-attr]
    return {
        "path": artifact.shown_path,
        "format": artifact.identity.name,
        "formats": [form.name for form in artifact.identity.formats],
        "why": artifact.identity.why,
        "records": [record for item in items for record in item_records(item)],
        "problems": [problem_json(problem) for problem in artifact.problems],
        "notes": end_notes(artifact.data),
    }


def _singles(item: Item) -> Iterator[Item]:
    """The events of a batch one by one; anything else as it is."""
    if isinstance(item, EventBatch):
        yield from map(item.record, range(len(item)))
    else:
        yield item


def end_notes(data: bytes | None) -> list[str]:
    """What can be said of the whole text; nothing of a text that is too large to be held."""
    last = data[data.rfind(b"\n") + 1 :].strip() if data else b""
    closed = last[:1] in _BEGINS and last[-1:] in _CLOSES
    return [OPEN_END] if last and not closed else []


def problem_json(problem: Problem) -> dict[str, Any]:
    """A Problem as plain JSON values."""
    out: dict[str, Any] = {"what": problem.what, "done": problem.done, "lost": problem.lost}
    if problem.span is not None:
        out["bytes"] = [problem.span.start, problem.span.end]
        out["lines"] = [problem.span.first_line, problem.span.last_line]
    if problem.hint:
        out["hint"] = problem.hint
    return out


def item_records(item: Item) -> Iterator[dict[str, Any]]:
    """The JSON records of one item, in file order."""
    if isinstance(item, Record):
        data = {_RENAMED.get((item.kind, name), name): value for name, value in item.data.items()}
        yield {"kind": item.kind, **data, "lines": [item.span.first_line, item.span.last_line]}
    elif isinstance(item, MapDump):
        yield {
            "kind": "map_dump",
            "map_id": item.map_id,
            "map_name": item.map_name,
            "form": item.form,
            "key_size": item.key_size,
            "value_size": item.value_size,
            "shown": item.count,
            "hidden": item.hidden,
            "found": item.found,
            "complete": item.complete,
            "notes": item.notes,
            "lines": [item.span.first_line, item.span.last_line],
        }
        yield from records_of(item)
    elif isinstance(item, FlowBatch):
        columns = item.columns
        for where, *values in zip(item.spans, *columns.values(), strict=True):
            lines = [int(where["first_line"]), int(where["last_line"])]
            yield {"kind": "flow", **dict(zip(columns, values, strict=True)), "lines": lines}
