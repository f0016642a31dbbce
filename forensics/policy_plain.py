"""Namespace entries of rules that leave an agent nothing to be random or wrong about, from v1.2.4 on: IPv4 networks in
their canonical spelling, no excepts, none at the node's own address. Every such version and the ideal agree on them, so
they are worked out once, by lists instead of rule by rule; forensics.policy_a gives the same for any rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forensics.admissible import Admissible
from forensics.policy_entries import Entries, ExpectedEntry
from forensics.policy_net import text_of
from forensics.policy_slots import ALLOW, ANY_KEYS, merged_slots, port_key
from formats.mapview import row_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forensics.admissible import Outcome
    from forensics.agent_behaviour import Behaviour
    from forensics.policy_entries import EntryKind
    from forensics.policy_net import Net
    from forensics.policy_rules import Port, Rule
    from forensics.policy_slots import PortKey

_OCTETS = {str(number): number for number in range(256)}
_LENGTHS = {str(number): number for number in range(33)}
_HOST = 32
_ALL = (1 << _HOST) - 1
_MASKS = [_ALL >> (_HOST - length) << (_HOST - length) for length in range(_HOST + 1)]


class Plain:
    """The entries of plain rules, before the slots of a value limit them."""

    def __init__(self, rules: Sequence[Rule], networks: Sequence[tuple[int, int]], node: Net, how: Behaviour) -> None:
        """networks: (prefix length, address) of each rule."""
        self._rules, self._how, self._node = rules, how, text_of(node)
        self._named: dict[str, list[int]] = {}
        self._wider: dict[str, tuple[str, ...]] = {}
        self._outcomes: list[Outcome] = [ALLOW]
        self._numbers = {self._node: 0}
        ports = _Ports()
        own: dict[tuple[int, int], frozenset[PortKey]] = {}
        for at, network in enumerate(networks):
            mine = ports.of(rules[at].ports)
            known = own.get(network)
            own[network] = mine if known is None else mine | known
            text = rules[at].cidr
            self._named.setdefault(text if "/" in text else f"{text}/{_HOST}", []).append(at)
        self._take_over(own, dict(zip(own, self._named, strict=True)))
        places = {self._node: (_HOST, node.address)} | dict(zip(self._named, own, strict=True))
        self._numbers = {cidr: self._numbers[cidr] for cidr in sorted(self._numbers)}
        keys = np.array([places[cidr] for cidr in self._numbers], np.int64)
        self._keys = row_bytes(np.stack([keys[:, 0].astype("<u4"), keys[:, 1].astype(">u4").view("<u4")], axis=1))

    def _take_over(self, own: dict[tuple[int, int], frozenset[PortKey]], texts: dict[tuple[int, int], str]) -> None:
        """Each network takes the ports of all wider ones, which have taken over theirs."""
        whole: dict[tuple[int, int], frozenset[PortKey]] = {}
        lengths = sorted({length for length, _ in own})
        numbers: dict[frozenset[PortKey], int] = {}
        for network in sorted(own) if len(lengths) > 1 else own:
            length, address = network
            ports, text = own[network], texts[network]
            above = [wide for each in lengths if each < length and (wide := (each, address & _MASKS[each])) in own]
            if above:
                ports = ports.union(*(whole[wide] for wide in above))
                self._wider[text] = tuple(texts[wide] for wide in above)
            if length < _HOST:
                whole[network] = ports
            number = numbers.get(ports)
            if number is None:
                number = numbers[ports] = len(self._outcomes)
                self._outcomes.append(merged_slots(ports, self._how))
            self._numbers[text] = number

    def entries(self, slots: int | None) -> Entries:
        """The entries of values with so many slots, None for no limit."""
        shared = [Admissible([each], slots) for each in self._outcomes]
        return Entries(self._numbers, shared, self._node, self._entry, self._keys)

    def _entry(self, cidr: str, admissible: Admissible) -> ExpectedEntry:
        rules = [self._rules[at] for at in self._named.get(cidr, ())]
        kind: EntryKind = "node"
        if cidr != self._node:
            kind = "catch-all" if rules[0].source.item < 0 else "rule"
        texts = tuple(sorted({rule.cidr for rule in rules}))
        sources = tuple(rule.source for rule in rules)
        return ExpectedEntry(cidr, kind, admissible, sources, (), self._wider.get(cidr, ()), texts)


def plain(rules: Sequence[Rule], node: Net, family: int, how: Behaviour) -> Plain | None:
    """The entries of these rules; None where one of them is not plain, or the version is older."""
    if family != 4 or not how.late_excepts or not how.merges_ports:
        return None
    networks = _networks(rules)
    if networks is None or any(address == node.address for _, address in networks):
        return None
    return Plain(rules, networks, node, how)


def _networks(rules: Iterable[Rule]) -> list[tuple[int, int]] | None:
    """(prefix length, address) of each rule; None where one has excepts or is spelled in another than the one way."""
    out: list[tuple[int, int]] = []
    try:
        for rule in rules:
            text, slash, size = rule.cidr.partition("/")
            length = _LENGTHS[size] if slash else _HOST
            first, second, third, fourth = text.split(".")
            address = _OCTETS[first] << 24 | _OCTETS[second] << 16 | _OCTETS[third] << 8 | _OCTETS[fourth]
            if rule.excepts or address & _MASKS[length] != address:
                return None
            out.append((length, address))
    except (KeyError, ValueError):
        return None
    return out


class _Ports:
    """The agent's keys of port lists; each list is looked at once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[tuple[Port, ...], frozenset[PortKey]]] = {}

    def of(self, ports: tuple[Port, ...]) -> frozenset[PortKey]:
        # rules with equal lists have the same one: to hash it would cost more than to look at it
        found = self._known.get(id(ports))
        if found is None:
            found = self._known[id(ports)] = ports, frozenset(map(port_key, ports)) if ports else ANY_KEYS
        return found[1]
