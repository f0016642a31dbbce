"""Kubernetes manifests, YAML and JSON: policies checked against the schema of their CRD, all else kept as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from formats.base import NO, Format, Problem, Record, Score
from formats.k8s_events import Fault
from formats.k8s_flat import indent_again, is_flat
from formats.k8s_json import load_json
from formats.k8s_partial import element_of, ends_early, last_path, leave_out, node_at, record_data
from formats.k8s_schema import conform, path_text
from formats.k8s_text import FRAGMENT_KEYS, Text, texts
from formats.k8s_yaml import Loaded, load_yaml
from formats.patterns import lazy
from formats.source import Oversized

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.k8s_checker import SchemaError
    from formats.k8s_events import Path
    from formats.source import Source

#: Errors of one object that are told one by one.
TOLD = 20
#: Kinds of this tool; the same name in another API group is somebody else's.
_OURS = frozenset({"PolicyEndpoint", "ClusterPolicyEndpoint", "NetworkPolicy", "ClusterNetworkPolicy",
                   "ApplicationNetworkPolicy", "PolicyEndpoints"})  # fmt: skip
_FRAGMENT_ITEMS = frozenset({"cidr", "domainName", "hostIP", "podIP"})

_HEAD = rb"(?m)^[ \t>*]*(?:- +)?[\"']?%s[\"']?[ ]*:[ \t]*[\"']?[A-Za-z]"
_VERSION = lazy(_HEAD % b"apiVersion")
_KIND = lazy(_HEAD % b"kind")
_JSON = lazy(rb'"apiVersion"\s*:\s*"[\w./-]+"')
_JSON_KIND = lazy(rb'"kind"\s*:\s*"\w+"')
_PART_NAMES = (b"podSelectorEndpoints:", b"podIsolation:", b"policyRef:", b"- cidr:", b"- hostIP:", b"- domainName:")
_PART = lazy(
    rb"(?m)^[ \t>]*(?:(?:podSelectorEndpoints|podIsolation|policyRef):[ ]*\r?$"
    rb"|- (?:cidr|hostIP|domainName): *[\"']?[\w*:.])"
)


def sniff(head: bytes, path: str) -> Score:
    """apiVersion and kind at the start of lines, in YAML or JSON; or the rules of a policy without their head."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        head = head.decode("utf-16", "replace").encode("utf-8", "replace")
    version = _VERSION.search(head) if b"apiVersion" in head else None
    kind = _KIND.search(head) if b"kind" in head else None
    if version and kind:
        early = head.count(b"\n", 0, version.start()) <= 3
        return Score(90 if early else 70, "YAML with apiVersion and kind")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if b'"apiVersion"' in head and _JSON.search(head) and _JSON_KIND.search(head):
        return Score(88 if start in (b"{", b"[") else 65, "JSON with apiVersion and kind")
    if any(name in head for name in _PART_NAMES) and _PART.search(head):
        return Score(45, "rules or endpoints of a policy without its head")
    if version or (kind and path.endswith((".yaml", ".yml"))):
        return Score(35, "YAML with apiVersion or kind")
    return NO


def read(source: Source) -> Iterator[Item]:
    """A k8s_object for each object; a Problem for each thing wrong in it."""
    try:
        data = source.data()
    except Oversized as error:
        yield Problem(f"the file is {error}", None, "not read", "all of it", "split it by namespace")
        return
    for text in texts(data):
        if isinstance(text, Problem):
            yield text
            continue
        yield from _read_json(text) if text.json else _read_yaml(text)


def _read_yaml(text: Text) -> Iterator[Item]:
    faults: list[Fault] = []
    if is_flat(text.data):
        data, faults = indent_again(text.data)
        rows = text.rows
        if rows is None:
            from formats.text import lines

            rows = list(lines(text.data))
        text = Text(data, rows)
    for loaded in load_yaml(text):
        loaded.faults = [*faults, *loaded.faults]
        yield from _items(loaded)


def _read_json(text: Text) -> Iterator[Item]:
    for loaded in load_json(text):
        if isinstance(loaded, Problem):
            yield loaded
        else:
            yield from _items(loaded)


