"""missing-self-ip: a pod's own address is admitted by its policies and absent from its own namespace map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.detectors import addresses, missing_entry, restart_aliasing
from forensics.detectors.base import Detector
from forensics.finding import Answer, cannot_tell
from formats.address import canonical

if TYPE_CHECKING:
    from forensics.context import Context
    from forensics.finding import Finding
    from forensics.keydiff import KeyDiff


def run(context: Context) -> Answer:
    """The addresses of this node's pods of the identifier, among the missing keys of its own maps."""
    result = addresses.answer(
        context,
        _make,
        needs_whole=True,
        all_clear="the own address of every pod here that its policies list is in its map",
        clear_by_log="the own address of every pod here that the agent's last write lists is in its map",
    )
    if result.outcome == "clean" and _judged(context) and not _own(context):
        from forensics import collect

        return cannot_tell("no pod of it on this node is known by address", collect.PODS)
    return result


def _judged(context: Context) -> bool:
    """Whether there are addresses its maps should hold: policies select it, or the log shows them being written."""
    if context.intent.known.yes:
        return context.intent.selected
    states = [state for name in addresses.MAPS if (state := context.dumped(name)) is not None]
    return any(context.key_diff(state).write is not None for state in states)


def _own(context: Context) -> dict[str, str]:
    """{host CIDR: namespace/name} of the identifier's pods on this node."""
    return {cidr: pod.title for pod in context.pod.local_pods if pod.ip and (cidr := canonical(pod.ip))}


def _make(context: Context, diff: KeyDiff) -> Finding | None:
    own = _own(context)
    mine = [key for key in diff.missing if key.cidr in own]
    if not mine:
        return None
    result = missing_entry.claim(context, diff, mine, DETECTOR.id)
    who = ", ".join(f"{own[key.cidr]} ({key.cidr})" for key in mine)
    result.title = f"{context.full_name(diff.state)}: own address of {who} missing"
    result.summary = f"{who} shares this map and is itself not in it. {result.summary}"
    result.pods = sorted(own[key.cidr] for key in mine)
    return result


DETECTOR = Detector(
    id="missing-self-ip",
    title="A pod's own address is missing from its own map",
    about=(
        "The own address of a pod running on this node (ipam.json, or hostIP = node IP) that its policies admit and the "
        "namespace map of its own identifier lacks."
    ),
    needs=("whole dumps of the namespace maps", "PolicyEndpoints", "the node's pods with their addresses"),
    run=run,
    defects=(restart_aliasing.DEFECT,),
)
