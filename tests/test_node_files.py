"""Node files: what is recognised and what is not, what a cut costs, and the JSON that arrives damaged."""

from __future__ import annotations

import io
import json
import random
import re
import time
from pathlib import Path

import pytest

from forensics.identify import identify
from formats import FORMATS
from formats.base import Problem, Record
from formats.collector_misc import TABLE, name_of
from formats.image_ref import find_image, version_of
from formats.json_documents import documents
from formats.json_node import walk
from formats.json_source import LineIndex
from formats.node_records import ns_of
from formats.source import HEAD_BYTES, Source

CORPUS = Path(__file__).parent.parent / "corpus" / "formats"
MINE = (
    *("ipam-checkpoint", "enis-json", "container-info", "containers-list", "ps-list", "env-settings", "kubelet-config"),
    *("kubelet-files", "iproute", "iptables-save", "conntrack-list", "uname", "system-files", "metrics-text"),
    *("cilium", "cilium-json", "calico", "collector-misc"),
)
BY_NAME = {form.name: form for form in FORMATS}
INPUTS = [
    (name, next(path for path in sorted(case.parent.iterdir()) if path.name.startswith("input")))
    for name in MINE
    for case in sorted((CORPUS / name).glob("*/expected.json"))
]
#: What is decided over the whole file: a cut may change it, and does so rightly.
DECIDED_AT_THE_END = ("node_fact", "introspection", "foreign", "service_rule", "log_event")


def items_of(name, data, path="-"):
    return list(BY_NAME[name].read(Source(path, data)))


def records_of(name, data, path="-"):
    return [item for item in items_of(name, data, path) if isinstance(item, Record)]


def kept(data):
    """Whose an address is may be decided by what follows it: an elision is seen at the object's end."""
    return {key: value for key, value in data.items() if key != "eni"}


def claimed(data, path="-"):
    return [form.name for form in identify(data, path).formats if form.name in MINE]


ALLOCATION = (
    '{"networkName":"aws-cni","containerID":"c%d","ifName":"eth0","ipv4":"10.9.0.%d","allocationTimestamp":%d,'
    '"metadata":{"k8sPodNamespace":"ns","k8sPodName":"pod-%d"}}'
)
CHECKPOINT = (
    '{"version":"vpc-cni-ipam/1","allocations":[' + ",".join(ALLOCATION % (n, n, n, n) for n in range(1, 6)) + "]}"
).encode()


def test_every_cut_of_a_checkpoint_keeps_the_whole_allocations_and_says_so() -> None:
    ends = [match.end() for match in re.finditer(rb'"pod-\d"\}\}', CHECKPOINT)]

    for cut in range(60, len(CHECKPOINT)):
        items = items_of("ipam-checkpoint", CHECKPOINT[:cut])

        pods = [item.data["name"] for item in items if isinstance(item, Record)]
        whole = [f"pod-{number}" for number, end in enumerate(ends, 1) if end <= cut]
        assert pods[: len(whole)] == whole
        assert len(pods) <= len(whole) + 1
        assert any(isinstance(item, Problem) for item in items)


def test_a_cut_name_is_never_taken_for_a_name() -> None:
    for cut in range(60, len(CHECKPOINT)):
        for record in records_of("ipam-checkpoint", CHECKPOINT[:cut]):
            assert re.fullmatch(r"pod-\d", record.data["name"])
            assert re.fullmatch(r"10\.9\.0\.\d", record.data["ip"])


@pytest.mark.parametrize(
    ("name", "path"), INPUTS, ids=lambda value: value.parent.name if isinstance(value, Path) else value
)
def test_records_before_a_cut_are_kept(name: str, path: Path) -> None:
    data = path.read_bytes()
    hint = json.loads((path.parent / "expected.json").read_text()).get("path", path.name)
    whole = records_of(name, data, hint)
    random_cuts = random.Random(path.parent.name).sample(range(len(data) + 1), min(40, len(data)))
    cuts = {match.end() for match in re.finditer(b"\n", data)} | set(random_cuts)

    for cut in sorted(cuts):
        items = items_of(name, data[:cut], hint)

        got = [(item.kind, kept(item.data)) for item in items if isinstance(item, Record)]
        for record in whole:
            if record.span.end < cut and record.kind not in DECIDED_AT_THE_END:
                assert (record.kind, kept(record.data)) in got
        for item in items:
            if item.span is not None:
                assert 0 <= item.span.start <= item.span.end <= cut
                assert 1 <= item.span.first_line <= item.span.last_line


@pytest.mark.parametrize(
    ("name", "path"), INPUTS, ids=lambda value: value.parent.name if isinstance(value, Path) else value
)
def test_streamed_in_pieces_reads_the_same(name: str, path: Path) -> None:
    data = path.read_bytes()
    hint = json.loads((path.parent / "expected.json").read_text()).get("path", path.name)

    streamed = list(BY_NAME[name].read(Source(hint, io.BytesIO(data))))

    assert streamed == items_of(name, data, hint)