def _items(loaded: Loaded) -> Iterator[Item]:
    """The record of one loaded value and its problems; of a fragment when it clearly is one."""
    value = loaded.value
    if isinstance(value, dict):
        items = value.get("items")
        if isinstance(items, list) and items and str(value.get("kind", "List")).endswith("List"):
            for part in items:
                nested = Loaded(part, loaded.span, loaded.text, loaded.locate, list_kind=str(value.get("kind")))
                yield from _items(nested)
            return
        _name_by_list(value, loaded)
        if isinstance(value.get("kind"), str) and (isinstance(value.get("apiVersion"), str) or "metadata" in value):
            yield from _object(value, loaded)
            return
    if _is_fragment(value):
        span = loaded.span
        yield Record("k8s_object", record_data(value, None, _told(loaded.faults, loaded)), span)
        yield Problem(
            "a part of an object without apiVersion and kind", span, "kept as it stands", "whose it is",
            "paste the object from its first line",
        )  # fmt: skip
    elif loaded.cut or loaded.list_kind is not None:
        yield Problem("an item of a List that is no object", loaded.span, "left out", "the item")
    elif loaded.faults:
        pass
    elif isinstance(value, dict) and ("apiVersion" in value or "kind" in value):
        yield Problem("an object without kind or apiVersion", loaded.span, "left out", "the object")
    yield from _fault_problems(loaded.faults, loaded, "text")


def _name_by_list(value: dict[str, Any], loaded: Loaded) -> None:
    """Items of a typed list (`PodList`, as the API gives it raw) carry no kind of their own."""
    kind = loaded.list_kind
    if "kind" not in value and kind and kind != "List" and kind.endswith("List") and "metadata" in value:
        value["kind"] = kind.removesuffix("List")
        if loaded.list_version is not None:
            value.setdefault("apiVersion", loaded.list_version)


def _is_fragment(value: Any) -> bool:
    if isinstance(value, dict):
        return any(isinstance(value.get(key), dict | list) for key in FRAGMENT_KEYS)
    if isinstance(value, list) and value:
        return all(isinstance(part, dict) and _FRAGMENT_ITEMS & part.keys() for part in value)
    return False


def _object(value: dict[str, Any], loaded: Loaded) -> Iterator[Item]:
    errors = conform(value)
    if errors is not None and loaded.last and len(path := last_path(value)) > 1 and node_at(value, path) is None:
        loaded.cut = True
    if not errors and not loaded.faults and not loaded.cut and _half_name(value, loaded) is None:
        yield Record("k8s_object", record_data(value, None if errors is None else True, []), loaded.span)
        if errors is None and value["kind"] in _OURS:
            yield _other_group(value, loaded)
        elif errors is None and not value.get("metadata") and "items" not in value:
            yield Problem(f"{_label(value)}: nothing but its head", loaded.span, "kept as it stands", "the rest of it")
        elif errors is not None and value.get("spec") is None:
            what = f"{_label(value)}: spec is empty: a scaffold, or the text ends here"
            yield Problem(what, loaded.span, "used as it stands: no rules, no pods")
        return
    faults = list(loaded.faults)
    if loaded.cut or (loaded.last and errors is not None and ends_early(errors)):
        faults.append(_cut_fault(value, loaded))
    if (half := _half_name(value, loaded)) is not None:
        faults.append(half)
    label = _label(value)
    told = _schema_told(errors or [], loaded) + _told(
        [fault for fault in faults if fault.message != CUT_BEHIND], loaded
    )
    left_out = leave_out(value, errors or [], faults)
    valid = False if told else None if errors is None else True
    yield Record("k8s_object", record_data(value, valid, told), loaded.span)
    yield from _schema_problems(errors or [], loaded, label, left_out)
    yield from _fault_problems(faults, loaded, label)


def _label(value: dict[str, Any]) -> str:
    data = record_data(value, None, [])
    return f"{data['kind']} " + "/".join(data[key] for key in ("namespace", "name") if data[key])


