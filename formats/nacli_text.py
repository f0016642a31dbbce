"""Words of aws-eks-na-cli's text, one line at a time: what each line says, however it was pasted.

Lines: aws-network-policy-agent cmd/cli and its ebpf-sdk, v0.1.0 to v1.4.1 and main after it. A line that is nothing
but one of these is matched whole; a line in which several stand (folded by a terminal, a mail or a page) is cut into
its parts, so that both read alike. A log line that merely mentions a key is neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from formats.patterns import lazy

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from formats.text import Line

#: Printed protocol -> number; -1 where the CLI lost it (utils.GetProtocol, v1.0.7 and later).
PROTOCOLS: dict[str, int] = {
    "TCP": 6,
    "UDP": 17,
    "SCTP": 132,
    "ICMP": 1,
    "RESERVED": 255,
    "ANY PROTOCOL": 254,
    "ANY": 254,
    "UNKNOWN": -1,
}

_ADDRESS = r"[0-9A-Fa-f]*[:.][0-9A-Fa-f:.]*"
_PARTS = (
    r"(?P<header>\*{2,3}\s*EBPF Maps Data for Map ID\b\s*(?P<hid>[^\s*]*)\s*(?:\*{1,3})?)",
    r"(?P<boundary>\*{2,3}\s*EBPF loaded data.*|PinPath:.*|(?:Maps|Programs) currently loaded\s*:.*)",
    r"(?P<stars>\*{5,})",
    r"(?P<dashes>-{5,})",
    rf"(?P<flow>Conntrack Key\s*:\s*Source IP\s*-\s*(?P<src>{_ADDRESS})\s+Source port\s*-\s*(?P<sport>\d{{1,20}})\s+"
    rf"Dest IP\s*-\s*(?P<dst>{_ADDRESS})\s+Dest port\s*-\s*(?P<dport>\d{{1,20}})\s+Protocol\s*-\s*(?P<proto>\d{{1,20}})"
    rf"(?:\s+Owner IP\s*-\s*(?P<owner>{_ADDRESS})(?:\s+Ifindex\s*-\s*(?P<ifindex>\d{{1,20}}))?)?)",
    r"(?P<badflow>Conntrack Key\s*:.*)",
    rf"(?P<key>Key\s*:\s*(?:IP/Prefixlen\s*-\s*)?(?P<addr>{_ADDRESS})/(?P<plen>\d{{1,20}})(?![\w.:/]))",
    r"(?P<state_key>Key\s*:\s*(?P<number>\d{1,20})(?![\w.:/]))",
    r"(?P<badkey>Key\s*:\s*(?:IP/P\S*(?:\s*-\s*\S*)?|[0-9A-Fa-f]*[.:/][0-9A-Fa-f.:]*\S*)?$)",
    r"(?P<slot>Value Entry\s*:\s*(?P<slot_a>\d{1,20})|(?:Value )?Entry\s+(?P<slot_b>\d{1,20})\s*:)",
    r"(?P<field>(?P<name>Protocol|Priority|StartPort|End[pP]ort)\s*-(?!-)\s*"
    r"(?P<text>ANY PROTOCOL|[A-Za-z]+|\d{1,20})?)",
    r"(?P<value>Value\s*:)",
    r"(?P<state>State\s*-\s*(?P<state_value>\d{1,20}))",
    r"(?P<verdict>Conntrack Val\s*-\s*(?P<val>\d{1,20}))",
    r"(?P<seen>Last Seen \(ns\)\s*-\s*(?P<ns>\d{1,20})(?:\s*\([^)\n]*\)?)?)",
    r"(?P<end>Done reading all entries(?: in BPF_MAP_TYPE_HASH)?)",
    r"(?P<partial>Failed to get next entry,?\s*[Dd]one searching)",
    r"(?P<empty>[Nn]o [Ee]ntries found,?\s*Empty map)",
    r"(?P<empty_hash>[Nn]o [Ee]ntries found,?\s*empty HASH map(?:\s*\(pod_state_map\?\))?)",
    r"(?P<walk>Walking map:\s*(?P<walked>[^\s(]*)\s*\(type=(?P<type>\d{1,20}),\s*id=(?P<walk_id>\d{1,20})\))",
    r"(?P<error>Failed to execute the cmd\s*-\s*(?P<message>.*))",
    r"(?P<usage>Error: (?:accepts|unknown|requires) .*|There was an error while executing your CLI.*)",
    r"(?P<unread>error reading (?:Cluster)?NetworkPolicy entry:.*)",
    r"(?P<clock>unable to read monotonic clock.*)",
    r"(?P<crash>(?:fatal error|panic|unexpected fault address|runtime stack|runtime: g ?\d{1,20}|goroutine \d{1,20}"
    r"|created by runtime)\b.*|\[signal SIG.*)",
    r"(?P<command>aws-eks-na-cli(?:-v6)?['\"`]*\s+e(?:bpf)?\s+(?P<verb>dump-cp-maps|dcp|dump-maps|d|loaded-ebpfdata|e"
    r"|maps|m|progs|p)\b['\"`]*(?:\s+(?P<cmd_id>\d{1,20}))?(?P<rest>.*))",
    r"(?P<fence>`{3,}\w*)",
)
_ONE = lazy("|".join(_PARTS))
#: A whole conntrack key line.
FLOW_LINE = lazy(_PARTS[4])
_SPOT = lazy(
    r"Key|Entry|Protocol|Priority|StartPort|End[pP]ort|State|Conntrack|Last Seen|Done reading|Failed to"
    r"|[Ee]ntries found|Walking map|EBPF|PinPath|currently loaded|\*{5}|-{5}|`{3}|error reading|Error: "
    r"|There was an|unable to read mono|fatal error|panic|unexpected fault|runtime|goroutine"
    r"|signal SIG|aws-eks-na-cli|Value"
)
_PROMPT = lazy(
    r"(?!.*aws-eks-na-cli)(?:(?:\[[^\]]{1,80}\]|[\w.-]+@[^#$\s]{1,80}|(?:ba)?sh-[\d.]+)\s?[$#](?:\s.*)?|[$#](?: \S.*)?)"
)
#: Kinds that need nothing before them but what another part, an indentation or a mark leaves.
_PLACED = frozenset(
    {"key", "state_key", "badkey", "slot", "field", "value", "state", "flow", "badflow", "usage", "crash"}
)


class Token(NamedTuple):
    """One part of a line: its kind, its groups (None for a bare prompt), its raw byte span [start, end), the line,
    and whether a star row that a page turned into a list bullet stands before it."""

    kind: str
    match: re.Match[str] | None
    start: int
    end: int
    line: Line
    bullet: bool = False

    def group(self, name: str) -> str:
        """A group's text; empty when it took no part."""
        return (self.match[name] if self.match is not None else None) or ""


