"""Holds the datapath against the answers of the real programs: corpus/vectors, or the full collection when it is there.

Each driver yields one line per disagreement, so an empty list is agreement; each also checks that it saw something.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

import polars as pl
from vector_files import FULL, THIN, pairs, records, states

from forensics.datapath import Datapath, Packet
from forensics.packet import Unread, see_frame
from formats.address import key_of_cidr

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FULL", "THIN", "pairs", "records", "states"]

#: The pod that was there before the incident, in every seed record, by family.
OLD_POD = {4: "10.1.0.1", 6: "fd00:1::1"}


def datapath_of(state: dict, record: dict | None = None, conntrack: dict[bytes, bytes] | None = None) -> Datapath:
    """The program and maps of a state; a record's own pod state and conntrack go before the state's."""
    record = record or {}
    pod_state = record.get("pod_state", state.get("pod_state", {}))
    return Datapath(
        agent_version=state["agent_version"],
        family=state["family"],
        direction=state["direction"],
        maps=state["maps"],
        pod_state={int(key): value for key, value in pod_state.items()},
        conntrack=pairs(record.get("conntrack", ())) if conntrack is None else conntrack,
    )


def packet_of(record: dict) -> Packet:
    """The packet of a record."""
    return Packet(
        record["src"], record["dst"], record["proto"], record["sport"], record["dport"], record.get("ifindex", 1)
    )


def after(before: dict[bytes, bytes], changes) -> dict[bytes, bytes]:
    """Conntrack entries after a verdict's changes."""
    out = dict(before)
    for key, value in changes:
        if value is None:
            out.pop(key, None)
        else:
            out[key] = value
    return out


def packet_mismatches(folder: Path):
    """New flows: action, event, tier, the bytes written to conntrack; and the entry and slot that `via` names."""
    programs = {name: datapath_of(state) for name, state in states(folder).items()}
    for record in records(folder, "packets"):
        got = programs[record["s"]].verdict(packet_of(record))
        expected = (record["verdict"], record["event"], record.get("tier"), record.get("ct"), _via(record))
        matched = got.matched
        namespace = matched.namespace_key and (matched.namespace_key.hex(), matched.namespace_slot)
        cluster = matched.cluster_key and (matched.cluster_key.hex(), matched.admin_slot, matched.baseline_slot)
        written = got.conntrack[0][1].hex() if got.conntrack else None
        actual = (got.action, got.event, got.tier, written, (namespace, cluster))
        if expected != actual:
            yield f"{record}: {expected} but {actual}"


def _via(record: dict):
    via = record.get("via", {})
    return tuple(tuple(via[tier]) if tier in via else None for tier in ("ns", "cp"))


def stateful_mismatches(folder: Path):
    """One packet with conntrack entries preset."""
    for record in records(folder, "stateful"):
        program = datapath_of(states(folder)[record["s"]], record)
        got = program.verdict(packet_of(record))
        expected = (record["verdict"], record["event"], record.get("tier"), pairs(record["conntrack_after"]))
        actual = (got.action, got.event, got.tier, after(program.conntrack, got.conntrack))
        if expected != actual:
            yield f"{record}: {expected} but {actual}"


def sequence_mismatches(folder: Path):
    """Steps of both directions over one conntrack map, empty at first."""
    for sequence in records(folder, "sequences"):
        conntrack: dict[bytes, bytes] = {}
        for step in sequence["steps"]:
            got = datapath_of(states(folder)[step["s"]], step, conntrack).verdict(packet_of(step))
            conntrack = after(conntrack, got.conntrack)
            expected = (step["verdict"], step["event"], step.get("tier"), pairs(step["conntrack_after"]))
            actual = (got.action, got.event, got.tier, conntrack)
            if expected != actual:
                yield f"{sequence['seq']} {step}: {expected} but {actual}"


def frame_mismatches(folder: Path):
    """Raw Ethernet frames; an event also tells the tier where the program has tiers."""
    for record in records(folder, "raw_frames"):
        got = datapath_of(states(folder)[record["s"]]).verdict_frame(bytes.fromhex(record["frame_hex"]))
        event = record["event"] or {}
        expected = (record["verdict"], bool(event), event.get("tier"), pairs(record["conntrack_after"]))
        actual = (got.action, got.event, got.tier, after({}, got.conntrack))
        if expected != actual:
            yield f"{record}: {expected} but {actual}"


def seed_mismatches(folder: Path):
    """The incident's own answers, and those with the misplaced entry removed, put where it belongs, or an old pod."""
    for record in records(folder, "seed_incident"):
        programs = seed_programs(record)
        side = "src" if record["direction"] == "ingress" else "dst"
        for entry in record["packets"]:
            packet = packet_of(entry)
            expected = [[entry["verdict"], entry["tier"]]]
            expected += [entry[name] for name in ("if_cp_entry_removed", "if_written_to_ns_map", "from_old_pod")]
            got = [program.verdict(packet) for program in programs]
            got.append(programs[0].verdict(packet._replace(**{side: OLD_POD[record["family"]]})))
            actual = [[verdict.action, verdict.tier] for verdict in got]
            if expected != actual:
                yield f"{record['id']} {entry}: {expected} but {actual}"


