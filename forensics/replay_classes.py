"""What kind of denial a DENY line is, for people who see many of them and must know which to act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.captured import Captured
from forensics.datapath_batch import REASON_CODES
from forensics.flow_answers import reversed_packets
from forensics.flow_times import NO_TIME, extreme
from forensics.replay_past import ends
from forensics.sorted_search import distinct
from formats.address import canonical

if TYPE_CHECKING:
    from forensics.context import Context
    from forensics.flow_answers import Answered
    from forensics.flow_rows import FlowRows, FlowSide
    from forensics.policy_rules import Direction
    from forensics.replay_past import Past

Array = np.ndarray[Any, Any]
NODE = "node-ip"
AGAINST_POLICY = "against-policy"
POD_STATE = "pod-state-missing"
MISPLACED = "misplaced-entry"
LATE = "late-packet"
REPLY = "reply-without-conntrack"
SERVICE = "service-ip"
PORT = "port-not-in-rule"
REAL = "real-block"
#: Class -> what it means, in the order in which they are tried.
CLASSES = {
    NODE: "from or to the node's own address: health checks and other node traffic, which is always to be allowed",
    AGAINST_POLICY: "the policies allow it: the maps are wrong or were, at that moment",
    POD_STATE: "the pod state map lacks an entry: the program drops every packet of the pod",
    MISPLACED: "an entry that was written for the other tier decided, and the policies are not known",
    LATE: "of a flow that was allowed earlier: its conntrack entry was gone when this packet came",
    REPLY: "looks like a reply: it comes from the port of a service that the pod may call, and no flow was tracked",
    SERVICE: "to a service address: the program sees it before DNAT, so a rule must list it",
    PORT: "a rule names the peer, and none of its ports is this one",
    REAL: "no rule allows it",
}
#: Linux chooses source ports of clients from here on (net.ipv4.ip_local_port_range).
_EPHEMERAL = 32768


def classify(context: Context, flows: FlowRows, denials: Answered, past: Past, direction: Direction) -> Array:
    """The class of each DENY line, as its place in CLASSES."""
    side = denials.side
    peer = side.src if direction == "ingress" else side.dst
    node = (canonical(context.node.node_ip or "") or "").split("/")[0]
    tried = {
        NODE: np.isin(peer, flows.addresses.find([node])),
        AGAINST_POLICY: denials.policy == 1,
        POD_STATE: denials.reason == REASON_CODES["pod-state-missing"],
        MISPLACED: denials.misplaced & (denials.policy < 0),
        LATE: _late(context, flows, side, past),
        REPLY: _reply(context, flows, side, direction),
        SERVICE: np.isin(side.dst, _services(context, flows, side) if direction == "egress" else []),
        PORT: denials.reason == REASON_CODES["namespace-no-slot"],
    }
    order = list(CLASSES)
    return np.select(list(tried.values()), [order.index(name) for name in tried], order.index(REAL))


def _services(context: Context, flows: FlowRows, side: FlowSide) -> list[int]:
    services, texts = context.neighbours.services, flows.addresses.texts
    codes = distinct(side.dst).tolist()
    return [
        code
        for code in codes
        if (text := texts[code]) is not None and (services.at(text) is not None or services.covers(text) is not None)
    ]


def _late(context: Context, flows: FlowRows, side: FlowSide, past: Past) -> Array:
    """Whether the same program had allowed the flow, or it was cleaned out of conntrack, before the denial."""
    since = past.first_allowed(side)
    late: Array = (since != NO_TIME) & (since < side.utc_ns)
    swept = context.neighbours.changes.swept
    if swept:
        codes = [flows.addresses.find([src, dst]) for src, _, dst, _, _ in swept]
        kept = [
            (*pair, sport, dport, time)
            for pair, (_, sport, _, dport, time) in zip(codes, swept, strict=True)
            if len(pair) == 2
        ]
        rows = np.array(kept, np.int64).reshape(-1, 5)
        gone = extreme(ends(*rows[:, :4].T), rows[:, 4], ends(side.src, side.dst, side.sport, side.dport), latest=False)
        late |= (gone != NO_TIME) & (gone <= side.utc_ns)
    late &= side.utc_ns != NO_TIME
    return late


def _reply(context: Context, flows: FlowRows, side: FlowSide, direction: Direction) -> Array:
    """Whether the packet runs from a service port to a client port, and the pod may open the reverse flow."""
    shape = (side.sport < _EPHEMERAL) & (side.dport >= _EPHEMERAL) & (side.sport > 0)
    if not shape.any():
        return shape
    other: Direction = "egress" if direction == "ingress" else "ingress"
    captured = Captured(context, other)
    state = captured.state_or_inferred()
    if captured.missing or (state is None and captured.generation.pod_state_keys):
        return np.zeros(len(shape), bool)
    rows = np.flatnonzero(shape)
    answers = captured.datapath(state or {}).answers(reversed_packets(flows, side.rows(rows), captured.family))
    shape[rows] = answers.passes
    return shape
