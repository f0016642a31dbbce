"""What the pods of a node share: where the bytes behind an oversized write came from, and the node's flow lines."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from forensics.distinct_values import distinct_values
from forensics.log_changes import changes_of
from forensics.services import services_of
from forensics.strides import Reader, read_both
from formats import layouts
from formats.address import cidr_of_key

if TYPE_CHECKING:
    from forensics.case import Node
    from forensics.controller_stage import Stage
    from forensics.flow_rows import FlowRows
    from forensics.log_changes import LogChanges
    from forensics.podstate import MapState
    from forensics.services import Services

HEAD = layouts.NAMESPACE_VALUE_SIZE
TAIL = layouts.CLUSTER_VALUE_SIZE - layouts.NAMESPACE_VALUE_SIZE
_PRINTABLE = frozenset(range(0x20, 0x7F)) | {0x09, 0x0A, 0x0D}


class Tail(NamedTuple):
    """The bytes behind the buffer: zeros, allow-all, same rules, a neighbour's rules, text or other heap bytes.

    `source` names a map and key that hold the same bytes, where one does.
    """

    kind: str
    hex: str
    source: str | None


def _hashes(heads: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """One number for each row of uint8[n, 96]: equal rows have equal numbers."""
    words = np.ascontiguousarray(heads).view("<u4")
    mixed = np.zeros(len(words), np.uint64)
    for column in range(words.shape[1]):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + words[:, column]
    return mixed


class Neighbours:
    """What is computed once for all pods of a node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        #: the values of every map of the node, each read once
        self.reader = Reader()

    @cached_property
    def flows(self) -> FlowRows:
        """The flow lines of the node's logs."""
        from forensics.flow_rows import FlowRows

        return FlowRows(self._node)

    @cached_property
    def controller(self) -> Stage:
        """The policies beside their PolicyEndpoints."""
        from forensics.controller_stage import Stage

        return Stage(self._node)

    @cached_property
    def services(self) -> Services:
        """The services that the node's records tell of."""
        return services_of(self._node)

    @cached_property
    def changes(self) -> LogChanges:
        """When the log says that something was changed."""
        return changes_of(self._node.story)

    @cached_property
    def _heads(self) -> tuple[np.ndarray[Any, Any], list[tuple[int, str, MapState]]]:
        """A hash of the first 96 bytes of every rule value of the node, and (first row, map, state) of each map."""
        hashes: list[np.ndarray[Any, Any]] = []
        maps: list[tuple[int, str, MapState]] = []
        total = 0
        node = self._node
        for identifier in sorted(node.pods):
            for name in ("ingress_map", "egress_map", "cp_ingress_map", "cp_egress_map"):
                state = node.pods[identifier].dumped(name)
                if state is None or state.view is None or not state.view.raw:
                    continue
                values, which = distinct_values(state.view.dump)
                if values.shape[1] < TAIL:
                    continue
                hashes.append(_hashes(values[:, :TAIL])[which])
                maps.append((total, f"{identifier}_{name}", state))
                total += len(hashes[-1])
        return np.concatenate([np.zeros(0, np.uint64), *hashes]), maps

    def _place(self, head: bytes) -> str | None:
        """The first map and key of the node whose value begins with these 96 bytes; None when there is none."""
        if len(head) < TAIL or not any(head):
            return None
        hashes, maps = self._heads
        wanted = _hashes(np.frombuffer(head, np.uint8).reshape(1, -1))[0]
        for at in np.flatnonzero(hashes == wanted).tolist():
            first, name, state = maps[bisect_right(maps, at, key=lambda item: item[0]) - 1]
            value = state.value(at - first)
            if value is not None and value[:TAIL] == head:
                key = state.key(at - first)
                return f"{name} {cidr_of_key(key) or key.hex()}"
        return None

    def tail(self, value: bytes) -> Tail:
        """What trails the first 288 bytes of a 384-byte value."""
        rest = value[HEAD : HEAD + TAIL]
        if not any(rest):
            return Tail("zeros", rest.hex(), None)
        if rest == value[:TAIL]:
            return Tail("the same rules again", rest.hex(), "the entry itself")
        place = self._place(rest)
        words = np.frombuffer(rest.ljust(HEAD, b"\0"), "<u4").reshape(1, -1)
        sane = bool(read_both(words, np.ones(words.shape, bool)).namespace.sane[0])
        if sane and words[0][0] == layouts.PROTOCOL_ANY and not words[0][1:].any():
            return Tail("an allow-all", rest.hex(), place)
        if sane:
            return Tail("a neighbour's rules", rest.hex(), place)
        shown = sum(byte in _PRINTABLE for byte in rest.rstrip(b"\0"))
        if shown >= max(8, int(0.8 * len(rest.rstrip(b"\0")))):
            return Tail("text of the agent's memory", rest.hex(), None)
        return Tail("other bytes of the agent's memory", rest.hex(), place)
