"""The entries that policies lead to, by CIDR. Few lists of rules stand behind very many entries: what an entry may hold
stands once for all entries that share it, and the entry itself is made when somebody asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from formats.address import key_of_cidr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, KeysView

    from forensics.admissible import Admissible
    from forensics.policy_rules import Source

#: node: the agent's own entry; rule: a rule names the network; except: only excepts do; catch-all: the agent added it.
EntryKind = Literal["node", "rule", "except", "catch-all"]


class ExpectedEntry(NamedTuple):
    """One entry: what it may hold and why.

    `sources` are the rules that name this network and `excepted_by` those that except it; `inherited_from` the wider
    networks whose ports it takes over; `texts` its spellings, more than one where rules collide on the key.
    """

    cidr: str
    kind: EntryKind
    admissible: Admissible
    sources: tuple[Source, ...]
    excepted_by: tuple[Source, ...]
    inherited_from: tuple[str, ...]
    texts: tuple[str, ...]


class Entries(Mapping[str, ExpectedEntry]):
    """Entries by canonical CIDR, in the order of these texts.

    `shared` holds what entries may hold, `numbers` the place in it of each entry's own. `node` is the CIDR of the
    agent's own entry, None where there is none.
    """

    def __init__(
        self,
        numbers: dict[str, int],
        shared: list[Admissible],
        node: str | None,
        make: Callable[[str, Admissible], ExpectedEntry],
        keys: list[bytes] | None = None,
    ) -> None:
        """keys: the LPM keys, where they are known."""
        self.numbers, self.shared, self.node = numbers, shared, node
        self._make, self._keys = make, keys

    @property
    def lpm_keys(self) -> list[bytes]:
        """The LPM key of each entry, in order."""
        if self._keys is None:
            self._keys = list(map(key_of_cidr, self.numbers))
        return self._keys

    def by_key(self, *, node: bool) -> dict[bytes, int]:
        """{LPM key: place in `shared`}, with or without the agent's own entry."""
        found = dict(zip(self.lpm_keys, self.numbers.values(), strict=True))
        if not node and self.node is not None:
            found.pop(key_of_cidr(self.node), None)
        return found

    @classmethod
    def of(cls, entries: Mapping[str, ExpectedEntry]) -> Entries:
        """Entries that are made already."""
        places: dict[int, int] = {}
        shared: list[Admissible] = []
        numbers: dict[str, int] = {}
        for cidr, entry in entries.items():
            numbers[cidr] = places.setdefault(id(entry.admissible), len(shared))
            if numbers[cidr] == len(shared):
                shared.append(entry.admissible)
        node = next((cidr for cidr, entry in entries.items() if entry.kind == "node"), None)
        return cls(numbers, shared, node, lambda cidr, _: entries[cidr])

    def __getitem__(self, cidr: str) -> ExpectedEntry:
        return self._make(cidr, self.shared[self.numbers[cidr]])

    def __contains__(self, cidr: object) -> bool:
        return cidr in self.numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def keys(self) -> KeysView[str]:
        """The CIDRs."""
        return self.numbers.keys()
