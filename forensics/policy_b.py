"""Namespace entries, agent v1.0.1 to v1.2.3: computeMapEntriesFromEndpointRules.

Rules are written one after another, so the later write to a key stays: an except may replace a rule, and a rule an
except. The ports of every /0 rule go to every entry; one /0 rule without ports turns every slot into protocol 254.
"""

from __future__ import annotations

from itertools import chain, permutations
from typing import TYPE_CHECKING

from forensics.policy_a import Written
from forensics.policy_net import PrefixIndex, key_text, parse, text_of, with_mask
from forensics.policy_orders import arrangements, grouped
from forensics.policy_slots import ALLOW, ANY_PORT, any_part_of, listed_slots, verbatim_slots
from formats.layouts import PROTOCOL_ANY, PROTOCOL_RESERVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from forensics.admissible import Outcome
    from forensics.agent_behaviour import Behaviour
    from forensics.policy_net import Net
    from forensics.policy_orders import Group, Placed
    from forensics.policy_rules import Port, Rule

_Ports = tuple["Port", ...]
#: Where the agent did not sort (to v1.0.4): every order of so many objects with so many rules, else two orders.
_EVERY_ORDER_OF = 4
_FEW_RULES = 1000
#: Port lists that one CIDR keeps. To v1.0.7 the agent's lists double with every spelling of a network.
_LISTS = 64


def entries(placed: Sequence[Placed], rules: Sequence[Rule], node: Net, family: int, how: Behaviour) -> Written:
    """The entries of algorithm B. `rules` are all rules: the ports of /0 are gathered before any rule is left out."""
    outcomes: dict[str, set[Outcome]] = {}
    inherited: dict[str, tuple[str, ...]] = {}
    refused: set[str] = set()
    groups = grouped(placed)
    unsettled = [group for group in groups if _order_matters(group, how)]
    arranged = arrangements(groups, lambda group: _order_matters(group, how), whole=True) if how.sorts else None
    for order in _sorted_orders(arranged or _sampled(groups), how) if how.sorts else _listed_orders(placed):
        catch_all = _catch_all(rules, order, family, how)
        for written, values in _simulate(order, catch_all, node, family, how, inherited, refused).items():
            outcomes.setdefault(written, set()).update(values)
    for group in unsettled if how.sorts and arranged is None else ():
        spelled = len(group.texts) > 1 or not how.merges_ports
        for key in (key_text(group.net, family) if spelled else None, *_except_keys(group, family)):
            if key in outcomes:
                outcomes[key].add(any_part_of(outcomes[key]))
    return Written(outcomes, inherited, tuple(sorted(refused)))


def _listed_orders(placed: Sequence[Placed]) -> Iterator[list[Placed]]:
    """To v1.0.4 nothing was sorted: the objects came in any order, the rules of one as they are listed."""
    by_object: dict[str, list[Placed]] = {}
    for member in placed:
        by_object.setdefault(member.rule.source.endpoint, []).append(member)
    objects = list(by_object.values())
    few = len(objects) <= _EVERY_ORDER_OF and len(placed) <= _FEW_RULES
    for order in permutations(objects) if few else (objects, objects[::-1]):
        yield [member for members in order for member in members]


def _sorted_orders(arranged: Iterable[Sequence[Group]], how: Behaviour) -> Iterator[list[Placed]]:
    for groups in arranged:
        flat = [member for group in groups for member in group.members]
        yield sorted(flat, key=lambda member: _length(member, how))
        if how.bare_addresses_first and any(member.mask == "0" and member.rule.excepts for member in flat):
            # Bare addresses and /0 share the first place; which goes first is chance.
            yield sorted(flat, key=lambda member: (_length(member, how), member.mask != "0"))
            yield sorted(flat, key=lambda member: (_length(member, how), member.mask == "0"))


def _sampled(groups: Sequence[Group]) -> Iterator[list[Group]]:
    """Where too many rules meet on one network: the two extreme orders; between them every slot turns up."""
    yield list(groups)
    yield [group._replace(members=group.members[::-1]) for group in groups]


def _length(member: Placed, how: Behaviour) -> int:
    return 0 if how.bare_addresses_first and "/" not in member.rule.cidr else member.net.prefix


def _order_matters(group: Group, how: Behaviour) -> bool:
    if len(group.members) == 1:
        return False
    excepts = any(member.rule.excepts for member in group.members)
    return len(group.texts) > 1 or excepts or not how.merges_ports


