"""What a detector is given: one pod identifier of one node, with everything joined and computed once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from forensics.comparable import obstacle
from forensics.effects import Datapaths
from forensics.evidence import Citation, cite
from forensics.intent import Intent
from forensics.keydiff import key_diff
from forensics.logdiff import log_diff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from forensics.case import Case, Node
    from forensics.comparable import NotComparable
    from forensics.compare import Comparison
    from forensics.keydiff import KeyDiff
    from forensics.log_events import Event
    from forensics.logstory import MapWrite
    from forensics.neighbours import Neighbours
    from forensics.podstate import MapState, PodState
    from forensics.policy_rules import Direction
    from forensics.ruleset import Value
    from forensics.tierjudge import Judgement

#: Assumed pod state where no dump of it is at hand: policies are applied in the namespace tier, none in the cluster's.
APPLIED: Mapping[int, int] = {0: 0, 1: 1}


class Context:
    """One pod identifier of one node. Detectors read it and never change it."""

    def __init__(self, case: Case, node: Node, pod: PodState, neighbours: Neighbours) -> None:
        """`neighbours` is shared by all pods of the node."""
        self.case, self.node, self.pod, self.neighbours = case, node, pod, neighbours
        self._key_diffs: dict[str, KeyDiff] = {}
        self._judgements: dict[str, Judgement] = {}
        self._comparisons: dict[Direction, Comparison | NotComparable] = {}

    def forget(self) -> None:
        """Let go of what was computed: it refers back to this context and would stay until cycles are looked for."""
        for made in (self._key_diffs, self._judgements, self._comparisons):
            made.clear()

    @cached_property
    def intent(self) -> Intent:
        """What the policies ask."""
        return Intent(self.node, self.pod)

    def key_diff(self, state: MapState) -> KeyDiff:
        """The keys of a dumped namespace map beside those the policies ask for; without policies, the agent's log."""
        if state.name not in self._key_diffs:
            compare = key_diff if self.intent.known.yes else log_diff
            self._key_diffs[state.name] = compare(self, state)
        return self._key_diffs[state.name]

    def judgement(self, state: MapState, judge: Callable[[Context, MapState], Judgement]) -> Judgement:
        """Which entries of a map are misplaced; `judge` is asked once for each map of this identifier."""
        if self.pod.maps.get(state.name) is not state:
            return judge(self, state)
        if state.name not in self._judgements:
            self._judgements[state.name] = judge(self, state)
        return self._judgements[state.name]

    def dumped(self, name: str) -> MapState | None:
        """A map of this identifier when a dump of it is at hand."""
        return self.pod.dumped(name)

    def full_name(self, state: MapState) -> str:
        """The pin's base name of a map: `web-7d4f8c9b6-prod_cp_ingress_map`."""
        return f"{self.pod.identifier}_{state.name}"

    def cite_entry(self, state: MapState, row: int, note: str) -> Citation:
        """Cite one entry of a dump."""
        assert state.view is not None
        return cite(state.view.artifact, state.span(row), note)

    def cite_dump(self, state: MapState, note: str) -> Citation:
        """Cite a whole dump: for what is not in it."""
        assert state.view is not None
        return cite(state.view.artifact, state.view.dump.span, note)

    @staticmethod
    def cite_event(event: Event, note: str) -> Citation:
        """Cite a log line."""
        return cite(event.artifact, event.record.span, note)

    def cite_policies(self, names: Iterable[str], note: str) -> list[Citation]:
        """Cite policy objects by namespace/name."""
        wanted = set(names)
        return [
            cite(i.artifact, i.record.span, f"{i.kind} {i.name}: {note}") for i in self.node.objects if i.name in wanted
        ]

    def pod_state(self, direction: str) -> tuple[Mapping[int, int], bool]:
        """(pod state, whether it was dumped); the usual one where it was not."""
        state = self.pod.state_of(direction)
        return (state, True) if state is not None else (APPLIED, False)

    def misdirected(self, state: MapState) -> list[MapWrite]:
        """Log writes that named a namespace map and updated this cluster map's ID."""
        if state.map_id is None or state.tier != "cluster":
            return []
        return [
            write
            for write in self.node.story.writes
            if write.map_id == state.map_id and write.said in ("ingress_map", "egress_map")
        ]

    def kernel_maps(self, direction: str) -> dict[str, dict[bytes, bytes]]:
        """{"namespace": ..., "cluster": ...} as dumped; a map that was not dumped is empty."""
        out: dict[str, dict[bytes, bytes]] = {}
        for tier, name in (("namespace", f"{direction}_map"), ("cluster", f"cp_{direction}_map")):
            state = self.pod.dumped(name)
            out[tier] = state.as_dict() if state is not None else {}
        return out

    def datapaths(self, direction: Direction, wanted: dict[str, dict[bytes, bytes]] | None = None) -> Datapaths:
        """The dumped maps beside what the policies ask (or beside `wanted`), under the dumped pod state."""
        state, _ = self.pod_state(direction)
        if wanted is not None:
            return self._datapaths(direction, wanted, state)
        return self._datapaths(direction, self.intent.values(direction), self.intent.pod_state())

    def comparison(self, direction: Direction) -> Comparison | NotComparable:
        """The dumped maps of both tiers beside what the policies ask, entry by entry and packet by packet."""
        if direction not in self._comparisons:
            found: Comparison | NotComparable | None = obstacle(self, direction)
            if found is None:
                from forensics.compare import compare

                found = compare(self, direction)
            self._comparisons[direction] = found
        return self._comparisons[direction]

    def _datapaths(
        self, direction: Direction, wanted: Mapping[str, Mapping[bytes, Value]], state: Mapping[int, int]
    ) -> Datapaths:
        kernel_state, _ = self.pod_state(direction)
        version, family = self.intent.version, self.intent.family
        return Datapaths(version, family, self.kernel_maps(direction), wanted, kernel_state, state)

    def who(self, cidr: str) -> str:
        """The CIDR with the pod behind it, when one is known: `10.0.1.5/32 (prod/web-abcde)`."""
        pod = self.node.pod_at(cidr) if cidr.endswith(("/32", "/128")) else None
        return f"{cidr} ({pod.title})" if pod else cidr