def tokens(line: Line) -> Iterator[Token]:
    """The parts of a line that mean something here, in order."""
    text = line.text
    stripped = text.strip()
    if not stripped:
        return
    whole = _ONE.fullmatch(stripped)
    if whole is not None:
        yield Token(whole.lastgroup or "", whole, line.start, line.end, line)
    elif _PROMPT.fullmatch(stripped):
        yield Token("prompt", None, line.start, line.end, line)
    elif _SPOT.search(stripped):
        yield from _parts(line, text.rstrip())


def _parts(line: Line, text: str) -> Iterator[Token]:
    """The parts of a line in which something else stands too; byte offsets where text and bytes are one to one."""
    exact = text.isascii() and len(text) + 2 >= line.end - line.start
    at = 0
    for match in _ONE.finditer(text):
        gap = text[at : match.start()]
        kind = match.lastgroup or ""
        if kind in _PLACED and not _placed(gap):
            continue
        start = line.start + match.start() if exact and (at or gap.strip()) else line.start
        end = line.start + match.end() if exact and text[match.end() :] else line.end
        yield Token(kind, match, start, end, line, bullet=gap.rstrip().endswith(("*", "\u2022")))
        at = match.end()


def _placed(gap: str) -> bool:
    """Whether a part may begin after this text: nothing, an indentation, a mark, a file's name; never a sentence."""
    if not any(character.isalnum() for character in gap) or gap.endswith(("  ", "\t")):
        return True
    return not (gap[-1].isalnum() or gap[-1] in ' "')
