"""What the policies of one pod identifier say, read once for all that is asked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forensics.policy_plain import plain
from forensics.policy_rules import collect, policies_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forensics.agent_behaviour import Behaviour
    from forensics.policy_net import Net
    from forensics.policy_plain import Plain
    from forensics.policy_rules import Collected, Direction, Policy, Tier

_Key = tuple[int, ...]


class Book:
    """Policies are looked for once, and the rules of the same policies, of an agent version and the ideal, are one list
    and are read once. A book is of one list of objects, which must not change while it lives."""

    def __init__(self) -> None:
        self._policies: dict[tuple[str, str, str | None, bool], list[Policy]] = {}
        self._collected: dict[tuple[Tier, Direction, str, _Key], tuple[Sequence[Policy], Collected]] = {}
        self._plain: dict[tuple[Any, ...], tuple[Collected, Plain | None]] = {}

    def policies(
        self, objects: Iterable[Any], identifier: str, version: str, *, node_ip: str | None, ideal: bool = False
    ) -> list[Policy]:
        """As policy_rules.policies_for."""
        key = identifier, version, node_ip, ideal
        if key not in self._policies:
            self._policies[key] = policies_for(objects, identifier, version, node_ip=node_ip, ideal=ideal)
        return self._policies[key]

    def collect(self, policies: Sequence[Policy], tier: Tier, direction: Direction, version: str) -> Collected:
        """As policy_rules.collect."""
        key = tier, direction, version, tuple(id(each.spec) for policy in policies for each in policy.endpoints)
        if key not in self._collected:
            self._collected[key] = policies, collect(policies, tier, direction, version)
        return self._collected[key][1]

    def plain(self, found: Collected, node: Net, family: int, how: Behaviour) -> Plain | None:
        """As policy_plain.plain, of rules that this book collected."""
        key = id(found), node, family, how.late_excepts, how.merges_ports, how.unknown_protocol
        if key not in self._plain:
            self._plain[key] = found, plain(found.rules, node, family, how)
        return self._plain[key][1]
