"""Whether a direction of a pod identifier can be compared with its policies at all. Light: asking costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from forensics import collect

if TYPE_CHECKING:
    from forensics.context import Context
    from forensics.finding import Missing
    from forensics.intent import Known


class NotComparable(NamedTuple):
    """Why nothing can be compared, and what has to be collected."""

    why: str
    missing: tuple[Missing, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "compared": False,
            "why": self.why,
            "missing": [{"what": each.what, "command": each.command} for each in self.missing],
        }


def obstacle(context: Context, direction: str) -> NotComparable | None:
    """What keeps a direction from being compared: no dump of either map, or policies of neither tier; else None."""
    name = f"{direction}_map"
    if context.dumped(name) is None and context.dumped(f"cp_{name}") is None:
        return NotComparable(f"no dump of {name}", (collect.map_dump(context, name),))
    cluster = context.dumped(f"cp_{name}") is not None and context.intent.cluster_listed
    if not context.intent.known.yes and not cluster:
        return NotComparable(context.intent.known.why, (collect.POLICIES,))
    return None


def tier_known(context: Context, tier: str) -> Known:
    """Whether the policies of a tier are known."""
    return context.intent.cluster_known if tier == "cluster" else context.intent.known
