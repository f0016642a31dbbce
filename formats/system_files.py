"""system/instance-id.txt, region.txt, availability-zone.txt and pkglist.txt of the log collector."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from formats.base import NO, Format, Problem, Score
from formats.hints import basename, scored
from formats.line_search import lines_with, span_of
from formats.node_records import fact
from formats.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.base import Item
    from formats.source import Source

#: A file of one of these holds nothing else, so its whole text must fit. Name of the file -> fact and pattern.
_WHOLE: dict[str, tuple[str, re.Pattern[bytes]]] = {
    "instance-id.txt": ("instance_id", lazy(rb"(?:i-[0-9a-f]{8}|i-[0-9a-f]{17}|mi-[0-9a-f]{17})")),
    "availability-zone.txt": ("availability_zone", lazy(rb"[a-z]{2}(?:-[a-z]+){1,3}-\d(?:-[a-z]{3}-\d)?[a-z]")),
    "region.txt": ("region", lazy(rb"[a-z]{2}(?:-[a-z]+){1,3}-\d")),
}
_RPM = lazy(rb"^(?P<name>[\w.+-]+?)-(?P<value>\d[\w.+~^:]*-[\w.+~^]+\.(?:x86_64|aarch64|noarch|i686))[ \t\r]*$", re.M)
_DEB_HEADER = b"||/ Name"
_DEB = lazy(rb"^ii +(?P<name>[a-z0-9][\w.+-]*)(?::\w+)? +(?P<value>\S+) ", re.M)
_KEPT = lazy(
    r"kernel[\d.]*(?:-core)?|linux-image-\S+|bpftool|libbpf\S*|linux-tools-\S+|iproute\S*|iptables(?:-nft|-legacy)?"
    r"|nftables|conntrack\S*|containerd(?:\.io)?|docker\S{0,8}|runc|kubelet|nodeadm|systemd"
)


def sniff(head: bytes, path: str) -> Score:
    """The whole of a short file, or lines of a package list."""
    name = basename(path)
    if len(head) < 200 and (text := head.strip()):
        for expected, (fact_name, pattern) in _WHOLE.items():
            if all(pattern.fullmatch(line.strip()) for line in text.splitlines() if line.strip()):
                content = 70 if fact_name == "instance_id" else 50
                named = name == expected
                return scored(content, named=named, what=f"the {fact_name.replace('_', ' ')} and nothing else")
    content = 62 if _is_package_list(head) else 0
    named = name == "pkglist.txt" or name in _WHOLE
    return scored(content, named=named, what="a list of installed packages") if content or named else NO


def _is_package_list(head: bytes) -> bool:
    if _DEB_HEADER in head[:4096]:
        return True
    start = head[:8192]
    if b".x86_64" not in start and b".aarch64" not in start and b".noarch" not in start:
        return False
    lines = [line for line in start.splitlines() if line.strip()]
    return len(_RPM.findall(start)) * 2 > len(lines)


def read(source: Source) -> Iterator[Item]:
    """One fact, or a `package` fact per package that matters here."""
    text = source.head.strip() if len(source.head) < 200 else b""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    kind = next((kind for kind in _WHOLE.values() if lines and all(map(kind[1].fullmatch, lines[:-1] or lines))), None)
    whole = kind[0] if kind is not None else None
    seen: set[tuple[str, str]] = set()
    for line in lines_with(source, re.compile(rb"\S")):
        raw = line.text.strip()
        if kind is not None and whole is not None:
            if not kind[1].fullmatch(raw.encode()):
                yield Problem(f"not a whole {whole.replace('_', ' ')}: {raw!r}", span_of(line), "left out", "one line")
            elif (whole, raw) not in seen:
                seen.add((whole, raw))
                yield fact(span_of(line), whole, raw)
            continue
        match = _RPM.match(raw.encode()) or _DEB.match(raw.encode() + b" ")
        if match is None:
            continue
        name, value = match["name"].decode(), match["value"].decode()
        if _KEPT.fullmatch(name) and (name, value) not in seen:
            seen.add((name, value))
            yield fact(span_of(line), "package", {"name": name, "value": value})
    if whole is not None and len(seen) > 1:
        where = ", ".join(sorted(value for _, value in seen))
        yield Problem(f"one file names several: {where}", None, "all are kept", "which one is this node's")


FORMAT = Format(
    name="system-files",
    title="Instance id, region, zone; package list",
    sniff=sniff,
    read=read,
    quiet=True,
    versions="eks-log-collector 0.5 to 0.7.9; rpm -qa, dpkg --list",
    about="Which instance this is, and the versions of the kernel and of bpftool.",
    limits=("an instance id is missing when the metadata service did not answer (hybrid nodes)",),
    loses=("other packages",),
)
