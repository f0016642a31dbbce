"""Kubernetes objects, described objects and tables: expected values from the CRD chapter of the spec, by hand."""
# ruff: noqa: E501 (tables are as wide as kubectl prints them)

from __future__ import annotations

import copy
import json
import math
import random
import time

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from formats.base import Problem, Record
from formats.k8s_block import NOT_SIMPLE, parse, resolve
from formats.k8s_describe import FORMAT as K8S_DESCRIBE
from formats.k8s_events import build
from formats.k8s_objects import FORMAT as K8S_OBJECTS
from formats.k8s_schema import SCHEMAS, conform, load_schema, path_text, validate
from formats.k8s_tables import FORMAT as K8S_TABLES
from formats.k8s_yaml import load_documents
from formats.source import Source

ENDPOINT = """apiVersion: networking.k8s.aws/v1alpha1
kind: PolicyEndpoint
metadata:
  name: web-abcde
  namespace: prod
spec:
  egress:
  - cidr: 10.0.0.0/8
    ports:
    - port: 53
      protocol: UDP
  ingress:
  - cidr: 10.1.0.1
  - cidr: 10.1.0.2
    except:
    - 10.1.0.3/32
    ports:
    - endPort: 90
      port: 80
      protocol: TCP
  podIsolation:
  - Ingress
  - Egress
  podSelector:
    matchLabels:
      app: web
  podSelectorEndpoints:
  - hostIP: 10.2.0.1
    name: web-1
    namespace: prod
    podIP: 10.2.0.9
  policyRef:
    name: web
    namespace: prod
"""
OBJECT = {
    "apiVersion": "networking.k8s.aws/v1alpha1",
    "kind": "PolicyEndpoint",
    "metadata": {"name": "web-abcde", "namespace": "prod"},
    "spec": {
        "egress": [{"cidr": "10.0.0.0/8", "ports": [{"port": 53, "protocol": "UDP"}]}],
        "ingress": [
            {"cidr": "10.1.0.1"},
            {
                "cidr": "10.1.0.2",
                "except": ["10.1.0.3/32"],
                "ports": [{"endPort": 90, "port": 80, "protocol": "TCP"}],
            },
        ],
        "podIsolation": ["Ingress", "Egress"],
        "podSelector": {"matchLabels": {"app": "web"}},
        "podSelectorEndpoints": [{"hostIP": "10.2.0.1", "name": "web-1", "namespace": "prod", "podIP": "10.2.0.9"}],
        "policyRef": {"name": "web", "namespace": "prod"},
    },
}
ITEM = "- " + ENDPOINT.replace("\n", "\n  ").rstrip() + "\n"
LIST = "apiVersion: v1\nitems:\n" + ITEM + ITEM.replace("web", "api") + 'kind: List\nmetadata:\n  resourceVersion: ""\n'


def read(form, text: str | bytes) -> tuple[list[Record], list[Problem]]:
    data = text.encode() if isinstance(text, str) else text
    items = list(form.read(Source("-", data)))
    return [i for i in items if isinstance(i, Record)], [i for i in items if isinstance(i, Problem)]


def objects(text: str | bytes) -> tuple[list[Record], list[Problem]]:
    return read(K8S_OBJECTS, text)


def one(text: str | bytes) -> Record:
    records, _ = objects(text)
    assert len(records) == 1, [record.data["kind"] for record in records]
    return records[0]


def test_a_policy_endpoint_is_read_whole() -> None:
    record = one(ENDPOINT)

    assert record.kind == "k8s_object"
    assert record.data == {
        "kind": "PolicyEndpoint",
        "api_version": "networking.k8s.aws/v1alpha1",
        "namespace": "prod",
        "name": "web-abcde",
        "object": OBJECT,
        "valid": True,
        "errors": [],
    }
    assert record.span == (0, len(ENDPOINT) - 1, 1, 34)


def test_list_items_have_their_own_spans() -> None:
    records, problems = objects(LIST)

    assert problems == []
    assert [record.data["name"] for record in records] == ["web-abcde", "api-abcde"]
    assert [(r.span.first_line, r.span.last_line) for r in records] == [(3, 36), (37, 70)]
    for record in records:
        assert yaml.safe_load(LIST[record.span.start : record.span.end]) == [record.data["object"]]


def _nested(text: str, by: str) -> str:
    return "".join(f"{by}{line}\n" for line in text.splitlines())


