"""The tc programs of the agent in groups: which tag runs which verdict logic over which structs.

Inside a group the four C files (pkg/ebpf/c/tc.v4ingress.bpf.c and siblings of aws-network-policy-agent) have the
same git blobs, or differ in nothing that a verdict can show. Generations A to J were measured in a running kernel at
the tag in `measured`. J-head is the text of main after v1.4.1: J with a conntrack value of 16 bytes, read and never
measured.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from formats import layouts

if TYPE_CHECKING:
    from construct import Construct

_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})([-+._].{0,80})?", re.ASCII)


class Resolved(NamedTuple):
    """A generation and what had to be assumed to choose it; no assumption when the tag is a known release."""

    generation: Generation
    assumptions: tuple[str, ...]


def generation_of(agent_version: str) -> Resolved:
    """The generation of an agent version such as `v1.3.0`, `1.2.7-eksbuild.1`, `HEAD` or `main`.

    A version between two releases is taken as the release before it, a later one as the newest program known, an
    earlier one as the first; each says so in `assumptions`. Raises ValueError for text that is no version.
    """
    text = agent_version.strip()
    if text in ("HEAD", "main"):
        return Resolved(NEWEST, (f"{text}: the program is read from source text, it was never measured",))
    found = _VERSION.fullmatch(text)
    if found is None:
        raise ValueError(f"agent version {agent_version!r} is not a version like v1.3.0")
    number = (int(found[1]), int(found[2]), int(found[3]))
    tag = f"v{number[0]}.{number[1]}.{number[2]}"
    earlier = [release for release in RELEASES if release <= number]
    if not earlier:
        return Resolved(GENERATIONS[0], (f"{tag} is earlier than every known release: taken as v0.1.0",))
    if number > max(RELEASES):
        unmeasured = "the newest program text known, which was never measured"
        return Resolved(NEWEST, (f"{tag} is later than every known release: taken as {unmeasured}",))
    generation = RELEASES[max(earlier)]
    if number not in RELEASES:
        before = ".".join(map(str, max(earlier)))
        return Resolved(generation, (f"{tag} is no known release: taken as v{before}",))
    if found[4]:
        return Resolved(generation, (f"{text} is a rebuild: taken as {tag}",))
    return Resolved(generation, ())


class Generation(NamedTuple):
    """What one group of programs does, as data. Sizes and offsets come from formats/layouts.py only."""

    letter: str
    tags: tuple[str, ...]
    measured: str | None
    namespace_value: Construct[Any, Any]
    #: Slots the loop looks at, by family: the IPv6 programs up to v1.0.4 look at half of them.
    slots_examined: dict[int, int]
    #: Protocol 254 of a namespace slot honours the ports (v1.2.4 and later).
    any_honours_ports: bool
    #: Keys of the pod state map that must be there: none, (0,) from v1.2.0, (0, 1) from v1.3.0.
    pod_state_keys: tuple[int, ...]
    conntrack_key: dict[int, Construct[Any, Any]]
    #: Layout of a conntrack value; None where the value is the owner's address (up to v1.0.4).
    conntrack_value: Construct[Any, Any] | None

    @property
    def tiers(self) -> bool:
        """Whether the program has cluster policy maps, tiers and the pod state at the end (v1.3.0 and later)."""
        return 1 in self.pod_state_keys

    def conntrack_bytes(self, state: int, owner: bytes) -> bytes:
        """The value the program writes for a flow. Of a value with a time in it the time is 0: it is not known."""
        if self.conntrack_value is None:
            return owner
        fields = {part.name: 0 for part in self.conntrack_value.subcons}
        return bytes(self.conntrack_value.build({**fields, "state": state}))

    def conntrack_state(self, value: bytes) -> int:
        """The state of a stored value, by the program's own layout; bytes that are missing count as zero."""
        if self.conntrack_value is None:
            raise TypeError(f"generation {self.letter} stores the owner's address, not a state")
        return int.from_bytes(value[: self.conntrack_value.state.sizeof()], "little")


def _group(letter: str, measured: str | None, tags: str, **differs: Any) -> Generation:
    return Generation(letter=letter, measured=measured, tags=tuple(tags.split()), **differs)


_KEYS_A = {4: layouts.CONNTRACK_KEY_V4_A, 6: layouts.CONNTRACK_KEY_V6_A}
_KEYS_B = {4: layouts.CONNTRACK_KEY_V4_A, 6: layouts.CONNTRACK_KEY_V6_B}
_KEYS_C = {4: layouts.CONNTRACK_KEY_V4_C, 6: layouts.CONNTRACK_KEY_V6_C}
_KEYS_I = {4: layouts.CONNTRACK_KEY_V4_I, 6: layouts.CONNTRACK_KEY_V6_I}
_OLD: dict[str, Any] = {
    "namespace_value": layouts.NAMESPACE_VALUE_BEFORE_V105,
    "slots_examined": {4: layouts.SLOTS_BEFORE_V105, 6: layouts.SLOTS_BEFORE_V105 // 2},
    "any_honours_ports": False,
    "pod_state_keys": (),
    "conntrack_value": None,
}
_WIDE: dict[str, Any] = {
    "namespace_value": layouts.NAMESPACE_VALUE,
    "slots_examined": {4: layouts.SLOTS, 6: layouts.SLOTS},
    "conntrack_value": layouts.CONNTRACK_VALUE,
}
_V105: dict[str, Any] = {**_WIDE, "any_honours_ports": False, "pod_state_keys": (), "conntrack_key": _KEYS_C}
_V120: dict[str, Any] = {**_V105, "pod_state_keys": (0,)}
_V124: dict[str, Any] = {**_V120, "any_honours_ports": True}
_V130: dict[str, Any] = {**_V124, "pod_state_keys": (0, 1)}
_V137: dict[str, Any] = {**_V130, "conntrack_key": _KEYS_I}

GENERATIONS: tuple[Generation, ...] = (
    _group("A", "v1.0.1", "v0.1.0 v1.0.1 v1.0.2", **_OLD, conntrack_key=_KEYS_A),
    _group("B", "v1.0.4", "v1.0.4", **_OLD, conntrack_key=_KEYS_B),
    _group(
        "C", "v1.1.6", "v1.0.5 v1.0.6 v1.0.7 v1.0.8 v1.1.0 v1.1.1 v1.1.2 v1.1.3 v1.1.4 v1.1.5 v1.1.6", **_V105
    ),
    _group("D", "v1.2.1", "v1.2.0 v1.2.1", **_V120),
    _group("E", "v1.2.3", "v1.2.2 v1.2.3", **_V120),
    _group("F", "v1.2.4", "v1.2.4", **_V124),
    _group("G", "v1.2.7", "v1.2.5 v1.2.6 v1.2.7", **_V124),
    _group("H", "v1.3.5", "v1.3.0 v1.3.1 v1.3.2 v1.3.4 v1.3.5", **_V130),
    _group("I", "v1.3.7", "v1.3.7", **_V137),
    _group("J", "v1.4.1", "v1.4.0 v1.4.1", **_V137),
    _group("J-head", None, "", **{**_V137, "conntrack_value": layouts.CONNTRACK_VALUE_HEAD}),
)  # fmt: skip
NEWEST = GENERATIONS[-1]
RELEASES: dict[tuple[int, ...], Generation] = {
    tuple(map(int, tag[1:].split("."))): generation for generation in GENERATIONS for tag in generation.tags
}
