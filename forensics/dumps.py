"""Whose map is this dump? By its pin name, else by its map ID through programs and the log, else it stands alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.podstate import RULE_MAPS, STATE_MAPS, UNNAMED, MapState, MapView, PodState, fits
from forensics.problem import CaseProblem
from forensics.views import settle
from formats.bpftool_names import of_path
from formats.layouts import CLUSTER_STRIDE, LPM_KEY_SIZES, stride_of
from formats.mapview import tier_of
from formats.pins import MAP_SUFFIXES, split_pin

if TYPE_CHECKING:
    from forensics.artifact import Artifact
    from forensics.case import Node
    from formats.base import MapDump
    from formats.pins import Pin


def attach_dumps(node: Node) -> None:
    """Fill node.pods and node.conntrack from every dump, program record and log line of the node."""
    owners = _owners(node)
    for map_id, (identifier, name) in owners.items():
        state = _pod(node, identifier).map(name)
        state.map_id = map_id
    for identity in node.story.identities.values():
        if identity.pod_identifier:
            state = _pod(node, identity.pod_identifier).map(identity.map_name)
            state.key_size = state.key_size or identity.key_size
            state.value_size = state.value_size or identity.value_size
    for artifact in node.group.own:
        for dump in artifact.dumps:
            _place(node, artifact, dump, owners)
    for pod in node.pods.values():
        for state in pod.maps.values():
            settle(state)
            if state.view is not None and not state.view.raw and not fits(state.view.dump, state.tier):
                other = "dump-maps" if state.tier == "cluster" else "dump-cp-maps"
                what = f"{pod.identifier} {state.name}: {state.view.artifact.shown_path} is printed by {other}"
                hint = "dump-maps is for namespace maps, dump-cp-maps for cluster maps; or dump it with bpftool"
                node.problems.append(CaseProblem(what, done="not used", lost="this map's entries", hint=hint))
            for text in state.disagreements:
                what = f"{pod.identifier} {state.name}: {text}"
                node.problems.append(CaseProblem(what, done="both are listed", lost="nothing"))
    if node.conntrack is not None:
        settle(node.conntrack)


def _pod(node: Node, identifier: str) -> PodState:
    return node.pods.setdefault(identifier, PodState("", identifier))


def _owners(node: Node) -> dict[int, tuple[str, str]]:
    """{map ID: (pod identifier, map name)} by programs first (they were read from the kernel), then by the log."""
    owners: dict[int, tuple[str, str]] = {}
    for identity in node.story.identities.values():
        if identity.pod_identifier:
            owners[identity.map_id] = (identity.pod_identifier, identity.map_name)
    for artifact in node.group.own:
        for record in artifact.records:
            if record.kind != "program" or not record.data.get("pod_identifier"):
                continue
            identifier = str(record.data["pod_identifier"])
            direction = record.data.get("direction")
            if direction:
                _pod(node, identifier).programs[direction] = record.data.get("prog_id")
            for item in record.data.get("maps") or []:
                name, map_id = item.get("name"), item.get("map_id")
                if name in MAP_SUFFIXES and map_id is not None:
                    owners[int(map_id)] = (identifier, name)
    _owners_of_listings(node, owners)
    return owners


def _owners_of_listings(node: Node, owners: dict[int, tuple[str, str]]) -> None:
    """Owners by `bpftool map show -f` and `prog show -f`: a map's own pin, else its place in a pinned program.

    The agent's maps have no names; inside one program their sizes tell them apart (bpftool on agents v1.2.0 to v1.4.1).
    """
    sizes: dict[int, tuple[int | None, int | None]] = {}
    programs: list[tuple[str, str, list[int]]] = []
    for artifact in node.group.own:
        for record in artifact.records:
            pins = [pin for path in record.data.get("pinned") or [] if (pin := split_pin(path)) is not None]
            if record.kind == "map_info" and record.data.get("map_id") is not None:
                map_id = int(record.data["map_id"])
                sizes[map_id] = (record.data.get("key_size"), record.data.get("value_size"))
                for pin in pins:
                    if pin.pod_identifier and pin.map_name:
                        owners.setdefault(map_id, (pin.pod_identifier, pin.map_name))
            elif record.kind == "prog_info":
                ids = [int(number) for number in record.data.get("map_ids") or []]
                programs += [(p.pod_identifier, p.direction, ids) for p in pins if p.pod_identifier and p.direction]
    for identifier, direction, ids in programs:
        for map_id in ids:
            name = _name_by_sizes(direction, *sizes.get(map_id, (None, None)))
            if name is not None:
                owners.setdefault(map_id, (identifier, name))


def _name_by_sizes(direction: str, key_size: int | None, value_size: int | None) -> str | None:
    if key_size in LPM_KEY_SIZES.values():
        stride = stride_of(value_size)
        return None if stride is None else f"cp_{direction}_map" if stride == CLUSTER_STRIDE else f"{direction}_map"
    return f"{direction}_pod_state_map" if (key_size, value_size) == (4, 1) else None


def _place(node: Node, artifact: Artifact, dump: MapDump, owners: dict[int, tuple[str, str]]) -> None:
    pin = _pin(artifact, dump)
    view = MapView(dump, artifact)
    if (pin is not None and pin.role == "global") or _is_conntrack(dump):
        if (pin is None or pin.map_name == "aws_conntrack_map") and dump.map_type != "ringbuf":
            node.conntrack = node.conntrack or MapState("aws_conntrack_map")
            node.conntrack.views.append(view)
        return
    if pin is not None and pin.pod_identifier and pin.map_name:
        _pod(node, pin.pod_identifier).map(pin.map_name).views.append(view)
    elif dump.map_id is not None and dump.map_id in owners:
        identifier, name = owners[dump.map_id]
        _pod(node, identifier).map(name).views.append(view)
    else:
        _place_unowned(node, dump, view)


def _pin(artifact: Artifact, dump: MapDump) -> Pin | None:
    """The pin a dump is said to be of; rules in a file named for the other tier's map still are said to be of it."""
    if dump.map_name:
        return split_pin(dump.map_name)
    named = of_path(artifact.path).map_name
    alone = len(artifact.dumps) == 1 and dump.map_id is None
    if alone and named and dump.values is not None and tier_of(dump) is not None:
        pin = split_pin(named)
        return pin if pin is not None and pin.map_name in RULE_MAPS else None
    return None


def _place_unowned(node: Node, dump: MapDump, view: MapView) -> None:
    name = dump.map_name if dump.map_name in (*RULE_MAPS, *STATE_MAPS) else None
    tier = tier_of(dump)
    if name is None and tier is None:
        return
    identifier = UNNAMED if dump.map_id is None else f"map-{dump.map_id}"
    pod = _pod(node, identifier)
    if name is None:
        name = "cp_ingress_map" if tier == "cluster" else "ingress_map"
        pod.notes.append(f"the direction of {identifier}'s {tier} map is not stated; it is shown as {name}")
    pod.map(name).views.append(view)


def _is_conntrack(dump: MapDump) -> bool:
    return dump.map_type == "lru_hash" or "conntrack" in (dump.map_name or "")
