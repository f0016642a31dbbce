"""Differences as a person reads them: neighbours folded, pods named, ten lines and not ten thousand."""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from forensics import traffic
from forensics.partition import gaps, merged, size, texts
from forensics.traffic import united
from formats.layouts import TIER_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forensics.partition import Spans
    from forensics.podstate import PodRef
    from forensics.semantics import Answer, Difference
    from forensics.traffic import Traffic

#: Lines that a person is asked to read.
LINES = 10
#: Peers named in one line.
_PEERS = 4
#: From so many spans on they may be one network with holes; beyond so many nobody asks.
_HOLED, _DESCRIBED = 2, 200
#: Peers listed in a JSON row; the number of addresses is always exact.
_LISTED = 256


class Words(NamedTuple):
    """What the kinds of difference are called: the left side denies, the left side allows, only the tier differs."""

    denied: str
    allowed: str
    tier: str


#: Kernel (left) against policy (right).
AGAINST_POLICY = Words("wrongly-denied", "wrongly-allowed", "wrong-tier")
#: After (left) against before (right).
OVER_TIME = Words("newly-denied", "newly-allowed", "other-tier")


class Line(NamedTuple):
    """One line. `partly` says that more was folded in than one line can say exactly: not every peer has all of it."""

    kind: str
    family: int
    peers: Spans
    traffic: Traffic
    causes: tuple[str, ...]
    partly: bool = False


class Pods:
    """Pods by address, to name what stands behind a range."""

    def __init__(self, pods: Iterable[PodRef]) -> None:
        found: list[tuple[int, int, str]] = []
        for pod in pods:
            try:
                address = ipaddress.ip_address(str(pod.ip).split("/")[0])
            except ValueError:
                continue
            found.append((address.version, int(address), pod.title))
        self._pods = sorted(found)

    def behind(self, spans: Spans, family: int) -> list[str]:
        """namespace/name of every known pod with an address in the spans."""
        numbers = {number for version, number, _ in self._pods if version == family and _inside(number, spans)}
        return sorted({title for version, number, title in self._pods if version == family and number in numbers})

    def who(self, spans: Spans, family: int) -> str:
        """The spans with the pod behind each single address, long lists cut: `10.0.1.5/32 (prod/web-abcde)`,
        `10.0.0.0/8 but 10.0.0.10/32`."""
        shown: list[str] = []
        names = _described(spans, family) if len(spans) <= _DESCRIBED else texts(spans, family)
        for text in names[:_PEERS]:
            behind = self._of(text)
            shown.append(f"{text} ({behind})" if behind else text)
        more = len(names) - _PEERS
        return ", ".join(shown) + (f" and {more} more" if more > 0 else "")

    def _of(self, text: str) -> str | None:
        address, _, length = text.partition("/")
        if length not in ("32", "128"):
            return None
        number = int(ipaddress.ip_address(address))
        version = 6 if ":" in address else 4
        return next((title for kind, at, title in self._pods if (kind, at) == (version, number)), None)


def _described(spans: Spans, family: int) -> list[str]:
    """Spans as networks with holes where that is shorter, split at their widest gap where it is not."""
    if len(spans) < _HOLED:
        return texts(spans, family)
    step = (spans[0][0] ^ spans[-1][1]).bit_length()
    start = spans[0][0] >> step << step
    holes = gaps(spans, start, start + (1 << step) - 1)
    if len(holes) <= _PEERS and size(holes) * 2 <= 1 << step:
        return [f"{texts([(start, start + (1 << step) - 1)], family)[0]} but {' and '.join(texts(holes, family))}"]
    inner = [following[0] - before[1] for before, following in pairwise(spans)]
    cut = inner.index(max(inner)) + 1
    return _described(spans[:cut], family) + _described(spans[cut:], family)


def _inside(number: int, spans: Spans) -> bool:
    at = bisect_right(spans, (number, 1 << 128)) - 1
    return at >= 0 and spans[at][0] <= number <= spans[at][1]


def kind_of(found: Difference, words: Words) -> str:
    """The kind in the words of the comparison."""
    if not found.verdict:
        return words.tier
    return words.allowed if found.left.allows else words.denied


def answer_text(answer: Answer) -> str:
    """`denied in tier ADMIN`, `allowed`."""
    verb = "allowed" if answer.allows else "denied"
    return verb if answer.tier is None else f"{verb} in tier {TIER_NAMES[answer.tier]}"


def row(found: Difference, words: Words, sides: tuple[str, str], pods: Pods) -> dict[str, Any]:
    """One difference, exact, as plain JSON values. `sides` names left and right."""
    listed = texts(found.peers[:_LISTED], found.family)
    return {
        "kind": kind_of(found, words),
        "peers": listed,
        "more_peers": max(0, len(found.peers) - _LISTED),
        "addresses": size(found.peers),
        "pods": pods.behind(found.peers, found.family),
        "traffic": traffic.text(found.traffic, found.family),
        "packets": traffic.as_json(found.traffic),
        sides[0]: answer_text(found.left),
        sides[1]: answer_text(found.right),
        "causes": list(found.causes),
    }


def fold(differences: Iterable[Difference], words: Words, limit: int = LINES) -> list[Line]:
    """Lines in the order of the differences, at most `limit` unless there are more kinds of cause than that.

    First exactly: the tiers are left out, peers with the same traffic are one line, traffic of the same peers as
    well. Only where that leaves more than `limit` lines are the smaller ones of one cause folded into one.
    """
    ordinary = [each for each in differences if each.traffic.ordinary]
    lines = [Line(kind_of(e, words), e.family, e.peers, e.traffic, e.causes) for e in ordinary]
    lines = _joined_peers(_joined_traffic(lines))
    if len(lines) <= limit:
        return lines
    groups: dict[tuple[str, tuple[str, ...]], list[Line]] = defaultdict(list)
    for line in lines:
        groups[line.kind, line.causes].append(line)
    room = max(1, limit // len(groups))
    return [line for group in groups.values() for line in _cut(group, room)]


def line_text(line: Line, pods: Pods) -> str:
    """`10.0.1.5/32 (prod/web-abcde): TCP 80`."""
    said = traffic.text(line.traffic, line.family)
    return f"{pods.who(line.peers, line.family)}: {f'parts of {said}' if line.partly else said}"


def _joined_traffic(lines: Sequence[Line]) -> list[Line]:
    groups: dict[tuple[str, tuple[str, ...], Spans], list[Line]] = defaultdict(list)
    for line in lines:
        groups[line.kind, line.causes, line.peers].append(line)
    return [
        group[0] if len(group) == 1 else group[0]._replace(traffic=united(line.traffic for line in group))
        for group in groups.values()
    ]


def _joined_peers(lines: Sequence[Line]) -> list[Line]:
    groups: dict[tuple[str, tuple[str, ...], Traffic], list[Line]] = defaultdict(list)
    for line in lines:
        groups[line.kind, line.causes, line.traffic].append(line)
    return [
        group[0] if len(group) == 1 else group[0]._replace(peers=merged(s for line in group for s in line.peers))
        for group in groups.values()
    ]


def _cut(group: list[Line], room: int) -> list[Line]:
    """The widest lines of one kind and cause, and one for the rest."""
    if len(group) <= room:
        return group
    widest = sorted(group, key=lambda line: (-size(line.peers), line.peers))
    kept, rest = widest[: room - 1], widest[room - 1 :]
    folded = rest[0]._replace(
        peers=merged(span for line in rest for span in line.peers),
        traffic=united(line.traffic for line in rest),
        partly=len(rest) > 1,
    )
    return [*kept, folded]
