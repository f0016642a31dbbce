"""What the agent of a given version should have written for a pod identifier, from PolicyEndpoint objects.

`expected_map` is the whole answer, entry by entry, with the rules behind each entry; `expected_entries` is the same as
plain data; `wanted_entries` leaves the known defects of the version out, so that the difference of the two is what
the version lost. Maps of a pod that no policy selects stay empty: its pod state governs (`expected_pod_state`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from forensics import policy_a, policy_b, policy_cluster
from forensics.admissible import ABSENT, Admissible, AdmissibleSet, Outcome
from forensics.agent_behaviour import behaviour
from forensics.pod_names import host_veth, identifiers, pod_identifier
from forensics.policy_book import Book
from forensics.policy_entries import Entries, ExpectedEntry
from forensics.policy_net import host_of, key_text, parse, text_of, with_mask
from forensics.policy_orders import Skipped, place
from forensics.policy_rules import Rule, Source, collect, policies_for
from forensics.versions import HEAD, between

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forensics.admissible import Slots
    from forensics.agent_behaviour import Behaviour
    from forensics.policy_a import Written
    from forensics.policy_entries import EntryKind
    from forensics.policy_net import Net
    from forensics.policy_rules import Direction, Policy, Tier

__all__ = [
    "ABSENT",
    "Admissible",
    "AdmissibleSet",
    "ExpectedEntry",
    "ExpectedMap",
    "ExpectedTier",
    "expected_entries",
    "expected_map",
    "expected_pod_state",
    "host_veth",
    "identifiers",
    "is_selected",
    "isolation",
    "pod_identifier",
    "policies_for",
    "wanted_entries",
]

#: never: no policy selects the identifier; rules: there are rules; isolated: none, and everything is denied;
#: open: none, and everything is allowed.
Isolation = Literal["never", "rules", "isolated", "open"]
POLICIES_APPLIED, DEFAULT_ALLOW, DEFAULT_DENY = 0, 1, 2


class ExpectedTier(NamedTuple):
    """One map. `refused` are CIDRs whose key the kernel does not take: the update ends there, half done.

    `contested` lists the namespaces when pods of several share the identifier (the `-` scheme): the agent applies
    one namespace's policies, whichever it worked on last, so every namespace's map is admissible.
    """

    entries: Entries
    isolation: Isolation
    policies: tuple[tuple[str, str], ...]
    skipped: tuple[Skipped, ...]
    refused: tuple[str, ...]
    contested: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def selected(self) -> bool:
        """Whether a policy of this tier selects the identifier."""
        return bool(self.policies)


class ExpectedMap(NamedTuple):
    """Both tiers of one direction. `local` says whether a selected pod runs on this node: the agent writes maps of
    an identifier whose rows are all elsewhere only when a first pod of it starts here."""

    namespace: ExpectedTier
    cluster: ExpectedTier
    local: bool

    def tier(self, name: str) -> ExpectedTier:
        """The tier "namespace" or "cluster"; any other name raises KeyError."""
        return {"namespace": self.namespace, "cluster": self.cluster}[name]


def expected_entries(
    policy_endpoints: Iterable[Any],
    node_ip: str,
    identifier: str,
    direction: Direction,
    agent_version: str,
    family: int,
) -> dict[str, dict[str, frozenset[Slots]]]:
    """What the agent should have written: `{tier: {cidr: admissible slot multisets}}`, both tiers always present.

    A multiset is a sorted tuple of slots without zero slots: (protocol, start_port, end_port) in "namespace",
    (protocol, raw_priority, start_port, end_port) in "cluster". Where more slots are wanted than fit, the set is an
    AdmissibleSet: it lists the whole wanted multiset, which no map can hold, and `in` accepts every selection of
    it that fits. ABSENT `()` among the outcomes says that the entry may be missing.
    Raises ValueError for a version or node address that cannot be read, or a family other than 4 and 6.
    """
    return _frozen(expected_map(policy_endpoints, node_ip, identifier, direction, agent_version, family))


def wanted_entries(
    policy_endpoints: Iterable[Any],
    node_ip: str,
    identifier: str,
    direction: Direction,
    agent_version: str,
    family: int,
) -> dict[str, dict[str, frozenset[Slots]]]:
    """What the policies ask: like expected_entries, but without the defects of the version and without a slot limit.

    No rule is lost to its spelling or to the node's address, spellings of one network are one network, excepts stay
    in their family, and no pod or slice is left out. What the version does by design (tiers, encoding) remains.
    """
    return _frozen(expected_map(policy_endpoints, node_ip, identifier, direction, agent_version, family, ideal=True))


def expected_map(
    policy_endpoints: Iterable[Any],
    node_ip: str,
    identifier: str,
    direction: Direction,
    agent_version: str,
    family: int,
    *,
    ideal: bool = False,
    book: Book | None = None,
) -> ExpectedMap:
    """Both tiers with the reasons of every entry; `ideal` as in wanted_entries. Raises as expected_entries does.

    book: keeps what is read of the objects, for further questions about them.
    """
    node = host_of(node_ip)
    if node is None or node.family != family or family not in (4, 6):
        raise ValueError(f"not an IPv{family} node address: {node_ip!r}")
    how = behaviour(agent_version, ideal=ideal)
    book = book or Book()
    policies = book.policies(policy_endpoints, identifier, agent_version, node_ip=node_ip, ideal=ideal)
    work = _Work(node_ip, node, direction, agent_version, family, how, book)
    namespaces = sorted({policy.namespace for policy in policies if policy.tier == "namespace"})
    variants = [
        work.tier("namespace", [each for each in policies if each.tier == "namespace" and each.namespace == name])
        for name in namespaces
    ]
    return ExpectedMap(
        namespace=_joined(variants, namespaces) if variants else _EMPTY,
        cluster=work.tier("cluster", [each for each in policies if each.tier == "cluster"]),
        local=any(policy.is_local(node_ip) for policy in policies),
    )


def is_selected(
    policy_endpoints: Iterable[Any], identifier: str, agent_version: str = HEAD, *, node_ip: str | None = None
) -> bool:
    """Whether a namespace policy selects a pod of the identifier; with node_ip, a pod on that node."""
    return any(
        policy.tier == "namespace" and (node_ip is None or policy.is_local(node_ip))
        for policy in policies_for(policy_endpoints, identifier, agent_version, node_ip=node_ip)
    )


def isolation(
    policy_endpoints: Iterable[Any],
    identifier: str,
    direction: Direction,
    agent_version: str = HEAD,
    *,
    node_ip: str | None = None,
) -> Isolation:
    """How the namespace policies leave a direction of an identifier."""
    policies = policies_for(policy_endpoints, identifier, agent_version, node_ip=node_ip)
    mine = [policy for policy in policies if policy.tier == "namespace"]
    return _isolation(mine, direction, bool(collect(mine, "namespace", direction, agent_version).rules))


def expected_pod_state(
    policy_endpoints: Iterable[Any],
    identifier: str,
    agent_version: str,
    mode: str = "standard",
    *,
    node_ip: str | None = None,
    book: Book | None = None,
) -> dict[int, frozenset[int]]:
    """The admissible pod state values by key, equal for both directions; empty before v1.2.0.

    Key 0 is 0 under a policy, else 1 (standard mode) or 2 (strict). Key 1 (v1.3.0 and later) is 0 under a cluster
    policy with rules, else 1. A policy without a pod on this node (node_ip) may or may not have been applied yet.
    Between a start with changed probes and the first reconcile both keys hold the default; that is not listed.
    book: as of expected_map.
    """
    how = behaviour(agent_version)
    if not how.pod_state:
        return {}
    policies = (book or Book()).policies(policy_endpoints, identifier, agent_version, node_ip=node_ip)
    default = DEFAULT_DENY if mode.lower() == "strict" else DEFAULT_ALLOW
    states = {0: _state([each for each in policies if each.tier == "namespace"], node_ip, default)}
    if how.cluster:
        mine = [each for each in policies if each.tier == "cluster"]
        states[1] = _state(mine, node_ip, DEFAULT_ALLOW)
        both: tuple[Direction, Direction] = ("ingress", "egress")
        if mine and not any(collect(mine, "cluster", way, agent_version).rules for way in both):
            # The cluster reconciler falls back to the default without rules, a pod start does not.
            states[1] = frozenset({POLICIES_APPLIED, DEFAULT_ALLOW})
    return states


class _Work(NamedTuple):
    node_ip: str
    node: Net
    direction: Direction
    version: str
    family: int
    how: Behaviour
    book: Book

    def tier(self, tier: Tier, policies: Sequence[Policy]) -> ExpectedTier:
        if not policies:
            return _EMPTY
        how = self.how
        found = self.book.collect(policies, tier, self.direction, self.version)
        rules, no_cidr = found
        state = _isolation(policies, self.direction, bool(rules)) if tier == "namespace" else "rules"
        if state == "open":
            rules = (self._catch_all(policies),)
        elif tier == "namespace" and (plain := self.book.plain(found, self.node, self.family, how)) is not None:
            skipped = [Skipped(source, "", "no-cidr") for source in no_cidr]
            return self._tier(tier, policies, state, plain.entries(how.slots), skipped)
        placed, skipped = place(rules, self.node_ip, self.family, how)
        if tier == "cluster":
            written = policy_cluster.entries(placed, self.node, self.family, how)
        elif how.late_excepts:
            written = policy_a.entries(placed, rules, self.node, self.family, how)
        else:
            written = policy_b.entries(placed, rules, self.node, self.family, how)
        skipped += [Skipped(source, "", "no-cidr") for source in no_cidr]
        entries = Entries.of(self._entries(rules, {left.source for left in skipped}, written))
        return self._tier(tier, policies, state, entries, skipped)._replace(refused=written.refused)

    def _tier(
        self, tier: Tier, policies: Sequence[Policy], state: Isolation, entries: Entries, skipped: list[Skipped]
    ) -> ExpectedTier:
        return ExpectedTier(
            entries=entries,
            isolation=state,
            policies=tuple((policy.namespace, policy.name) for policy in policies),
            skipped=tuple(skipped),
            refused=(),
            contested=(),
            notes=tuple(self._notes(tier, state)),
        )

    def _catch_all(self, policies: Sequence[Policy]) -> Rule:
        cidr = "0.0.0.0/0" if self.family == 4 or self.how.catch_all_is_v4 else "::/0"
        return Rule(cidr, (), (), Source("namespace", policies[0].namespace, "", "", self.direction, -1))

    def _entries(self, rules: Iterable[Rule], left_out: set[Source], written: Written) -> dict[str, ExpectedEntry]:
        named: dict[str, list[tuple[str, Source]]] = {}
        excepted: dict[str, list[Source]] = {}
        for rule in rules:
            for text in rule.excepts:
                key = self._key(text)
                if key is not None:
                    excepted.setdefault(key, []).append(rule.source)
            # Before v1.2.4 the ports of a /0 rule count even where the rule itself is left out.
            key = self._key(with_mask(rule.cidr, self.family))
            if key is not None and (rule.source not in left_out or not self.how.late_excepts):
                named.setdefault(key, []).append((rule.cidr, rule.source))
        out: dict[str, ExpectedEntry] = {}
        shared: dict[frozenset[Outcome], Admissible] = {}
        node = text_of(self.node)
        for cidr, outcomes in sorted(written.outcomes.items()):
            mine = named.get(cidr, [])
            sources = tuple(source for _, source in mine)
            kind: EntryKind = "except"
            if cidr == node:
                kind = "node"
            elif sources:
                kind = "catch-all" if sources[0].item < 0 else "rule"
            out[cidr] = ExpectedEntry(
                cidr,
                kind,
                self._admissible(shared, outcomes),
                sources,
                tuple(excepted.get(cidr, ())),
                written.inherited.get(cidr, ()),
                tuple(sorted({text for text, _ in mine})),
            )
        return out

    def _admissible(self, shared: dict[frozenset[Outcome], Admissible], outcomes: set[Outcome]) -> Admissible:
        key = frozenset(outcomes)
        if key not in shared:
            shared[key] = Admissible(outcomes, self.how.slots)
        return shared[key]

    def _key(self, text: str) -> str | None:
        net = parse(text)
        return None if net is None else key_text(net, self.family)

    def _notes(self, tier: Tier, state: Isolation) -> Iterable[str]:
        if tier == "cluster":
            if between(self.version, "v1.3.0", "v1.3.1"):
                yield "KB-115: a pod start writes these rules into the namespace map until the next reconcile"
        elif state == "open" and self.direction == "egress" and between(self.version, "v1.3.0", "v1.4.0"):
            yield "KB-114: this catch-all is lost when another policy of the pod is removed"
        elif state == "open" and self.family == 6 and between(self.version, "v1.2.4", "v1.2.5"):
            yield "KB-602: the catch-all is written for IPv4 and dropped"


_EMPTY = ExpectedTier(Entries.of({}), "never", (), (), (), (), ())


def _isolation(policies: Sequence[Policy], direction: Direction, has_rules: bool) -> Isolation:
    if not policies:
        return "never"
    if has_rules:
        return "rules"
    isolates = any(endpoint.isolates(direction) for policy in policies for endpoint in policy.endpoints)
    return "isolated" if isolates else "open"


def _state(policies: Sequence[Policy], node_ip: str | None, default: int) -> frozenset[int]:
    if not policies:
        return frozenset({default})
    if node_ip is not None and not any(policy.is_local(node_ip) for policy in policies):
        return frozenset({POLICIES_APPLIED, default})
    return frozenset({POLICIES_APPLIED})


def _joined(variants: Sequence[ExpectedTier], namespaces: Sequence[str]) -> ExpectedTier:
    """The maps of several namespaces under one identifier as one: any of them may be the one that was written."""
    if len(variants) == 1:
        return variants[0]
    entries: dict[str, ExpectedEntry] = {}
    for cidr in sorted({cidr for variant in variants for cidr in variant.entries}):
        found = [variant.entries[cidr] for variant in variants if cidr in variant.entries]
        outcomes: set[Outcome] = {outcome for entry in found for outcome in entry.admissible.outcomes}
        missing = len(found) < len(variants)
        entries[cidr] = found[0]._replace(
            admissible=Admissible(outcomes, found[0].admissible.limit, optional=missing),
            sources=tuple(source for entry in found for source in entry.sources),
            excepted_by=tuple(source for entry in found for source in entry.excepted_by),
            inherited_from=tuple(dict.fromkeys(name for entry in found for name in entry.inherited_from)),
            texts=tuple(sorted({text for entry in found for text in entry.texts})),
        )
    states = [variant.isolation for variant in variants]
    return ExpectedTier(
        entries=Entries.of(entries),
        isolation=states[0] if len(set(states)) == 1 else "rules",
        policies=tuple(policy for variant in variants for policy in variant.policies),
        skipped=tuple(left for variant in variants for left in variant.skipped),
        refused=tuple(text for variant in variants for text in variant.refused),
        contested=tuple(namespaces),
        notes=tuple(dict.fromkeys(note for variant in variants for note in variant.notes)),
    )


def _frozen(expected: ExpectedMap) -> dict[str, dict[str, frozenset[Slots]]]:
    return {
        name: {cidr: entry.admissible.frozen() for cidr, entry in expected.tier(name).entries.items()}
        for name in ("namespace", "cluster")
    }
