"""Plain rules: worked out by lists they lead to the entries, and the reasons of each, that the agent's algorithm gives."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from forensics import policy_book
from forensics.policy import expected_map

NODE = "10.0.0.1"
_CIDRS = st.sampled_from(
    ["10.0.0.0/8", "10.0.0.0/24", "10.0.0.0/31", "10.0.0.4", "10.0.0.4/32", "10.0.0.5/32", "10.0.0.6", "0.0.0.0/0",
     "10.0.0.1", "10.0.0.9/8", "2001:db8::/64", "10.0.0.4/032", "010.0.0.4", "", "x"]
)  # fmt: skip
_PLAIN = st.sampled_from(
    ["10.0.0.0/8", "10.0.0.0/24", "10.0.0.4", "10.0.0.4/32", "10.0.0.5/32", "10.0.0.6", "0.0.0.0/0", "192.0.2.0/28"]
)
_PORT = st.fixed_dictionaries(
    {"protocol": st.sampled_from(["TCP", "UDP", "SCTP", "ODD"])},
    optional={"port": st.sampled_from([0, 80, 443]), "endPort": st.sampled_from([90, 500])},
)


def _items(cidrs: st.SearchStrategy[str], excepts: bool) -> st.SearchStrategy[list[dict]]:
    optional = {"ports": st.lists(_PORT, max_size=3)}
    if excepts:
        optional["except"] = st.lists(cidrs, max_size=2)
    return st.lists(st.fixed_dictionaries({"cidr": cidrs}, optional=optional), max_size=7)


def _objects(parts: list[list[dict]], direction: str) -> list[dict]:
    row = {"name": "web-abc12-xyz", "namespace": "prod", "podIP": "10.0.0.4", "hostIP": NODE}
    return [
        {
            "kind": "PolicyEndpoint",
            "metadata": {"name": f"web-{number}", "namespace": "prod"},
            "spec": {
                "policyRef": {"name": f"web-{number}", "namespace": "prod"},
                "podSelectorEndpoints": [row],
                "podIsolation": ["Ingress"],
                direction: items,
            },
        }
        for number, items in enumerate(parts)
    ]


def _told(objects: list[dict], direction: str, version: str, *, ideal: bool) -> tuple:
    found = expected_map(objects, NODE, "web-abc12-prod", direction, version, 4, ideal=ideal)
    return found.namespace._replace(entries={}), dict(found.namespace.entries.items()), found.local


@settings(max_examples=150)
@given(
    st.one_of(
        st.lists(_items(_PLAIN, excepts=False), min_size=1, max_size=3),
        st.lists(_items(_CIDRS, excepts=True), min_size=1, max_size=3),
    ),
    st.sampled_from(["ingress", "egress"]),
    st.sampled_from(["v1.2.3", "v1.2.4", "v1.3.0", "v1.3.2", "v1.4.2"]),
    st.booleans(),
)
def test_plain_rules_lead_where_any_rules_lead(parts: list, direction: str, version: str, ideal: bool) -> None:
    objects = _objects(parts, direction)
    quick = _told(objects, direction, version, ideal=ideal)
    with patch.object(policy_book, "plain", lambda *_: None):
        assert quick == _told(objects, direction, version, ideal=ideal)


def test_plain_rules_are_taken_for_plain() -> None:
    objects = _objects(
        [[{"cidr": "10.0.0.4"}, {"cidr": "10.0.0.0/8", "ports": [{"protocol": "TCP", "port": 80}]}]], "egress"
    )
    with patch.object(policy_book, "plain", wraps=policy_book.plain) as asked:
        expected_map(objects, NODE, "web-abc12-prod", "egress", "v1.3.0", 4)
    assert asked.call_count == 1
    assert policy_book.plain(*asked.call_args.args) is not None