PASTES = {
    "fence": f"Look:\n\n```yaml\n{ENDPOINT}```\nthanks\n",
    "crlf": ENDPOINT.replace("\n", "\r\n"),
    "mail": "You wrote:\n" + _nested(ENDPOINT, "> "),
    "indented": "see\n\n" + _nested(ENDPOINT, "    ") + "end\n",
    "prompt": f"[ec2-user@node ~]$ kubectl get policyendpoint web-abcde -oyaml\n{ENDPOINT}[ec2-user@node ~]$ exit\n",
    "smart quotes": ENDPOINT.replace("10.1.0.1", "\u201c10.1.0.1\u201d"),
    "byte order mark": "\ufeff" + ENDPOINT,
    "no-break blanks": ENDPOINT.replace("  ", "\u00a0\u00a0"),
    "comments": "# from the cluster\n" + ENDPOINT.replace("spec:", "spec: # rules"),
    "deeper lists": yaml.safe_dump(OBJECT, indent=4),
    "flow": ENDPOINT.replace("  - Ingress\n  - Egress\n", "").replace(
        "podIsolation:", "podIsolation: [Ingress, Egress]"
    ),
    "powershell": ENDPOINT.replace("\n", "\r\n").encode("utf-16"),
    "separators": f"---\n{ENDPOINT}---\n",
    "html after": f"{ENDPOINT}\n</details>\n\nWorks: no\n",
    "no final newline": ENDPOINT.rstrip("\n"),
    "json": json.dumps(OBJECT),
    "pretty json": json.dumps(OBJECT, indent=4),
    "json in a fence": f"Here:\n```json\n{json.dumps(OBJECT, indent=4)}\n```\n",
    "json with a mark": "\ufeff" + json.dumps(OBJECT),
    "mail json": _nested(json.dumps(OBJECT, indent=2), "> "),
}


@pytest.mark.parametrize("name", PASTES)
def test_a_paste_is_the_same_object(name: str) -> None:
    data = PASTES[name]

    records, problems = objects(data)

    assert K8S_OBJECTS.sniff(data if isinstance(data, bytes) else data.encode(), "-").value >= 30
    assert problems == []
    assert [record.data["object"] for record in records] == [OBJECT]
    assert records[0].data["valid"] is True


def test_spans_of_a_paste_are_raw() -> None:
    data = "You wrote:\n" + _nested(ENDPOINT, "> ")

    span = one(data).span

    assert (span.first_line, span.last_line) == (2, 35)
    assert data[span.start : span.end] == _nested(ENDPOINT, "> ").rstrip("\n")


def test_tabs_are_reported() -> None:
    tabbed = "\n".join(
        "\t" * ((len(line) - len(line.lstrip(" "))) // 2) + line.lstrip(" ") for line in ENDPOINT.splitlines()
    )

    records, problems = objects(tabbed)

    assert [record.data["object"] for record in records] == [OBJECT]
    assert ["tabs" in problem.what for problem in problems] == [True]


def test_documents_without_separators() -> None:
    records, problems = objects(ENDPOINT + ENDPOINT.replace("web", "api"))

    assert [record.data["name"] for record in records] == ["web-abcde", "api-abcde"]
    assert records[1].span.first_line == 35
    assert problems == []


def test_a_broken_document_costs_itself_only() -> None:
    text = f"{ENDPOINT}---\n{{{{ not yaml\nkind: [\n---\n{ENDPOINT}"

    records, _ = objects(text)

    assert [record.data["object"] for record in records if record.data["kind"] == "PolicyEndpoint"] == [OBJECT, OBJECT]


@pytest.mark.parametrize(
    ("old", "new", "path", "line"),
    [
        ("port: 53", "port: http", "spec.egress[0].ports[0].port", 10),
        ("port: 53", "port: 70000", "spec.egress[0].ports[0].port", 10),
        ("port: 53", "port: 053", "spec.egress[0].ports[0].port", 10),
        ("protocol: UDP", "protocol: UPD", "spec.egress[0].ports[0].protocol", 11),
        ("cidr: 10.0.0.0/8", "cidr: 10.0.0.0/80", "spec.egress[0].cidr", 8),
        ("cidr: 10.0.0.0/8", "cidr: [10]", "spec.egress[0].cidr", 8),
        ("    ports:\n    - port: 53\n      protocol", "    port: 53\n    protocol", "spec.egress[0].port", 9),
    ],
)
def test_a_wrong_rule_costs_that_rule(old: str, new: str, path: str, line: int) -> None:
    records, problems = objects(ENDPOINT.replace(old, new, 1))

    data = records[0].data
    assert data["valid"] is False
    assert (path, line) in [(error["path"], error["line"]) for error in data["errors"]]
    assert data["object"]["spec"]["egress"] == []
    assert data["object"]["spec"]["ingress"] == OBJECT["spec"]["ingress"]
    assert problems[0].span.first_line == line
    assert problems[0].lost == "spec.egress[0]"


def test_errors_of_a_list_item_carry_the_lines_of_the_file() -> None:
    records, problems = objects(
        LIST.replace("podIP: 10.2.0.9", "podIP: none", 2).replace("podIP: none", "podIP: 10.2.0.9", 1)
    )

    assert [record.data["valid"] for record in records] == [True, False]
    assert [(e["path"], e["line"]) for e in records[1].data["errors"]] == [("spec.podSelectorEndpoints[0].podIP", 67)]
    assert LIST.splitlines()[66].strip() == "podIP: 10.2.0.9"
    assert [problem.span.first_line for problem in problems] == [67]
    assert records[1].data["object"]["spec"]["podSelectorEndpoints"] == []


def test_required_fields_are_named() -> None:
    data = one(ENDPOINT.replace("    podIP: 10.2.0.9\n", "")).data

    assert [(e["path"], e["message"], e["line"]) for e in data["errors"]] == [
        ("spec.podSelectorEndpoints[0]", "podIP is missing", 28)
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cidr: 10.0.0.0/8", 'cidr: "10.0.0.0/8'),
        ("    - port: 53", "   - port: 53"),
        ("      protocol: UDP", "     protocol: UDP"),
        ("cidr: 10.0.0.0/8", "cidr: 10.0.0.0/8: x"),
        ("cidr: 10.0.0.0/8", "cidr: @10.0.0.0/8"),
    ],
)
def test_a_rule_that_is_not_yaml_costs_that_rule(old: str, new: str) -> None:
    records, problems = objects(ENDPOINT.replace(old, new, 1))

    data = records[0].data
    assert data["valid"] is False
    assert not data["object"]["spec"]["egress"]
    assert data["object"]["spec"]["ingress"] == OBJECT["spec"]["ingress"]
    assert data["object"]["spec"]["policyRef"] == OBJECT["spec"]["policyRef"]
    assert any("not YAML" in problem.what and 8 <= problem.span.first_line <= 11 for problem in problems)


