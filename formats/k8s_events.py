"""One YAML document through libyaml's events: no recursion, every node's line, all that stands before a break.

libyaml's own constructor recurses (40,000 nested brackets end the process), expands aliases without a limit and keeps
the last of two equal keys in silence. Its event stream does none of that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from formats.k8s_block import MAX_DEPTH, resolve

#: libyaml is not given more than this at once.
MAX_BYTES = 8 * 1024 * 1024
MAX_BRACKETS = 200
MAX_ANCHORS = 100
#: Nodes that aliases may add to a document.
MAX_EXPANDED = 100_000

Path = tuple[str | int, ...]


class Fault(NamedTuple):
    """What is wrong at a line of the text (1-based). `path`: the node it spoils; `fatal`: reading stopped there."""

    message: str
    line: int
    path: Path = ()
    fatal: bool = False
    lost: str = ""


@dataclass(slots=True)
class Built:
    """The object of one document as far as it could be read; `lines` gives the line of each node's path."""

    value: Any = None
    faults: list[Fault] = field(default_factory=list)
    lines: dict[Path, int] = field(default_factory=dict)
    last_line: int = 0

    @property
    def broken(self) -> Fault | None:
        """The fault that stopped the reading, if any."""
        return next((fault for fault in self.faults if fault.fatal), None)


def guard(data: bytes) -> str | None:
    """Why libyaml should not see these bytes: size, bracket depth, indentation depth; None when it may."""
    if len(data) > MAX_BYTES:
        return f"a document of {len(data)} bytes is larger than {MAX_BYTES}"
    codes = np.frombuffer(data, np.uint8)
    if data.count(b"[") + data.count(b"{") > MAX_BRACKETS:
        steps = _BRACKET_STEP[codes].cumsum(dtype=np.int64)
        if int(steps.max(initial=0)) > MAX_BRACKETS:
            return f"brackets are nested deeper than {MAX_BRACKETS}"
    if b" " * MAX_DEPTH in data or b"- " * MAX_DEPTH in data or b"? " * MAX_DEPTH in data:
        return _deep_indent(data)
    return None


def _deep_indent(data: bytes) -> str | None:
    levels: list[int] = []
    for row in data.split(b"\n"):
        body = row.lstrip(b" -?")
        indent = len(row) - len(body)
        if not body:
            continue
        while levels and levels[-1] >= indent:
            levels.pop()
        levels.append(indent)
        marks = row[:indent].count(b"-") + row[:indent].count(b"?")
        if len(levels) > MAX_DEPTH or marks > MAX_DEPTH:
            return f"indentation is nested deeper than {MAX_DEPTH}"
    return None


def _bracket_steps() -> np.ndarray[Any, np.dtype[np.int8]]:
    steps = np.zeros(256, np.int8)
    steps[[ord("["), ord("{")]] = 1
    steps[[ord("]"), ord("}")]] = -1
    return steps


_BRACKET_STEP = _bracket_steps()


def build(data: bytes) -> Built:
    """Read the first document of `data`. Never raises: what stopped the reading is a fatal Fault."""
    reason = guard(data)
    if reason is not None:
        return Built(None, [Fault(reason, 1, fatal=True, lost="the document")])
    return _Builder().run(data)


