"""The result document: load, validate, and the questions that every rendering asks of it.

    document (plain JSON values, result.schema.json) --group, ask--> text, HTML, Markdown, SARIF

Nothing here knows where a document came from: a document of another run, read from a file, renders the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Document = dict[str, Any]

SCHEMA_VERSION = "1"
#: Kinds of documents that have a schema: of `analyze`, `diff` and `verdict`.
SCHEMAS: tuple[str, ...] = ("result", "diff", "verdict")
#: Worst first.
SEVERITIES: tuple[str, ...] = ("critical", "high", "medium", "low", "info")
#: At these a bundle is not called clean.
ALARMING: frozenset[str] = frozenset(SEVERITIES[:3])
OUTCOMES: tuple[str, ...] = ("found", "clean", "cannot-tell", "not-applicable")

_COMMANDS = ("$ ", "  ", "\t")


class InvalidDocument(ValueError):
    """Not a result document of this schema version; the message lists the first faults, one a line."""


class Remedy(NamedTuple):
    """A remedy cut at its first line that starts with `Confirm`; lines as (is it a command, text)."""

    do: list[tuple[bool, str]]
    confirm: list[tuple[bool, str]]


@dataclass(slots=True)
class Group:
    """Findings of one root cause on one node; the root-cause finding leads. No finding is merged."""

    node: str | None
    findings: list[dict[str, Any]] = field(default_factory=list)

    @property
    def lead(self) -> dict[str, Any]:
        """The root-cause finding, or the first of the group when the root is not in the document."""
        roots = {finding["root"] for finding in self.findings}
        return next((finding for finding in self.findings if finding["id"] in roots), self.findings[0])

    @property
    def severity(self) -> str:
        """The worst of the group."""
        return worst(self.findings) or SEVERITIES[-1]

    @property
    def pods(self) -> list[str]:
        """Names of all pods hit, in order of appearance; the pod identifier where no name is known."""
        return unique(
            name
            for finding in self.findings
            for name in (finding["pods"] or [f"{finding['pod_identifier']} (pod names unknown)"])
            if finding["pods"] or finding["pod_identifier"]
        )

    @property
    def since(self) -> str | None:
        """First bad sign of the group."""
        return min((finding["since"] for finding in self.findings if finding["since"]), default=None)

    @property
    def until(self) -> str | None:
        """Last sign of the group."""
        return max((finding["until"] for finding in self.findings if finding["until"]), default=None)

    def wrongly(self, how: str) -> list[str] | None:
        """All `denied` or `allowed` lines of the group; None when no finding says anything about it."""
        said = [finding["details"].get(f"wrongly_{how}") for finding in self.findings]
        if all(lines is None for lines in said):
            return None
        return unique(line for lines in said for line in lines or ())


class Gap(NamedTuple):
    """One reason why detectors could not answer on a node: for which pod identifiers, and what to collect."""

    detectors: list[str]
    why: str
    pods: list[str]
    missing: list[dict[str, Any]]


def load(source: bytes | str | Path) -> Document:
    """A validated document from JSON bytes or a file. Raises InvalidDocument; OSError when the file cannot be read."""
    import msgspec

    if not isinstance(source, bytes):
        from pathlib import Path

        source = Path(source).read_bytes()
    try:
        document = msgspec.json.decode(source)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidDocument(f"not JSON: {error}") from error
    faults = validate(document)
    if faults:
        raise InvalidDocument("\n".join(faults))
    checked: Document = document
    return checked


def schema(kind: str = "result") -> dict[str, Any]:
    """The JSON Schema of a kind of document, one of SCHEMAS."""
    import msgspec

    parsed: dict[str, Any] = msgspec.json.decode(files("reports").joinpath(f"{kind}.schema.json").read_bytes())
    return parsed


def validate(document: Any, limit: int = 20, *, kind: str = "result") -> list[str]:
    """What is wrong with a document against the schema of its kind, as `path: message`; at most `limit`, [] if ok."""
    from itertools import islice

    import jsonschema

    errors = jsonschema.Draft202012Validator(schema(kind)).iter_errors(document)
    return [f"{error.json_path}: {error.message[:300]}" for error in islice(errors, limit)]


def unique(values: Iterable[str]) -> list[str]:
    """The values in order of first appearance."""
    return list(dict.fromkeys(values))


def worst(findings: Iterable[dict[str, Any]]) -> str | None:
    """The worst severity of some findings; None when there are none."""
    present = {finding["severity"] for finding in findings}
    return next((severity for severity in SEVERITIES if severity in present), None)


def alarming(document: Document) -> bool:
    """True when a finding is medium or above."""
    return any(finding["severity"] in ALARMING for finding in document["findings"])


def answers(document: Document) -> dict[str, int]:
    """How many answers of each outcome the detectors gave, over all pods."""
    counts = dict.fromkeys(OUTCOMES, 0)
    for outcome in document["outcomes"]:
        counts[outcome["outcome"]] += 1
    return counts


def verdict(document: Document) -> str:
    """The one word: a severity, `clean`, or `cannot tell`: no detector could answer for any pod, or something is proven
    and which entries it hit is not known."""
    if alarming(document):
        return worst(document["findings"]) or SEVERITIES[-1]
    counts = answers(document)
    if document["summary"]["suspected"]:
        return "cannot tell"
    return "clean" if counts["clean"] or counts["found"] else "cannot tell"


def suspected(document: Document, node: str | None) -> list[str]:
    """What is proven of a node although no finding can say which entries it hit, with the pod identifiers."""
    return [
        f"{', '.join(each['pod_identifiers'])}: {each['text']}; which entries are hit only dumps can tell"
        for each in document["summary"]["suspected"]
        if each["node"] == node
    ]


def nodes_worst_first(document: Document) -> list[dict[str, Any]]:
    """Nodes by their worst finding, then by number of findings, then in document order."""
    weight: dict[str | None, tuple[int, int]] = {}
    for finding in document["findings"]:
        rank = SEVERITIES.index(finding["severity"])
        worst, count = weight.get(finding["node"], (rank, 0))
        weight[finding["node"]] = (min(worst, rank), count - 1)
    return sorted(document["nodes"], key=lambda node: weight.get(node["id"], (len(SEVERITIES), 0)))


def groups(document: Document, node: str | None = None) -> list[Group]:
    """Findings by root cause, worst group first, document order within; of one node when `node` is given."""
    found: dict[tuple[str | None, str], Group] = {}
    for finding in document["findings"]:
        if node is None or finding["node"] == node:
            key = (finding["node"], finding["root"] or finding["id"])
            found.setdefault(key, Group(finding["node"])).findings.append(finding)
    return sorted(found.values(), key=lambda group: SEVERITIES.index(group.severity))


def strays(document: Document) -> list[Group]:
    """Groups whose node is null or not among nodes[]."""
    known = {node["id"] for node in document["nodes"]}
    return [group for group in groups(document) if group.node not in known]


def gaps(document: Document, node: str | None) -> list[Gap]:
    """Cannot-tell answers of a node by reason; detectors and pods that lack the same thing stand together."""
    found: dict[tuple[Any, ...], Gap] = {}
    for outcome in document["outcomes"]:
        if outcome["outcome"] != "cannot-tell" or outcome["node"] != node:
            continue
        commands = tuple((missing["what"], missing["command"]) for missing in outcome["missing"])
        gap = found.setdefault((outcome["why"], commands), Gap([], outcome["why"], [], outcome["missing"]))
        for seen, value in ((gap.detectors, outcome["detector"]), (gap.pods, outcome["pod_identifier"])):
            if value and value not in seen:
                seen.append(value)
    return list(found.values())


def remedy_of(text: str) -> Remedy:
    """A finding's remedy text as lines; blank lines are left out, `$ ` and indentation are taken off commands."""
    parts = Remedy([], [])
    into = parts.do
    for line in filter(str.strip, text.split("\n")):
        if line.lower().startswith("confirm"):
            into = parts.confirm
        command = line.startswith(_COMMANDS)
        into.append((command, line.strip().removeprefix("$ ") if command else line.strip()))
    return parts


def node_name(node: dict[str, Any]) -> str:
    """What a person calls the node: host name, else instance, else address, else the document's own id."""
    return str(node["hostname"] or node["instance_id"] or node["node_ip"] or node["id"])


def detectors(document: Document) -> list[str]:
    """Every detector the document knows, in its own order."""
    return unique([*document["summary"]["detectors"], *(outcome["detector"] for outcome in document["outcomes"])])


def facts_line(node: dict[str, Any]) -> Iterator[str]:
    """The node in a few words: identity, versions, mode, family."""
    name = node_name(node)
    for value in (node["instance_id"], node["node_ip"]):
        if value and value != name:
            yield str(value)
    source = f" ({node['agent_version_source']})" if node["agent_version_source"] else ""
    yield f"agent {node['agent_version'] or 'version unknown'}{source}"
    yield f"CNI {node['cni_version'] or 'version unknown'}"
    yield f"{node['enforcing_mode'] or 'enforcing mode unknown'}"
    yield f"IPv{node['family']}" if node["family"] else "address family unknown"
    if node["cluster"]:
        yield f"cluster {node['cluster']}"
