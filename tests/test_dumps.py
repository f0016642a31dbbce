"""Dumps that name only a map ID find their pod through pins, programs and sizes."""

from __future__ import annotations

from pathlib import Path

from forensics import analyze

ROWS_288 = "fe 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00\n" + 17 * (
    "00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00\n"
)
DUMP = f"key:\n20 00 00 00 c0 a8 09 05\nvalue:\n{ROWS_288}Found 1 element\n"
SHOW = """7: lpm_trie  flags 0x1
\tkey 8B  value 288B  max_entries 65536  memlock 316B
\tpinned /sys/fs/bpf/globals/aws/maps/till-86c9d7f5b-store_egress_map
"""
PROGRAM = """31: sched_cls  tag 87e24328a6ad2b72  gpl
\tloaded_at 2026-11-21T03:22:18+0000  uid 0
\txlated 5408B  jited 3348B  memlock 8192B  map_ids 7,8
\tpinned /sys/fs/bpf/globals/aws/programs/till-86c9d7f5b-store_handle_egress
"""
BARE_SHOW = """7: lpm_trie  flags 0x1
\tkey 8B  value 288B  max_entries 65536  memlock 316B
8: lpm_trie  flags 0x1
\tkey 8B  value 384B  max_entries 65536  memlock 412B
"""


def maps_of(folder: Path, files: dict[str, str]) -> list[tuple[str, str, int]]:
    for name, text in files.items():
        (folder / name).write_text(text)
    document = analyze([str(folder)]).document
    return [
        (pod["pod_identifier"], each["map"], each["entries"])
        for pod in document["pods"]
        for each in pod["maps"]
        if each["entries"] is not None
    ]


def test_a_pin_in_map_show_names_the_dump(tmp_path: Path) -> None:
    got = maps_of(tmp_path, {"map-7.txt": DUMP, "show.txt": SHOW})

    assert got == [("till-86c9d7f5b-store", "egress_map", 1)]


def test_sizes_inside_a_pinned_program_name_the_dump(tmp_path: Path) -> None:
    got = maps_of(tmp_path, {"map-7.txt": DUMP, "show.txt": BARE_SHOW, "progs.txt": PROGRAM})

    assert got == [("till-86c9d7f5b-store", "egress_map", 1)]


def test_a_dump_nobody_names_stands_alone(tmp_path: Path) -> None:
    got = maps_of(tmp_path, {"map-7.txt": DUMP})

    assert got == [("map-7", "ingress_map", 1)]
