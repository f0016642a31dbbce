"""`verdict`: one flow through the captured maps, what the policies ask, and what is said where nobody can tell."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from forensics.analysis import read_case
from forensics.explain import explain
from forensics.flow_question import Question, asked
from forensics.problem import UsageError
from forensics.reach import reach
from reports import reach_text, verdict_text

CASES = Path(__file__).parent.parent / "corpus" / "cases"
WEB, API, FRONTEND = "prod/web-7d4f8c9b6-abcde", "prod/api-5c9d7f4b8-qk2zt", "prod/frontend-6b8f5d7c9-t9w5k"
TOP = {
    "answer", "missing", "pod", "pod_identifier", "node", "direction", "packet", "kernel", "policy", "differs", "why",
}  # fmt: skip
KERNEL = {"verdict", "tier", "event", "map", "cidr", "key_hex", "slot", "slot_hex", "steps"}
STEP = {"step", "outcome", "map", "cidr", "slot", "slot_hex", "reads"}


@cache
def case_of(*inputs: str):
    return read_case([str(CASES / name / "input") if "/" not in name else name for name in inputs])


def told(name: str, pod: str, direction: str, peer: str, port: int, **more) -> dict:
    return explain(case_of(name), Question(pod, direction, peer, port, **more))


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "forensics.cli", "verdict", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def step(answer: dict, name: str, side: str = "kernel") -> dict:
    return next(each for each in answer[side]["steps"] if each["step"] == name)


def test_the_incident_as_the_contract_has_it() -> None:
    flow = ["--pod", WEB, "--direction", "ingress", "--peer", "10.100.1.5", "--port", "8080", "--protocol", "tcp"]

    done = run(str(CASES / "incident" / "input"), *flow, "--format", "json")

    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert set(answer) >= TOP
    assert (answer["answer"], answer["missing"], answer["differs"]) == ("told", [], True)
    kernel = answer["kernel"]
    assert set(kernel) >= KERNEL
    assert all(set(each) >= STEP for each in kernel["steps"])
    assert (kernel["verdict"], kernel["tier"], kernel["event"]) == ("SHOT", "ADMIN", True)
    assert (kernel["map"], kernel["cidr"]) == ("cp_ingress_map", "10.100.1.5/32")
    # u32 prefix length 32, then the four octets; slot 0: protocol 254, priority and action 0, no ports
    assert (kernel["key_hex"], kernel["slot"]) == ("200000000a640105", 0)
    assert kernel["slot_hex"] == "fe000000" + "00" * 12
    policy = answer["policy"]
    assert (policy["verdict"], policy["tier"]) == ("OK", "NETWORK_POLICY")
    # the fifth ingress item of the object lists 10.100.1.5
    assert [(by["policy"], by["endpoint"]) for by in policy["by"]] == [("prod/allow-internal", "allow-internal-x7k2p")]
    assert policy["by"][0]["rule"].startswith("spec.ingress[4]")
    for phrase in ("Misplaced entry: 10.100.1.5/32", "Missing entry: the policies ask for 10.100.1.5/32", "frozen map"):
        assert phrase in answer["why"]
    assert "misplaced-tier-entry in cp_ingress_map (KB-101)" in answer["why"]


def test_the_incident_in_words() -> None:
    flow = ["--pod", WEB, "--direction", "ingress", "--peer", FRONTEND, "--port", "8080"]

    done = run(str(CASES / "incident" / "input"), *flow)

    assert done.returncode == 0
    for phrase in ("SHOT in tier ADMIN", "OK in tier NETWORK_POLICY", "fe000000 00000000", "DIFFERS", "(assumed)"):
        assert phrase in done.stdout, phrase


@pytest.mark.parametrize("pod", [WEB, "10.100.1.20", "web-7d4f8c9b6-prod"])
@pytest.mark.parametrize("peer", ["10.100.1.5", FRONTEND])
def test_pods_by_name_address_or_identifier(pod: str, peer: str) -> None:
    answer = told("incident", pod, "ingress", peer, 8080)

    assert (
        answer["kernel"]["verdict"],
        answer["kernel"]["tier"],
        answer["policy"]["verdict"],
    ) == ("SHOT", "ADMIN", "OK")
    assert (answer["packet"]["src"], answer["packet"]["peer"]) == ("10.100.1.5", FRONTEND)


def test_a_slot_of_the_bytes_behind_the_buffer_decides() -> None:
    # 10.100.1.21 in api's cluster map: the trailing bytes hold 6, 8080, 0, 0 at slot 21: priority 808, action 0
    answer = told("incident-with-dumps", API, "ingress", "10.100.1.21", 8080)

    assert (
        answer["kernel"]["verdict"],
        answer["kernel"]["tier"],
        answer["kernel"]["slot"],
    ) == ("SHOT", "ADMIN", 21)
    assert "TCP priority 808 DENY" in step(answer, "admin")["reads"]
    assert answer["policy"]["verdict"] == "OK"


@pytest.mark.parametrize(
    ("case", "pod", "direction", "peer", "port", "verdicts", "phrase"),
    [
        ("overflow", "10.161.72.31", "ingress", "10.161.90.17", 20020, ("SHOT", "OK"), "ask for 30"),
        ("overflow", "10.161.72.31", "ingress", "10.161.90.17", 20010, ("OK", "OK"), "Nothing differs"),
        ("planted-entries", "billing/invoices-6bb7d9c8f5-hm2ql", "ingress", "10.161.200.200", 8080, ("OK", "SHOT"),
         "Stale entry: 10.161.200.200/32"),
        ("egress-catch-all", "shop/cart-6f5b8c7d94-xk2vq", "egress", "198.51.100.24", 443, ("SHOT", "OK"),
         "Missing entry: the policies ask for 0.0.0.0/0"),
        ("cidr-collision", "10.161.9.34", "ingress", "10.77.3.9", 5432, ("SHOT", "OK"), "are one key"),
        ("cluster-rules-at-pod-start", "10.100.1.20", "ingress", "10.100.1.21", 8080, ("OK", "SHOT"),
         "holds rules of a cluster policy"),
        ("healthy-ipv4", WEB, "ingress", "10.100.1.5", 8080, ("OK", "OK"), "Nothing"),
        ("healthy-strict", FRONTEND.replace("t9w5k", "m4x2p"), "egress", "10.100.1.20", 8080, ("SHOT", "SHOT"),
         "Nothing"),
    ],
)  # fmt: skip
def test_why_kernel_and_policy_differ(case, pod, direction, peer, port, verdicts, phrase) -> None:
    answer = told(case, pod, direction, peer, port)

    assert verdicts == (answer["kernel"]["verdict"], answer["policy"]["verdict"])
    assert (verdicts[0] != verdicts[1]) is answer["differs"]
    assert phrase in answer["why"]


def test_a_tracked_flow_passes_by_its_own_entry() -> None:
    answer = told("incident-with-dumps", WEB, "ingress", "10.100.1.21", 8080, sport=56484)

    forward = step(answer, "conntrack-forward")
    assert (
        forward["outcome"],
        answer["kernel"]["verdict"],
        answer["kernel"]["tier"],
        answer["kernel"]["event"],
    ) == ("hit", "OK", None, False)
    assert "10.100.1.21:56484 -> 10.100.1.20:8080 TCP" in forward["reads"]


def test_the_reply_of_a_tracked_flow_passes_and_is_no_difference() -> None:
    # the api pod answers 10.100.1.5: as a new flow its egress rules (TCP 8081) would not allow port 35650
    answer = told("incident-with-dumps", API, "egress", "10.100.1.5", 35650, sport=8080)

    assert (answer["kernel"]["verdict"], answer["policy"]["verdict"], answer["differs"]) == ("OK", "SHOT", False)
    assert step(answer, "conntrack-reverse")["outcome"] == "hit"


def test_another_source_port_is_another_flow() -> None:
    answer = told("incident-with-dumps", API, "egress", "10.100.1.5", 35650, sport=8082)

    # the misplaced entry 6, 8081, 0, 6 reads as TCP, priority 808, action 1, any port: a new flow is let through by it
    assert (answer["kernel"]["verdict"], answer["kernel"]["tier"], answer["differs"]) == ("OK", "ADMIN", True)
    assert step(answer, "conntrack-reverse")["outcome"] == "miss"


def test_without_a_source_port_conntrack_is_not_asked_and_the_text_says_so() -> None:
    answer = told("incident-with-dumps", WEB, "ingress", "10.100.1.21", 8080)

    assert step(answer, "conntrack-forward")["outcome"] == "not-asked"
    # one flow of 10.100.1.21 to port 8080 is in the dump with this pod as owner and one with the other end's
    assert any("tracked flows from this source to this port: 2" in note for note in answer["notes"])


@pytest.mark.parametrize(
    ("case", "pod", "command"),
    [
        ("incident", "prod/nobody-1-x", "kubectl get pods"),
        ("incident", "10.9.9.9", "kubectl get pods"),
        ("incident", "prod/api-5c9d7f4b8-x9x9x", "eks-log-collector"),  # listed by a policy, on another node
        ("ipv6-bare-tarball", "prod/api-5c9d7f4b8-qk2zt", "bpftool"),
    ],
)
def test_a_pod_that_cannot_be_told_about(case: str, pod: str, command: str) -> None:
    peer = "2600:1f14:abc:1::20" if case.startswith("ipv6") else "10.100.1.21"

    answer = told(case, pod, "ingress", peer, 80)

    assert (answer["answer"], answer["kernel"], answer["differs"]) == ("cannot-tell", None, None)
    assert answer["why"]
    assert any(command in each["command"] for each in answer["missing"])


def test_a_missing_pod_state_counts_only_where_the_answer_depends_on_it() -> None:
    # no policy is known for kube-system and no entry covers the peer: the default of the pod decides
    answer = told("incident", "kube-system/coredns-6d58b7d47c-5kq8r", "ingress", "10.100.1.21", 53)

    assert answer["answer"] == "cannot-tell"
    assert [each["what"] for each in answer["missing"]] == [
        "a raw dump of coredns-6d58b7d47c-kube-system_ingress_pod_state_map"
    ]


def test_a_log_line_of_tier_error_forbids_to_assume_the_pod_state() -> None:
    answer = told("pod-state-key-missing", "web/thumbs-5f6d8c9b74-pl2x7", "egress", "198.51.100.8", 443)

    assert (answer["answer"], answer["kernel"]) == ("cannot-tell", None)


def test_cannot_tell_is_an_answer_with_status_zero() -> None:
    flow = ["--pod", "prod/nobody-1-x", "--direction", "egress", "--peer", "10.1.1.1", "--port", "80"]

    done = run(str(CASES / "incident" / "input"), *flow)

    assert (done.returncode, done.stderr) == (0, "")
    assert "cannot tell: no pod prod/nobody-1-x is in the input" in done.stdout
    assert "$ kubectl get pods -A -o wide" in done.stdout


def test_without_policies_the_kernel_answers_alone() -> None:
    tarball = next((CASES / "incident" / "input").glob("*.tar.gz"))

    answer = told(str(tarball), WEB, "ingress", "10.100.1.5", 8080)

    assert (
        answer["answer"],
        answer["kernel"]["verdict"],
        answer["policy"],
        answer["differs"],
    ) == ("told", "SHOT", None, None)
    assert any("policyendpoints" in each["command"] for each in answer["missing"])


SERVICE = """
apiVersion: v1
kind: Service
metadata: {namespace: prod, name: web}
spec: {clusterIP: 172.20.0.80, ports: [{port: 80, protocol: TCP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: prod, name: web-x1, labels: {kubernetes.io/service-name: web}}
endpoints: [{addresses: ["10.100.1.20"]}, {addresses: ["10.100.2.90"]}]
ports: [{port: 8080, protocol: TCP}]
"""
RULES = """*nat
:KUBE-SERVICES - [0:0]
-A KUBE-SERVICES -d 172.20.0.80/32 -p tcp -m comment --comment "prod/web:http cluster IP" --dport 80 -j KUBE-SVC-AA
-A KUBE-SVC-AA -m comment --comment "prod/web:http -> 10.100.1.20:8080" -j KUBE-SEP-BB
-A KUBE-SEP-BB -p tcp -m comment --comment "prod/web:http" -m tcp -j DNAT --to-destination 10.100.1.20:8080
COMMIT
"""


@pytest.mark.parametrize(
    ("name", "text", "backends"),
    [
        ("services.yaml", SERVICE, ["10.100.1.20:8080", "10.100.2.90:8080"]),
        ("iptables-save.txt", RULES, ["10.100.1.20:8080"]),
    ],
)
@pytest.mark.parametrize("peer", ["172.20.0.80", "prod/web"])
def test_a_service_stands_for_its_backends_and_is_seen_before_dnat(tmp_path, name, text, backends, peer) -> None:
    for path in (CASES / "incident" / "input").iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / name).write_text(text)

    answer = explain(read_case([str(tmp_path)]), Question(API, "egress", peer, 80))

    assert answer["packet"]["dst"] == "172.20.0.80"
    assert {"name": "prod/web", "address": "172.20.0.80", "ports": ["TCP 80"], "backends": backends} == (
        answer["packet"]["service"]
    )
    # api's egress allows 443 to everywhere and nothing else: the service port 80 is denied, whatever the backends allow
    assert answer["kernel"]["verdict"] == "SHOT"
    words = verdict_text.render(answer, width=10_000)
    assert "before the node translates them (DNAT)" in words
    assert ", ".join(backends) in words


@pytest.mark.parametrize(
    ("words", "phrase"),
    [
        (("", "ingress", "10.1.1.1", 80, "tcp"), "--pod"),
        (("a/b", "", "10.1.1.1", 80, "tcp"), "--direction"),
        (("a/b", "sideways", "10.1.1.1", 80, "tcp"), "sideways"),
        (("a/b", "ingress", "10.1.1.1", 0, "udp"), "--port"),
        (("a/b", "ingress", "10.1.1.1", 80, "tcpp"), "tcpp"),
        (("a/b", "ingress", "10.1.1.1", 80, "256"), "256"),
    ],
)
def test_a_question_without_sense_is_a_usage_error(words, phrase: str) -> None:
    with pytest.raises(UsageError, match=phrase):
        asked(*words, None)


def test_usage_errors_have_status_two() -> None:
    done = run(
        str(CASES / "incident" / "input"), "--pod", WEB, "--direction", "ingress", "--peer", "nonsense", "--port", "1"
    )

    assert done.returncode == 2
    assert "nonsense" in done.stderr


@pytest.mark.parametrize(("protocol", "number"), [("icmp", 1), ("udp", 17), ("SCTP", 132), ("47", 47)])
def test_protocols_by_name_and_number(protocol: str, number: int) -> None:
    answer = told("incident", WEB, "ingress", "10.100.1.5", 8080, protocol=protocol)

    # slot 0 of the misplaced entry is ANY: it denies every protocol
    assert (number, "SHOT", "ADMIN") == (
        answer["packet"]["protocol_number"],
        answer["kernel"]["verdict"],
        answer["kernel"]["tier"],
    )


def test_icmp_of_ipv6_passes_unread() -> None:
    answer = told("ipv6-skipped-rule", API, "ingress", "2600:1f14:abc:1::30", 0, protocol="icmp")

    assert (
        answer["packet"]["protocol_number"],
        answer["kernel"]["verdict"],
        answer["kernel"]["reason"],
    ) == (58, "OK", "unread")


def test_nothing_of_a_hostile_name_reaches_the_terminal() -> None:
    answer = told("incident", "\x1b[31mred/\u202epod", "ingress", "10.1.1.1", 80)

    words = verdict_text.render(answer)

    assert "\x1b" not in words
    assert "\u202e" not in words


def pair(node: dict, source: str, target: str) -> dict:
    return next(each for each in node["pairs"] if each["to"] == target and source in each["from"])


def test_the_table_shows_who_reaches_whom_and_where_policy_and_kernel_part() -> None:
    node = reach(case_of("incident"))["nodes"][0]

    assert 8080 in node["ports"]
    lost = pair(node, FRONTEND, WEB)
    assert ([], node["ports"] + [node["other_port"]]) == (
        lost["kernel"],
        sorted(lost["policy"], key=lost["policy"].index),
    )
    healthy = pair(node, "prod/batch-8454d9c7d-zz9pl", WEB)
    assert (healthy["differs"], 8080 in healthy["kernel"]) == ([], True)
    assert pair(node, "anyone else", "team-a/svc-v2-7bd9f6c5d-hh7wq")["kernel"] == []
    # the node's own address is denied by api's misplaced 10.0.0.0/8
    assert pair(node, "the node (10.100.1.10)", API)["kernel"] == []
    words = reach_text.render({"nodes": [node]})
    assert "! no port from " + FRONTEND in words


def test_the_table_of_a_healthy_node_has_no_difference() -> None:
    node = reach(case_of("healthy-ipv4"))["nodes"][0]

    assert {()} == {tuple(each["differs"] or ()) for each in node["pairs"]}
    assert node["cannot_tell"] == ["coredns-6d58b7d47c-kube-system"]


def test_the_table_from_the_command_line() -> None:
    done = run(str(CASES / "healthy-ipv4" / "input"), "--matrix")

    assert done.returncode == 0
    assert f"to {WEB}" in done.stdout
