"""Policy against kernel, as every rendering shows it: which pods differ, folded; one line for those that do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reports.document import Document

DIRECTIONS = ("ingress", "egress")
_VERB = {"wrongly-denied": "DENIED", "wrongly-allowed": "ALLOWED", "wrong-tier": "other tier"}
#: CIDRs named in a line.
_NAMED = 4


class Traffic(NamedTuple):
    """One folded line of traffic. `behind`: pods that the text does not name yet; `why`: what no entry says."""

    verb: str
    text: str
    behind: list[str]
    why: list[str]
    shortfall: bool


class Entries(NamedTuple):
    """Entries of one map that differ in the same way for the same reason."""

    map: str
    kind: str
    cidrs: list[str]
    why: str
    shortfall: bool

    @property
    def text(self) -> str:
        """`missing in ingress_map: 10.0.1.5/32, 10.0.1.6/32 and 3 more`; a shortfall says that it is one."""
        rest = len(self.cidrs) - _NAMED
        more = f" and {rest} more" if rest > 0 else ""
        short = ", as the agent leaves it" if self.shortfall else ""
        return f"{self.kind} in {self.map}{short}: {', '.join(self.cidrs[:_NAMED])}{more}"


class Way(NamedTuple):
    """One direction of a pod identifier that differs from its policies."""

    direction: str
    traffic: list[Traffic]
    entries: list[Entries]
    undecided: list[str]
    pod_state: str | None
    assumptions: list[str]

    @property
    def summary(self) -> str:
        """`ingress 2 denied, 1 allowed, 3 entries`."""
        verbs = [line.verb.lower() for line in self.traffic]
        told = [f"{verbs.count(verb)} {verb}" for verb in dict.fromkeys(verbs)]
        if number := sum(len(entries.cidrs) for entries in self.entries):
            told.append("1 entry" if number == 1 else f"{number} entries")
        if self.pod_state:
            told.append("pod state")
        if self.undecided:
            told.append(f"{len(self.undecided)} not known")
        return f"{self.direction} {', '.join(told)}"


class Against(NamedTuple):
    """A node's pod identifiers against their policies: `differ` with their directions, worst first; names of those that
    are as asked; reasons for those that could not be compared."""

    differ: list[tuple[str, list[Way]]]
    as_asked: list[str]
    partly: list[str]
    not_compared: list[tuple[str, list[str]]]


def against(document: Document, node: str | None) -> Against:
    """The node's comparisons."""
    differ: list[tuple[str, list[Way]]] = []
    as_asked: list[str] = []
    partly: list[str] = []
    reasons: dict[str, list[str]] = {}
    for pod in document["pods"]:
        if pod["node"] != node:
            continue
        name, compared = pod["pod_identifier"], pod["comparison"]
        not_told = [way for way in DIRECTIONS if not compared[way]["compared"]]
        told = [way for way in DIRECTIONS if way not in not_told]
        ways = [_way(way, compared[way]) for way in told if not compared[way]["same"]]
        if ways:
            differ.append((name, ways))
        elif not not_told:
            as_asked.append(name)
        elif len(not_told) < len(DIRECTIONS):
            partly.append(name)
        for way in not_told:
            named = name if len(not_told) == len(DIRECTIONS) else f"{name} ({way})"
            known = reasons.setdefault(_general(compared[way]["why"], len(not_told)), [])
            if named not in known:
                known.append(named)
    differ.sort(key=lambda each: _weight(each[1]))
    return Against(differ, as_asked, partly, list(reasons.items()))


def _general(why: str, directions: int) -> str:
    """`no dump of ingress_map` and its twin are one reason where both directions lack theirs."""
    return why.replace("ingress_map", "its maps").replace("egress_map", "its maps") if directions > 1 else why


def _weight(ways: Iterable[Way]) -> tuple[int, ...]:
    lines = [line for way in ways for line in way.traffic]
    serious = [line for line in lines if not line.shortfall]
    return tuple(
        -sum(line.verb == verb for line in group) for group in (serious, lines) for verb in ("ALLOWED", "DENIED")
    )


def _way(direction: str, told: dict[str, Any]) -> Way:
    groups: dict[tuple[str, str, str, bool], list[str]] = {}
    for entry in told["entries"]:
        name = f"{'cp_' if entry['tier'] == 'cluster' else ''}{direction}_map"
        groups.setdefault((name, entry["kind"], entry["why"], entry["shortfall"]), []).append(entry["cidr"])
    entries = [Entries(name, kind, cidrs, why, short) for (name, kind, why, short), cidrs in groups.items()]
    said = {each.why for each in entries}
    return Way(
        direction,
        [_traffic(line, said) for line in told["lines"]],
        entries,
        told["undecided"],
        _states(told["pod_state"]),
        told["assumptions"],
    )


def _traffic(line: dict[str, Any], said: set[str]) -> Traffic:
    behind = [pod for pod in line["pods"] if pod not in line["text"]]
    why = [each for each in line["why"] if each not in said]
    return Traffic(_VERB[line["kind"]], line["text"], behind, why, line["shortfall"])


def _states(states: dict[str, dict[str, int]]) -> str | None:
    """The pod state where it differs: `key 1 is missing, the policies lead to 1`."""
    kernel, policy = states["kernel"], states["policy"]
    told = [
        f"key {key} is {kernel.get(key, 'missing')}, the policies lead to {policy[key]}"
        for key in policy
        if kernel.get(key) != policy[key]
    ]
    return "; ".join(told) or None


def entry_lines(way: Way) -> Iterator[tuple[str, str]]:
    """(what differs, why) of a direction's entries and pod state."""
    if way.pod_state:
        yield f"pod state {way.pod_state}", ""
    for entries in way.entries:
        yield entries.text, entries.why


def count(number: int, noun: str = "pod identifier") -> str:
    """`1 pod identifier`, `3 pod identifiers`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