def seed_programs(record: dict) -> tuple[Datapath, Datapath, Datapath]:
    """A seed state as captured, without its misplaced entry, and with that entry in the namespace map."""
    found = datapath_of({**record, "maps": {name: pairs(entries) for name, entries in record["maps"].items()}})
    new = key_of_cidr(record["new_pod_ip"])
    cluster = {key: value for key, value in found.maps[found.cluster_map].items() if key != new}
    removed = {**found.maps, found.cluster_map: cluster}
    namespace = {**found.maps[found.namespace_map], new: bytes.fromhex(record["ns_buffer_hex"])}
    written = {**removed, found.namespace_map: namespace}
    same = (found.agent_version, found.family, found.direction)
    return found, Datapath(*same, removed, found.pod_state), Datapath(*same, written, found.pod_state)


SCALAR_DRIVERS = {
    "packets": packet_mismatches,
    "stateful": stateful_mismatches,
    "sequences": sequence_mismatches,
    "raw_frames": frame_mismatches,
    "seed_incident": seed_mismatches,
}


def batch_mismatches(program: Datapath, packets: list[Packet]):
    """What `verdicts` says differently from `verdict`, in any column."""
    frame = pl.DataFrame({name: [getattr(packet, name) for packet in packets] for name in Packet._fields})
    rows = program.verdicts(frame, conntrack_keys=True).to_dicts()
    assert len(packets) == len(rows)
    order = {
        name: {key: row for row, key in enumerate(program.entries(name))}
        for name in (program.namespace_map, program.cluster_map)
    }
    for packet, row in zip(packets, rows, strict=True):
        expected = _row_of(program, program.verdict(packet), order)
        actual = {**row, "conntrack_key": bytes(row["conntrack_key"]) if row["conntrack"] != "none" else None}
        if expected != actual:
            yield f"{program.agent_version} {program.family} {packet}: {expected} but {actual}"


def _row_of(program: Datapath, verdict, order) -> dict:
    matched = verdict.matched
    change, state, key = "none", None, None
    if verdict.conntrack:
        key, value = verdict.conntrack[0]
        change = "delete" if value is None else "write"
        if value is not None and program.generation.conntrack_value is not None:
            state = program.generation.conntrack_state(value)
    return {
        "action": verdict.action,
        "event": verdict.event,
        "tier": verdict.tier,
        "reason": matched.reason,
        "namespace_row": order[program.namespace_map].get(matched.namespace_key),
        "namespace_slot": matched.namespace_slot,
        "cluster_row": order[program.cluster_map].get(matched.cluster_key),
        "admin_slot": matched.admin_slot,
        "baseline_slot": matched.baseline_slot,
        "conntrack": change,
        "conntrack_state": state,
        "conntrack_key": key,
    }


def batch_packet_mismatches(folder: Path):
    """All new flows of each state as one frame."""
    grouped = defaultdict(list)
    for record in records(folder, "packets"):
        grouped[record["s"]].append(packet_of(record))
    for name, packets in grouped.items():
        yield from batch_mismatches(datapath_of(states(folder)[name]), packets)


def batch_stateful_mismatches(folder: Path, step: int = 1):
    """Records with one state, pod state and conntrack as one frame."""
    grouped = defaultdict(list)
    for record in records(folder, "stateful")[::step]:
        same = json.dumps([record["s"], record.get("pod_state"), record["conntrack"]])
        grouped[same].append(record)
    for mine in grouped.values():
        program = datapath_of(states(folder)[mine[0]["s"]], mine[0])
        yield from batch_mismatches(program, [packet_of(record) for record in mine])


def batch_sequence_mismatches(folder: Path, step: int = 1):
    """Each step's packet over the conntrack that the steps before it left."""
    for sequence in records(folder, "sequences")[::step]:
        conntrack: dict[bytes, bytes] = {}
        for asked in sequence["steps"]:
            yield from batch_mismatches(datapath_of(states(folder)[asked["s"]], asked, conntrack), [packet_of(asked)])
            conntrack = pairs(asked["conntrack_after"])


def batch_frame_mismatches(folder: Path):
    """The frames that a program reads, as the packets it sees in them: one frame per state."""
    grouped = defaultdict(list)
    for record in records(folder, "raw_frames"):
        seen = see_frame(bytes.fromhex(record["frame_hex"]), states(folder)[record["s"]]["family"], 1)
        if not isinstance(seen, Unread):
            grouped[record["s"]].append((Packet(*seen), record))
    for name, asked in grouped.items():
        program = datapath_of(states(folder)[name])
        yield from batch_mismatches(program, [packet for packet, _ in asked])
        for packet, record in asked:
            if program.verdict(packet).action != record["verdict"]:
                yield f"{record}: as a packet the verdict is another"


def batch_seed_mismatches(folder: Path, step: int = 1):
    """Each seed state and its two variants, all packets as one frame."""
    for record in records(folder, "seed_incident")[::step]:
        packets = [packet_of(entry) for entry in record["packets"]]
        for program in seed_programs(record):
            yield from batch_mismatches(program, packets)
