"""Namespace entries, agent v1.2.4 and later: FirewallRuleProcessor.ComputeMapEntriesFromEndpointRules.

Every rule takes the ports of the wider rules it lies in, unless their excepts hold it; excepts come last, and only
where no rule has their CIDR. The final write runs over a Go map keyed by CIDR text: where two texts have one LPM key,
either value survives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forensics.admissible import Outcome
from forensics.policy_net import PrefixIndex, key_text, parse, text_of
from forensics.policy_orders import arrangements, grouped
from forensics.policy_slots import ALLOW, ANY_KEYS, DENY, merged_slots, port_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from forensics.agent_behaviour import Behaviour
    from forensics.policy_net import Net
    from forensics.policy_orders import Group, Placed
    from forensics.policy_rules import Rule
    from forensics.policy_slots import PortKey


class State(NamedTuple):
    """What the agent has gathered for one CIDR text."""

    ports: frozenset[PortKey]
    excepts: tuple[Net, ...]


class Written(NamedTuple):
    """The outcome of an algorithm: entries by canonical CIDR, the wider networks that each took ports from, and what
    the kernel refuses (one such key ends the whole update)."""

    outcomes: dict[str, set[Outcome]]
    inherited: dict[str, tuple[str, ...]]
    refused: tuple[str, ...]


def entries(placed: Sequence[Placed], rules: Iterable[Rule], node: Net, family: int, how: Behaviour) -> Written:
    """The entries of algorithm A. `rules` are all rules, for the excepts of a rule that is left out count too."""
    excepts = sorted({text for rule in rules for text in rule.excepts if parse(text) is not None})
    groups = grouped(placed)
    inherited: dict[str, tuple[str, ...]] = {}
    refused = {text for group in groups for text in group.texts if key_text(group.net, family) is None}
    orders = arrangements(groups, lambda group: len(group.texts) > 1)
    if orders is None:
        outcomes = _bounded(groups, inherited, family, how)
    else:
        outcomes = {}
        cache: dict[frozenset[PortKey], Outcome] = {}
        for arranged in orders:
            for net, states in _gathered(arranged, inherited, how):
                key = key_text(net, family)
                if key is None:
                    continue
                for state in states.values():
                    value = cache.get(state.ports)
                    if value is None:
                        value = cache[state.ports] = merged_slots(state.ports, how)
                    outcomes.setdefault(key, set()).add(value)
    _add_excepts(outcomes, refused, excepts, {member.text for member in placed}, family, how)
    node_key = text_of(node)
    if node_key not in outcomes or not how.except_beats_node:
        outcomes[node_key] = {ALLOW}
    return Written(outcomes, inherited, tuple(sorted(refused)))


def _bounded(
    groups: Sequence[Group], inherited: dict[str, tuple[str, ...]], family: int, how: Behaviour
) -> dict[str, set[Outcome]]:
    """Where too many spellings meet: what every order gives to a key, and what some order may give to it."""
    outcomes: dict[str, set[Outcome]] = {}
    low = _gathered(groups, inherited, how, spellings_share=False)
    high = _gathered(groups, inherited, how, spellings_share=True)
    for (net, least), (_, most) in zip(low, high, strict=True):
        key = key_text(net, family)
        if key is None:
            continue
        sure = frozenset.intersection(*(state.ports for state in least.values()))
        every = frozenset().union(*(state.ports for state in most.values()))
        if sure == every:
            outcomes[key] = {merged_slots(every, how)}
        else:
            outcomes[key] = {Outcome(merged_slots(sure, how).pool, merged_slots(every - sure, how).pool, free=True)}
    return outcomes


def _gathered(
    groups: Sequence[Group],
    inherited: dict[str, tuple[str, ...]],
    how: Behaviour,
    *,
    spellings_share: bool | None = None,
) -> Iterator[tuple[Net, dict[str, State]]]:
    """The agent's map of CIDR text to ports and excepts, network by network.

    `spellings_share` None follows the order of the rules; False and True are the least and the most that a spelling
    can take over from another one of its network.
    """
    wider: PrefixIndex[tuple[str, dict[str, State]]] = PrefixIndex()
    for group in groups:
        net = group.net
        taken: list[frozenset[PortKey]] = []
        names: list[str] = []
        for name, states in wider.containing(net):
            allowed = [state.ports for state in states.values() if not _excepted(net, state.excepts)]
            if allowed:
                taken.extend(allowed)
                names.append(name)
        canonical = text_of(net)
        if names:
            inherited[canonical] = tuple(names)
        states = _merged(group, frozenset().union(*taken), how, spellings_share)
        passes_on = {text: state for text, state in states.items() if not _is_host(text, net, how)}
        if passes_on:
            wider.put(net, (canonical, passes_on))
        yield net, states


def _merged(
    group: Group, inherited: frozenset[PortKey], how: Behaviour, spellings_share: bool | None
) -> dict[str, State]:
    states: dict[str, State] = {}
    for text, net, rule in group.members:
        ports = frozenset(map(port_key, rule.ports)) if rule.ports else ANY_KEYS
        excepts = tuple(each for each in map(parse, rule.excepts) if each is not None) if rule.excepts else ()
        known = states.get(text)
        if known is not None:
            states[text] = State(ports | known.ports, excepts + known.excepts)
            continue
        ports |= inherited
        if spellings_share is None:
            ports = ports.union(*(state.ports for state in _passing(states, net, how)))
        states[text] = State(ports, excepts)
    if spellings_share:
        shared: frozenset[PortKey] = frozenset().union(*(state.ports for state in _passing(states, net, how)))
        states = {text: State(state.ports | shared, state.excepts) for text, state in states.items()}
    return states


def _passing(states: dict[str, State], net: Net, how: Behaviour) -> list[State]:
    """The spellings of a network whose ports another spelling takes over."""
    return [
        state for text, state in states.items() if not _is_host(text, net, how) and not _excepted(net, state.excepts)
    ]


def _add_excepts(
    outcomes: dict[str, set[Outcome]],
    refused: set[str],
    excepts: Iterable[str],
    ruled: set[str],
    family: int,
    how: Behaviour,
) -> None:
    for text in excepts:
        net = _net(text)
        if net.family != family and not how.writes_foreign_excepts:
            continue
        if (text_of(net) if how.canonical else text) in ruled:
            continue
        key = key_text(net, family)
        if key is None:
            refused.add(text)
        else:
            outcomes.setdefault(key, set()).add(DENY)


def _excepted(net: Net, excepts: tuple[Net, ...]) -> bool:
    return any(each.contains(net) for each in excepts)


def _is_host(text: str, net: Net, how: Behaviour) -> bool:
    return text.endswith(("/32", "/128")) if how.v6_32_is_host else net.is_host


def _net(text: str) -> Net:
    net = parse(text)
    assert net is not None
    return net
