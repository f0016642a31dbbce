"""What the CLI's own error lines mean. They go to standard output with exit status 0, and stand where data should."""

from __future__ import annotations

from formats.base import Problem, Record, Span

WALK_FAILED = "failed walking the bpfdirectory"
EMPTY_KEY = "unable to get first key: no such file or directory"

_MEANINGS: tuple[tuple[str, str], ...] = (
    (
        WALK_FAILED + " failed to get err",
        "a program's pin has no map of its identifier, as for any pod whose name has a dot: the data of the whole node"
        " is lost; it does not mean that there are no policies",
    ),
    (
        WALK_FAILED + " unable to get fd",
        "the CLI of v1.0.6 and earlier did not know the descriptor of a map: the data of the whole node is lost;"
        " v1.0.7 and later do not fail so",
    ),
    (
        WALK_FAILED + " no such file or directory",
        "a pin was removed during the walk: the data of the whole node is lost; run it again",
    ),
    (WALK_FAILED, "one pin could not be read: the data of the whole node is lost"),
    (EMPTY_KEY, "the map is empty; this is no failure"),
    ("unsupported map type: 27", "this ID is the ring buffer policy_events, which has no entries to dump"),
    (
        "unsupported map type",
        "this ID is a map of a type that this version of the CLI does not dump: the ring buffer policy_events, or a pod"
        " state map (before v1.2.0, and in the IPv6 binary)",
    ),
    ("invalid mapid", "the argument was no number above 0"),
    ("failed to get map fd: no such file or directory", "no map has this ID: it is gone, or was of another boot"),
    ("no such file or directory", "no map has this ID: it is gone, or was of another boot"),
    ("operation not permitted", "the CLI was run without the rights for it"),
    ("permission denied", "the CLI was run without the rights for it"),
    ("accepts 1 arg", "the command was given without its map ID: nothing was dumped"),
    ("error while executing your cli", "the command was called with wrong arguments: nothing was dumped"),
)
OTHER = "the command failed; it says nothing of the map"
NOTHING_PRINTED = (
    "the command printed nothing: this binary has no such subcommand (dump-cp-maps of the IPv6 binary, or before"
    " v1.3.0), or it crashed before its first line; it does not mean that the map is empty"
)
NO_HASH = "the IPv6 binary prints nothing of a hash map (pod state): its content is not known"
HEADER_ONLY = "nothing follows the first line: the command crashed or the text is cut; the map's content is not known"
CRASHED = (
    "crash of dump-maps on a cluster map: section discarded. The value of 384 bytes overran the buffer of 288, so the"
    " key and the slots shown are not the map's; use dump-cp-maps, or bpftool"
)
CRASHED_OTHERWISE = "the CLI crashed while it printed this section: section discarded, no part of it is certain"
OVERRUN = (
    "overrun of dump-maps of v1.0.6 and earlier: section discarded. The value overran the one slot the CLI has room"
    " for, and the keys shown are not the map's; use bpftool"
)
NO_DATA = (
    "the command printed nothing: no program is pinned on this node, or the CLI is not installed; it does not mean that"
    " nothing is enforced elsewhere"
)


def meaning_of(message: str) -> str:
    """What an error line says, in plain words."""
    lowered = message.lower()
    return next((meaning for part, meaning in _MEANINGS if part in lowered), OTHER)


def is_empty(message: str) -> bool:
    """Whether an error line is how this version says that a map is empty."""
    return EMPTY_KEY in message.lower()


def error_record(message: str, map_id: int | None, span: Span, meaning: str | None = None) -> Record:
    """A `cli_error` record."""
    data = {"message": message.strip(), "meaning": meaning or meaning_of(message), "map_id": map_id}
    return Record("cli_error", data, span)


class Troubles:
    """Problems of one dump: the first of each kind named one by one, the rest counted."""

    NAMED = 20

    def __init__(self) -> None:
        self.items: list[Problem] = []
        self._spans: dict[str, list[Span]] = {}
        self._lost: dict[str, tuple[str, str]] = {}

    def add(self, kind: str, span: Span, done: str, lost: str, detail: str = "") -> None:
        """One more problem of a kind; `detail` (the key, the text) is told where it is named."""
        spans = self._spans.setdefault(kind, [])
        spans.append(span)
        self._lost[kind] = (done, lost)
        if len(spans) <= self.NAMED:
            self.items.append(Problem(f"{kind} ({detail})" if detail else kind, span, done, lost))

    def close(self) -> list[Problem]:
        """All of them, the uncounted ones summed up."""
        for kind, spans in self._spans.items():
            rest = spans[self.NAMED :]
            if rest:
                done, lost = self._lost[kind]
                span = Span(rest[0].start, rest[-1].end, rest[0].first_line, rest[-1].last_line)
                self.items.append(Problem(f"{kind} ({len(rest)} more)", span, done, f"{lost}, {len(rest)} times"))
        return self.items
