"""One pod identifier on one node, made from policy objects and map content without any file in between."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import numpy as np

from forensics.case import Case, KubeObject, Node
from forensics.context import Context
from forensics.facts import Facts
from forensics.logstory import LogStory
from forensics.neighbours import Neighbours
from forensics.nodes import Group
from forensics.podstate import MapState, MapView, PodRef, PodState
from forensics.policy import expected_map
from formats.address import key_of_cidr
from formats.base import ENTRY_SPAN_DTYPE, MapDump, Record, Span

NODE = "10.1.2.10"
NOWHERE = Span(0, 0, 1, 1)
#: Stands in for a file: its bytes were not kept.
FILE = SimpleNamespace(id="a001", shown_path="dump.txt", data=None)
SIZES = {"namespace": (288, 3), "cluster": (384, 4)}


def value(slots, tier="namespace"):
    size, fields = SIZES[tier]
    return b"".join(struct.pack(f"<{fields}I", *slot) for slot in slots).ljust(size, b"\0")


def map_state(name, entries, *, complete=True, unknown=()):
    """entries: {CIDR: slots or value bytes}; a later CIDR of the same key is a later row, as in a merged dump."""
    tier = "cluster" if name.startswith("cp_") else "namespace"
    size = SIZES[tier][0]
    made = [
        (key_of_cidr(cidr), each if isinstance(each, bytes) else value(each, tier)) for cidr, each in entries.items()
    ]
    key_size = len(made[0][0]) if made else 8
    keys = np.frombuffer(b"".join(key for key, _ in made), np.uint8).reshape(len(made), key_size)
    values = np.frombuffer(b"".join(data for _, data in made), np.uint8).reshape(len(made), size)
    known = np.array([cidr not in unknown for cidr in entries], bool) if unknown else None
    spans = np.zeros(len(made), ENTRY_SPAN_DTYPE)
    dump = MapDump("hex", keys, values, spans, NOWHERE, map_name=name, key_size=key_size, value_size=size,
                   value_known=known, complete=complete)  # fmt: skip
    state = MapState(name, key_size=key_size, value_size=size)
    state.view = MapView(dump, FILE)
    return state


def state_map(name, states):
    keys = np.frombuffer(b"".join(struct.pack("<I", key) for key in states), np.uint8).reshape(len(states), 4)
    values = np.array(list(states.values()), np.uint8).reshape(len(states), 1)
    dump = MapDump("hex", keys, values, np.zeros(len(states), ENTRY_SPAN_DTYPE), NOWHERE, map_name=name, complete=True)
    state = MapState(name)
    state.view = MapView(dump, FILE)
    return state


def context(objects, maps, *, identifier, version="v1.3.1", node_ip=NODE, family=4, mode="standard", states=None,
            pods=(), whole=True, unknown=()):  # fmt: skip
    """maps: {map name: {CIDR: slots}}; states: {0: n, 1: n} of both directions, None where it was not dumped."""
    node = Node("node", Group(()), Facts(), LogStory())
    node.agent_version, node.node_ip, node.family, node.enforcing_mode = version, node_ip, family, mode
    node.known_pods = [PodRef(*pod) for pod in pods]
    for item in objects:
        meta = item["metadata"]
        data = {"kind": item["kind"], "object": item, "namespace": meta.get("namespace"), "name": meta["name"]}
        node.objects.append(KubeObject(FILE, Record("k8s_object", data, NOWHERE)))
    pod = PodState("node", identifier)
    pod.pods = list(node.known_pods)
    for name, entries in maps.items():
        pod.maps[name] = map_state(name, entries, complete=whole, unknown=unknown)
    for way in ("ingress", "egress"):
        if states is not None:
            pod.maps[f"{way}_pod_state_map"] = state_map(f"{way}_pod_state_map", states)
    node.pods[identifier] = pod
    return Context(Case(None, [node]), node, pod, Neighbours(node))


def written(objects, *, identifier, direction, version="v1.3.1", node_ip=NODE, family=4, choose):
    """{map name: {CIDR: slots}} as an agent may have written them; `choose` takes one of several and a sample."""
    made = expected_map(objects, node_ip, identifier, direction, version, family)
    out = {}
    for tier, name in (("namespace", f"{direction}_map"), ("cluster", f"cp_{direction}_map")):
        out[name] = {cidr: choose(entry.admissible) for cidr, entry in made.tier(tier).entries.items()}
    return out
