"""The entries of one map beside what the policies ask: missing, extra, changed, and the cause where the entry tells it.

Two yardsticks: what the agent of that version may have written (a set of outcomes: a random one among them is no
deviation), and what the policies ask. An entry inside the first and short of the second is a shortfall: the agent did
what it does, and the policies asked for more.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from forensics.admissible import multiset
from forensics.policy_slots import ALLOW_ALL
from formats.layouts import ACTION_NAMES, PROTOCOL_ANY
from formats.mapview import protocol_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from forensics.admissible import Slot, Slots
    from forensics.policy import ExpectedEntry, ExpectedTier

MISSING, EXTRA, CHANGED = "missing", "extra", "changed"
#: The node's own cluster entry of main after v1.4.1: ANY, priority 0, ALLOW.
NODE_ENTRIES = {"namespace": (ALLOW_ALL,), "cluster": ((PROTOCOL_ANY, 1, 0, 0),)}


class Cause(NamedTuple):
    """A known reason for a difference: how it reads, and the catalogue's defect if it is one."""

    title: str
    defect: str | None = None


CAUSES: dict[str, Cause] = {
    "overflow": Cause("more rules than a value has slots; which of them survive is chance", "KB-106"),
    "collision": Cause("several spellings of one network meet on one key; which of them survives is chance", "KB-102"),
    "node-ip": Cause("the agent leaves out rules that begin with the node's own address", "KB-111"),
    "family": Cause("the agent takes the address for one of the other family and leaves it out", "KB-601"),
    "catch-all-lost": Cause("the agent forgot the egress catch-all when a policy was removed", "KB-114"),
    "other-tier": Cause("written to the other tier's map"),
    "stale": Cause("stale since the agent's restart: updates go to the cluster-tier map", "KB-101"),
    "drift": Cause("the policy is newer than the dump"),
    "left-over": Cause("left in the map by design when the last policy went; the pod state governs"),
    "version": Cause("what this agent version makes of such policies"),
    "pod-state": Cause("the pod state is not what the policies lead to"),
    "node-entry": Cause("each node's own address is always allowed on that node"),
    "unexplained": Cause("no known cause: changed behind the agent, or an unknown defect"),
}