@pytest.mark.parametrize(
    ("name", "path"), INPUTS, ids=lambda value: value.parent.name if isinstance(value, Path) else value
)
def test_windows_line_ends_change_no_record(name: str, path: Path) -> None:
    data = path.read_bytes()
    if b"\r" in data or b"\x1b" in data:
        pytest.skip("has carriage returns or colours already")
    hint = json.loads((path.parent / "expected.json").read_text()).get("path", path.name)
    windows = data.replace(b"\n", b"\r\n")

    got = [(record.kind, record.data) for record in records_of(name, windows, hint)]

    assert got == [(record.kind, record.data) for record in records_of(name, data, hint)]
    assert name in claimed(windows, hint)


@pytest.mark.parametrize(
    ("name", "path"), INPUTS, ids=lambda value: value.parent.name if isinstance(value, Path) else value
)
def test_quoted_mail_changes_no_record(name: str, path: Path) -> None:
    data = path.read_bytes()
    if name in ("system-files", "collector-misc", "cilium", "cilium-json", "calico") or b"\x1b" in data:
        pytest.skip("short whole files and foreign text are not quoted")
    hint = json.loads((path.parent / "expected.json").read_text()).get("path", path.name)
    quoted = b"".join(b"> " + line for line in data.splitlines(keepends=True))

    got = [(record.kind, record.data) for record in records_of(name, quoted, hint) if record.kind != "log_event"]

    assert got == [(r.kind, r.data) for r in records_of(name, data, hint) if r.kind != "log_event"]


PROSE = (
    b"The pod was assigned 10.0.1.20 dev said, and the route goes via eth0; iptables-save shows nothing.\n",
    b"# Runbook\n1. Collect ipam.json, enis.json and ps.txt.\n2. Run `conntrack -L` and `ctr containers list`.\n",
    b"We replaced cilium_lxc and cilium_policy by AWS maps last year; calico is gone, cali interfaces too.\n",
    b"The node agent runs /controller with network policy on; see kubelet.log and uname -a for Linux details.\n",
    b"Package kernel was updated, bpftool-7 too. HELP and TYPE are words. region eu-central-1 is where it runs\n",
    b"CONTAINER images are listed by ctr; REPOSITORY and TAG too. src=me dst=you\n",
)


@pytest.mark.parametrize("text", PROSE)
def test_prose_is_claimed_by_none(text: bytes) -> None:
    assert claimed(text, "notes.txt") == []


@pytest.mark.parametrize("name", ["ipam.json", "enis.json", "system/uname.txt", "kubelet/kubelet.log", "ps.txt"])
def test_a_name_alone_claims_nothing(name: str) -> None:
    text = b"Nothing of the kind stands here, whatever the name says.\n"

    assert claimed(text, name) == []
    assert max((form.sniff(text, name).value for form in FORMATS if form.name in MINE), default=0) <= 20


def test_json_named_uname_is_what_it_holds() -> None:
    assert claimed(CHECKPOINT, "kernel/uname.txt") == ["ipam-checkpoint"]


def test_every_sniff_of_an_empty_head_is_no() -> None:
    assert claimed(b"", "system/ps.txt") == []


AWS_TEXT = (
    b"key:\n20 00 00 00 0a 00 01 0a\nvalue:\nfe 00 00 00 00 00 00 00  00 00 00 00\nFound 1 element\n",
    b"12: lpm_trie  flags 0x1\n\tkey 8B  value 288B  max_entries 65536  memlock 1B\n",
    b"PinPath:  /sys/fs/bpf/globals/aws/programs/web-7d4f8c9b6-prod_handle_ingress\nDirection : ingress\n",
    b"filter protocol all pref 49152 bpf chain 0 handle 0x1 handle_ingress direct-action not_in_hw id 7 tag aa jited\n",
    b'{"level":"info","ts":"2026-09-21T10:00:00.000Z","caller":"ebpf","msg":"Flow Info: Src IP 10.0.1.1"}\n',
)


@pytest.mark.parametrize("text", AWS_TEXT)
def test_aws_text_is_never_foreign(text: bytes) -> None:
    assert claimed(text, "web-7d4f8c9b6-prod_ingress_map.txt") == []


def test_a_cilium_map_dump_is_named_and_holds_no_rules() -> None:
    text = b"key:\n01 00 00 00 0a 50 06 00\nvalue:\n" + b"00 " * 288 + b"\nFound 1 element\n"

    identity = identify(text, "cilium_policy_00123")
    records = records_of("cilium", text, "cilium_policy_00123")

    assert identity.name == "cilium"
    assert identity.formats[0].foreign
    assert [record.data for record in records] == [{"cni": "cilium", "what": "map cilium_policy_00123", "count": 1}]


