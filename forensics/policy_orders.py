"""The rules that reach the map, grouped by network, and the orders in which the agent may have taken them.

Rules come in random order (the list of objects, Go maps, an unstable sort) and are then sorted by prefix length.
Which of two networks of one length comes first changes nothing; the order inside one network does, where its rules
are spelled differently (`10.0.0.5/8` and `10.0.0.0/8` are two rules and one key). Only those orders are tried.
"""

from __future__ import annotations

from itertools import permutations, product, zip_longest
from math import factorial, prod
from typing import TYPE_CHECKING, NamedTuple

from forensics.policy_net import PrefixIndex, is_v6, parse, same_address, text_of, with_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from forensics.agent_behaviour import Behaviour
    from forensics.policy_net import Net
    from forensics.policy_rules import Rule, Source

#: Orders that are tried: five rules of one network, or as many combinations of networks inside each other.
_ORDERS = factorial(5)
#: Groups times orders that are tried (about half a second).
_STEPS = 30_000


class Placed(NamedTuple):
    """A rule that reaches the map: its CIDR with a mask, as text (the agent's key of a rule) and parsed."""

    text: str
    net: Net
    rule: Rule

    @property
    def mask(self) -> str:
        """The text behind the slash; the agent compares this text."""
        return self.text.partition("/")[2]


class Skipped(NamedTuple):
    """A rule that does not reach the map: its CIDR as written, and why (node-ip, family, no-cidr, unreadable)."""

    source: Source
    cidr: str
    reason: str


class Group(NamedTuple):
    """The rules of one network."""

    net: Net
    members: tuple[Placed, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The spellings, each once, in order."""
        return tuple(dict.fromkeys(member.text for member in self.members))


def place(rules: Iterable[Rule], node_ip: str, family: int, how: Behaviour) -> tuple[list[Placed], list[Skipped]]:
    """Rules with their masks, and those that the agent leaves out. Canonical spelling where the version does that."""
    placed: list[Placed] = []
    skipped: list[Skipped] = []
    for rule in rules:
        text = with_mask(rule.cidr, family)
        net = parse(text)
        if net is None:
            skipped.append(Skipped(rule.source, rule.cidr, "unreadable"))
            continue
        masked = net._replace(address=net.network) if how.canonical else net
        if how.skips_node_rule and same_address(masked, node_ip) and (net.is_host or how.drops_node_networks):
            skipped.append(Skipped(rule.source, rule.cidr, "node-ip"))
        elif how.filters_family and is_v6(text, net, by_text=how.family_by_text) != (family == 6):
            skipped.append(Skipped(rule.source, rule.cidr, "family"))
        else:
            placed.append(Placed(text_of(masked) if how.canonical else text, masked, rule))
    return placed, skipped


def grouped(placed: Iterable[Placed]) -> list[Group]:
    """Rules by network, shortest prefix first; inside a network in an order that depends on the content alone."""
    by_net: dict[tuple[int, int, int], list[Placed]] = {}
    for member in placed:
        net = member.net
        by_net.setdefault((net.prefix, net.family, net.network), []).append(member)
    return [
        Group(members[0].net, tuple(members) if len(members) == 1 else tuple(sorted(members, key=_content)))
        for _, members in sorted(by_net.items())
    ]


def arrangements(
    groups: Sequence[Group], matters: Callable[[Group], bool], *, whole: bool = False
) -> Iterator[list[Group]] | None:
    """The groups as given, then what changes when the members of groups whose order matters take every other order.

    A later arrangement holds only the groups inside or around the varied ones, with `whole` all of them. Networks
    apart from each other are varied side by side, networks inside each other in all combinations. None when that
    would be too much work.
    """
    unsettled = [index for index, group in enumerate(groups) if matters(group)]
    if not unsettled:
        return iter((list(groups),))
    families = _nested([(index, groups[index].net) for index in unsettled])
    sizes = [prod(factorial(len(groups[index].members)) for index in family) for family in families]
    outermost = [groups[family[0]].net for family in families]
    near = list(range(len(groups))) if whole else _near(groups, outermost)
    if max(sizes) > _ORDERS or max(sizes) * len(near) > _STEPS:
        return None
    return _varied(groups, families, near)


def _varied(groups: Sequence[Group], families: Sequence[Sequence[int]], near: Sequence[int]) -> Iterator[list[Group]]:
    yield list(groups)
    choices = [
        product(*[[(index, members) for members in permutations(groups[index].members)] for index in family])
        for family in families
    ]
    for step in zip_longest(*choices, fillvalue=()):
        chosen = {index: members for choice in step for index, members in choice}
        yield [groups[index]._replace(members=chosen.get(index, groups[index].members)) for index in near]


def _near(groups: Sequence[Group], nets: Iterable[Net]) -> list[int]:
    """Indexes of the groups that lie in one of the networks or contain one."""
    outer: PrefixIndex[Net] = PrefixIndex()
    everything: PrefixIndex[int] = PrefixIndex()
    for index, group in enumerate(groups):
        everything.put(group.net, index)
    found: set[int] = set()
    for net in nets:
        outer.put(net, net)
        found.update(everything.containing(net))
    found.update(index for index, group in enumerate(groups) if next(outer.containing(group.net), None))
    return sorted(found)


def _nested(nets: Iterable[tuple[int, Net]]) -> list[list[int]]:
    """Indexes of networks, together where one lies in another; shortest prefixes come first."""
    families: list[list[int]] = []
    seen: PrefixIndex[int] = PrefixIndex()
    for index, net in nets:
        outer = next(seen.containing(net), None)
        if outer is None:
            seen.put(net, len(families))
            families.append([index])
        else:
            families[outer].append(index)
    return families


def _content(member: Placed) -> tuple[str, str, tuple[str, ...], str, int, Source]:
    rule = member.rule
    return member.text, repr(rule.ports), rule.excepts, rule.action, rule.priority, rule.source
