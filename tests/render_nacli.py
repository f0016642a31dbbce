"""aws-eks-na-cli's text of a map, written from the sources of each version: what the reader must take apart again.

Forms of rule maps: v0.1.0 (slot 0 only), v1.0.7 (numbered slots, and all IPv6), v1.3.0, v1.3.0-cp (dump-cp-maps).
"""

from __future__ import annotations

import ipaddress
import struct

NAMES = {6: "TCP", 17: "UDP", 132: "SCTP", 1: "ICMP", 255: "RESERVED", 254: "ANY PROTOCOL"}
STARS = "*" * 31 + "\n"
DASHES = "-" * 19 + "\n"
RULE = "=" * 88 + "\n"
HASH_END = "Done reading all entries in BPF_MAP_TYPE_HASH\n"
END = "Done reading all entries\n"
EMPTY = "No Entries found, Empty map\n"


def printed_key(key: bytes) -> str:
    return f"{ipaddress.ip_address(key[4:])}/{struct.unpack_from('<I', key)[0]}"


def slots_of(value: bytes, stride: int) -> list[tuple[int, ...]]:
    """(index, protocol, [priority,] start, end) of the 24 slots the CLI's struct has, those of protocol 0 skipped."""
    padded = value.ljust(24 * stride, b"\0")[: 24 * stride]
    words = struct.iter_unpack("<" + "I" * (stride // 4), padded)
    return [(index, *slot) for index, slot in enumerate(words) if slot[0] != 0]


def rule_entry(key: bytes, value: bytes, form: str) -> str:
    cidr = printed_key(key)
    if form == "v0.1.0":
        protocol, start, end = struct.unpack_from("<III", value)
        return (
            f"Key : IP/Prefixlen - {cidr} \nValue : \n"
            f"Protocol -  {protocol}\nStartPort -  {start}\nEndport -  {end}\n{STARS}"
        )
    if form == "v1.0.7":
        out = f"Key : IP/Prefixlen - {cidr} \n"
        for index, protocol, start, end in slots_of(value, 12):
            name = NAMES.get(protocol, "UNKNOWN")
            out += (
                f"{DASHES}Value Entry :  {index}\nProtocol -  {name}\nStartPort -  {start}\nEndport -  {end}\n{DASHES}"
            )
        return out + STARS
    cluster = form == "v1.3.0-cp"
    out = f"Key: {cidr}\n" * (2 if cluster else 1)
    for index, protocol, *rest in slots_of(value, 16 if cluster else 12):
        priority = f"Priority  - {rest[0]}\n" if cluster else ""
        name = NAMES.get(protocol, "UNKNOWN")
        out += f"{DASHES}Entry {index}:\nProtocol  - {name}\n{priority}"
        out += f"StartPort - {rest[-2]}\nEndPort   - {rest[-1]}\n{DASHES}"
    return out + STARS


def rules(entries: list[tuple[bytes, bytes]], form: str) -> str:
    if not entries:
        return EMPTY
    return "".join(rule_entry(key, value, form) for key, value in entries) + END


def pod_state(entries: list[tuple[int, int]]) -> str:
    if not entries:
        return "No entries found, empty HASH map (pod_state_map?)\n"
    return "".join(f"Key :  {key}\nState -  {state}\n{STARS}" for key, state in entries) + HASH_END


def flow_entry(key: bytes, value: bytes, age: str = "1m2.003s ago") -> str:
    """One conntrack entry from the bytes of its key (16 to 60) and value (1, or 16 with a time)."""
    wide = len(key) in (38, 40, 56, 60)
    size = 16 if wide else 4
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        at += count
        return key[at - count : at]

    src = ipaddress.ip_address(take(size))
    sport = int.from_bytes(take(2), "little")
    take(0 if len(key) == 38 else 2)
    dst = ipaddress.ip_address(take(size))
    dport = int.from_bytes(take(2), "little")
    protocol = take(2)[0]
    out = f"Conntrack Key : Source IP - {src} Source port - {sport} Dest IP - {dst} Dest port - {dport} "
    out += f"Protocol - {protocol}"
    if at < len(key):
        out += f" Owner IP - {ipaddress.ip_address(take(size))}"
    if at < len(key):
        out += f" Ifindex - {int.from_bytes(take(4), 'little')}"
    out += f"\nValue : \nConntrack Val -  {int.from_bytes(value[:8], 'little')}\n"
    if len(value) == 16:
        out += f"Last Seen (ns) -  {int.from_bytes(value[8:], 'little')}  ({age})\n"
    return out + STARS


def flows(entries: list[tuple[bytes, bytes]]) -> str:
    if not entries:
        return EMPTY
    return "".join(flow_entry(key, value) for key, value in entries) + END


def program(pin_path: str, direction: str, prog_id: int, maps: list[tuple[str, int]], *, old: bool = False) -> str:
    identifier = pin_path.rsplit("/", 1)[-1].removesuffix(f"_handle_{direction}")
    out = f"PinPath:  {pin_path}\nPod Identifier : {identifier}  Direction : {direction} \n"
    out += f"Prog {'FD' if old else 'ID'}:  {prog_id}\nAssociated Maps -> \n"
    return out + "".join(f"Map Name:  {name}\nMap ID:  {number}\n" for name, number in maps) + RULE


def map_list(maps: list[tuple[int, int, int, int, int]]) -> str:
    out = "Maps currently loaded : \n"
    for kind, number, key, value, most in maps:
        out += f"Type : {kind} ID : {number}\nKeysize {key} Valuesize {value} MaxEntries {most}\n{RULE}"
    return out


def prog_list(programs: list[tuple[int, int, int]]) -> str:
    out = "Programs currently loaded : \n"
    for kind, number, count in programs:
        out += f"Type : {kind} ID : {number} Associated maps count : {count}\n{RULE}"
    return out
