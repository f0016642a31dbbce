"""Addresses and LPM keys as the agent makes them: Go's net.ParseCIDR, the family tests and utils.ComputeTrieKey."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

_BITS = {4: 32, 6: 128}
_MAPPED = 0xFFFF << 32
#: Bits of an IPv4 key; a longer prefix in an IPv4 map is refused by the kernel (EINVAL).
_V4_KEY_BITS = 32
_V6_TAIL_BITS = 96

Value = TypeVar("Value")


class Net(NamedTuple):
    """A CIDR as written: family, prefix length, masked network and the address before masking, as integers."""

    family: int
    prefix: int
    network: int
    address: int

    @property
    def is_host(self) -> bool:
        """Whether it is one address of its family."""
        return self.prefix == _BITS[self.family]

    def contains(self, other: Net) -> bool:
        """Whether the network address of another lies in this network (IPNet.Contains)."""
        shift = _BITS[self.family] - self.prefix
        return self.family == other.family and self.network >> shift == other.network >> shift


class PrefixIndex(Generic[Value]):
    """Values by network, asked for all networks that contain an address: a dict per family and prefix length."""

    def __init__(self) -> None:
        """Empty."""
        self._levels: dict[tuple[int, int], dict[int, Value]] = {}
        self._lengths: dict[int, list[int]] = {4: [], 6: []}

    def get(self, net: Net) -> Value | None:
        """The value of exactly this network."""
        level = self._levels.get((net.family, net.prefix))
        return level.get(net.network) if level else None

    def put(self, net: Net, value: Value) -> None:
        """Set the value of a network."""
        level = self._levels.get((net.family, net.prefix))
        if level is None:
            level = self._levels[(net.family, net.prefix)] = {}
            self._lengths[net.family] = sorted([*self._lengths[net.family], net.prefix])
        level[net.network] = value

    def containing(self, net: Net) -> Iterator[Value]:
        """The values of every network of the same or a shorter prefix that contains this one, shortest first."""
        bits = _BITS[net.family]
        for length in self._lengths[net.family]:
            if length > net.prefix:
                return
            shift = bits - length
            found = self._levels[(net.family, length)].get(net.network >> shift << shift)
            if found is not None:
                yield found


@lru_cache(maxsize=200_000)
def parse(text: str) -> Net | None:
    """The CIDR `a/n`; None where Go's net.ParseCIDR fails, which is also the case for a bare address."""
    address_text, slash, length = text.partition("/")
    if not slash or not (length.isascii() and length.isdigit()) or len(length) > 4 or "%" in address_text:
        return None
    try:
        address = ipaddress.ip_address(address_text)
    except ValueError:
        return None
    family, prefix = address.version, int(length)
    if prefix > _BITS[family]:
        return None
    shift = _BITS[family] - prefix
    return Net(family, prefix, int(address) >> shift << shift, int(address))


def with_mask(cidr: str, family: int) -> str:
    """A rule's address with the node's host mask where it has none."""
    return cidr if "/" in cidr else f"{cidr}/{_BITS[family]}"


def is_v6(text: str, net: Net, *, by_text: bool) -> bool:
    """The agent's family test: by the text `::` before v1.3.2, by parsing since (IPv4-mapped counts as IPv4)."""
    if by_text:
        return "::" in text
    return net.family == 6 and net.address >> 32 << 32 != _MAPPED


def same_address(net: Net, other: str) -> bool:
    """Whether the unmasked address of a CIDR equals another address (utils.IsNodeIP)."""
    node = host_of(other)
    return node is not None and (node.family, node.address) == (net.family, net.address)


@lru_cache(maxsize=1024)
def host_of(address: str) -> Net | None:
    """A bare address as the network of itself; None when it is none."""
    return parse(with_mask(address, 6 if ":" in address else 4))


@lru_cache(maxsize=200_000)
def key_text(net: Net, family: int) -> str | None:
    """The canonical CIDR of the LPM key that the agent of an IPv4 or IPv6 node makes of a network.

    The key takes as many address bytes as fit: an IPv6 network on an IPv4 node gives its first four bytes, an IPv4
    network on an IPv6 node is followed by zeros. None where the kernel refuses the key.
    """
    if net.family == family:
        return text_of(net)
    if family == 4:
        return text_of(Net(4, net.prefix, net.network >> _V6_TAIL_BITS, 0)) if net.prefix <= _V4_KEY_BITS else None
    return text_of(Net(6, net.prefix, net.network << _V6_TAIL_BITS, 0))


@lru_cache(maxsize=200_000)
def text_of(net: Net) -> str:
    """A network in canonical text."""
    address = ipaddress.IPv4Address(net.network) if net.family == 4 else ipaddress.IPv6Address(net.network)
    return f"{address}/{net.prefix}"
