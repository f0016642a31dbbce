"""`aws-eks-na-cli ebpf loaded-ebpfdata`: the programs pinned on a node and the maps each of them uses.

Identifier and direction come from the pin's path: up to v1.3.1 the CLI itself got them wrong for names with `_`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from formats.base import NO, Format, Problem, Record, Score, Span
from formats.nacli_errors import NO_DATA, WALK_FAILED, error_record
from formats.patterns import lazy
from formats.pins import split_pin
from formats.text import Line, lines

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

_HEADER = lazy(rb"\*\*\* ?EBPF loaded data ?\*\*\*")
_PROGRAM = lazy(rb"PinPath:[ \t]*/sys/fs/bpf/")
_FIELDS = lazy(rb"Pod Identifier ?: ?\S+ +Direction ?: ?\S+\s+Prog (?:ID|FD):")
_FAILED = lazy(rb"Failed to execute the cmd - +failed walking the bpfdirectory")
_PART = lazy(
    r"(?P<header>\*{3} ?EBPF loaded data ?\*{3})"
    r"|(?P<pin>(?<![A-Za-z])PinPath:\s*(?P<path>/\S+)?)"
    r"|(?P<identifier>Pod Identifier\s*:\s*(?P<pod>\S*)\s+Direction\s*:\s*(?P<direction>\S*))"
    r"|(?P<prog>Prog (?P<unit>ID|FD):\s*(?P<number>\d{1,20})?)"
    r"|(?P<maps>Associated Maps\s*->)"
    r"|(?P<name>Map Name:[ \t]*(?P<map>(?!Map ID:)[\w.@-]+(?=\s|$))?)"
    r"|(?P<map_id>Map ID:\s*(?P<id>\d{1,20})?)"
    r"|(?P<rule>={20,})"
    r"|(?P<section>\*{3} ?EBPF Maps Data|(?:Maps|Programs) currently loaded|`{3})"
    r"|(?P<error>Failed to execute the cmd\s*-\s*(?P<message>failed walking the bpfdirectory.*))"
)


class _Block:
    """One program while its lines come."""

    def __init__(self, start: int, first_line: int) -> None:
        self.path: str | None = None
        self.printed = ""
        self.prog_id: int | None = None
        self.maps: list[dict[str, Any]] = []
        self.name: str | None = None
        self.named = False
        self.faults: list[str] = []
        self.start, self.first_line = start, first_line
        self.end, self.last_line = start, first_line

    @property
    def span(self) -> Span:
        """Where it stands."""
        return Span(self.start, self.end, self.first_line, self.last_line)

    def take(self, kind: str, match: re.Match[str], *, cut: bool) -> None:
        """One part. `cut`: the text ends directly behind it, so a number in it may be shortened."""
        if kind == "identifier":
            self.printed = f"{match['pod']}, {match['direction']}"
        elif kind == "prog":
            if match["unit"] == "ID" and match["number"]:
                self.prog_id = int(match["number"])
            elif not match["number"]:
                self.faults.append("the program's number is missing")
        elif kind == "name":
            self._unnumbered()
            self.name, self.named = match["map"], True
        elif kind == "map_id":
            if match["id"] and not cut:
                self.maps.append({"name": self.name, "map_id": int(match["id"])})
            else:
                self.faults.append("the text ends inside a map ID" if cut else "a map without its ID")
            self.name, self.named = None, False

    def _unnumbered(self) -> None:
        if self.named:
            self.faults.append(f"the map {self.name or 'without a name'} without its ID")
        self.named = False

    def close(self, *, ended: bool) -> Iterator[Item]:
        """The record, and what is wrong with it. `ended`: something followed it, so that it is not cut."""
        self._unnumbered()
        if self.path is None and not self.maps and self.prog_id is None:
            yield Problem("a program without its pin path, number and maps", self.span, "left out", "one program")
            return
        pin = split_pin(self.path) if self.path is not None else None
        data = {
            "pin_path": self.path,
            "pod_identifier": pin.pod_identifier if pin is not None and pin.role == "program" else None,
            "direction": pin.direction if pin is not None and pin.role == "program" else None,
            "prog_id": self.prog_id,
            "maps": self.maps,
        }
        yield Record("program", data, self.span)
        if data["pod_identifier"] is None:
            what = "no PinPath line" if self.path is None else "a pin that is not named as the agent names programs"
            hint = (
                f"printed as {self.printed}, which v1.3.1 and earlier got wrong for some names" if self.printed else ""
            )
            yield Problem(what, self.span, "maps kept", "the pod identifier and direction", hint)
        for fault in self.faults:
            yield Problem(f"{fault} ({self.path})", self.span, "left out of the program's maps", "one map")
        if not ended and not self.faults:
            what = f"no line of = ends the last program: the text may be cut ({self.path})"
            yield Problem(what, self.span, "what is shown was read", "maps and programs after it, if there were any")


class _Reader:
    """Lines in order; items out."""

    def __init__(self) -> None:
        self._block: _Block | None = None
        self._header: Span | None = None
        self._headers = 0
        self._said = True

    def line(self, line: Line, *, whole: bool) -> Iterator[Item]:
        """The items that this line completes."""
        found = list(_PART.finditer(line.text))
        exact = line.text.isascii() and len(line.text) + 2 >= line.end - line.start
        for match in found:
            kind = match.lastgroup or ""
            start = line.start + match.start() if exact and line.text[: match.start()].strip() else line.start
            end = line.start + match.end() if exact and line.text[match.end() :].strip() else line.end
            if kind in ("header", "section", "error", "rule", "pin"):
                yield from self._restart(kind, match, Span(start, end, line.number, line.number))
            elif self._block is not None or kind in ("identifier", "prog"):
                cut = not whole and match is found[-1] and not line.text[match.end() :].strip()
                yield from self._part(kind, match, Span(start, end, line.number, line.number), cut=cut)

    def _part(self, kind: str, match: re.Match[str], span: Span, *, cut: bool) -> Iterator[Item]:
        if kind == "identifier" and self._block is not None and self._block.printed:
            yield from self.close()
        if self._block is None:
            self._block = _Block(span.start, span.first_line)
            self._said = True
        self._block.take(kind, match, cut=cut)
        self._block.end, self._block.last_line = span.end, span.last_line

    def _restart(self, kind: str, match: re.Match[str], span: Span) -> Iterator[Item]:
        yield from self.close()
        if kind == "header":
            yield from self._nothing()
            self._header, self._said = span, False
            self._headers += 1
            if self._headers == 2:
                what = "the loaded data stands twice: the collector's earlier run was interrupted, or ran twice"
                yield Problem(what, span, "both kept", "", "the last one is the newer")
        elif kind == "pin":
            if match["path"]:
                self._block = _Block(span.start, span.first_line)
                self._block.path = match["path"]
                self._block.end = span.end
            else:
                yield Problem("a PinPath line without a path", span, "left out", "the path of one program")
            self._said = True
        elif kind == "error":
            self._said = True
            yield error_record(match["message"], None, span)

    def close(self, *, ended: bool = True) -> Iterator[Item]:
        """The open program ends."""
        block, self._block = self._block, None
        if block is not None:
            yield from block.close(ended=ended)

    def _nothing(self) -> Iterator[Item]:
        if self._header is not None and not self._said:
            yield error_record("(no output)", None, self._header, NO_DATA)

    def finish(self) -> Iterator[Item]:
        """The end of the source."""
        yield from self.close(ended=False)
        yield from self._nothing()


def sniff(head: bytes, path: str) -> Score:
    """By the collector's heading, or by lines only this command prints."""
    if _HEADER.search(head):
        return Score(97, "loaded-ebpfdata with the log collector's heading")
    if _PROGRAM.search(head):
        return Score(93, "programs as aws-eks-na-cli loaded-ebpfdata prints them")
    if _FAILED.search(head):
        return Score(85, f"an error line of aws-eks-na-cli: {WALK_FAILED}")
    if _FIELDS.search(head):
        return Score(80, "fields of aws-eks-na-cli loaded-ebpfdata, the pin paths are missing")
    return NO


