"""The catalogue of known defects: what each is, which versions have it, what helps. Data in knowledge/defects.toml."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

from forensics.collect import PINS
from forensics.podstate import direction_of

if TYPE_CHECKING:
    from forensics.context import Context


class Defect(NamedTuple):
    """One entry: id (`KB-101`), title, mechanism, first and last affected agent tag, where it is fixed, its source."""

    id: str
    title: str
    mechanism: str
    first: str
    last: str
    fixed: str
    source: str

    @property
    def references(self) -> list[str]:
        """What a finding cites."""
        return [f"{self.id}: {self.title}", f"affected: {self.first} to {self.last}; fixed: {self.fixed}", self.source]


def defect(number: str) -> Defect:
    """One entry by its id. Raises KeyError for an id that is not in the catalogue."""
    entry = _entry(number)
    fields = {name: str(entry[name]).strip() for name in Defect._fields if name != "id"}
    return Defect(id=number, **fields)


def known() -> tuple[str, ...]:
    """Every id of the catalogue."""
    return tuple(_tables())


def remedy(number: str, context: Context, **more: str) -> str:
    """What helps, filled in for one pod identifier: steps, what they disturb, how to confirm."""
    entry = _entry(number)
    node = context.node
    names = {
        "pod": context.pod.identifier,
        "node": node.hostname or node.node_ip or node.id,
        "agent": node.agent_version or "unknown",
        "pins": PINS,
        "map": "ingress_map",
        "delete": _delete_command(context),
        **more,
    }
    names["direction"] = direction_of(names["map"])
    if "upgrade_needed" in entry:
        done = node.agent_version not in (None, entry["last"])
        names["upgrade"] = str(entry["upgrade_done" if done else "upgrade_needed"]).strip().format(**names)
    return str(entry["remedy"]).strip().format(**names)


def _delete_command(context: Context) -> str:
    """kubectl lines that delete every pod of the identifier that is known to run on this node."""
    by_namespace: dict[str, list[str]] = {}
    for pod in context.pod.local_pods:
        by_namespace.setdefault(pod.namespace, []).append(pod.name)
    lines = [
        f"$ kubectl delete pod -n {space} {' '.join(sorted(names))}" for space, names in sorted(by_namespace.items())
    ]
    return (
        "\n".join(lines) or f"$ kubectl delete pod -n <namespace> <every pod of {context.pod.identifier} on this node>"
    )


@lru_cache(maxsize=64)
def _entry(number: str) -> dict[str, Any]:
    entry: dict[str, Any] = tomllib.loads(_tables()[number])
    return entry


@lru_cache(maxsize=1)
def _tables() -> dict[str, str]:
    """The text of each table, by its id: reading TOML is slow, and a case needs one or two of them."""
    _, *tables = (resources.files("forensics.knowledge") / "defects.toml").read_text("utf-8").split("\n[KB-")
    return {"KB-" + number: text for number, _, text in (table.partition("]") for table in tables)}