def test_a_broken_list_item_keeps_its_neighbours() -> None:
    text = LIST.replace("      - cidr: 10.1.0.1\n".replace("      ", "    "), '    - cidr: "10.1.0.1\n', 1)
    assert text != LIST

    records, problems = objects(text)

    assert [record.data["name"] for record in records] == ["web-abcde", "api-abcde"]
    assert [record.data["valid"] for record in records] == [False, True]
    assert [rule["cidr"] for rule in records[0].data["object"]["spec"]["ingress"]] == ["10.1.0.2"]
    assert len(problems) == 1


def test_duplicate_keys_are_reported_with_both_values() -> None:
    records, problems = objects(
        ENDPOINT.replace("  namespace: prod\nspec", "  namespace: prod\n  namespace: dev\nspec")
    )

    assert records[0].data["namespace"] == "dev"
    assert "'prod' and 'dev'" in problems[0].what
    assert problems[0].span.first_line == 6


def test_duplicate_keys_in_json_are_reported() -> None:
    text = json.dumps(OBJECT, indent=2).replace(
        '"namespace": "prod"\n  }', '"namespace": "prod",\n "namespace": "dev"\n  }', 1
    )

    records, problems = objects(text)

    assert len(records) == 1
    assert any("'namespace' is given twice" in problem.what for problem in problems)


def test_two_rules_run_together_are_no_rule() -> None:
    data = one(ENDPOINT.replace("  - cidr: 10.1.0.2", "    cidr: 10.1.0.2")).data

    assert data["object"]["spec"]["ingress"] == []
    assert data["errors"][0]["path"] == "spec.ingress[0]"


@pytest.mark.parametrize(
    "text", ["012", "12:30:45", "on", "yes", "1e3", "0x10", "1_000", "True", "2001-01-01", ".5", "-0"]
)
def test_scalars_that_yaml_changes_stay_text(text: str) -> None:
    data = one(ENDPOINT.replace("app: web", f"app: {text}")).data

    assert data["object"]["spec"]["podSelector"]["matchLabels"]["app"] == text
    assert data["valid"] is True


def test_numbers_in_text_fields_are_their_text() -> None:
    data = one(ENDPOINT.replace("app: web", "app: 1\n      b: true").replace("name: web\n", "name: 123\n")).data

    assert data["object"]["spec"]["podSelector"]["matchLabels"] == {"app": "1", "b": "true"}
    assert data["object"]["spec"]["policyRef"]["name"] == "123"
    assert data["valid"] is True


def test_quoted_ports_are_numbers() -> None:
    data = one(ENDPOINT.replace("port: 53", "port: '53'")).data

    assert data["object"] == OBJECT


def test_named_ports_stay_names_in_a_network_policy() -> None:
    text = """kind: NetworkPolicy
apiVersion: networking.k8s.io/v1
metadata:
  name: web
  annotations:
spec:
  podSelector: {}
  ingress:
    - from:
        - podSelector: {}
        - namespaceSelector:
            matchLabels: {team: a}
      ports:
        - port: http
        - port: 8080
"""

    data = one(text).data

    assert data["valid"] is True
    assert data["object"]["metadata"]["annotations"] is None
    assert data["object"]["spec"]["ingress"][0]["ports"] == [{"port": "http"}, {"port": 8080}]


def test_cut_at_every_byte_never_invents_a_rule() -> None:
    rules = {"egress": OBJECT["spec"]["egress"], "ingress": OBJECT["spec"]["ingress"]}

    for size in range(ENDPOINT.index("spec:") + 6, len(ENDPOINT) - 1):
        records, problems = objects(ENDPOINT[:size])

        assert len(records) == 1
        spec = records[0].data["object"].get("spec") or {}
        for direction, whole in rules.items():
            got = spec.get(direction) or []
            assert got == whole[: len(got)], (size, got)
        assert problems, size
        assert records[0].data["valid"] is False or not spec, size


