"""Records that several node files yield: `pod`, `node_fact`, `ipam_address`, with the keys of docs/records.md."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from formats.base import Record, Span
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

_RFC3339 = lazy(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d)")


def family_of(text: str | None) -> int | None:
    """4 or 6 for the text of one address, None for anything else."""
    try:
        return ipaddress.ip_address(text).version if text else None
    except ValueError:
        return None


def address(text: str | None) -> str | None:
    """An address in canonical form, None when the text is none."""
    return str(ipaddress.ip_address(text)) if text and family_of(text) else None


def pod(span: Span, namespace: str | None, name: str | None, ip: str | None, source: str, **more: Any) -> Record:
    """A `pod` record; `ip` of either family goes to its own key, what is not given is null."""
    here = address(ip)
    data: dict[str, Any] = {
        "namespace": namespace,
        "name": name,
        "ip": here if family_of(here) == 4 else None,
        "ipv6": here if family_of(here) == 6 else None,
        "node_ip": None,
        "node_name": None,
        "host_network": None,
        "labels": None,
        "started_ns": None,
        "source": source,
    }
    return Record("pod", data | more, span)


def fact(span: Span, name: str, value: Any, **more: Any) -> Record:
    """A `node_fact` record."""
    return Record("node_fact", {"fact": name, "value": value, **more}, span)


def setting(span: Span, name: str, value: Any) -> Record:
    """A `node_fact` for one CNI setting: value {name, value}, the value as written."""
    return fact(span, "cni_setting", {"name": name, "value": value})


def agent_flag(span: Span, argument: str) -> Iterator[Record]:
    """The `agent_flag` of one `--name=value` argument of the agent, and the facts that follow from it."""
    if not argument.startswith("--"):
        return
    name, equals, value = argument[2:].partition("=")
    yield fact(span, "agent_flag", {"name": name, "value": value if equals else "true"})
    if name == "enable-ipv6" and value.lower() in ("true", "false"):
        yield fact(span, "ipv6", value.lower() == "true")


def kubelet_flag(span: Span, argument: str) -> Iterator[Record]:
    """The facts of one `--name=value` argument of the kubelet; `--node-ip` may list one address of each family."""
    name, _, value = argument.partition("=")
    if name == "--node-ip":
        for ip in value.split(","):
            if (known := address(ip.strip())) not in (None, "0.0.0.0", "::"):  # noqa: S104 - compared, never bound
                yield fact(span, "node_ip", known)
    elif name == "--hostname-override" and value:
        yield fact(span, "node_name", value)


def ipam_address(span: Span, ip: str, assigned: bool | None, eni: str | None) -> Record:
    """An address that the CNI holds on this node and that names no pod. `assigned` is null when it does not say."""
    return Record("ipam_address", {"ip": ip, "assigned": assigned, "eni": eni}, span)


def ns_of(text: str | None) -> int | None:
    """Nanoseconds since the epoch of an RFC 3339 time (blank or colonless zone too); None for none or year 1."""
    match = _RFC3339.fullmatch(text.strip()) if text else None
    if match is None:
        return None
    zone = "+00:00" if match[4] == "Z" else match[4]
    try:
        moment = datetime.fromisoformat(f"{match[1]}T{match[2]}{zone}")
    except ValueError:
        return None
    if moment.year < 1971:
        return None
    seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return seconds * 1_000_000_000 + int((match[3] or "0").ljust(9, "0"))
