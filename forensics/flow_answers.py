"""Flow lines with the answer that captured maps give to their packets."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.flow_rows import LOST, FlowSide
from forensics.packet_arrays import PacketColumns, columns_of
from forensics.ruleset import REASONS
from forensics.tierjudge import judge_cluster, judge_namespace
from formats.address import cidr_of_key
from formats.layouts import TIER_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forensics.context import Context
    from forensics.datapath import Datapath
    from forensics.datapath_batch import Answers
    from forensics.flow_rows import FlowRows

Array = np.ndarray[Any, Any]
#: Tried for a protocol whose number the log lost: hop-by-hop headers (0), which unused slots match, and one that no
#: slot names. Of the two answers the one that the line gives counts.
_LOST_PROTOCOLS = (252, 0)
#: Policy of a line where the policies are not known.
UNKNOWN = -1


@dataclass
class Answered:
    """Lines of one program, each with its answer, as arrays of one length.

    `at` numbers the program's lines in log order. `passes`, `reason` (a code of Datapath.answers), `tier`,
    `namespace_row` and `cluster_row` are the answer over the captured maps; `explained`: it is the logged one;
    `misplaced`: an entry decided that was written for the other tier; `policy`: 1 OK, 0 SHOT, else UNKNOWN.
    """

    flows: FlowRows
    datapath: Datapath
    side: FlowSide
    at: Array
    passes: Array
    reason: Array
    tier: Array
    namespace_row: Array
    cluster_row: Array
    explained: Array
    misplaced: Array
    policy: Array

    def __len__(self) -> int:
        return len(self.at)

    def rows(self, which: Array) -> Answered:
        """Some of the lines."""
        names = [each.name for each in fields(self)][3:]
        columns = {name: getattr(self, name)[which] for name in names}
        return Answered(self.flows, self.datapath, self.side.rows(which), **columns)

    def by(self, row: int) -> tuple[str | None, str | None]:
        """The map and the CIDR of the entry that decided a line."""
        reason, path = REASONS[int(self.reason[row])], self.datapath
        name, at = None, -1
        if reason.startswith(("admin", "baseline")):
            name, at = path.cluster_map, int(self.cluster_row[row])
        elif reason.startswith("namespace"):
            name, at = path.namespace_map, int(self.namespace_row[row])
        return (name, cidr_of_key(path.key(name, at))) if name is not None and at >= 0 else (None, None)

    def line(self, row: int) -> dict[str, Any]:
        """One line as plain values."""
        side, flows = self.side, self.flows
        batch, place = int(side.batch[row]), int(side.row[row])
        ts, span = flows.line(batch, place)
        name, cidr = self.by(row)
        policy = int(self.policy[row])
        return {
            "at": int(self.at[row]),
            "batch": batch,
            "row": place,
            "span": span,
            "ts": ts,
            "src": flows.addresses.texts[side.src[row]],
            "sport": int(side.sport[row]),
            "dst": flows.addresses.texts[side.dst[row]],
            "dport": int(side.dport[row]),
            "protocol": flows.vocabularies["protocol"].texts[side.protocol[row]],
            "verdict": "ACCEPT" if side.allowed[row] else "DENY",
            "tier": flows.vocabularies["tier"].texts[side.tier[row]],
            "action": "OK" if self.passes[row] else "SHOT",
            "tier_now": TIER_NAMES.get(int(self.tier[row])),
            "map": name,
            "cidr": cidr,
            "policy": None if policy == UNKNOWN else "OK" if policy else "SHOT",
        }


def packets(flows: FlowRows, side: FlowSide, family: int, protocol: int = _LOST_PROTOCOLS[0]) -> PacketColumns:
    """The packets of lines; `protocol` stands in where the log lost the number."""
    words, own = address_words(flows, family)
    number = np.where(side.number == LOST, protocol, side.number)
    src, dst = (tuple(word[codes] for word in words) for codes in (side.src, side.dst))
    found = columns_of(src, dst, own[side.src] & own[side.dst], number, side.sport, side.dport, family)
    return found._replace(distinct=(words, side.src, side.dst))


def reversed_packets(flows: FlowRows, side: FlowSide, family: int) -> PacketColumns:
    """The packets that the lines would answer."""
    back = replace(side, src=side.dst, dst=side.src, sport=side.dport, dport=side.sport)
    return packets(flows, back, family, 0)


def address_words(flows: FlowRows, family: int) -> tuple[tuple[Array, ...], Array]:
    """(the words of each address code, which codes are of the family); made once for a node's lines."""
    found = flows.words.get(family)
    if found is None:
        texts = flows.addresses.texts
        numbers = [_number(text, family) for text in texts]
        own = np.array([number is not None for number in numbers], bool)
        parts = [number or 0 for number in numbers]
        low = (1 << 64) - 1
        words = (
            (np.array(parts, np.uint32),)
            if family == 4
            else (np.array([n >> 64 for n in parts], np.uint64), np.array([n & low for n in parts], np.uint64))
        )
        found = flows.words[family] = words, own
    return found