@pytest.mark.parametrize(
    "text", [LIST, json.dumps({"apiVersion": "v1", "items": [OBJECT] * 3, "kind": "List"}, indent=4)]
)
def test_items_before_a_cut_are_kept(text: str) -> None:
    whole, _ = objects(text)
    rng = random.Random(5)

    for size in sorted(rng.sample(range(20, len(text) - 40), 60)):
        records, problems = objects(text[:size])

        before = [record for record in whole if record.span.end < size - 3]
        assert [r.data["object"] for r in records[: len(before)]] == [r.data["object"] for r in before], size
        assert problems or not records, size


def test_a_cut_list_says_so() -> None:
    records, problems = objects(LIST[: LIST.index("kind: List")])

    assert [record.data["valid"] for record in records] == [True, True]
    assert ["the text ends here" in problem.what for problem in problems] == [True]


def test_an_empty_list_is_a_record() -> None:
    data = one('apiVersion: v1\nitems: []\nkind: List\nmetadata:\n  resourceVersion: ""\n').data

    assert (data["kind"], data["object"]["items"]) == ("List", [])


def test_items_of_a_typed_list_take_its_kind() -> None:
    text = json.dumps({"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "a", "namespace": "b"}}]})

    data = one(text).data

    assert (data["kind"], data["api_version"], data["name"], data["valid"]) == ("Pod", "v1", "a", None)


def test_json_documents_one_after_the_other() -> None:
    other = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n\u00e9"}}
    text = json.dumps(OBJECT, ensure_ascii=False) + json.dumps(other, ensure_ascii=False) + "\n" + json.dumps(OBJECT)

    records, problems = objects(text)

    assert [record.data["kind"] for record in records] == ["PolicyEndpoint", "Node", "PolicyEndpoint"]
    assert json.loads(text.encode()[records[2].span.start : records[2].span.end]) == OBJECT
    assert problems == []


def test_json_errors_have_lines() -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [OBJECT, OBJECT]}, indent=2)
    bad = text.replace('"port": 53', '"port": "dns"').replace('"port": "dns"', '"port": 53', 1)

    records, _ = objects(bad)

    line = next(n for n, row in enumerate(bad.splitlines(), 1) if '"dns"' in row)
    assert [error["line"] for error in records[1].data["errors"]] == [line]
    assert records[0].data["valid"] is True


def test_other_policies_are_kept_as_their_own_kind() -> None:
    cilium = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: x\nspec:\n  ingress:\n  - {}\n"
    calico = "apiVersion: crd.projectcalico.org/v1\nkind: GlobalNetworkPolicy\nmetadata:\n  name: y\n"
    early = "apiVersion: policy.k8s.aws.nodeagent/v1\nkind: PolicyEndpoints\nmetadata:\n  name: z\nspec:\n"

    records, problems = objects(f"{cilium}---\n{calico}---\n{early}")

    assert [(r.data["kind"], r.data["valid"]) for r in records] == [
        ("CiliumNetworkPolicy", None),
        ("GlobalNetworkPolicy", None),
        ("PolicyEndpoints", None),
    ]
    assert ["not an API group" in problem.what for problem in problems] == [True]


def test_fragments_are_kept_without_a_kind() -> None:
    records, problems = objects(ENDPOINT[ENDPOINT.index("  - cidr: 10.1.0.1") :])

    assert [record.data["kind"] for record in records] == [None, None]
    assert records[0].data["object"] == OBJECT["spec"]["ingress"]
    assert records[1].data["object"]["policyRef"] == {"name": "web", "namespace": "prod"}
    assert len(problems) == 2


def test_prose_and_front_matter_are_no_objects() -> None:
    text = "---\ntitle: x\nweight: 3\n---\n\nThe kind: of thing\nspec: is long\n\n- one\n- two\n"

    assert objects(text) == ([], [])
    assert K8S_OBJECTS.sniff(text.encode(), "-").value < 30


def test_lost_indentation_is_put_back_by_the_field_names() -> None:
    flat = "\n".join(line.strip() for line in ENDPOINT.splitlines())

    records, problems = objects(flat)

    assert records[0].data["object"] == OBJECT
    assert records[0].data["valid"] is False
    assert "indentation was lost" in problems[0].what


def test_lost_indentation_stops_at_the_first_doubt() -> None:
    flat = "\n".join(line.strip() for line in ENDPOINT.replace("  - cidr: 10.1.0.2", "  cidr: 10.1.0.2").splitlines())

    records, problems = objects(flat)

    assert records[0].data["object"]["spec"]["egress"] == OBJECT["spec"]["egress"]
    assert "policyRef" not in records[0].data["object"]["spec"]
    assert any("it is open where" in problem.what and problem.span.first_line == 14 for problem in problems)
    assert not records[0].data["object"]["spec"]["ingress"]


def test_anchors_and_merges_are_followed() -> None:
    text = """apiVersion: v1
kind: Pod
metadata: {name: a, labels: &l {app: web}}
spec:
  a: *l
  b:
    <<: *l
    x: y
"""

    data = one(text).data

    assert data["object"]["spec"] == {"a": {"app": "web"}, "b": {"x": "y", "app": "web"}}


