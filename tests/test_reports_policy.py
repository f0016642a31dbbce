"""Policy against kernel in the reports: what differs is named with its pods, the rest costs a line."""

from __future__ import annotations

import copy

import pytest
from report_documents import FIXTURE, plain

import reports
from reports import document as doc
from reports import policy

NODE = "i-0a1b2c3d4e5f67890"
API, DB, WEB = "api-5c9d7f4b8-prod", "db-prod", "web-7d4f8c9b6-prod"


@pytest.fixture
def incident():
    return doc.load(FIXTURE)


def compared(**more):
    states = {"kernel": {"0": 0, "1": 1}, "policy": {"0": 0, "1": 1}}
    empty = {name: [] for name in ("lines", "entries", "traffic", "undecided", "assumptions")}
    return {"compared": True, "same": not more, **empty, "pod_state": states, **more}


def line(kind="wrongly-denied", text="10.0.0.7/32: TCP 80", *, shortfall=False, pods=(), why=("no known cause",)):
    return {"kind": kind, "text": text, "pods": list(pods), "why": list(why), "shortfall": shortfall}


def entry(cidr, kind="missing", *, tier="namespace", shortfall=False, why="no known cause"):
    return {"tier": tier, "cidr": cidr, "kind": kind, "lost": [], "gained": [], "wanted": 1, "cause": "unexplained",
            "why": why, "shortfall": shortfall}  # fmt: skip


def only(document, **ways):
    """The document with one pod, its two directions as given."""
    pod = copy.deepcopy(document["pods"][0])
    pod["comparison"] = {way: ways.get(way, compared()) for way in policy.DIRECTIONS}
    document["pods"] = [pod]
    assert doc.validate(document) == []
    return document


def section(shown):
    return plain(shown).partition("POLICY AGAINST KERNEL\n")[2].partition("\n\n")[0]


def test_pods_that_differ_come_worst_first_and_the_others_by_name(incident) -> None:
    found = policy.against(incident, NODE)

    assert [API, DB, WEB] == [name for name, _ in found.differ]
    assert found.as_asked == ["frontend-6b8f5d7c9-prod", "batch-8454d9c7d-prod", "svc-v2-7bd9f6c5d-team-a"]
    assert found.not_compared == [
        ("no PolicyEndpoint of its namespace is in the input", ["coredns-6d58b7d47c-kube-system"])
    ]


def test_entries_of_one_map_and_cause_are_one_line(incident) -> None:
    listed = [entry(f"10.0.0.{n}/32") for n in range(1, 7)] + [entry("10.9.0.0/16", "extra", tier="cluster")]
    document = only(incident, ingress=compared(entries=listed))

    ((_, (way,)),) = policy.against(document, NODE).differ

    told = [each.text for each in way.entries]
    assert told == [
        "missing in ingress_map: 10.0.0.1/32, 10.0.0.2/32, 10.0.0.3/32, 10.0.0.4/32 and 2 more",
        "extra in cp_ingress_map: 10.9.0.0/16",
    ]


def test_a_healthy_pod_costs_one_line(incident) -> None:
    shown = section(reports.render("text", only(incident)))

    assert shown.strip() == f"as the policies ask: {WEB}"


def test_every_form_names_what_differs_and_the_pods_behind_it(incident) -> None:
    told = compared(lines=[line(text="10.0.0.0/8: TCP 80", pods=["prod/cart-1", "prod/cart-2"])])
    document = only(incident, egress=told)

    pages = {form: reports.render(form, document) for form in ("text", "html", "markdown")}

    for form, page in pages.items():
        for words in ("DENIED", "10.0.0.0/8: TCP 80", "prod/cart-1", "prod/cart-2", "no known cause"):
            assert words in page, (form, words)


def test_a_shortfall_is_not_shown_as_a_deviation(incident) -> None:
    overflow = "more rules than a value has slots; which of them survive is chance"
    told = compared(
        lines=[line(shortfall=True, why=[overflow])],
        entries=[entry("10.0.0.7/32", "changed", shortfall=True, why=overflow)],
    )
    document = only(incident, ingress=told)

    shown = " ".join(section(reports.render("text", document, color=True)).split())

    assert "shortfall: DENIED 10.0.0.7/32: TCP 80" in shown
    assert f"changed in ingress_map, as the agent leaves it: 10.0.0.7/32 ({overflow})" in shown
    assert '<span class="dim">shortfall</span>' in reports.render("html", document)
    assert "DENIED (shortfall) 10.0.0.7/32" in reports.render("markdown", document)


def test_many_lines_are_counted_and_the_json_is_named(incident) -> None:
    told = compared(lines=[line(text=f"10.0.0.{n}/32: TCP 80") for n in range(1, 10)])

    shown = section(reports.render("text", only(incident, ingress=told)))

    assert "10.0.0.3/32" in shown
    assert "10.0.0.4/32" not in shown
    assert "and 6 more in the JSON report" in shown


def test_a_pod_state_that_differs_is_said(incident) -> None:
    told = compared(lines=[line(text="0.0.0.0/0: all traffic", why=["the pod state is not what the policies lead to"])])
    told["pod_state"] = {"kernel": {"0": 0}, "policy": {"0": 0, "1": 1}}

    shown = " ".join(section(reports.render("text", only(incident, ingress=told))).split())

    assert "pod state key 1 is missing, the policies lead to 1" in shown


def test_a_direction_that_is_not_compared_is_named_with_its_reason(incident) -> None:
    lacking = {"compared": False, "why": "no dump of egress_map", "missing": []}

    shown = section(reports.render("text", only(incident, egress=lacking)))

    assert f"as the policies ask, as far as it is compared: {WEB}" in shown
    assert f"not compared: {WEB} (egress): no dump of egress_map" in shown


@pytest.mark.parametrize("spoilt", ["lines", "entries", "why"])
def test_the_schema_is_closed(spoilt, incident) -> None:
    document = only(incident, ingress=compared(lines=[line()], entries=[entry("10.0.0.7/32")]))
    row = document["pods"][0]["comparison"]["ingress"]
    target = row if spoilt == "why" else row[spoilt][0]
    target["unheard"] = 1

    assert doc.validate(document) != []
