"""One entry of the message catalogue, and how a log line becomes an event of it.

Every generation of the encoder is brought to one text first: the message, and behind it the line's own fields as
`key value`, with runs of blanks made one. `{"msg":"Updating Map with ","IP Key:":"10.0.0.0/8"}` of v1.0.1 and
`{"msg":"Updating Map with IP Key: 10.0.0.0/8"}` of v1.2.2 are then the same text, and one expression reads both.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from formats.address import cidr_of_key

if TYPE_CHECKING:
    from collections.abc import Callable

Pairs = list[tuple[str, Any]]
#: Keys the encoders write themselves; everything else is a field of the message.
ENCODER_KEYS = frozenset({"level", "ts", "timestamp", "logger", "caller", "msg", "stacktrace"})
#: What controller-runtime adds to its own lines; no part of a message.
CONTROLLER_KEYS = frozenset({"controller", "controllerGroup", "controllerKind", "reconcileID"})
#: strerror texts as Go prints them -> errno names.
ERRNO = {
    "invalid argument": "EINVAL",
    "no such file or directory": "ENOENT",
    "file exists": "EEXIST",
    "operation not permitted": "EPERM",
    "permission denied": "EACCES",
    "argument list too long": "E2BIG",
    "no space left on device": "ENOSPC",
    "cannot allocate memory": "ENOMEM",
    "bad file descriptor": "EBADF",
    "device or resource busy": "EBUSY",
    "read-only file system": "EROFS",
}
_HEX_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """An expression, compiled when a line first needs it: a small log meets few of them."""
    return re.compile(pattern, re.DOTALL)


@dataclass(frozen=True, slots=True)
class Event:
    """One message of the catalogue: slug, first words, expression over the flat text, and what it gives.

    `words` are the first words a message of it may begin with: lines with other first words are never looked at.
    Named groups become fields; those in `numbers` become int, those in `lower` lower case; `fixed` is added as it is;
    `finish` may change the fields. `raw` matches the message as logged: its blanks mean something.
    """

    slug: str
    words: tuple[str, ...]
    pattern: str
    numbers: frozenset[str] = frozenset()
    lower: frozenset[str] = frozenset()
    fixed: dict[str, Any] = field(default_factory=dict)
    finish: Callable[[dict[str, Any]], None] | None = None
    raw: bool = False

    def read(self, text: str) -> dict[str, Any] | None:
        """The fields of the event when the text is one of it, else None."""
        found = _compiled(self.pattern).match(text)
        if found is None:
            return None
        fields = found.groupdict()
        for name in self.numbers:
            value = fields[name]
            fields[name] = int(value) if value is not None and value.lstrip("-").isdigit() else None
        for name in self.lower:
            if fields[name] is not None:
                fields[name] = fields[name].lower()
        if self.fixed:
            fields.update(self.fixed)
        if self.finish is not None:
            self.finish(fields)
        return fields


def event(
    slug: str,
    words: str,
    pattern: str,
    *,
    numbers: str = "",
    lower: str = "",
    finish: Callable[[dict[str, Any]], None] | None = None,
    raw: bool = False,
    **fixed: Any,
) -> Event:
    """An Event written short: blank-separated names, and the expression as text."""
    return Event(
        slug, tuple(words.split()), pattern, frozenset(numbers.split()), frozenset(lower.split()), fixed, finish, raw
    )


def flat(message: str, pairs: Pairs) -> str:
    """The one text of a message and its fields."""
    if pairs:
        shown = (f"{key} {shown_value(value)}" for key, value in pairs if key not in CONTROLLER_KEYS)
        message = f"{message} {' '.join(shown)}"
    if "  " in message or "\n" in message or message[-1:] == " ":
        message = " ".join(message.split())
    return message


def shown_value(value: Any) -> str:
    """A field's value as a later generation would have printed it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return _object(value)
    return "" if value is None else json.dumps(value) if isinstance(value, list) else str(value)


def _object(value: dict[str, Any]) -> str:
    if set(value) == {"name", "namespace"}:
        return f"{value['namespace']}/{value['name']}"
    if set(value) == {"IP", "Mask"}:
        return _network(value)
    if {"Source_ip", "Source_port", "Dest_ip", "Dest_port", "Protocol"} <= set(value):
        text = (
            f"Conntrack Key : Source IP - {_packed(value['Source_ip'])} Source port - {value['Source_port']} "
            f"Dest IP - {_packed(value['Dest_ip'])} Dest port - {value['Dest_port']} Protocol - {value['Protocol']}"
        )
        return f"{text} Owner IP - {_packed(value['Owner_ip'])}" if "Owner_ip" in value else text
    return json.dumps(value)


def _network(value: dict[str, Any]) -> str:
    """A net.IPNet as zap's reflection prints it: address as text, mask as base64 (v1.0.1 to v1.2.1)."""
    try:
        mask = base64.b64decode(str(value["Mask"]), validate=True)
    except (ValueError, binascii.Error):
        return str(value["IP"])
    return f"{value['IP']}/{sum(octet.bit_count() for octet in mask)}"


def _packed(value: Any) -> str:
    """An address kept as an integer in host order, or as a list of 16 octets."""
    try:
        if isinstance(value, int):
            return str(ipaddress.ip_address(struct.pack("<I", value)))
        return str(ipaddress.ip_address(bytes(value)))
    except (ValueError, TypeError, struct.error):
        return "-"


def errno_of(text: str | None) -> str | None:
    """The errno a Go error text ends in; None when it names none."""
    tail = (text or "").rstrip(". \n").rsplit(": ", 1)[-1]
    return ERRNO.get(tail) or next((name for words, name in ERRNO.items() if tail.endswith(words)), None)


def key_bytes(text: str) -> bytes | None:
    """The LPM key a Go program printed with `%s`; None when bytes of it were lost.

    The JSON encoder writes control characters as escapes and every byte that is no UTF-8 as U+FFFD: those keys are
    lost. Some pastes have the bytes as `\\xNN`.
    """
    if _HEX_ESCAPE.search(text):
        text = _HEX_ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
        try:
            key = text.encode("latin-1")
        except UnicodeEncodeError:
            return None
    else:
        if "\ufffd" in text:
            return None
        key = text.encode("utf-8", "surrogatepass")
    return key if len(key) in (8, 20) else None


def finish_key(fields: dict[str, Any]) -> None:
    """`key` as printed -> `key_hex` and the CIDR it stands for."""
    key = key_bytes(fields.pop("key") or "")
    fields["key_hex"] = key.hex() if key is not None else None
    fields["cidr"] = cidr_of_key(key) if key is not None else None
    fields["errno"] = errno_of(fields["error"])


def finish_error(fields: dict[str, Any]) -> None:
    """Adds errno; `key_hex` is null: these messages do not name the key."""
    fields.setdefault("key_hex", None)
    fields["errno"] = errno_of(fields["error"])
