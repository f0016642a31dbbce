"""Elisions, pins, and which map a text is a dump of."""

from __future__ import annotations

import pytest

from formats.bpftool_names import command, heading, of_path
from formats.elision import Elision, elision
from formats.pins import Pin, split_pin

MAPS = "/sys/fs/bpf/globals/aws/maps"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[... 17 rows of zeros ...]", Elision("rows", 17)),
        ("(5 zero rows)", Elision("rows", 5)),
        ("... 272 bytes of zeros", Elision("bytes", 272)),
        ("[... 188 more entries ...]", Elision("entries", 188)),
        ("and 12 more entries", Elision("entries", 12)),
        ("...", Elision("unknown")),
        ("\u2026", Elision("unknown")),
        ("<snip>", Elision("unknown")),
        ("[... rest is zeros ...]", Elision("rest")),
        ("Found 191 elements", None),
        ("No 0a 64 01 05 in there, although that is the new pod...", None),
        ("<no entry>", None),
        ("[root@node /]# ls", None),
    ],
)
def test_elisions(text, expected) -> None:
    assert expected == elision(text)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{MAPS}/web-7d4f8c9b6-prod_cp_ingress_map", Pin("map", "web-7d4f8c9b6-prod", "ingress", "cp_ingress_map")),
        ("web@prod_egress_map", Pin("map", "web@prod", "egress", "egress_map")),
        ("a_b_c-ns_ingress_pod_state_map", Pin("map", "a_b_c-ns", "ingress", "ingress_pod_state_map")),
        ("x_handle_egress", Pin("program", "x", "egress", None)),
        ("global_aws_conntrack_map", Pin("global", None, None, "aws_conntrack_map")),
        ("global_policy_events", Pin("global", None, None, "policy_events")),
        ("ingress_map", None),
        ("_ingress_map", None),
        ("cilium_policy_01234", None),
    ],
)  # fmt: skip
def test_pins(path, expected) -> None:
    assert expected == split_pin(path)


def test_names_in_commands_headings_and_paths() -> None:
    assert command("root@n:/# bpftool map dump id 297") == ("dump", None, 297, False)
    assert command("$ sudo bpftool -j map dump pinned /x/y_egress_map | grep key") == (
        "dump",
        "y_egress_map",
        None,
        True,
    )
    assert command("[root@kind-worker /]# ip link") == ("", None, None, False)
    assert command("20 00 00 00  0a 64 01 05") is None
    assert heading("==> web_cp_ingress_map.dump.txt <==") == (None, "web_cp_ingress_map", None, False)
    assert heading("\tpinned /sys/fs/bpf/globals/aws/maps/a_egress_map") is None
    assert of_path("dumps/dump-2026-11-21.txt") == (None, None, None, False)
