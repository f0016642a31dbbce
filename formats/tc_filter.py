"""`tc filter show dev DEV ingress|egress` of iproute2, text and JSON.

The agent attaches `handle_ingress` (the pod's ingress policy) to the egress hook of the host-side veth and
`handle_egress` to its ingress hook: pref 1, handle 0x1, protocol all, direct-action. Its programs are unnamed, so the
field `name` is empty.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from formats.base import NO, Format, Problem, Record, Score, Span
from formats.bpftool_names import command
from formats.json_documents import straight_quotes
from formats.jsonspans import objects
from formats.patterns import lazy
from formats.source import Oversized
from formats.text import Line, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

AGENT_FILTERS = frozenset({"handle_ingress", "handle_egress"})
_OPPOSITE = {"ingress": "egress", "egress": "ingress"}
#: Parents of clsact (linux/pkt_sched.h TC_H_MIN_INGRESS, TC_H_MIN_EGRESS).
_PARENTS = {"ffff:fff2": "ingress", "ffff:fff3": "egress", "ffff:": "ingress"}
_COMMAND = lazy(
    r"\btc\s+(?:-\S+\s+)*f(?:ilter)?\s+(?:show|list|ls|sh)?\s*(?:dev\s+)?(?P<dev>[^\s|;]+)\s*(?P<hook>ingress|egress)?"
)
_FILTER = lazy(r"\bfilter\s+(?=(?:parent|block|protocol)\b|dev\s+\S+\s+(?:ingress|egress|parent)\b)")
_SNIFF = lazy(
    rb"\bfilter\s+(?:(?:parent|block|dev)\s+\S+\s+(?:ingress\s+|egress\s+)?)*protocol\s+\S+\s+pref\s+\d+", re.I
)
_SNIFF_JSON = lazy(rb'"kind"\s*:\s*"bpf"[^\0]{0,400}?"(?:bpf_name|direct-action)"')
_MORE = lazy(
    r"(?:pref|bpf|flower|chain|handle|direct-action|not_in_hw|in_hw|skip_\w+|id|name|tag|jited|flowid|classid|action|"
    r"protocol|eth_type|ip_proto|ip_flags|(?:src|dst)_\w+|enc_\w+|match|order|hw_tc|random|index|used_hw_stats)\b|"
    r"handle_(?:in|e)gress\b"
)
_HEAD = lazy(r"\bpref\s+(?P<pref>\d+)\s+(?P<kind>[a-z][\w]*)(?:\s+chain\s+(?P<chain>\d+))?")
_HANDLE = lazy(r"\bhandle\s+(?P<handle>\S+)(?:\s+(?P<name>\S+))?")
_NO_NAME = frozenset(
    {"direct-action", "flowid", "classid", "not_in_hw", "in_hw", "id", "name", "tag", "skip_hw", "action"}
)
_PATH = lazy(r"\b((?:eni|vlan)[0-9a-f]{11})\b")
_PATH_HOOK = lazy(r"(?:^|[^a-z])(ingress|egress)(?:[^a-z]|$)")


def filter_data(
    *,
    dev: str | None,
    hook: str | None,
    kind: str | None,
    prog_name: str | None = None,
    prog_id: int | None = None,
    pref: int | None = None,
    handle: str | None = None,
    chain: int | None = None,
    tag: str | None = None,
    direct_action: bool | None = None,
    jited: bool | None = None,
) -> dict[str, Any]:
    """The data of a `tc_filter` record; direction is the opposite hook's, and null for a filter not the agent's."""
    foreign = prog_name not in AGENT_FILTERS
    return {
        "dev": dev,
        "hook": hook,
        "direction": None if foreign or hook is None else _OPPOSITE.get(hook),
        "kind": kind,
        "prog_name": prog_name,
        "prog_id": prog_id,
        "pref": pref,
        "handle": handle,
        "chain": chain,
        "tag": tag,
        "direct_action": direct_action,
        "jited": jited,
        "foreign": foreign,
    }


def sniff(head: bytes, path: str) -> Score:
    """Filter lines, or the JSON of bpf filters."""
    if b"filter" in head and _SNIFF.search(head):
        return Score(85, "lines of tc filters")
    if b'"bpf"' in head and _SNIFF_JSON.search(head):
        return Score(85, "JSON of tc filters")
    return NO


def read(source: Source) -> Iterator[Item]:
    """One `tc_filter` for each filter with a handle."""
    try:
        data = straight_quotes(source.data())
    except Oversized as error:
        yield Problem(f"listing {error}", done="not read", lost="the listing")
        return
    yield from _Reader(source.path).items(data)


class _Reader:
    """Filters across lines: a filter may be wrapped, and several may stand on one line."""

    def __init__(self, path: str) -> None:
        name = path.rsplit("/", 1)[-1]
        device, hook = _PATH.search(name), _PATH_HOOK.search(name)
        self.dev = device[1] if device else None
        self.hook = hook[1] if hook else None
        self.text = ""
        self.first: Line | None = None
        self.last: Line | None = None

    def items(self, data: bytes) -> Iterator[Item]:
        """Records in file order."""
        json_at: list[tuple[int, str | None, str | None]] = []
        for line in lines(data):
            text = line.text.strip()
            if match := _COMMAND.search(text):
                yield from self._flush()
                self.dev, self.hook = match["dev"], match["hook"]
                json_at.append((line.end, self.dev, self.hook))
                text = text[match.end() :].strip()
            elif text.startswith("```") or not text or (command(text) is not None and not _FILTER.search(text)):
                yield from self._flush()
                continue
            yield from self._pieces(line, text)
        yield from self._flush()
        if b'"kind"' in data:
            yield from self._json(data, json_at)

    def _pieces(self, line: Line, text: str) -> Iterator[Item]:
        starts = [match.start() for match in _FILTER.finditer(text)]
        before = text[: starts[0]] if starts else text
        if before.strip() and self.first is not None:
            if _MORE.match(before) or line.text[:1] in " \t":
                self.text += " " + before
                self.last = line
            else:
                yield from self._flush()
        for start, end in zip(starts, [*starts[1:], len(text)][: len(starts)], strict=True):
            yield from self._flush()
            self.text, self.first, self.last = text[start:end], line, line

    def _flush(self) -> Iterator[Item]:
        first, last, text = self.first, self.last, self.text
        self.first = self.last = None
        if first is None or last is None:
            return
        head, handle = _HEAD.search(text), _HANDLE.search(text)
        if head is None or handle is None:
            return
        kind = head["kind"]
        name = handle["name"] if kind == "bpf" and handle["name"] not in _NO_NAME else None
        parent = re.search(r"\bparent\s+(\S+)", text)
        own = re.search(r"\bfilter\s+dev\s+(\S+)\s+(ingress|egress)?", text)
        number, tag = re.search(r"(?<![\w-])id\s+(\d+)", text), re.search(r"\btag\s+([0-9a-f]{16})\b", text)
        found = filter_data(
            dev=own[1] if own else self.dev,
            hook=(own[2] if own else None) or (_PARENTS.get(parent[1]) if parent else None) or self.hook,
            kind=kind,
            prog_name=name,
            prog_id=int(number[1]) if number and kind == "bpf" else None,
            pref=int(head["pref"]),
            handle=handle["handle"],
            chain=int(head["chain"]) if head["chain"] else None,
            tag=tag[1] if tag else None,
            direct_action=bool(re.search(r"\bdirect-action\b", text)) if kind == "bpf" else None,
            jited=bool(re.search(r"(?<!not )\bjited\b", text)) if kind == "bpf" else None,
        )
        yield Record("tc_filter", found, Span(first.start, last.end, first.number, last.number))

    def _json(self, data: bytes, commands: list[tuple[int, str | None, str | None]]) -> Iterator[Item]:
        for item, span in objects(data, rb'\{\s*(?:"(?:parent|dev|protocol)"\s*:\s*"[^"]*"\s*,\s*)*"pref"\s*:'):
            if isinstance(item, Problem):
                yield item
                continue
            options = item.get("options")
            if not isinstance(options, dict) or "handle" not in options:
                continue
            named = [found for found in commands if found[0] <= span.start]
            dev, hook = named[-1][1:] if named else (self.dev, self.hook)
            prog = options.get("prog")
            prog = prog if isinstance(prog, dict) else {}
            found = filter_data(
                dev=item.get("dev", dev),
                hook=_PARENTS.get(str(item.get("parent")), hook),
                kind=item.get("kind"),
                prog_name=options.get("bpf_name"),
                prog_id=prog.get("id"),
                pref=item.get("pref"),
                handle=str(options["handle"]),
                chain=item.get("chain"),
                tag=prog.get("tag"),
                direct_action=bool(options.get("direct-action", False)),
                jited=bool(prog["jited"]) if "jited" in prog else None,
            )
            yield Record("tc_filter", found, span)


FORMAT = Format(
    "tc-filter",
    "tc filter show",
    sniff,
    read,
    versions="iproute2, text and -j",
    about="Filters on a device's tc hooks. Hooks are the device's, the opposite of the pod's direction.",
    limits=(
        "the device and the hook are in the command only: without it both are null, unless the file's name has them",
    ),
    loses=("flags of offloading, and the options of filters of other kinds than bpf",),
)
