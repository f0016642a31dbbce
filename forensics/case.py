"""Case: a bundle turned into nodes, their pods, policies and pod states. Bytes in, nothing judged yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from forensics import facts as node_facts
from forensics.dumps import attach_dumps
from forensics.fingerprints import fingerprint
from forensics.logstory import LogStory, tell
from forensics.nodes import Group, group
from forensics.pod_names import identifiers, pod_identifier
from forensics.podstate import PodRef, PodState
from forensics.versions import agent_of_cni, is_version, parse
from formats.address import canonical
from formats.log_time import utc_ns

if TYPE_CHECKING:
    from forensics.artifact import Artifact
    from forensics.bundle import Bundle
    from forensics.facts import Facts
    from forensics.podstate import MapState
    from forensics.problem import CaseProblem
    from formats.base import Record

POLICY_KINDS = ("PolicyEndpoint", "ClusterPolicyEndpoint")


class KubeObject(NamedTuple):
    """A Kubernetes object and the place it was read from."""

    artifact: Artifact
    record: Record

    @property
    def kind(self) -> str:
        """Its kind; empty for a fragment."""
        return str(self.record.data.get("kind") or "")

    @property
    def object(self) -> dict[str, Any]:
        """The object itself; bad parts are already left out."""
        value = self.record.data.get("object")
        return value if isinstance(value, dict) else {}

    @property
    def name(self) -> str:
        """namespace/name, or the name alone for cluster-wide objects."""
        namespace, name = self.record.data.get("namespace"), self.record.data.get("name") or "?"
        return f"{namespace}/{name}" if namespace else str(name)

    @property
    def spec(self) -> dict[str, Any]:
        """Its spec."""
        value = self.object.get("spec")
        return value if isinstance(value, dict) else {}


@dataclass(slots=True, repr=False)
class Node:
    """One node of a case."""

    id: str
    group: Group
    facts: Facts
    story: LogStory
    objects: list[KubeObject] = field(default_factory=list)
    instance_id: str | None = None
    node_ip: str | None = None
    hostname: str | None = None
    agent_version: str | None = None
    agent_version_source: str | None = None
    cni_version: str | None = None
    enforcing_mode: str | None = None
    family: int | None = None
    observed_until: str | None = None
    pods: dict[str, PodState] = field(default_factory=dict)
    known_pods: list[PodRef] = field(default_factory=list)
    conntrack: MapState | None = None
    assumptions: list[str] = field(default_factory=list)
    problems: list[CaseProblem] = field(default_factory=list)

    @property
    def policy_objects(self) -> list[dict[str, Any]]:
        """PolicyEndpoints and ClusterPolicyEndpoints as plain objects."""
        return [item.object for item in self.objects if item.kind in POLICY_KINDS]

    def has(self, kind: str) -> bool:
        """Whether any object of a kind is at hand."""
        return any(item.kind == kind for item in self.objects)

    def pod_at(self, address: str) -> PodRef | None:
        """The pod with an address (bare or as a host CIDR); None when it is nobody's we know."""
        wanted = canonical(address)
        for pod in self.known_pods:
            if pod.ip and canonical(pod.ip) == wanted:
                return pod
        return None


@dataclass(slots=True, repr=False)
class Case:
    """A whole case."""

    bundle: Bundle
    nodes: list[Node]
    assumptions: list[str] = field(default_factory=list)


class Overrides(NamedTuple):
    """What the user says because the bundle does not; shown as assumptions."""

    agent_version: str | None = None
    node_ip: str | None = None


def build_case(bundle: Bundle, overrides: Overrides | None = None) -> Case:
    """Group a bundle's artifacts into nodes and join what is known of each."""
    overrides = overrides or Overrides()
    nodes = [_node(found, overrides) for found in group(bundle.artifacts)]
    _name_apart(nodes)
    for node in nodes:
        for pod in node.pods.values():
            pod.node = node.id
    assumed = [
        f"{label} {value} was given on the command line"
        for label, value in (("agent version", overrides.agent_version), ("node IP", overrides.node_ip))
        if value
    ]
    return Case(bundle, nodes, assumed)