class EntryDifference(NamedTuple):
    """One key. `lost` is what the policies ask and the entry lacks, `gained` what it holds beyond that.

    `admissible`: the agent of that version may leave it so. `wanted` is all that the policies ask for the key.
    """

    tier: str
    cidr: str
    kind: str
    lost: Slots
    gained: Slots
    wanted: Slots
    cause: str | None
    admissible: bool
    expected: ExpectedEntry | None = None

    def because(self, cause: str | None, *, admissible: bool | None = None) -> EntryDifference:
        """The same with a cause that the surroundings tell."""
        by_design = self.admissible if admissible is None else admissible
        return self._replace(cause=cause, admissible=by_design)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; slots as people read them. A shortfall is what the agent of that version leaves so."""
        return {
            "tier": self.tier,
            "cidr": self.cidr,
            "kind": self.kind,
            "lost": slot_texts(self.lost),
            "gained": slot_texts(self.gained),
            "wanted": len(self.wanted),
            "cause": self.cause or "unexplained",
            "why": CAUSES[self.cause or "unexplained"].title,
            "shortfall": self.admissible,
        }


def entry_differences(
    tier: str,
    actual: ExpectedTier,
    ideal: ExpectedTier,
    present: Mapping[str, Slots | None],
    *,
    whole: bool,
    node: str | None,
) -> list[EntryDifference]:
    """Every key that deviates from what the version writes (`actual`) or falls short of what is asked (`ideal`).

    present: canonical CIDR -> slots as the tier reads them, None where the value is not known. Without `whole` an
    absent key is no difference. node: the node's own entry, None where its address is not known: then a lone
    allow-all for one address may be it and is not judged.
    """
    differ = _Tier(tier, actual, ideal, node)
    out: list[EntryDifference] = []
    for cidr in sorted(_in_question(actual, ideal, present), key=_wide_first):
        if cidr not in present:
            found = differ.absent(cidr) if whole else None
        else:
            slots = present[cidr]
            found = differ.there(cidr, multiset(slots)) if slots is not None else None
        if found is not None:
            out.append(found)
            if found.cause is not None:
                differ.causes[cidr] = found.cause
    return sorted(out, key=lambda each: each.cidr)


def _in_question(actual: ExpectedTier, ideal: ExpectedTier, present: Mapping[str, Slots | None]) -> Iterator[str]:
    """All keys but those that hold just what is asked: each pair of asked and found slots is compared once."""
    entries = ideal.entries
    same: dict[tuple[int, int], bool] = {}
    for cidr, slots in present.items():
        number = entries.numbers.get(cidr)
        if number is not None and slots is not None:
            pair = number, id(slots)
            if pair not in same:
                same[pair] = entries.shared[number].wanted == multiset(slots)
            if same[pair]:
                continue
        yield cidr
    yield from (actual.entries.keys() | entries.keys()) - present.keys()


def extra_entries(
    tier: str, present: Mapping[str, Slots | None], cidrs: Iterable[str], cause: str
) -> Iterator[EntryDifference]:
    """Entries that do not belong in a map, whatever the policies of its tier are."""
    for cidr in sorted(cidrs):
        yield EntryDifference(tier, cidr, EXTRA, (), multiset(present[cidr] or ()), (), cause, admissible=False)


def _wide_first(cidr: str) -> tuple[int, str]:
    length = cidr.rpartition("/")[2]
    return int(length) if length.isdigit() else -1, cidr


class _Tier:
    """The two expectations of one map. `causes` collects those of wider networks: narrower ones inherit their ports."""

    def __init__(self, tier: str, actual: ExpectedTier, ideal: ExpectedTier, node: str | None) -> None:
        self._tier, self._actual, self._ideal, self._node = tier, actual, ideal, node
        self._skipped = {left.source: left.reason for left in actual.skipped}
        self.causes: dict[str, str] = {}

    def absent(self, cidr: str) -> EntryDifference | None:
        expected, asked = self._actual.entries.get(cidr), self._ideal.entries.get(cidr)
        entry = asked or expected
        assert entry is not None
        if entry.kind == "node" and self._node is None:
            return None
        if expected is not None and not expected.admissible.optional:
            return self._difference(cidr, MISSING, (), None, admissible=False)
        if asked is not None and not asked.admissible.optional:
            return self._difference(cidr, MISSING, (), self._left_out(asked), admissible=True)
        return None

    def there(self, cidr: str, got: Slots) -> EntryDifference | None:
        expected, asked = self._actual.entries.get(cidr), self._ideal.entries.get(cidr)
        if expected is None and asked is None:
            mine = NODE_ENTRIES[self._tier] == got and self._may_be_node(cidr)
            return None if mine else self._difference(cidr, EXTRA, got, None, admissible=False)
        if asked is not None and asked.admissible.wanted == got:
            return None
        if expected is None:
            return self._difference(cidr, CHANGED, got, None, admissible=False)
        if not expected.admissible.admits(got):
            return self._difference(cidr, CHANGED, got, None, admissible=False)
        if asked is None:
            return self._difference(cidr, EXTRA, got, "version", admissible=True)
        return self._difference(cidr, CHANGED, got, self._shortfall(expected, asked, got), admissible=True)

    def _may_be_node(self, cidr: str) -> bool:
        return cidr == self._node if self._node is not None else cidr.endswith(("/32", "/128"))

    def _left_out(self, asked: ExpectedEntry) -> str:
        reasons = {self._skipped[source] for source in asked.sources if source in self._skipped}
        return next((reason for reason in ("node-ip", "family") if reason in reasons), "version")

    def _shortfall(self, expected: ExpectedEntry, asked: ExpectedEntry, got: Slots) -> str:
        limit = expected.admissible.limit
        if expected.admissible.overflow and limit is not None and len(got) >= limit:
            return "overflow"
        if len(expected.texts) > 1:
            return "collision"
        inherited = [self.causes[wider] for wider in asked.inherited_from if wider in self.causes]
        return inherited[-1] if inherited else self._left_out(asked)

    def _difference(self, cidr: str, kind: str, got: Slots, cause: str | None, *, admissible: bool) -> EntryDifference:
        asked, expected = self._ideal.entries.get(cidr), self._actual.entries.get(cidr)
        entry = asked or expected
        wanted = entry.admissible.wanted if entry is not None else ()
        lost = tuple(sorted((Counter(wanted) - Counter(got)).elements()))
        gained = tuple(sorted((Counter(got) - Counter(wanted)).elements()))
        return EntryDifference(self._tier, cidr, kind, lost, gained, wanted, cause, admissible, entry)


def slot_texts(slots: Iterable[Slot]) -> list[str]:
    """Slots as people read them: `TCP 80`, `UDP 8000-8100`, `ANY`, `TCP 443 priority 10 ALLOW`; equal ones once."""
    return list(dict.fromkeys(_slot_text(slot) for slot in slots))


def _slot_text(slot: Slot) -> str:
    protocol, *priority, start, end = slot
    parts = [str(protocol_name(protocol))]
    if start:
        parts.append(f"{start}-{end}" if end > start else str(start))
    elif end:
        parts.append(f"any port (end {end})")
    for raw in priority:
        number, action = divmod(raw, 10)
        parts.append(f"priority {number} {ACTION_NAMES.get(action, f'undefined action {action}')}")
    return " ".join(parts)


def unexplained(differences: Iterable[EntryDifference]) -> Iterator[EntryDifference]:
    """Those that the agent of that version cannot have left so and nothing known explains."""
    return (each for each in differences if not each.admissible and each.cause is None)