def _catch_all(rules: Sequence[Rule], order: Sequence[Placed], family: int, how: Behaviour) -> _CatchAll | None:
    found: list[Rule] = [
        rule
        for rule in rules
        if with_mask(rule.cidr, family).partition("/")[2] == "0" and not (family == 4 and "::" in rule.cidr)
    ]
    if not how.merges_ports:
        place = {id(member.rule): index for index, member in enumerate(order)}
        found.sort(key=lambda rule: place.get(id(rule), len(place)))
    if not found:
        return None
    return _CatchAll(tuple(port for rule in found for port in rule.ports), any(not rule.ports for rule in found))


class _CatchAll:
    """The ports of all /0 rules, and whether one of them has none."""

    def __init__(self, ports: _Ports, allow_all: bool) -> None:
        self.ports = ports
        self.allow_all = allow_all


def _simulate(
    order: Sequence[Placed],
    catch_all: _CatchAll | None,
    node: Net,
    family: int,
    how: Behaviour,
    inherited: dict[str, tuple[str, ...]],
    refused: set[str],
) -> dict[str, set[Outcome]]:
    """The final entries for one order of the rules."""
    out: dict[str, set[Outcome]] = {text_of(node): {ALLOW}}
    common: _Ports = catch_all.ports if catch_all else ()
    forced = PROTOCOL_ANY if catch_all and catch_all.allow_all else None
    if catch_all:
        out[_zero(family)] = verbatim_slots(common, how, allow_all=catch_all.allow_all)
    lists = _PortLists(how, inherited)
    for member in order:
        own = member.rule.ports
        chunks: list[_Ports] = [own]
        if member.mask != "0":
            chunks = [*lists.take(member, own or (ANY_PORT,)), common]
            _write(out, refused, member.text, family, listed_slots(chunks, how, forced=forced))
        elif not how.catch_all_excepts:
            continue
        for text in member.rule.excepts:
            if parse(text) is not None:
                _write(out, refused, text, family, listed_slots(chunks, how, forced=PROTOCOL_RESERVED))
    return out


class _PortLists:
    """The port lists that the agent keeps by CIDR text, and the wider networks among them."""

    def __init__(self, how: Behaviour, inherited: dict[str, tuple[str, ...]]) -> None:
        self._how = how
        self._inherited = inherited
        self._kept: dict[str, list[_Ports]] = {}
        self._wider: PrefixIndex[tuple[str, dict[str, list[_Ports]]]] = PrefixIndex()

    def take(self, member: Placed, own: _Ports) -> list[_Ports]:
        """The lists of one rule: its own, what its CIDR has already, what wider networks have. Kept for the next."""
        known = self._kept.get(member.text)
        wide = member.mask not in ("32", "128")
        chunks: list[_Ports] = [own, *(known or ())]
        if known is None or not wide:
            chunks.extend(self._from_wider(member))
        if self._how.merges_ports:
            chunks = [tuple(dict.fromkeys(chain.from_iterable(chunks)))]
        self._kept[member.text] = chunks = chunks[:_LISTS]
        if wide:
            level = self._wider.get(member.net)
            if level is None:
                level = text_of(member.net), {}
                self._wider.put(member.net, level)
            level[1][member.text] = chunks
        return chunks

    def _from_wider(self, member: Placed) -> Iterable[_Ports]:
        # To v1.0.4 the test parsed a CIDR as an address and never found one (checkAndDeriveL4InfoFromAnyMatchingCIDRs).
        if not self._how.sorts:
            return
        names: list[str] = []
        for name, texts in self._wider.containing(member.net):
            others = [chunks for text, chunks in texts.items() if text != member.text]
            if others:
                names.append(name)
            for chunks in others:
                yield from chunks
        if names:
            self._inherited[text_of(member.net)] = tuple(names)


def _write(out: dict[str, set[Outcome]], refused: set[str], text: str, family: int, value: set[Outcome]) -> None:
    key = key_text(_net(text), family)
    if key is None:
        refused.add(text)
    else:
        out[key] = value


def _except_keys(group: Group, family: int) -> Iterator[str | None]:
    for member in group.members:
        for text in member.rule.excepts:
            net = parse(text)
            if net is not None:
                yield key_text(net, family)


def _zero(family: int) -> str:
    return "0.0.0.0/0" if family == 4 else "::/0"


def _net(text: str) -> Net:
    net = parse(text)
    assert net is not None
    return net
