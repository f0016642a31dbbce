"""CIDRs of many LPM keys at once: the texts that formats.address gives to each alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from formats.address import cidr_of_key
from formats.layouts import LPM_KEY_SIZES
from formats.mapview import row_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = np.ndarray[Any, Any]
_BITS4 = 32
_OCTET = [f"{octet}." for octet in range(256)]
_LAST = [f"{octet}/{_BITS4}" for octet in range(256)]
_END = [f"/{length}" for length in range(_BITS4 + 1)]


def key_texts(keys: Array) -> list[str]:
    """The canonical CIDR of each row of uint8[n, key_size], its hex where it is none."""
    if keys.shape[1] != LPM_KEY_SIZES[4]:
        return [cidr_of_key(key) or key.hex() for key in row_bytes(keys)]
    length = np.ascontiguousarray(keys[:, :4]).view("<u4")[:, 0]
    if bool((length == _BITS4).all()):
        return [_OCTET[a] + _OCTET[b] + _OCTET[c] + _LAST[d] for a, b, c, d in keys[:, 4:].tolist()]
    if bool((length <= _BITS4).all()):
        return list(_masked(keys, length))
    real = length <= _BITS4
    texts = _masked(keys[real], length[real])
    return [next(texts) if fits else key.hex() for fits, key in zip(real.tolist(), row_bytes(keys), strict=True)]


def _masked(keys: Array, length: Array) -> Iterator[str]:
    shift = _BITS4 - length.astype(np.int64)
    address = np.ascontiguousarray(keys[:, 4:]).view(">u4")[:, 0].astype(np.int64) >> shift << shift
    octets = address.astype(">u4").view(np.uint8).reshape(-1, 4)
    for (a, b, c, d), size in zip(octets.tolist(), length.tolist(), strict=True):
        yield f"{_OCTET[a]}{_OCTET[b]}{_OCTET[c]}{d}{_END[size]}"
