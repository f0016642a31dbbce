"""What the pods of a node share: where the bytes behind an oversized write came from, and the node's flow lines."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from forensics.log_changes import changes_of
from forensics.strides import read_both
from formats import layouts

if TYPE_CHECKING:
    from forensics.case import Node
    from forensics.flow_rows import FlowRows
    from forensics.log_changes import LogChanges

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


class Neighbours:
    """What is computed once for all pods of a node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @cached_property
    def flows(self) -> FlowRows:
        """The flow lines of the node's logs."""
        from forensics.flow_rows import flow_rows

        return flow_rows(self._node)

    @cached_property
    def changes(self) -> LogChanges:
        """When the log says that something was changed."""
        return changes_of(self._node.story)

    @cached_property
    def _places(self) -> dict[bytes, str]:
        """The first 96 bytes of every rule value of the node -> where it stands."""
        places: dict[bytes, str] = {}
        node = self._node
        for identifier in sorted(node.pods):
            for name in ("ingress_map", "egress_map", "cp_ingress_map", "cp_egress_map"):
                state = node.pods[identifier].dumped(name)
                if state is None or state.view is None or not state.view.raw:
                    continue
                for entry in state.entries:
                    value = state.value(entry.row)
                    if value is not None and any(value[:TAIL]):
                        places.setdefault(value[:TAIL], f"{identifier}_{name} {entry.cidr}")

        return places

    def tail(self, value: bytes) -> Tail:
        """What trails the first 288 bytes of a 384-byte value."""
        rest = value[HEAD : HEAD + TAIL]
        if not any(rest):
            return Tail("zeros", rest.hex(), None)
        if rest == value[:TAIL]:
            return Tail("the same rules again", rest.hex(), "the entry itself")
        place = self._places.get(rest)
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