def read(source: Source) -> Iterator[Item]:
    """One `program` for each pin; an error line as `cli_error`."""
    reader = _Reader()
    number = 1
    for offset, block in source.line_chunks():
        for line in lines(block, offset, number):
            number = line.number + 1
            yield from reader.line(line, whole=line.end < offset + len(block))
    yield from reader.finish()


FORMAT = Format(
    name="nacli-loaded",
    title="aws-eks-na-cli loaded-ebpfdata",
    sniff=sniff,
    read=read,
    versions="v0.1.0 to v1.4.1 and main after it; IPv4 and IPv6 binary",
    about=(
        "The programs pinned under /sys/fs/bpf/globals/aws/programs and the maps each of them uses, from the command or"
        " from the log collector's ebpf-data.txt. Pod identifier and direction are taken from the pin path's ending."
    ),
    limits=(
        "One pin that cannot be read fails the whole command (any pod whose name has a dot, at every version): one"
        " error line, read as `cli_error`, and no program of the node is known.",
        "A text cut or filtered in the middle of a program shows fewer maps than the program uses.",
    ),
    loses=(
        "The program's ID up to v1.0.6 (`Prog FD` is a descriptor of the CLI's own process).",
        "Names of maps that are not pinned (printed blank); several such maps of a program are printed as one.",
        "Sizes, types and the time; map names are those of the pins.",
    ),
)
