"""`aws-eks-na-cli ebpf maps` and `ebpf progs`: every eBPF map and program of a node, with sizes and type numbers.

The numbers are the kernel's enum bpf_map_type and bpf_prog_type (include/uapi/linux/bpf.h, v6.12); the names are those
that bpftool prints for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from formats.base import NO, Format, Problem, Record, Score, Span
from formats.patterns import lazy
from formats.text import Line, lines

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

MAP_TYPES = (
    "unspec", "hash", "array", "prog_array", "perf_event_array", "percpu_hash", "percpu_array", "stack_trace",
    "cgroup_array", "lru_hash", "lru_percpu_hash", "lpm_trie", "array_of_maps", "hash_of_maps", "devmap", "sockmap",
    "cpumap", "xskmap", "sockhash", "cgroup_storage", "reuseport_sockarray", "percpu_cgroup_storage", "queue",
    "stack", "sk_storage", "devmap_hash", "struct_ops", "ringbuf", "inode_storage", "task_storage", "bloom_filter",
    "user_ringbuf", "cgrp_storage", "arena",
)  # fmt: skip
PROG_TYPES = (
    "unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp", "perf_event", "cgroup_skb",
    "cgroup_sock", "lwt_in", "lwt_out", "lwt_xmit", "sock_ops", "sk_skb", "cgroup_device", "sk_msg", "raw_tracepoint",
    "cgroup_sock_addr", "lwt_seg6local", "lirc_mode2", "sk_reuseport", "flow_dissector", "cgroup_sysctl",
    "raw_tracepoint_writable", "cgroup_sockopt", "tracing", "struct_ops", "ext", "lsm", "sk_lookup", "syscall",
    "netfilter",
)  # fmt: skip
_ENTRY = lazy(rb"Type ?: ?\d+ +ID ?: ?\d+\s+(?:Keysize \d+ Valuesize \d+ MaxEntries \d+|Associated maps count ?: ?\d+)")
_HEADING = lazy(rb"(?:Maps|Programs) currently loaded ?:")
_PART = lazy(
    r"(?P<program>Type\s*:\s*(?P<prog_type>\d{1,20})\s+ID\s*:\s*(?P<prog_id>\d{1,20})\s+"
    r"Associated maps count\s*:\s*(?P<count>\d{1,20}))"
    r"|(?P<map>Type\s*:\s*(?P<map_type>\d{1,20})\s+ID\s*:\s*(?P<map_id>\d{1,20})(?P<rest>\s+Assoc\w*.*)?)"
    r"|(?P<sizes>Keysize\s+(?P<key>\d{1,20})\s+Valuesize\s+(?P<value>\d{1,20})\s+MaxEntries\s+(?P<entries>\d{1,20}))"
    r"|(?P<broken>(?:Type\s*:\s*\d*|Keysize\s+\d*)\b.*)"
    r"|(?P<rule>={20,})"
)


class _Lists:
    """Lines in order; items out."""

    def __init__(self) -> None:
        self._open: tuple[int, int, Span] | None = None

    def line(self, line: Line, *, whole: bool) -> Iterator[Item]:
        """The items that this line completes."""
        for match in _PART.finditer(line.text):
            kind = match.lastgroup or ""
            span = Span(line.start, line.end, line.number, line.number)
            cut = not whole and not line.text[match.end() :].strip()
            if kind != "sizes":
                yield from self.close()
            if kind == "program" and not cut:
                yield _program(match, span)
            elif kind == "sizes" and self._open is not None and not cut:
                yield _map(self._open, match, span)
                self._open = None
            elif kind == "map" and not cut and not match["rest"]:
                self._open = (int(match["map_type"]), int(match["map_id"]), span)
            elif kind != "rule":
                what = "a line that is cut" if cut or kind != "sizes" else "sizes without the map they belong to"
                self._open = None
                yield Problem(f"{what} ({line.text.strip()[:60]})", span, "left out", "one map or program")

    def close(self) -> Iterator[Item]:
        """A map's second line did not come."""
        opened, self._open = self._open, None
        if opened is not None:
            number, map_id, span = opened
            yield Record("map_info", _map_data(number, map_id), span)
            yield Problem(f"map {map_id} without its line of sizes", span, "type and ID kept", "its sizes")


def _type_name(names: tuple[str, ...], number: int) -> str:
    return names[number] if number < len(names) else f"type {number}"


def _map_data(number: int, map_id: int) -> dict[str, Any]:
    unknown = ("name", "flags", "key_size", "value_size", "max_entries", "memlock", "frozen", "btf_id")
    return {"map_id": map_id, "type": _type_name(MAP_TYPES, number), **dict.fromkeys(unknown), "pinned": [], "pids": []}


def _map(opened: tuple[int, int, Span], match: re.Match[str], span: Span) -> Record:
    number, map_id, first = opened
    data = _map_data(number, map_id)
    data["key_size"], data["value_size"] = int(match["key"]), int(match["value"])
    data["max_entries"] = int(match["entries"])
    return Record("map_info", data, Span(first.start, span.end, first.first_line, span.last_line))


def _program(match: re.Match[str], span: Span) -> Record:
    unknown = ("name", "tag", "loaded_at", "uid", "map_ids", "bytes_xlated", "bytes_jited")
    data: dict[str, Any] = {"prog_id": int(match["prog_id"]), "type": _type_name(PROG_TYPES, int(match["prog_type"]))}
    data |= dict.fromkeys(unknown)
    return Record("prog_info", {**data, "map_count": int(match["count"]), "pinned": []}, span)


def sniff(head: bytes, path: str) -> Score:
    """By an entry, or by the heading of either list."""
    if _ENTRY.search(head):
        return Score(94, "maps or programs as aws-eks-na-cli lists them")
    if b"currently loaded" in head and _HEADING.search(head):
        return Score(70, "the heading of a list of aws-eks-na-cli")
    return NO


def read(source: Source) -> Iterator[Item]:
    """A `map_info` for each map, a `prog_info` for each program."""
    lists = _Lists()
    number = 1
    for offset, block in source.line_chunks():
        for line in lines(block, offset, number):
            number = line.number + 1
            yield from lists.line(line, whole=line.end < offset + len(block))
    yield from lists.close()


FORMAT = Format(
    name="nacli-lists",
    title="aws-eks-na-cli maps and progs",
    sniff=sniff,
    read=read,
    versions="v0.1.0 to v1.4.1 and main after it; IPv4 and IPv6 binary",
    about=(
        "Every eBPF map (type, ID, key and value size, max entries) and program (type, ID, how many maps) of a node, of"
        " the agent or not. The only text of this CLI that has a map's value size."
    ),
    limits=("Type numbers above those of Linux 6.12 are given as `type N`.",),
    loses=("Names, pins, flags, and which maps a program uses: the list says only how many.",),
)
