"""What the controller should make of policies, and where PolicyEndpoints at hand differ: expected values by hand."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics import analyze
from forensics.case import KubeObject
from forensics.controller import Key, Wanted, policies_of, resolve
from forensics.controller_cluster import Cluster
from forensics.controller_diff import Compared, Comparer
from forensics.controller_ports import ALL
from forensics.controller_selectors import NAME_LABEL, Labels, matches
from forensics.policy_rules import endpoints_of
from formats.base import Record, Span

if TYPE_CHECKING:
    import random

CASES = Path(__file__).parent.parent / "corpus" / "cases"
EVERYWHERE = {Key("0.0.0.0/0"), Key("::/0")}


def kube(value: dict[str, Any]) -> KubeObject:
    meta = value["metadata"]
    data = {"kind": value["kind"], "api_version": value.get("apiVersion"), "namespace": meta.get("namespace")}
    artifact = SimpleNamespace(id="a1", shown_path="objects.yaml", data=None)
    return KubeObject(artifact, Record("k8s_object", {**data, "name": meta["name"], "object": value}, Span(0, 1, 1, 1)))  # type: ignore[arg-type]


def pod(
    name: str, ip: str, labels: dict[str, str], namespace: str = "prod", node: str = "n1", **more: Any
) -> dict[str, Any]:
    ports = [{"name": key, "containerPort": number} for key, number in more.pop("ports", {}).items()]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "c", "ports": ports}], "nodeName": node, **more.pop("spec", {})},
        "status": {"phase": "Running", "podIP": ip, "hostIP": "192.168.0.1", **more},
    }


def namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def service(
    name: str, ip: str, selector: dict[str, str], port: int, target: int | str, space: str = "prod"
) -> dict[str, Any]:
    spec = {"clusterIP": ip, "selector": selector, "ports": [{"port": port, "targetPort": target, "protocol": "TCP"}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": space}, "spec": spec}


def policy(spec: dict[str, Any], name: str = "p", space: str = "prod", kind: str = "NetworkPolicy") -> dict[str, Any]:
    meta = {"name": name} | ({} if kind.startswith("Cluster") else {"namespace": space})
    group = "networking.k8s.io/v1" if kind == "NetworkPolicy" else "networking.k8s.aws/v1alpha1"
    return {"apiVersion": group, "kind": kind, "metadata": meta, "spec": spec}


def wanted(spec: dict[str, Any], *objects: dict[str, Any], kind: str = "NetworkPolicy") -> Wanted:
    items = [kube(policy(spec, kind=kind)), *map(kube, objects)]
    return resolve(policies_of(items)[0], Cluster(items))


def app(name: str) -> dict[str, Any]:
    return {"matchLabels": {"app": name}}


def tcp(*numbers: int) -> frozenset[tuple[str, int, None]]:
    return frozenset(("TCP", number, None) for number in numbers)


WEB, API, DB = (pod(f"{name}-0", f"10.0.0.{n}", {"app": name}) for n, name in ((1, "web"), (2, "api"), (3, "db")))


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "tier": "x"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["x"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, True),
        ({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": []}]}, None),
        ({"matchExpressions": [{"key": "app", "operator": "Gt", "values": ["1"]}]}, None),
        ({"matchLabels": {"app": "api"}, "matchExpressions": [{"key": "x", "operator": "Gt"}]}, False),
        ("app=web", None),
    ],
)
def test_selectors(selector: Any, expected: bool | None) -> None:
    assert expected is matches(selector, Labels({"app": "web"}))


@pytest.mark.parametrize(
    ("selector", "expected"),
    [({}, True), ({"matchLabels": {NAME_LABEL: "prod"}}, True), ({"matchLabels": {NAME_LABEL: "dev"}}, False),
     ({"matchLabels": {"team": "a"}}, None), ({"matchLabels": {"team": "a", NAME_LABEL: "dev"}}, False)],
)  # fmt: skip
def test_selectors_on_labels_of_which_one_is_known(selector: Any, expected: bool | None) -> None:
    assert expected is matches(selector, Labels({NAME_LABEL: "prod"}, whole=False))


def test_no_peers_are_all_addresses_of_both_families() -> None:
    got = wanted({"podSelector": {}, "ingress": [{"ports": [{"port": 80, "protocol": "TCP"}]}], "egress": [{}]}, WEB)

    assert dict.fromkeys(EVERYWHERE, tcp(80)) == got.ingress.sure
    assert dict.fromkeys(EVERYWHERE, ALL) == got.egress.sure
    assert got.policy.isolation == {"Ingress", "Egress"}


def test_blocks_keep_their_excepts_and_merge_by_them() -> None:
    block = {"ipBlock": {"cidr": "10.1.2.3/8", "except": ["10.2.0.0/16", "10.1.0.0/16"]}}
    rules = [
        {"from": [block], "ports": [{"port": 80}]},
        {"from": [block], "ports": [{"port": 81, "protocol": "UDP", "endPort": 90}]},
        {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
        {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 9}]},
    ]

    got = wanted({"podSelector": {}, "ingress": rules}, WEB)

    assert got.ingress.sure == {
        Key("10.0.0.0/8", ("10.1.0.0/16", "10.2.0.0/16")): frozenset({("TCP", 80, None), ("UDP", 81, 90)}),
        Key("10.0.0.0/8"): ALL,
    }


def test_pods_count_by_address_and_phase() -> None:
    pods = [
        WEB,
        pod("done", "10.0.0.4", {"app": "web"}, phase="Succeeded"),
        pod("failed", "10.0.0.5", {"app": "web"}, phase="Failed"),
        pod("waiting", "", {"app": "web"}, phase="Pending"),
        pod("early", "10.0.0.6", {"app": "web"}, phase="Pending"),
        pod("host", "192.168.0.1", {"app": "web"}, spec={"hostNetwork": True}),
    ]

    got = wanted({"podSelector": app("web"), "ingress": [{"from": [{"podSelector": app("web")}]}]}, *pods)

    assert {"web-0", "early"} == {each.name for each in got.targets}
    assert {"10.0.0.1/32", "10.0.0.6/32", "192.168.0.1/32"} == {key.cidr for key in got.ingress.sure}


def test_namespace_selectors_alone_and_with_pod_selectors() -> None:
    objects = [
        namespace("prod"), namespace("mon", team="ops"), WEB,
        pod("agent", "10.0.1.1", {"app": "agent"}, "mon"), pod("ui", "10.0.1.2", {"app": "ui"}, "mon"),
    ]  # fmt: skip
    ops = {"matchLabels": {"team": "ops"}}

    alone = wanted({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": ops}]}]}, *objects)
    both = {"namespaceSelector": ops, "podSelector": app("ui")}
    joined = wanted({"podSelector": {}, "ingress": [{"from": [both]}]}, *objects)

    assert {"10.0.1.1/32", "10.0.1.2/32"} == {key.cidr for key in alone.ingress.sure}
    assert {"10.0.1.2/32"} == {key.cidr for key in joined.ingress.sure}
    assert set() == alone.blind


def test_namespaces_that_are_not_at_hand_leave_doubts_and_no_claims() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"team": "ops"}}}
    got = wanted({"podSelector": {}, "ingress": [{"from": [peer]}]}, WEB, pod("agent", "10.0.1.1", {}, "mon"))

    assert got.ingress.sure == {}
    assert {"namespaces"} == got.blind
    assert {"10.0.0.1/32", "10.0.1.1/32"} == got.ingress.maybe


def test_named_ports_of_ingress_are_those_of_the_selected_pods() -> None:
    pods = [
        pod("a", "10.0.0.1", {"app": "web"}, ports={"http": 8080}),
        pod("b", "10.0.0.2", {"app": "web"}, ports={"http": 80}),
    ]
    rule = {"from": [{"ipBlock": {"cidr": "10.9.0.0/16"}}], "ports": [{"port": "http", "protocol": "TCP"}, {"port": 9}]}
    lost = {"from": [{"ipBlock": {"cidr": "10.8.0.0/16"}}], "ports": [{"port": "grpc"}]}

    got = wanted({"podSelector": app("web"), "ingress": [rule, lost]}, *pods)

    assert {Key("10.9.0.0/16"): tcp(8080, 80, 9)} == got.ingress.sure


def test_named_ports_of_egress_are_each_peers_own() -> None:
    pods = [
        pod("a", "10.0.0.1", {"app": "web"}, ports={"http": 8080}),
        pod("b", "10.0.0.2", {"app": "web"}, ports={"http": 80}),
        pod("c", "10.0.0.3", {"app": "web"}, ports={"other": 80}),
    ]
    peers = [{"podSelector": app("web")}, {"ipBlock": {"cidr": "10.9.0.0/16"}}]

    got = wanted({"podSelector": {}, "egress": [{"to": peers, "ports": [{"port": "http"}]}]}, *pods)

    assert {Key("10.0.0.1/32"): tcp(8080), Key("10.0.0.2/32"): tcp(80)} == got.egress.sure


def test_cluster_ips_stand_beside_the_pods_of_egress_peers() -> None:
    objects = [
        API,
        service("api", "172.20.0.5", {"app": "api"}, 80, 8080),
        service("headless", "None", {"app": "api"}, 80, 8080),
        service("other", "172.20.0.6", {"app": "db"}, 80, 8080),
        service("elsewhere", "172.20.0.7", {"app": "api"}, 80, 8080, "dev"),
        service("wrong-port", "172.20.0.8", {"app": "api"}, 80, 9090),
    ]
    rule = {"to": [{"podSelector": app("api")}], "ports": [{"port": 8080, "protocol": "TCP"}]}

    got = wanted({"podSelector": {}, "egress": [rule]}, *objects)

    assert {Key("10.0.0.2/32"): tcp(8080), Key("172.20.0.5/32"): tcp(80)} == got.egress.sure


def test_a_number_behind_a_named_target_port_is_left_open() -> None:
    objects = [
        pod("api-0", "10.0.0.2", {"app": "api"}, ports={"http": 8080}),
        service("api", "172.20.0.5", {"app": "api"}, 80, "http"),
    ]
    rule = {"to": [{"podSelector": app("api")}], "ports": [{"port": 8080}]}

    got = wanted({"podSelector": {}, "egress": [rule]}, *objects)

    assert {Key("10.0.0.2/32"): tcp(8080)} == got.egress.sure
    assert {"172.20.0.5/32"} == got.egress.maybe


@pytest.mark.parametrize(
    ("spec", "expected"),
    [({}, {"Ingress"}), ({"egress": [{}]}, {"Ingress", "Egress"}), ({"policyTypes": ["Egress"]}, {"Egress"})],
)
def test_policy_types_as_the_api_fills_them_in(spec: dict[str, Any], expected: set[str]) -> None:
    assert expected == wanted({"podSelector": {}, **spec}).policy.isolation


CNP = {
    "tier": "Admin",
    "priority": 5,
    "subject": {"namespaces": {"matchLabels": {"env": "prod"}}},
    "ingress": [
        {
            "action": "Deny",
            "from": [{"namespaces": {"matchLabels": {"env": "dev"}}}],
            "ports": [{"portNumber": {"port": 22, "protocol": "TCP"}}, {"portRange": {"start": 1, "end": 9}}],
        },
        {"action": "Accept", "from": [{"pods": {"namespaceSelector": {}, "podSelector": app("db")}}]},
    ],
    "egress": [{"action": "Deny", "to": [{"networks": ["10.66.0.0/16"]}, {"domainNames": ["example.com"]}]}],
}
SPACES = [namespace("prod", env="prod"), namespace("dev", env="dev"), WEB, DB, pod("dev-0", "10.0.5.1", {}, "dev")]


def test_cluster_policies() -> None:
    got = wanted(CNP, *SPACES, kind="ClusterNetworkPolicy")

    assert {"web-0", "db-0"} == {each.name for each in got.targets}
    assert got.ingress.sure == {
        Key("10.0.5.1/32", (), "Deny"): frozenset({("TCP", 22, None), ("TCP", 1, 9)}),
        Key("10.0.0.3/32", (), "Accept"): ALL,
    }
    assert {Key("10.66.0.0/16", (), "Deny"): ALL} == got.egress.sure


def endpoint(spec: dict[str, Any], name: str = "p-aaaaa", kind: str = "PolicyEndpoint") -> dict[str, Any]:
    cluster = kind.startswith("Cluster")
    reference = {"name": "p"} | ({} if cluster else {"namespace": "prod"})
    meta = {"name": name} | ({} if cluster else {"namespace": "prod"})
    body = {"policyRef": reference, **({} if cluster else {"podIsolation": ["Ingress"]}), **spec}
    return {"apiVersion": "networking.k8s.aws/v1alpha1", "kind": kind, "metadata": meta, "spec": body}


def row(each: dict[str, Any]) -> dict[str, str]:
    meta, status = each["metadata"], each["status"]
    return {"name": meta["name"], "namespace": meta["namespace"], "podIP": status["podIP"], "hostIP": status["hostIP"]}


def compared(
    spec: dict[str, Any], endpoints: list[dict[str, Any]], *objects: dict[str, Any], kind: str = "NetworkPolicy"
) -> Compared:
    items = [kube(policy(spec, kind=kind)), *map(kube, objects)]
    sources = [kube(each) for each in endpoints]
    cluster, found = Cluster(items), endpoints_of(endpoints)
    return Comparer(cluster, found).compare(resolve(policies_of(items)[0], cluster), found, sources)


def kinds(got: Compared) -> set[tuple[str, str | None]]:
    return {(each.kind, each.cidr) for each in got.differences}


FROM_API = {"podSelector": app("web"), "ingress": [{"from": [{"podSelector": app("api")}], "ports": [{"port": 80}]}]}
TCP80 = [{"port": 80, "protocol": "TCP"}]


def at(*addresses: str) -> list[dict[str, Any]]:
    return [{"cidr": address, "ports": TCP80} for address in addresses]


ELSEWHERE = pod("dns-0", "10.0.7.1", {}, "kube-system", "n2")


def test_slices_count_as_one() -> None:
    slices = [
        endpoint({"podSelectorEndpoints": [row(WEB)]}),
        endpoint({"ingress": [{"cidr": "10.0.0.2", "ports": TCP80}]}, "p-bbbbb"),
        endpoint({"ingress": [{"cidr": "10.0.0.4", "ports": TCP80}]}, "p-ccccc"),
    ]
    got = compared(FROM_API, slices, WEB, API, pod("api-1", "10.0.0.4", {"app": "api"}))

    assert got.differences == []
    assert got.doubts == {}


DONE = pod("api-9", "10.0.0.9", {"app": "api"}, phase="Failed")
MOVED = {**row(WEB), "podIP": "10.0.0.77"}


@pytest.mark.parametrize(
    ("rows", "ingress", "objects", "expected"),
    [
        ([row(WEB)], [], [API], ("missing-peer", "10.0.0.2/32")),
        ([row(WEB)], at("10.0.0.2", "10.0.0.3"), [API, DB], ("extra-peer", "10.0.0.3/32")),
        ([row(WEB)], at("10.0.0.2", "10.0.0.9"), [API, DONE], ("gone-peer", "10.0.0.9/32")),
        ([row(WEB)], [{"cidr": "10.0.0.2"}], [API], ("ports", "10.0.0.2/32")),
        ([row(WEB)], [*at("10.0.0.2"), {"cidr": "0.0.0.0/0"}], [API], ("extra-block", "0.0.0.0/0")),
        ([], at("10.0.0.2"), [API], ("missing-target", "10.0.0.1/32")),
        ([row(WEB), row(DB)], at("10.0.0.2"), [API, DB], ("extra-target", "10.0.0.3/32")),
        ([MOVED], at("10.0.0.2"), [API], ("missing-target", "10.0.0.1/32")),
    ],
    ids=["peer missing", "other pod's", "finished", "all ports", "block", "target missing", "target", "moved"],
)
def test_a_difference_is_found_and_no_other(rows, ingress, objects, expected) -> None:
    got = compared(FROM_API, [endpoint({"podSelectorEndpoints": rows, "ingress": ingress})], WEB, *objects)

    assert {expected} == kinds(got)
    assert got.doubts == {}


def test_an_address_that_nobody_has_is_only_gone_when_the_pods_are_the_whole_clusters() -> None:
    items = [{"cidr": each, "ports": TCP80} for each in ("10.0.0.2", "10.0.3.3")]
    slices = [endpoint({"podSelectorEndpoints": [row(WEB)], "ingress": items})]

    part = compared(FROM_API, slices, WEB, API)
    whole = compared(FROM_API, slices, WEB, API, ELSEWHERE)

    assert (set(), {"pods"}) == (kinds(part), set(part.doubts))
    assert ({("gone-peer", "10.0.3.3/32")}, set()) == (kinds(whole), set(whole.doubts))
    assert {"10.0.0.2/32", "10.0.3.3/32"} == {item["cidr"] for item in part.should[0]["spec"]["ingress"]}
    assert {"10.0.0.2/32"} == {item["cidr"] for item in whole.should[0]["spec"]["ingress"]}


def test_unknown_addresses_of_egress_may_be_services() -> None:
    spec = {"podSelector": app("web"), "policyTypes": ["Egress"], "egress": [{"to": [{"podSelector": app("api")}]}]}
    items = [{"cidr": "10.0.0.2"}, {"cidr": "172.20.0.5"}]
    slices = [endpoint({"podIsolation": ["Egress"], "podSelectorEndpoints": [row(WEB)], "egress": items})]
    api = service("api", "172.20.0.5", {"app": "api"}, 80, 8080)
    kubernetes = service("kubernetes", "172.20.0.1", {}, 443, 443, "default")

    without = compared(spec, slices, WEB, API, ELSEWHERE)
    with_them = compared(spec, slices, WEB, API, ELSEWHERE, api, kubernetes)
    unfit = compared(
        spec, slices, WEB, API, ELSEWHERE, {**api, "spec": {**api["spec"], "selector": {"app": "db"}}}, kubernetes
    )

    assert (set(), {"services"}) == (kinds(without), set(without.doubts))
    assert (set(), set()) == (kinds(with_them), set(with_them.doubts))
    assert {("extra-service", "172.20.0.5/32")} == kinds(unfit)


def test_merged_excepts_and_lost_all_ports_of_old_controllers() -> None:
    rules = [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": 80}]},
             {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]  # fmt: skip
    merged = {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"], "ports": TCP80}

    got = compared(
        {"podSelector": app("web"), "ingress": rules},
        [endpoint({"podSelectorEndpoints": [row(WEB)], "ingress": [merged]})],
        WEB,
    )

    assert {("missing-block", "10.0.0.0/8")} == kinds(got)


def test_a_pod_on_the_hosts_network_is_no_target() -> None:
    host = pod("host", "192.168.0.1", {"app": "web"}, spec={"hostNetwork": True})
    slices = [
        endpoint({"podSelectorEndpoints": [row(WEB), row(host)], "ingress": [{"cidr": "10.0.0.2", "ports": TCP80}]})
    ]

    assert {("host-network", "192.168.0.1/32")} == kinds(compared(FROM_API, slices, WEB, API, host))


def test_cluster_policy_endpoints() -> None:
    rules = {
        "ingress": [
            {
                "cidr": "10.0.5.1",
                "action": "Deny",
                "ports": [{"port": 22, "protocol": "TCP"}, {"port": 1, "endPort": 9, "protocol": "TCP"}],
            },
            {"cidr": "10.0.0.3", "action": "Accept"},
        ],
        "egress": [{"cidr": "10.66.0.0/16", "action": "Deny"}, {"domainName": "example.com", "action": "Accept"}],
        "podSelectorEndpoints": [row(WEB), row(DB)],
    }
    right = endpoint({"tier": "Admin", "priority": 5, **rules}, kind="ClusterPolicyEndpoint")
    wrong = copy.deepcopy(right)
    wrong["spec"]["priority"] = 50
    wrong["spec"]["ingress"][0]["action"] = "Accept"

    got = [compared(CNP, [each], *SPACES, kind="ClusterNetworkPolicy") for each in (right, wrong)]

    assert got[0].differences == []
    assert {("priority", None), ("missing-peer", "10.0.5.1/32"), ("extra-peer", "10.0.5.1/32")} == kinds(got[1])


def test_the_stars_demo_by_hand() -> None:
    objects = [
        each
        for name in ("networkpolicies", "pods", "namespaces", "services")
        for each in yaml.safe_load((CASES / "stars" / "input" / f"{name}.yaml").read_text())["items"]
    ]
    items = [kube(each) for each in objects]

    got = {each.policy.title: each for each in (resolve(one, Cluster(items)) for one in policies_of(items))}

    assert {Key("10.0.1.30/32"): tcp(80)} == got["NetworkPolicy stars/frontend-policy"].ingress.sure
    assert {Key("10.0.1.20/32"): tcp(6379)} == got["NetworkPolicy stars/backend-policy"].ingress.sure
    assert {Key("10.0.2.21/32"): ALL} == got["NetworkPolicy client/allow-ui"].ingress.sure
    assert {"frontend-7k2mx", "backend-v9ptc"} == {p.name for p in got["NetworkPolicy stars/default-deny"].targets}


def restamped(tmp_path: Path, old: str, new: str) -> list[dict[str, Any]]:
    shutil.copytree(CASES / "stars-wrong" / "input", tmp_path / "in")
    for path in (tmp_path / "in").glob("*.yaml"):
        path.write_text(path.read_text().replace(old, new))
    found = analyze([str(tmp_path / "in")]).findings
    return [finding for finding in found if finding["detector"] == "stale-policyendpoint"]


def test_pods_younger_than_the_policy_endpoint_are_the_controllers_delay(tmp_path: Path) -> None:
    got = restamped(tmp_path, "2026-11-21T09:30:00.600000000Z", "2026-11-21T07:59:00Z")

    assert [(f["severity"], f["defect"], f["entries"]) for f in got] == [
        ("info", None, ["10.0.1.30/32", "10.0.1.33/32"])
    ]


def test_a_delay_of_hours_is_none(tmp_path: Path) -> None:
    got = restamped(tmp_path, 'creationTimestamp: "2026-11-10T08:01:00Z"', 'creationTimestamp: "2026-11-21T12:00:00Z"')

    assert [(f["severity"], f["defect"]) for f in got] == [("high", "KB-501")]


def test_a_policy_without_any_policy_endpoint(tmp_path: Path) -> None:
    shutil.copytree(CASES / "stars" / "input", tmp_path / "in")
    path = tmp_path / "in" / "policyendpoints.yaml"
    value = yaml.safe_load(path.read_text())
    value["items"] = [each for each in value["items"] if each["spec"]["policyRef"]["name"] != "frontend-policy"]
    path.write_text(yaml.safe_dump(value))
    policies = tmp_path / "in" / "networkpolicies.yaml"
    policies.write_text(policies.read_text().replace("2026-11-20T08:12:00Z", "2026-11-20T07:12:00Z"))

    got = [f for f in analyze([str(tmp_path / "in")]).findings if f["detector"] == "stale-policyendpoint"]

    assert [(f["pod_identifier"], f["severity"]) for f in got] == [("frontend@stars", "high")]
    assert "has no PolicyEndpoint at all" in got[0]["summary"]


@pytest.mark.parametrize("gone", ["networkpolicies.yaml", "pods.yaml", "policyendpoints.yaml", "namespaces.yaml"])
def test_without_one_of_its_inputs_it_cannot_tell(tmp_path: Path, gone: str) -> None:
    shutil.copytree(CASES / "stars" / "input", tmp_path / "in")
    (tmp_path / "in" / gone).unlink()

    outcomes = analyze([str(tmp_path / "in")]).document["outcomes"]
    got = [
        each
        for each in outcomes
        if each["detector"] == "stale-policyendpoint" and each["pod_identifier"] == "frontend@stars"
    ]

    assert [each["outcome"] for each in got] == ["cannot-tell"]
    assert gone in str(got[0]["missing"])


APPS = ("web", "api", "db")
PODS = [
    pod(f"{name}-{n}", f"10.0.{n}.{m}", {"app": name}, space, f"n{n % 2}")
    for m, (space, name) in enumerate((space, name) for space in ("prod", "dev") for name in APPS)
    for n in range(4)
]
PEER = st.one_of(
    st.sampled_from(APPS).map(lambda name: {"podSelector": app(name)}),
    st.sampled_from(["prod", "dev"]).map(lambda name: {"namespaceSelector": {"matchLabels": {NAME_LABEL: name}}}),
    st.sampled_from(["10.9.0.0/16", "10.8.0.0/16"]).map(
        lambda cidr: {"ipBlock": {"cidr": cidr, "except": [cidr[:-5] + "1.0/24"]}}
    ),
)
RULE = st.fixed_dictionaries(
    {
        "peers": st.lists(PEER, max_size=3),
        "ports": st.lists(st.sampled_from([80, 81, 8080]).map(lambda n: {"port": n}), max_size=2),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(RULE, max_size=4), st.sampled_from(APPS), st.randoms(use_true_random=False))
def test_any_split_of_what_the_controller_makes_is_no_difference(rules, name: str, chance: random.Random) -> None:
    ingress = [{"ports": rule["ports"], **({"from": rule["peers"]} if rule["peers"] else {})} for rule in rules]
    spec = {"podSelector": app(name), "ingress": ingress}
    objects = [*PODS, namespace("prod"), namespace("dev")]
    whole = compared(spec, [], *objects).should[0]["spec"]
    slices = [endpoint({"ingress": [], "podSelectorEndpoints": []}, f"p-{n:05}") for n in range(3)]
    for part in ("ingress", "podSelectorEndpoints"):
        for item in chance.sample(whole[part], len(whole[part])):
            chance.choice(slices)["spec"][part].append(item)

    same = compared(spec, slices, *objects)
    victims = [each for each in slices if each["spec"]["ingress"]]
    lost = chance.choice(victims)["spec"]["ingress"].pop()["cidr"] if victims else None
    planted = compared(spec, slices, *objects)

    assert (same.differences, same.doubts) == ([], {})
    assert ({lost} if lost else set()) == {each.cidr for each in planted.differences}
