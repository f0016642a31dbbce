"""CIDRs of LPM keys, printed canonical: host bits masked, prefix always, IPv6 as RFC 5952."""

from __future__ import annotations

import ipaddress
import struct
from functools import lru_cache

_HOST = struct.pack("<I", 32)
#: Octets as text: without leading zeros, signs or blanks.
_OCTETS = {str(number): number for number in range(256)}


def cidr_of_key(key: bytes) -> str | None:
    """The canonical CIDR of an LPM key of 8 or 20 bytes; None for another size or an impossible prefix length."""
    if len(key) == 8 and key.startswith(_HOST):
        return f"{key[4]}.{key[5]}.{key[6]}.{key[7]}/32"
    return _cidr_of_key(key)


@lru_cache(maxsize=200_000)
def _cidr_of_key(key: bytes) -> str | None:
    if len(key) not in (8, 20):
        return None
    prefix = struct.unpack_from("<I", key)[0]
    try:
        return str(ipaddress.ip_network((key[4:], prefix), strict=False))
    except ValueError:
        return None


@lru_cache(maxsize=200_000)
def canonical(text: str) -> str | None:
    """The canonical CIDR of `a`, `a/n` or `a/n` with host bits set; None when it is neither."""
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError:
        return None


@lru_cache(maxsize=200_000)
def key_of_cidr(text: str) -> bytes:
    """The LPM key of a CIDR: u32 prefix length and the masked address. Raises ValueError when it is no CIDR."""
    if text.endswith("/32"):
        octets = [_OCTETS.get(part) for part in text[:-3].split(".")]
        if len(octets) == 4 and None not in octets:
            return _HOST + bytes(octets)  # type: ignore[arg-type]
    network = ipaddress.ip_network(text.strip(), strict=False)
    return struct.pack("<I", network.prefixlen) + network.network_address.packed


def key_of_printed(address: str, prefix: int) -> bytes:
    """The LPM key as the CLI printed it: host bits kept, because the kernel keeps them too. Raises ValueError."""
    return struct.pack("<I", prefix) + ipaddress.ip_address(address).packed
