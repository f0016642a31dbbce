"""Cluster entries, agent v1.3.0 and later: ComputeClusterPolicyMapEntriesFromEndpointRules.

Each rule takes over what the closest wider network has by then, which has taken over its own. Equal rules of
different objects stay apart, because the agent's key of a rule holds the address of its protocol, not the text;
rules without a protocol are merged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.admissible import Outcome
from forensics.policy_a import Written
from forensics.policy_net import PrefixIndex, key_text, text_of
from forensics.policy_orders import arrangements, grouped
from formats.layouts import PROTOCOL_ANY, PROTOCOL_RESERVED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from forensics.admissible import Slot
    from forensics.agent_behaviour import Behaviour
    from forensics.policy_net import Net
    from forensics.policy_orders import Group, Placed
    from forensics.policy_rules import Port, Rule

#: What makes two rules one for the agent: the port object (its place) or, without a protocol, the numbers.
_Identity = tuple[object, ...]
_Slots = dict[_Identity, "Slot"]
_ACTIONS = {"Deny": 0, "Accept": 1}
_PASS = 2
_PROTOCOLS = {"UDP": 17, "SCTP": 132, "ANY_IP_PROTOCOL": PROTOCOL_ANY, "RESERVED_IP_PROTOCOL_NUMBER": PROTOCOL_RESERVED}
_TCP = 6
#: Main branch after v1.4.1: the node is accepted at priority 0.
_NODE: Slot = (PROTOCOL_ANY, 1, 0, 0)


def entries(placed: Sequence[Placed], node: Net, family: int, how: Behaviour) -> Written:
    """The entries of the cluster tier."""
    groups = grouped(placed)
    outcomes: dict[str, set[Outcome]] = {}
    inherited: dict[str, tuple[str, ...]] = {}
    if how.cluster_node_entry:
        outcomes[text_of(node)] = {Outcome((), (_NODE,))}
    orders = arrangements(groups, lambda group: len(group.texts) > 1)
    if orders is None:
        outcomes.update(_bounded(groups, inherited, family))
    for arranged in orders or ():
        for net, values in _gathered(arranged, inherited):
            key = key_text(net, family)
            if key is not None:
                found = {Outcome((), tuple(sorted(slots.values()))) for slots in values}
                outcomes.setdefault(key, set()).update(found)
    refused = {text for group in groups for text in group.texts if key_text(group.net, family) is None}
    return Written(outcomes, inherited, tuple(sorted(refused)))


def _bounded(groups: Sequence[Group], inherited: dict[str, tuple[str, ...]], family: int) -> dict[str, set[Outcome]]:
    """Where too many spellings meet: what every order gives to a key, and what some order may give to it."""
    outcomes: dict[str, set[Outcome]] = {}
    low = _gathered(groups, inherited, spellings_share=False)
    high = _gathered(groups, inherited, spellings_share=True)
    for (net, (least,)), (_, (most,)) in zip(low, high, strict=True):
        key = key_text(net, family)
        if key is None:
            continue
        extra = tuple(sorted(slot for identity, slot in most.items() if identity not in least))
        fixed = tuple(sorted(least.values()))
        outcomes[key] = {Outcome(fixed, extra, free=True) if extra else Outcome((), fixed)}
    return outcomes


def _gathered(
    groups: Sequence[Group], inherited: dict[str, tuple[str, ...]], *, spellings_share: bool | None = None
) -> Iterator[tuple[Net, list[_Slots]]]:
    """Each network with what its spellings hold at the end.

    `spellings_share` None follows the order of the rules; False gives only what all spellings have in common, True
    what any of them may have.
    """
    latest: PrefixIndex[tuple[str, _Slots]] = PrefixIndex()
    for group in groups:
        closest: tuple[str, _Slots] | None = None
        for wider in latest.containing(group.net):
            closest = wider
        canonical = text_of(group.net)
        if closest is not None:
            inherited[canonical] = (closest[0],)
        last = closest[1] if closest else {}
        by_text: dict[str, _Slots] = {}
        for member in group.members:
            before = last if spellings_share is not False else (closest[1] if closest else {})
            last = by_text[member.text] = {**by_text.get(member.text, {}), **before, **_own(member.rule)}
        values = list(by_text.values())
        if spellings_share is False:
            common = set(values[0]).intersection(*values[1:])
            last = {identity: slot for identity, slot in values[0].items() if identity in common}
        if spellings_share is not None:
            values = [last]
        latest.put(group.net, (canonical, last))
        yield group.net, values


def _own(rule: Rule) -> _Slots:
    if not rule.ports:
        return dict([_slot(rule, (None, None, None), 0)])
    return dict(_slot(rule, port, index) for index, port in enumerate(rule.ports))


def _slot(rule: Rule, port: Port, index: int) -> tuple[_Identity, Slot]:
    protocol, start, end = port
    action = _ACTIONS.get(rule.action, _PASS)
    raw = (rule.priority * 10 + action) & 0xFFFFFFFF
    if port == (None, None, None):
        number = PROTOCOL_ANY
    else:
        number = _PROTOCOLS.get(protocol or "", _TCP)
    place: _Identity = ("TCP",) if protocol is None else (rule.source, index)
    return (*place, start or 0, end or 0, rule.priority, rule.action), (number, raw, start or 0, end or 0)
