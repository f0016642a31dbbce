"""The schemas of diff and verdict: closed, valid themselves, and what the commands write keeps to them."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from forensics.analysis import read_case, run
from forensics.diff import diff_document
from forensics.explain import explain
from forensics.flow_question import asked
from forensics.reach import reach
from reports import document as doc

CASES = Path(__file__).parent.parent / "corpus" / "cases"
PAIRS = [("incident", "incident-after-upgrade"), ("incident", "incident"), ("healthy-ipv4", "overflow"),
         ("pod-state-dumped", "pod-state-key-missing"), ("ipv6-skipped-rule", "healthy-strict")]  # fmt: skip
FLOWS = [
    ("incident", "prod/web-7d4f8c9b6-abcde", "ingress", "10.100.1.5", 8080, "tcp", None),
    ("incident", "prod/web-7d4f8c9b6-abcde", "ingress", "10.100.1.5", 8080, "udp", 41234),
    ("incident", "prod/nobody-1-x", "egress", "10.1.1.1", 80, "sctp", None),
    ("incident-bare-tarball", "prod/web-7d4f8c9b6-abcde", "egress", "10.100.1.5", 0, "icmp", None),
]


def case(name):
    return str(CASES / name / "input")


def command(*arguments):
    script = "from forensics.cli import main; main()"
    return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)


def objects(schema):
    """Every object schema in a schema."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for value in schema.values():
            yield from objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from objects(value)


@pytest.mark.parametrize("kind", doc.SCHEMAS)
def test_a_schema_is_one(kind):
    jsonschema.Draft202012Validator.check_schema(doc.schema(kind))


@pytest.mark.parametrize("kind", ["diff", "verdict"])
def test_every_object_is_closed(kind):
    found = list(objects(doc.schema(kind)))

    assert found
    assert all(each.get("additionalProperties", True) is not True for each in found)


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_diffs_keep_to_their_schema(before, after):
    document = diff_document(run([case(before)]), run([case(after)]))

    assert doc.validate(document, kind="diff") == []


def test_a_diff_with_a_key_too_many_or_too_few_does_not():
    document = diff_document(run([case("incident")]), run([case("incident-after-upgrade")]))
    more, fewer = copy.deepcopy(document), copy.deepcopy(document)
    more["pods"][0]["unheard"] = 1
    del fewer["findings"]["stayed"]

    assert doc.validate(more, kind="diff")
    assert doc.validate(fewer, kind="diff")


@pytest.mark.parametrize(("name", "pod", "direction", "peer", "port", "protocol", "sport"), FLOWS)
def test_verdicts_keep_to_their_schema(name, pod, direction, peer, port, protocol, sport):
    answer = explain(read_case([case(name)]), asked(pod, direction, peer, port, protocol, sport))

    assert doc.validate(answer, kind="verdict") == []
    assert doc.validate({**answer, "unheard": 1}, kind="verdict") != []


def test_tables_keep_to_the_schema_of_verdicts():
    table = reach(read_case([case("incident")]))

    assert table["nodes"][0]["pairs"]
    assert doc.validate(table, kind="verdict") == []


@pytest.mark.parametrize("kind", doc.SCHEMAS)
def test_the_command_prints_each(kind):
    printed = command("schema", "--of", kind)

    assert json.loads(printed.stdout) == doc.schema(kind)


def test_the_command_prints_the_result_schema_unasked_and_refuses_others():
    assert json.loads(command("schema").stdout) == doc.schema("result")
    refused = command("schema", "--of", "scan")
    assert (refused.returncode, refused.stdout) == (2, "")