def test_collector_names_need_their_content() -> None:
    assert name_of(b"SELinux mode:\n\t Permissive\n", "system/selinux.txt") == "SELinux mode"
    assert name_of(b"something else\n", "system/selinux.txt") is None
    assert all(re.compile(name) and re.compile(content) for name, _, content in TABLE)


def test_documents_one_behind_the_other_and_text_between() -> None:
    data = b'note\n{"a": 1}{"b": [2, {"c": null}]}\nerror: no\n{"d": "x"'

    found = list(documents(data))

    assert [document.whole for document in found] == [True, True, False]
    assert data[found[1].root.start : found[1].root.end] == b'{"b": [2, {"c": null}]}'
    assert found[1].root.at("b").parts()[1].get("c") is None
    assert found[2].root.get("d") == "x"
    assert found[2].tears == [(len(data), len(data))]


def test_nested_brackets_do_not_recurse() -> None:
    data = b'{"a":' * 50_000 + b"[" * 50_000

    found = list(documents(data))

    assert not any(document.whole for document in found)


def test_spans_are_those_of_the_raw_bytes() -> None:
    data = "{\u201cname\u201d: \u201cpod\u201d, \u201cn\u201d: 7}".encode()

    root = next(documents(data)).root

    assert root.get("name") == "pod"
    assert data[root.at("n").start : root.at("n").end] == b"7"


def test_duplicate_keys_take_the_last_but_an_elided_object_keeps_the_first() -> None:
    plain = next(documents(b'{"a": 1, "a": 2}')).root
    elided = next(documents(b'{"a": 1,\n...\n"a": 2}')).root

    assert plain.get("a") == 2
    assert elided.get("a") == 1
    assert elided.cut


def test_any_bytes_at_all_give_documents_or_none_and_never_raise() -> None:
    random_bytes = random.Random(11)
    pieces = [
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b":",
        b",",
        b"...",
        b"\n",
        b"\\",
        b'"k"',
        b"1e999",
        b"null",
        b"> ",
        b"\xff",
        b"$ x",
    ]

    for _ in range(2000):
        data = b"".join(random_bytes.choices(pieces, k=random_bytes.randrange(40)))
        for document in documents(data):
            assert all(0 <= node.start <= node.end <= len(data) for _, node in walk(document.root))


def test_line_index_counts_like_an_editor() -> None:
    index = LineIndex(b"one\ntwo\nthree")

    assert tuple(index.span(0, 3)) == (0, 3, 1, 1)
    assert tuple(index.span(4, 8)) == (4, 8, 2, 2)
    assert tuple(index.span(5, 13)) == (5, 13, 2, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", None),  # before the first EC2 node: a zero clock, not a time
        ("2026-09-21T10:00:00.123456789Z", 1_789_984_800_123_456_789),
        ("2026-09-21T12:00:00+0200", 1_789_984_800_000_000_000),
        ("0001-01-01T00:00:00Z", None),
        ("2026-09-21", None),
        (None, None),
    ],
)
def test_times_to_nanoseconds(text: str | None, expected: int | None) -> None:
    assert expected == ns_of(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x/amazon-k8s-cni:v1.21.1-eksbuild.1", ("cni", "x/amazon-k8s-cni:v1.21.1-eksbuild.1", "v1.21.1")),
        ("x/amazon-k8s-cni   1.7.5", ("cni", "x/amazon-k8s-cni:1.7.5", "v1.7.5")),
        ("x/amazon-k8s-cni-init:v1.21.1", None),
        ("x/aws-network-policy-agent:latest", ("agent", "x/aws-network-policy-agent:latest", None)),
        ("my-amazon-k8s-cnix:v1.0.0", None),
    ],
)
def test_images(text: str, expected: tuple[str, str, str | None] | None) -> None:
    found = find_image(text)

    assert expected == (None if found is None else tuple(found))


def test_versions_of_tags() -> None:
    assert [version_of(tag) for tag in ("v1.3.10-rc1", "1.2.7", "main", None)] == ["v1.3.10", "v1.2.7", None, None]


HOSTILE = (
    b"a" * HEAD_BYTES,
    b"." * HEAD_BYTES,
    b" dev " * (HEAD_BYTES // 5),
    b"controller --enable-network-policy " * 7000,
    b"src=1 dst=1 " * 20000,
    b"*nat -A KUBE-S cali_ cil_ /globals/" * 7000,
    b'"AWS_VPC_' * 29000,
    b"[" * HEAD_BYTES,
    b"\n" * HEAD_BYTES,
    b"name pinned /" * 20000,
    b"kubelet[1]: kubelet.service ExecStart= CLUSTER-IP " * 5000,
    b"Linux a 1.1 #1 " * 17000,
)


@pytest.mark.parametrize("head", HOSTILE, ids=lambda head: head[:12].decode())
def test_no_sniffer_and_no_reader_is_slow_on_hostile_text(head: bytes) -> None:
    began = time.perf_counter()

    for name in MINE:
        BY_NAME[name].sniff(head, "-")
        items_of(name, head)

    assert time.perf_counter() - began < 20
