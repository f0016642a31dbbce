"""ipamd-env-settings.json, networkutils-env-settings.json (CNI introspection) and the CNI's own 10-aws.conflist.

Shapes: amazon-vpc-cni-k8s pkg/ipamd/ipamd.go GetConfigForDebug, pkg/networkutils/network.go GetConfigForDebug (v1.0 to
v1.23.0); misc/10-aws.conflist. Neither says which policy mode is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.base import NO, Format, Problem, Record, Score
from formats.hints import basename, begins_as_json, scored
from formats.json_node import walk
from formats.json_source import read_json
from formats.node_records import fact, setting
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.json_node import Document, Node
    from formats.json_source import JsonSource
    from formats.source import Source

_KEY = lazy(rb'"(?:AWS_VPC_[A-Z0-9_a-z]+|WARM_(?:ENI|IP|PREFIX)_TARGET)"\s*:')
_SETTING = lazy(r"[A-Z][A-Z0-9_]*(?:v4|v6)?[A-Z0-9_]*")
_NAMES = ("ipamd-env-settings.json", "networkutils-env-settings.json", "10-aws.conflist")
_VETH_PREFIX = "AWS_VPC_K8S_CNI_VETHPREFIX"
_CONFLIST_KEYS = ("vethPrefix", "mtu", "podSGEnforcingMode", "enableMultiNic")


def sniff(head: bytes, path: str) -> Score:
    """A key of these settings, or the CNI's plugin type."""
    content = 0
    if (b'"AWS_VPC_' in head or b'"WARM_' in head) and _KEY.search(head):
        content = 73
    elif b'"aws-cni"' in head and b'"plugins"' in head:
        content = 72
    if content and not begins_as_json(head):
        content = 50
    named = basename(path) in _NAMES
    return scored(content, named=named, what="CNI settings") if content or named else NO


def read(source: Source) -> Iterator[Item]:
    """`veth_prefix` and a `cni_setting` fact per setting; `introspection` when it is an answer of the CNI."""
    read_in = read_json(source)
    used: list[Document] = []
    for document in read_in.documents:
        items = list(_settings(read_in, document))
        if items:
            used.append(document)
            yield from items
    yield from read_in.problems(used, "the settings")
    if not used and read_in.data.strip():
        yield Problem("no CNI settings can be read in it", None, "listed", "the CNI's settings")


def _settings(read_in: JsonSource, document: Document) -> Iterator[Record]:
    root = document.root
    plain = [(key, part) for key, part in root.items() if _SETTING.fullmatch(key)]
    if any(key.startswith(("AWS_", "WARM_", "ENABLE_")) for key, _ in plain):
        yield _answer(read_in, document)
        for key, part in plain:
            yield from _setting(read_in, key, part)
    for _, node in walk(root):
        if node.text("type") == "aws-cni":
            for key, part in node.items():
                if key in _CONFLIST_KEYS:
                    yield from _setting(read_in, _VETH_PREFIX if key == "vethPrefix" else key, part)


def _setting(read_in: JsonSource, key: str, part: Node) -> Iterator[Record]:
    value = [inner.value for inner in part.parts()] if isinstance(part.value, list) else part.value
    if isinstance(value, dict):
        return
    if key == _VETH_PREFIX and isinstance(value, str):
        yield fact(read_in.span(part), "veth_prefix", value)
    else:
        yield setting(read_in.span(part), key, value)


def _answer(read_in: JsonSource, document: Document) -> Record:
    port, endpoint = read_in.call(document)
    keys = document.root.value
    if endpoint is None:
        utils = any(key.startswith(("AWS_VPC_ENI_MTU", "AWS_VPC_K8S_CNI_CONNMARK")) for key in keys)
        endpoint = "v1/networkutils-env-settings" if utils else "v1/ipamd-env-settings"
    data = {
        "endpoint": endpoint,
        "port": port,
        "schema": None,
        "network_card": None,
        "total_ips": None,
        "assigned_ips": None,
        "truncated": not document.whole,
    }
    return Record("introspection", data, read_in.span(document.root))


FORMAT = Format(
    name="env-settings",
    title="CNI settings (introspection, 10-aws.conflist)",
    sniff=sniff,
    read=read,
    exclusive=True,
    versions="amazon-vpc-cni-k8s v1.0.0 to v1.23.0",
    about="The veth prefix and the settings the CNI runs with.",
    limits=("the policy enforcing mode is not among them",),
    loses=("settings of the other plugins in 10-aws.conflist, and values that are objects",),
)