def _node(found: Group, overrides: Overrides) -> Node:
    story = tell(found.own)
    facts = node_facts.gather(found.own, story)
    node = Node("", found, facts, story)
    node.objects = [
        KubeObject(artifact, record)
        for artifact in found.artifacts
        for record in artifact.records
        if record.kind == "k8s_object" and isinstance(record.data.get("object"), dict)
    ]
    node.instance_id = facts.value("instance_id")
    node.hostname = facts.value("hostname") or facts.value("node_name")
    node.cni_version = _tag(facts.value("cni_version"))
    node.enforcing_mode = facts.value("enforcing_mode")
    node.observed_until = _last_sign(found.own)
    attach_dumps(node)
    _family(node)
    _node_ip(node, overrides)
    _agent_version(node, overrides)
    _pods(node)
    return node


def _last_sign(artifacts: list[Artifact]) -> str | None:
    """The latest time any log of the node bears, as logged: the SDK's log is written while a bundle is collected."""
    times = [
        (utc_ns(last) or 0, last)
        for artifact in artifacts
        for record in artifact.records
        if record.kind == "log_summary" and (last := record.data.get("last_ts"))
    ]
    return max(times)[1] if times else None


def _family(node: Node) -> None:
    sizes = {
        state.key_size for pod in node.pods.values() for name, state in pod.maps.items() if "pod_state" not in name
    }
    if 20 in sizes or 8 in sizes:
        node.family = 6 if 20 in sizes else 4
        return
    stated = node.facts.flag("enable-ipv6") or node.facts.value("ipv6")
    if stated is not None:
        node.family = 6 if str(stated).lower() == "true" else 4
        return
    probe = next((e.get("family") for e in node.story.events.named("probe-validate") if e.get("family")), None)
    if probe is not None:
        node.family = int(probe)


def _node_ip(node: Node, overrides: Overrides) -> None:
    if overrides.node_ip:
        node.node_ip = overrides.node_ip
        return
    for fact in node.facts.all("node_ip"):
        text = canonical(str(fact.value))
        if text and (node.family is None or (":" in text) == (node.family == 6)):
            node.node_ip = str(fact.value)
            return
    inferred = _node_ip_of_maps(node)
    named = node_facts.address_of_hostname(node.hostname) if node.family != 6 else None
    node.node_ip = inferred or named
    if inferred:
        node.assumptions.append(f"node IP {inferred} is inferred: every namespace map holds it as an allow-all entry")
    elif named:
        node.assumptions.append(f"node IP {named} is taken from the host name {node.hostname}")


def _node_ip_of_maps(node: Node) -> str | None:
    """The host address that every non-empty namespace map holds as a lone allow-all slot (agent v1.0.1 and later)."""
    common: set[str] | None = None
    for pod in node.pods.values():
        for name in ("ingress_map", "egress_map"):
            state = pod.dumped(name)
            if state is None or not state.count or not state.whole:
                continue
            mine = state.open_hosts()
            state.forget()
            common = mine if common is None else common & mine
    if common is None or len(common) != 1:
        return None
    return next(iter(common)).split("/")[0]


def _agent_version(node: Node, overrides: Overrides) -> None:
    if overrides.agent_version:
        node.agent_version = _tag(overrides.agent_version)
        node.agent_version_source = "given on the command line"
        return
    fact = next((fact for fact in node.facts.all("agent_version") if is_version(str(fact.value))), None)
    if fact is not None:
        node.agent_version, node.agent_version_source = _tag(str(fact.value)), fact.source
        return
    shipped = agent_of_cni(str(node.facts.value("cni_version") or ""))
    if shipped is not None:
        node.agent_version, node.agent_version_source = shipped.agent, f"VPC CNI {node.cni_version}"
        bound = "the one" if shipped.exact else "the oldest"
        node.assumptions.append(f"agent version {shipped.agent} is {bound} that VPC CNI {node.cni_version} ships with")
        return
    guess = fingerprint(node)
    if guess is not None:
        node.agent_version, node.agent_version_source = guess.version, guess.why
        node.assumptions.append(f"agent version is not stated; {guess.why}, so {guess.version} is assumed")