LAUGHS = "apiVersion: v1\nkind: Pod\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
HOSTILE = {
    "brackets": "apiVersion: v1\nkind: Pod\nx: " + "[" * 40_000,
    "closed brackets": "apiVersion: v1\nkind: Pod\nx: " + "[" * 40_000 + "]" * 40_000,
    "braces": "apiVersion: v1\nkind: Pod\nx: " + "{a: " * 40_000,
    "dashes": "apiVersion: v1\nkind: Pod\nx:\n" + "- " * 40_000 + "a",
    "question marks": "apiVersion: v1\nkind: Pod\nx:\n" + "? " * 40_000 + "a",
    "indentation": "apiVersion: v1\nkind: Pod\n" + "".join(" " * n + "a:\n" for n in range(3000)),
    "laughs": LAUGHS,
    "loop": "apiVersion: v1\nkind: Pod\nx: &x [*x]\n",
    "anchors": "apiVersion: v1\nkind: Pod\nx:\n" + "".join(f"- &a{n} v\n" for n in range(1000)),
    "json brackets": '{"apiVersion": "v1", "kind": "Pod", "x": ' + "[" * 40_000,
    "json objects": '{"apiVersion": "v1", "kind": "Pod", "x": ' + '{"a":' * 40_000 + "1" + "}" * 40_001,
    "nul": "apiVersion: v1\nkind: Pod\nx: \0\x07\x1b\n",
    "latin": b"apiVersion: v1\nkind: Pod\nmetadata:\n  name: caf\xe9\n",
    "tag": "apiVersion: v1\nkind: Pod\nx: !!python/object/apply:os.system [id]\n",
    "quotes": "apiVersion: v1\nkind: Pod\n" + 'x: "\n' * 3000,
    "colons": "apiVersion: v1\nkind: Pod\nx: " + "a: " * 30_000,
    "one long line": "apiVersion: v1\nkind: Pod\nx: " + "a#" * 500_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_ends_soon_and_is_said(name: str) -> None:
    began = time.monotonic()

    records, problems = objects(HOSTILE[name])

    assert time.monotonic() - began < 20
    assert json.dumps([record.data for record in records])
    if name not in ("nul", "latin", "tag", "one long line", "question marks"):
        assert problems


def test_an_item_of_any_size_is_guarded_by_itself() -> None:
    text = "apiVersion: v1\nitems:\n" + ITEM + "- kind: Pod\n  x: " + "[" * 40_000 + "\n" + ITEM + "kind: List\n"

    records, problems = objects(text)

    assert [r.data["object"] for r in records if r.data["kind"] == "PolicyEndpoint"] == [OBJECT, OBJECT]
    assert any("nested deeper" in problem.what for problem in problems)


NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1, max_size=12)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    NAMES,
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20),
    st.sampled_from(
        ["", "~", "null", "on", "012", "1e3", "a: b", "a #b", "- a", "{}", "x:", "#c", "'", '"', "a'b", "|"]
    ),
    st.text("a \n\t", max_size=12),
)
KEYS = st.one_of(
    NAMES, st.sampled_from(["app.kubernetes.io/name", "f:metadata", 'k:{"uid":"a"}', ".", "a b", "", "<<x"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


def _canonical(value):
    """What our scalar rules make of a value that PyYAML printed: integers past 18 digits stay text."""
    if isinstance(value, dict):
        return {key: _canonical(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_canonical(part) for part in value]
    return resolve(str(value)) if type(value) is int else value


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(KEYS, VALUES, min_size=1, max_size=4),
    st.sampled_from([2, 4]),
    st.booleans(),
    st.sampled_from([80, 10**6]),
)
def test_the_fast_reader_and_libyaml_agree(value, indent: int, flow: bool, width: int) -> None:
    text = yaml.dump(
        value, Dumper=yaml.CSafeDumper, indent=indent, width=width, default_flow_style=None if flow else False
    )

    fast = parse(text, {})
    slow = build(text.encode())

    assert slow.faults == []
    assert slow.value == _canonical(value)
    assert fast is NOT_SIMPLE or fast == slow.value


LINES = st.sampled_from(
    ["a: b", "a:", "b: 1", "- a", "- a: b", "- b:", "  a: c", "  - d", "  e:", "   f: g", "    h: 'i'", "    - j: k", "", "# x",
     "  # y", 'q: "r"', "s: {}", "  - t: {}", "u: []", "v: |", "  text", "w: |-", "    text: x", "- - z", "x: a b", "x: 'it''s'",
     "x: a'b", "y: &a b", "z: a: b", "-", "? a", "a : b", "a:b", "k: v # c", "'q': r", "\tt: u", "é: è", "x: -", "x: ::1", "x: @a"]
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=9))
def test_the_fast_reader_declines_or_agrees_on_any_lines(rows: list[str]) -> None:
    text = "\n".join(rows) + "\n"

    fast = parse(text, {})

    if fast is not NOT_SIMPLE:
        slow = build(text.encode())
        assert slow.faults == []
        assert fast == slow.value


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 70000), st.sampled_from(["", "10.0.0.1", "10.0.0.0/8", "::/0", "TCP", "*.a.b", "x y"]),
    st.floats(allow_nan=False, allow_infinity=False), st.lists(st.integers(0, 9), max_size=2),
    st.dictionaries(st.sampled_from(["cidr", "port", "name", "ipBlock", "pods", "a"]), st.integers(0, 3), max_size=3),
)  # fmt: skip
TEMPLATES = [
    OBJECT,
    {
        "apiVersion": "networking.k8s.aws/v1alpha1",
        "kind": "ClusterPolicyEndpoint",
        "metadata": {"name": "a-bcdfg"},
        "spec": {
            "policyRef": {"name": "a"},
            "priority": 5,
            "tier": "Admin",
            "subject": {"namespaces": {}},
            "ingress": [{"action": "Deny", "cidr": "::/0", "ports": [{"port": 1, "endPort": 2}]}],
            "podSelectorEndpoints": OBJECT["spec"]["podSelectorEndpoints"],
        },
    },
    {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "a", "labels": {"a": "b"}},
        "spec": {
            "podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}, {"podSelector": {}}]}
            ],
            "egress": [{"to": [{"namespaceSelector": {}}], "ports": [{"port": "http", "protocol": "TCP"}]}],
        },
    },
    {
        "apiVersion": "networking.k8s.aws/v1alpha1",
        "kind": "ApplicationNetworkPolicy",
        "metadata": {"name": "a"},
        "spec": {"podSelector": {}, "egress": [{"to": [{"domainNames": ["*.example.com"]}, {"podSelector": {}}]}]},
    },
    {
        "apiVersion": "networking.k8s.aws/v1alpha1",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "a"},
        "spec": {
            "tier": "Baseline",
            "priority": 1000,
            "subject": {"pods": {"namespaceSelector": {}, "podSelector": {}}},
            "ingress": [
                {"action": "Pass", "from": [{"namespaces": {}}], "ports": [{"portRange": {"start": 1, "end": 2}}]}
            ],
            "egress": [{"action": "Deny", "to": [{"networks": ["0.0.0.0/0"]}, {"domainNames": ["a.b"]}]}],
        },
    },
]


