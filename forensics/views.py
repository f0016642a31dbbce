"""Several dumps of one map: which one decides, and where they disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forensics.podstate import fits
from forensics.same_rules import same_rules
from formats.address import cidr_of_key
from formats.layouts import PROTOCOL_NAMES
from formats.mapview import slots_of, tier_of

if TYPE_CHECKING:
    from forensics.podstate import MapState, MapView

Slot = tuple[int, int, int, int, int]

#: Named in a disagreement before the rest is only counted.
_SHOWN = 5


def settle(state: MapState) -> None:
    """Choose the deciding view of a map and note how the others differ from it."""
    ranked = sorted(state.views, key=lambda view: (not fits(view.dump, state.tier), _rank(view)))
    if not ranked:
        return
    best = ranked[0]
    state.view = best
    dump = best.dump
    state.key_size = dump.key_size or state.key_size
    state.value_size = dump.value_size or state.value_size
    if state.map_id is None:
        state.map_id = next((view.dump.map_id for view in ranked if view.dump.map_id is not None), None)
    for other in ranked[1:]:
        text = _difference(best, other) if fits(other.dump, state.tier) else _misfit(best, other)
        if text:
            state.disagreements.append(text)


def _misfit(best: MapView, other: MapView) -> str:
    size, name = other.dump.value_size, other.artifact.shown_path
    what = "is printed by the other tier's command" if not other.raw else f"has values of {size} bytes"
    return f"{name} {what}, so it is no reading of this map: {best.artifact.shown_path} is used"


def _rank(view: MapView) -> tuple[bool, bool, bool, int, tuple[str, ...], int]:
    dump = view.dump
    stray = any("wrong-stride" in note for note in dump.notes)
    return (stray, not view.raw, not dump.complete, -(dump.count), view.artifact.location, dump.span.start)


def _difference(best: MapView, other: MapView) -> str | None:
    if any("wrong-stride" in note for note in other.dump.notes):
        return None
    if same_rules(best.dump, other.dump):
        return None
    mine, theirs = _content(best), _content(other)
    both_whole = best.dump.complete and not best.dump.hidden and other.dump.complete and not other.dump.hidden
    only_mine = sorted(set(mine) - set(theirs)) if both_whole else []
    only_theirs = sorted(set(theirs) - set(mine)) if both_whole or best.dump.complete else []
    changed = sorted(
        key
        for key in set(mine) & set(theirs)
        if mine[key] is not None and theirs[key] is not None and mine[key] != theirs[key]
    )
    parts = [
        f"{label} {_some(keys)}"
        for label, keys in (
            (f"only in {best.artifact.shown_path}:", only_mine),
            (f"only in {other.artifact.shown_path}:", only_theirs),
            ("other rules for", changed),
        )
        if keys
    ]
    if not parts:
        return None
    ruler = "raw bytes decide" if best.raw and not other.raw else "the first is used"
    return f"two views of one map disagree ({'; '.join(parts)}): {best.artifact.shown_path} is used, {ruler}"


def _some(keys: list[str]) -> str:
    rest = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + rest


def _content(view: MapView) -> dict[str, Any]:
    """{CIDR or key hex: what the value says, comparable across forms; None where it could not be read}."""
    dump = view.dump
    table = slots_of(dump)
    rules: dict[int, set[Slot]] = {row: set() for row in range(dump.count)}
    for entry, number, protocol, priority, start, end in table.tolist():
        # text forms skip protocol-0 slots and lose numbers that have no name: neither may count as a difference
        if protocol != 0:
            named = protocol if protocol in PROTOCOL_NAMES else -1
            rules[entry].add((number, named, priority, start, end))
    out: dict[str, Any] = {}
    for row in range(dump.count):
        key = dump.keys[row].tobytes()
        known = dump.value_known is None or bool(dump.value_known[row])
        if not known:
            content: Any = None
        elif tier_of(dump) is None and dump.values is not None:
            content = dump.values[row].tobytes()
        else:
            content = frozenset(rules[row])
        out[cidr_of_key(key) or key.hex()] = content
    return out