def _tag(text: str | None) -> str | None:
    return parse(text).tag if text and is_version(text) else None


def _pods(node: Node) -> None:
    seen: dict[tuple[str, str], PodRef] = {}
    for artifact in node.group.own:
        for record in artifact.records:
            if record.kind == "pod" and record.data.get("name"):
                data = record.data
                here = None if data.get("node_ip") is None else _same_ip(data["node_ip"], node.node_ip)
                local = True if str(data.get("source", "")).startswith(("ipam", "enis")) else here
                _note(seen, data["namespace"], data["name"], data.get("ip") or data.get("ipv6"), local)
    for item in node.objects:
        _pods_of_object(node, item, seen)
    node.known_pods = sorted(seen.values(), key=lambda pod: (pod.namespace, pod.name))
    _states_of_local_pods(node)
    for pod in node.known_pods:
        for identifier in identifiers(pod.name, pod.namespace):
            state = node.pods.get(identifier)
            if state is not None:
                state.pods.append(pod)
    _supersede(node)


def _states_of_local_pods(node: Node) -> None:
    """A pod of this node that no dump speaks of gets an empty state: every detector answers for it as well."""
    version = node.agent_version or "v1.3.0"
    for pod in node.known_pods:
        if pod.local and not any(name in node.pods for name in identifiers(pod.name, pod.namespace)):
            identifier = pod_identifier(pod.name, pod.namespace, version)
            node.pods.setdefault(identifier, PodState("", identifier))


def _pods_of_object(node: Node, item: KubeObject, seen: dict[tuple[str, str], PodRef]) -> None:
    if item.kind == "Pod":
        meta, status = item.object.get("metadata") or {}, item.object.get("status") or {}
        if item.spec.get("hostNetwork") or status.get("phase") in ("Succeeded", "Failed"):
            return
        local = _same_ip(status.get("hostIP"), node.node_ip)
        _note(seen, str(meta.get("namespace")), str(meta.get("name")), status.get("podIP"), local)
    elif item.kind in POLICY_KINDS:
        for row in item.spec.get("podSelectorEndpoints") or []:
            if isinstance(row, dict) and row.get("name") and row.get("namespace"):
                local = _same_ip(row.get("hostIP"), node.node_ip)
                _note(seen, row["namespace"], row["name"], row.get("podIP"), local)


def _same_ip(left: Any, right: str | None) -> bool | None:
    if not left or not right:
        return None
    return canonical(str(left)) == canonical(right)


def _note(
    seen: dict[tuple[str, str], PodRef], namespace: str, name: str, address: str | None, local: bool | None
) -> None:
    old = seen.get((namespace, name))
    if old is None:
        seen[namespace, name] = PodRef(namespace, name, address, local)
    else:
        seen[namespace, name] = PodRef(
            namespace, name, old.ip or address, old.local if old.local is not None else local
        )


def _supersede(node: Node) -> None:
    """A legacy `-` identifier beside the `@` one of the same pods is an orphan of the v1.4.0 migration."""
    for pod in node.known_pods:
        at, dash = (name for name in sorted(identifiers(pod.name, pod.namespace), key=lambda text: "@" not in text))
        if at in node.pods and dash in node.pods:
            node.pods[dash].superseded_by = at


def _name_apart(nodes: list[Node]) -> None:
    """Ids: instance, host name, address or folder; nodes that would share one are told apart by their folders."""
    plain = [node.instance_id or node.hostname or node.node_ip or "/".join(node.group.root) or "node" for node in nodes]
    taken: dict[str, int] = {}
    for node, name in zip(nodes, plain, strict=True):
        folder = "/".join(node.group.root)
        node.id = f"{name} ({folder})" if plain.count(name) > 1 and folder and folder != name else name
        taken[node.id] = taken.get(node.id, 0) + 1
        if taken[node.id] > 1:
            node.id = f"{node.id} #{taken[node.id]}"