#: Nothing of the object itself is missing.
CUT_BEHIND = "the text ends here: what follows this object is missing"


def _cut_fault(value: dict[str, Any], loaded: Loaded) -> Fault:
    """The element that stood open at the end; a rule whose ports were cut off would read as a rule for all ports."""
    path = last_path(value)
    line = loaded.text.data.count(b"\n") + (0 if loaded.text.data.endswith(b"\n") else 1)
    if element_of(path) is None:
        return Fault(CUT_BEHIND, line)
    return Fault("the text is cut here, in the middle of this", line, path, fatal=True, lost="the rest of it")


def _half_name(value: dict[str, Any], loaded: Loaded) -> Fault | None:
    """The last value of a text without its line end, when the object itself shows that a part of it is missing."""
    if not loaded.last or value["kind"] != "PolicyEndpoint":
        return None
    whole, given = node_at(value, ("metadata", "namespace")), node_at(value, ("spec", "policyRef", "namespace"))
    if not isinstance(whole, str) or not isinstance(given, str) or whole == given or not whole.startswith(given):
        return None
    path = ("spec", "policyRef", "namespace")
    return Fault(f"{given!r} is cut: the object is in {whole!r}", loaded.locate(path), path)


def _schema_told(errors: list[SchemaError], loaded: Loaded) -> list[dict[str, Any]]:
    return [
        {
            "path": path_text(error.path),
            "message": error.message,
            "line": loaded.text.line(loaded.locate(error.path)),
        }
        for error in errors
    ]


def _told(faults: list[Fault], loaded: Loaded) -> list[dict[str, Any]]:
    return [
        {"path": path_text(fault.path), "message": fault.message, "line": loaded.text.line(fault.line)}
        for fault in faults
    ]


def _schema_problems(errors: list[SchemaError], loaded: Loaded, label: str, left_out: set[Path]) -> Iterator[Problem]:
    for error in errors[:TOLD]:
        where = loaded.text.line_span(loaded.locate(error.path), loaded.span)
        element = element_of(error.path)
        at = f"{path_text(error.path)}: " if error.path else ""
        if element in left_out or error.path in left_out:
            done, lost = "left it out, used the rest", path_text(element or error.path)
        else:
            done, lost = "used the rest", ""
        yield Problem(f"{label}: {at}{error.message}", where, done, lost)
    if len(errors) > TOLD:
        yield Problem(f"{label}: {len(errors) - TOLD} more errors", loaded.span, "left the wrong elements out")


def _fault_problems(faults: list[Fault], loaded: Loaded, label: str) -> Iterator[Problem]:
    for fault in faults[:TOLD]:
        element = element_of(fault.path)
        lost = path_text(element) if element is not None else fault.lost
        where = loaded.text.line_span(fault.line, loaded.span)
        yield Problem(f"{label}: {fault.message}", where, "used the rest", lost)


def _other_group(value: dict[str, Any], loaded: Loaded) -> Problem:
    return Problem(
        f"{value['kind']} of {value.get('apiVersion')}: not an API group of the network policy agent",
        loaded.span,
        "kept as an object, not used as a policy",
    )


FORMAT = Format(
    name="k8s-objects",
    title="Kubernetes manifests (YAML and JSON)",
    sniff=sniff,
    read=read,
    versions="networking.k8s.aws/v1alpha1 (controller 0.5.0 to 1.1.x), networking.k8s.io/v1, any other kind unchecked",
    about="PolicyEndpoint and its relatives, NetworkPolicy, Pod, Node, Service and any other object: single, several "
    "documents, `List`, JSON one after the other, or pasted with fences, prompts, quote marks and indentation.",
    limits=(
        "whole file in memory, 512 MiB",
        "YAML: 8 MiB for one object, 200 levels, 100 anchors",
        "plain scalars are null, true, false, decimal integers or text; other YAML 1.1 forms (012, 1e3, on) stay text",
    ),
    loses=(
        "what a cut took from an object in a person's own field order, when the rest is whole",
        "comments",
        "the order of duplicate keys: the last one counts, both are reported",
    ),
)