def _spots(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _spots(part, (*path, key))


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_the_checker_and_jsonschema_agree(data) -> None:
    value = copy.deepcopy(data.draw(st.sampled_from(TEMPLATES)))
    for _ in range(data.draw(st.integers(0, 3))):
        spots = [path for path in _spots(value) if path and path[0] not in ("apiVersion", "kind")]
        spot = data.draw(st.sampled_from(spots or [("spec",)]))
        parent = value
        for part in spot[:-1]:
            parent = parent[part]
        if data.draw(st.booleans()) and isinstance(parent, dict):
            parent.pop(spot[-1], None)
        else:
            parent[spot[-1]] = data.draw(JUNK)
    schema = load_schema(SCHEMAS[value["apiVersion"].rpartition("/")[0], value["kind"]])

    # jsonschema names the parent of a property whose schema is `false`.
    ours = {
        (error.path[:-1] if error.keyword == "false schema" else error.path, error.keyword) for error in validate(value)
    }

    theirs = {
        (tuple(error.absolute_path), "false schema" if error.schema is False else error.validator)
        for error in jsonschema.Draft202012Validator(schema).iter_errors(value)
    }
    assert ours == theirs


def test_the_templates_and_schemas_are_sound() -> None:
    for name in set(SCHEMAS.values()):
        jsonschema.Draft202012Validator.check_schema(load_schema(name))

    assert [validate(template) for template in TEMPLATES] == [[]] * len(TEMPLATES)


def test_conform_changes_only_what_has_one_reading() -> None:
    value = copy.deepcopy(OBJECT)
    value["spec"]["egress"][0]["ports"][0]["port"] = "53"
    value["metadata"]["labels"] = {"a": 1, "b": True, "c": None}

    errors = conform(value)

    assert value["spec"]["egress"] == OBJECT["spec"]["egress"]
    assert value["metadata"]["labels"] == {"a": "1", "b": "true", "c": None}
    assert [path_text(error.path) for error in errors] == ["metadata.labels.c"]


@pytest.mark.parametrize(
    ("cidr", "good"),
    [
        ("10.0.0.1", True), ("10.0.0.1/32", True), ("10.0.0.1/33", False), ("10.0.0.256", False), ("10.0.0", False),
        ("::/0", True), ("::", True), ("2600:1f14:abc:1::20", True), ("2600:1f14:abc:1:2:3:4:5/128", True), ("::1/129", False),
        ("::ffff:10.0.0.1", True), ("10.x.0.0/16", False), ("", False), ("010.0.0.1", False), ("a", False),
    ],
)  # fmt: skip
def test_the_form_of_a_cidr(cidr: str, good: bool) -> None:
    value = copy.deepcopy(OBJECT)
    value["spec"]["egress"][0]["cidr"] = cidr

    assert (validate(value) == []) is good


def test_load_documents_gives_object_span_and_problems() -> None:
    got = list(load_documents(b"a: 1\n---\nb: 1\nb: 2\n"))

    assert [(value, span.first_line, len(problems)) for value, span, problems in got] == [
        ({"a": 1}, 1, 0),
        ({"b": 2}, 3, 1),
    ]


DESCRIBED = """Name:         web-abcde
Namespace:    prod
Labels:       <none>
Annotations:  networking.k8s.aws/last-change-trigger-time: 2026-01-02T03:04:05.678Z
              example.com/a: b
API Version:  networking.k8s.aws/v1alpha1
Kind:         PolicyEndpoint
Metadata:
  Creation Timestamp:  2026-01-02T03:04:05Z
  Generate Name:       web-
  Generation:          2
  Owner References:
    API Version:           networking.k8s.io/v1
    Block Owner Deletion:  true
    Controller:            true
    Kind:                  NetworkPolicy
    Name:                  web
    UID:                   8a3d0f2e
  Resource Version:        184467
  UID:                     c87abc5c
Spec:
  Egress:
    Cidr:  10.0.0.0/8
    Ports:
      Port:      53
      Protocol:  UDP
      Port:      53
      Protocol:  TCP
      End Port:  90
      Port:      80
      Protocol:  TCP
    Domain Name:  api.example.com
    Cidr:         10.3.0.0/16
    Except:
      10.3.1.0/24
  Ingress:
    Cidr:  10.1.0.1
    Cidr:  10.1.0.2
  Pod Isolation:
    Ingress
    Egress
  Pod Selector:
    Match Labels:
      app.kubernetes.io/name:  web
  Pod Selector Endpoints:
    Host IP:    10.2.0.1
    Name:       web-1
    Namespace:  prod
    Pod IP:     10.2.0.9
    Host IP:    10.2.0.2
    Name:       web-2
    Namespace:  prod
    Pod IP:     10.2.0.10
  Policy Ref:
    Name:       web
    Namespace:  prod
Events:         <none>
"""


@pytest.mark.parametrize("text", [DESCRIBED, _nested(DESCRIBED, "    "), f"$ kubectl describe\n```\n{DESCRIBED}```\n"])
def test_a_described_endpoint_is_the_object(text: str) -> None:
    records, problems = read(K8S_DESCRIBE, text)

    data = records[0].data
    spec = data["object"]["spec"]
    assert K8S_DESCRIBE.sniff(text.encode(), "-").value >= 30
    assert problems == []
    assert (data["kind"], data["namespace"], data["name"], data["valid"]) == (
        "PolicyEndpoint",
        "prod",
        "web-abcde",
        True,
    )
    assert data["object"]["metadata"]["annotations"] == {
        "networking.k8s.aws/last-change-trigger-time": "2026-01-02T03:04:05.678Z",
        "example.com/a": "b",
    }
    assert data["object"]["metadata"]["ownerReferences"][0]["controller"] is True
    assert spec["egress"] == [
        {
            "cidr": "10.0.0.0/8",
            "ports": [
                {"port": 53, "protocol": "UDP"},
                {"port": 53, "protocol": "TCP"},
                {"endPort": 90, "port": 80, "protocol": "TCP"},
            ],
        },
        {"domainName": "api.example.com"},
        {"cidr": "10.3.0.0/16", "except": ["10.3.1.0/24"]},
    ]
    assert spec["ingress"] == [{"cidr": "10.1.0.1"}, {"cidr": "10.1.0.2"}]
    assert spec["podIsolation"] == ["Ingress", "Egress"]
    assert spec["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "web"}}
    assert [row["podIP"] for row in spec["podSelectorEndpoints"]] == ["10.2.0.9", "10.2.0.10"]


def test_described_labels_that_lost_their_spelling_are_unknown() -> None:
    records, _ = read(K8S_DESCRIBE, DESCRIBED.replace("app.kubernetes.io/name:  web", "App:  web"))

    assert records[0].data["object"]["spec"]["podSelector"] is None


def test_an_uncertain_border_is_noted() -> None:
    text = DESCRIBED.replace(
        "    Cidr:  10.1.0.1\n    Cidr:  10.1.0.2\n", "    Ports:\n      Port:  1\n    Ports:\n      Port:  2\n"
    )

    _, problems = read(K8S_DESCRIBE, text)

    assert ["no border" in problem.what for problem in problems] == [True, True]


def test_a_described_pod_gives_its_addresses() -> None:
    text = """Name:             web-1
Namespace:        prod
Priority:         0
Node:             ip-10-2-0-1.ec2.internal/10.2.0.1
Status:           Running
IP:               10.2.0.9
IPs:
  IP:           10.2.0.9
  IP:           2001:db8::9
Containers:
  web:
    Environment:
      PASSWORD:  hunter2
"""

    records, _ = read(K8S_DESCRIBE, text)

    assert [record.kind for record in records] == ["pod"]
    data = records[0].data
    assert (data["ip"], data["ipv6"], data["node_ip"], data["node_name"]) == (
        "10.2.0.9", "2001:db8::9", "10.2.0.1", "ip-10-2-0-1.ec2.internal",
    )  # fmt: skip


def test_the_environment_of_aws_node() -> None:
    text = "Environment:\n  NETWORK_POLICY_ENFORCING_MODE:  strict\n  ENABLE_IPv6:  false\nMounts:\n"

    records, _ = read(K8S_DESCRIBE, text)

    assert [(r.data["fact"], r.data["value"]) for r in records] == [
        ("agent_flag", {"name": "NETWORK_POLICY_ENFORCING_MODE", "value": "strict"}),
        ("enforcing_mode", "strict"),
        ("agent_flag", {"name": "ENABLE_IPv6", "value": "false"}),
        ("ipv6", "false"),
    ]


# Columns as wide as kubectl prints them.
WIDE = """NAMESPACE   NAME    READY   STATUS    RESTARTS      AGE   IP            NODE                         NOMINATED NODE   READINESS GATES
prod        web-1   1/1     Running   3 (5h ago)    2d    10.2.0.9      ip-10-2-0-1.ec2.internal     <none>           <none>
prod        web-2   0/1     Pending   0             1m    <none>        <none>                       <none>           <none>
six         web-3   1/1     Running   0             1m    2001:db8::9   i-0abc.ec2.internal          <none>           <none>
"""


@pytest.mark.parametrize(
    "text", [WIDE, _nested(WIDE, "  "), "\n".join(" ".join(row.split()) for row in WIDE.splitlines())]
)
def test_pods_of_a_wide_table(text: str) -> None:
    records, problems = read(K8S_TABLES, text)

    assert problems == []
    assert [
        (r.kind, r.data["namespace"], r.data["name"], r.data["ip"], r.data["ipv6"], r.data["node_name"])
        for r in records
    ] == [
        ("pod", "prod", "web-1", "10.2.0.9", None, "ip-10-2-0-1.ec2.internal"),
        ("pod", "prod", "web-2", None, None, None),
        ("pod", "six", "web-3", None, "2001:db8::9", "i-0abc.ec2.internal"),
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("NAMESPACE   NAME        AGE\nprod        web-x7k2p   4h\n", "PolicyEndpoint"),
        ("NAME        AGE\nweb-x7k2p   4h\n", "PolicyEndpoint"),
        ("NAME       AGE\nmy-thing   4h\n", None),
        ("$ kubectl get pe -A\nNAME       AGE\nweb-x7k2p  4h\n", None),
        ("$ kubectl get policyendpoints.networking.k8s.aws -A\nNAME       AGE\nmy-thing   4h\n", "PolicyEndpoint"),
        ("$ kubectl -n prod get netpol\nNAME   POD-SELECTOR   AGE\nweb    app=web        4h\n", "NetworkPolicy"),
        ("NAME                         AGE\nclusterpolicyendpoint.networking.k8s.aws/a-b   4h\n", "ClusterPolicyEndpoint"),
        ("NAME                                 CREATED AT\npolicyendpoints.networking.k8s.aws   2026-01-02T03:04:05Z\n",
         "CustomResourceDefinition"),
    ],
)  # fmt: skip
def test_the_kind_of_a_table(text: str, kind: str | None) -> None:
    records, _ = read(K8S_TABLES, text)

    assert [(record.data["kind"], record.data["object"]) for record in records] == ([(kind, None)] if kind else [])


def test_a_row_that_does_not_fit_is_said() -> None:
    records, problems = read(K8S_TABLES, WIDE + "prod        web-4   1/1     Running   0\n")

    assert len(records) == 3
    assert len(problems) == 1


def test_nothing_is_claimed_without_its_signs() -> None:
    text = b'{"level":"info","msg":"kind: apiVersion"}\nkey: 00 00\n10.0.0.0/8\n' * 20

    assert [form.sniff(text, "x").value for form in (K8S_OBJECTS, K8S_DESCRIBE, K8S_TABLES)] == [0, 0, 0]


def test_a_thousand_endpoints_take_less_than_the_yardstick() -> None:
    items = []
    for number in range(200):
        item = copy.deepcopy(OBJECT)
        item["metadata"]["name"] = f"web-{number}-abcde"
        item["spec"]["ingress"] = [
            {"cidr": f"10.{number}.{n}.0/24", "ports": [{"port": n + 1, "protocol": "TCP"}]} for n in range(20)
        ]
        items.append(item)
    text = yaml.dump({"apiVersion": "v1", "items": items, "kind": "List"}, Dumper=yaml.CSafeDumper).encode()

    ours = math.inf
    for _ in range(3):
        began = time.process_time()
        records, problems = objects(text)
        ours = min(ours, time.process_time() - began)
    began = time.process_time()
    reference = yaml.load(text, Loader=yaml.CSafeLoader)
    yardstick = time.process_time() - began

    assert [record.data["object"] for record in records] == reference["items"]
    assert problems == []
    assert ours <= 1.3 * yardstick