def _number(text: str | None, family: int) -> int | None:
    try:
        address = ipaddress.ip_address(text or "")
    except ValueError:
        return None
    return int(address) if address.version == family else None


def joined(parts: Sequence[Answered]) -> Answered:
    """Lines of one program, one part behind the other."""
    first = parts[0]
    if len(parts) == 1:
        return first
    side = FlowSide(*(np.concatenate([getattr(p.side, each.name) for p in parts]) for each in fields(FlowSide)))
    names = [each.name for each in fields(first)][3:]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Answered(first.flows, first.datapath, side, **columns)


def answered(context: Context, flows: FlowRows, side: FlowSide, datapath: Datapath, first: int = 0) -> Answered:
    """Ask the program about every line. first: the number of the first line."""
    usual, *others = _LOST_PROTOCOLS
    answers = datapath.answers(packets(flows, side, datapath.family, usual))
    tiers = _tiers(flows)
    at = np.arange(first, first + len(side), dtype=np.int32)
    best = Answered(
        flows, datapath, side, at, answers.passes, answers.reason, answers.tier,
        answers.namespace_row, answers.cluster_row, _explained(side, answers, tiers),
        np.zeros(len(side), bool), np.full(len(side), UNKNOWN, np.int8),
    )  # fmt: skip
    for protocol in others:
        lost = np.flatnonzero((side.number == LOST) & ~best.explained)
        if len(lost):
            again = datapath.answers(packets(flows, side.rows(lost), datapath.family, protocol))
            better = _explained(side.rows(lost), again, tiers)
            for name in ("passes", "reason", "tier", "namespace_row", "cluster_row"):
                getattr(best, name)[lost[better]] = getattr(again, name)[better]
            best.explained[lost[better]] = True
    _mark_misplaced(context, datapath, best)
    return best


def _tiers(flows: FlowRows) -> Array:
    """The tier's number of each tier code, -1 for none, -2 for a text that is no tier."""
    numbers = {name: number for number, name in TIER_NAMES.items()}
    texts = flows.vocabularies["tier"].texts
    return np.array([-1 if text is None else numbers.get(text, -2) for text in texts], np.int8)


def _explained(side: FlowSide, answers: Answers, tiers: Array) -> Array:
    logged = tiers[side.tier]
    same = (logged == -1) | (answers.tier == -1) | (logged == answers.tier)
    explained: Array = answers.event & (answers.passes == side.allowed) & same
    return explained


def _mark_misplaced(context: Context, datapath: Datapath, best: Answered) -> None:
    """Note the lines that an entry decides which was written for the other tier."""
    for name, lead, rows in (
        (datapath.cluster_map, ("admin", "baseline"), best.cluster_row),
        (datapath.namespace_map, ("namespace",), best.namespace_row),
    ):
        state = context.dumped(name)
        if state is None:
            continue
        judgement = judge_cluster(context, state) if state.tier == "cluster" else judge_namespace(context, state)
        wrong = {item.entry.key for item in judgement.misplaced}
        if wrong:
            flags = np.array([*(key in wrong for key in datapath.entries(name)), False])
            mine = np.array([reason.startswith(lead) for reason in REASONS])
            best.misplaced |= mine[best.reason] & flags[rows]
