"""What a node is: its address, versions, mode and family, each with the place that says so; the best source wins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forensics.artifact import Artifact
    from forensics.logstory import LogStory
    from formats.base import Span

_NODE_HOST = lazy(r"^ip-(\d+)-(\d+)-(\d+)-(\d+)(?:\.|$)")
#: For a fact that several formats state, which of them is believed first.
_TRUST: dict[str, tuple[str, ...]] = {
    "agent_version": ("containers-list", "container-info", "agent-log"),
    "cni_version": ("containers-list", "container-info"),
    "node_ip": ("ps-list", "kubelet-files", "iproute", "iptables-save"),
}


class Fact(NamedTuple):
    """One stated fact and where it stands."""

    fact: str
    value: Any
    artifact: Artifact | None
    span: Span | None
    source: str


@dataclass(slots=True, repr=False)
class Facts:
    """All stated facts of a node, in order of arrival."""

    stated: list[Fact] = field(default_factory=list)

    def all(self, name: str) -> list[Fact]:
        """Every statement of one fact, the most trusted format first."""
        order = _TRUST.get(name, ())
        mine = [fact for fact in self.stated if fact.fact == name and fact.value not in (None, "")]
        return sorted(mine, key=lambda fact: order.index(fact.source) if fact.source in order else len(order))

    def best(self, name: str) -> Fact | None:
        """The most trusted statement of a fact."""
        return next(iter(self.all(name)), None)

    def value(self, name: str) -> Any:
        """Its value; None when nothing states it."""
        fact = self.best(name)
        return fact.value if fact else None

    def flag(self, name: str) -> str | None:
        """The value of an agent flag such as `enable-ipv6`, from a process list."""
        for fact in self.all("agent_flag"):
            if isinstance(fact.value, dict) and str(fact.value.get("name", "")).lstrip("-") == name:
                return str(fact.value.get("value"))
        return None


def gather(artifacts: Iterable[Artifact], story: LogStory) -> Facts:
    """Every node fact of a node's artifacts and of its agent log."""
    facts = Facts()
    for artifact in artifacts:
        for record in artifact.records:
            if record.kind == "node_fact":
                name, value = str(record.data.get("fact")), record.data.get("value")
                facts.stated.append(Fact(name, value, artifact, record.span, artifact.identity.name or ""))
    starts = [event for event in story.restarts if event.get("agent_version")]
    for event in reversed(starts):
        value = event.get("agent_version")
        facts.stated.append(Fact("agent_version", value, event.artifact, event.record.span, "agent-log"))
    modes = [event for event in story.events.named("ipamd-mode", "enforce-request") if event.get("mode")]
    for event in reversed(modes):
        facts.stated.append(Fact("enforcing_mode", event.get("mode"), event.artifact, event.record.span, "agent-log"))
    return facts


def address_of_hostname(name: str | None) -> str | None:
    """10.0.1.5 of `ip-10-0-1-5.ec2.internal`; None for any other name."""
    match = _NODE_HOST.match(name or "")
    return ".".join(match.groups()) if match else None