class _Builder:
    def __init__(self) -> None:
        self.built = Built()
        #: open containers: container, key awaiting its value, path, mappings to merge in at its end
        self.frames: list[list[Any]] = []
        self.anchors: dict[str, Any] = {}
        self.marks = 0
        self.expanded = 0
        self.done = False

    def run(self, data: bytes) -> Built:
        import yaml

        parser = yaml.CSafeLoader(data.decode("utf-8", "replace"))
        try:
            while not self.done and (event := parser.get_event()) is not None:
                if isinstance(event, yaml.ScalarEvent):
                    self._scalar(event)
                elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                    self._open({} if isinstance(event, yaml.MappingStartEvent) else [], event)
                elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                    self._close()
                elif isinstance(event, yaml.AliasEvent):
                    self._alias(event)
                elif isinstance(event, yaml.DocumentEndEvent):
                    mark: Any = event.start_mark
                    self.built.last_line = mark.line
                    break
        except yaml.MarkedYAMLError as error:
            self._broken(error)
        except yaml.YAMLError as error:
            self._stop(" ".join(str(error).split()), 1)
        finally:
            parser.dispose()
        return self.built

    def _broken(self, error: Any) -> None:
        # An unclosed quote is noticed at the end of the text; it is wrong where it began.
        context = error.context or ""
        mark: Any = error.problem_mark
        if "quoted scalar" in context or mark is None:
            mark = error.context_mark or mark
        line = mark.line if mark is not None else 0
        self._stop(f"not YAML: {error.problem or context}", line + 1)

    def _stop(self, message: str, line: int) -> None:
        path = self.frames[-1][2] if self.frames else ()
        if self.frames and isinstance(self.frames[-1][0], list):
            path = (*path, max(0, len(self.frames[-1][0]) - 1))
        self.built.faults.append(Fault(message, line, path, fatal=True))
        self.done = True

    def _scalar(self, event: Any) -> None:
        if event.anchor:
            self._anchor(event, event.value)
        awaiting_key = self.frames and isinstance(self.frames[-1][0], dict) and self.frames[-1][1] is None
        plain = event.implicit[0] and not event.style
        self._add(event.value if awaiting_key or not plain else resolve(event.value), event)

    def _open(self, container: Any, event: Any) -> None:
        if len(self.frames) >= MAX_DEPTH:
            self._stop(f"nested deeper than {MAX_DEPTH}", event.start_mark.line + 1)
            return
        if event.anchor:
            self._anchor(event, container)
        if self.frames and isinstance(self.frames[-1][0], dict) and self.frames[-1][1] is None:
            self._stop("a mapping or list is used as a key", event.start_mark.line + 1)
            return
        self.frames.append([container, None, self._add(container, event), []])

    def _close(self) -> None:
        container, _, _, merges = self.frames.pop()
        for merged in merges:
            for name, part in merged.items():
                container.setdefault(name, part)

    def _anchor(self, event: Any, value: Any) -> None:
        self.marks += 1
        self.anchors[event.anchor] = value
        if self.marks > MAX_ANCHORS:
            self._stop(f"more than {MAX_ANCHORS} anchors and aliases", event.start_mark.line + 1)

    def _alias(self, event: Any) -> None:
        line = event.start_mark.line + 1
        self.marks += 1
        value = self.anchors.get(event.anchor)
        if self.marks > MAX_ANCHORS:
            self._stop(f"more than {MAX_ANCHORS} anchors and aliases", line)
        elif event.anchor not in self.anchors:
            self._stop(f"alias {event.anchor!r} has no anchor", line)
        elif any(frame[0] is value for frame in self.frames):
            self._stop(f"alias {event.anchor!r} holds itself", line)
        else:
            self.expanded += _size(value, MAX_EXPANDED - self.expanded)
            if self.expanded >= MAX_EXPANDED:
                self._stop(f"aliases add more than {MAX_EXPANDED} nodes", line)
            else:
                self._add(value if isinstance(value, dict | list) else str(value), event)

    def _add(self, value: Any, event: Any) -> Path:
        """Attach a value where it belongs; containers are attached before they are filled. Returns its path."""
        line = event.start_mark.line + 1
        if not self.frames:
            self.built.value = value
            self.built.lines[()] = line
            return ()
        frame = self.frames[-1]
        parent, key, path, _ = frame
        assert isinstance(path, tuple)
        if isinstance(parent, list):
            parent.append(value)
            here = (*path, len(parent) - 1)
            self.built.lines[here] = line
            return here
        if key is None:
            frame[1] = value if isinstance(value, str) else str(value)
            self.built.lines[(*path, frame[1])] = max(line, self.built.lines.get((*path, frame[1]), 0))
            return path
        frame[1] = None
        if key == "<<" and isinstance(value, dict):
            frame[3].append(value)
            return (*path, key)
        if key in parent:
            shown = f"{_brief(parent[key])} and {_brief(value)}"
            self.built.faults.append(Fault(f"the key {key!r} is given twice: {shown}", line, path))
        parent[key] = value
        return (*path, key)


def _brief(value: Any) -> str:
    text = "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _size(value: Any, limit: int) -> int:
    count = 0
    todo = [value]
    while todo and count < limit:
        node = todo.pop()
        count += 1
        todo.extend(node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
    return count
