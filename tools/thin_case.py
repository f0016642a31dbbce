"""Make a corpus case from a captured bundle: keep what the analysis rests on, drop bulk. `thin_case.py SRC DEST [FORM...]`.

SRC is a folder with a log collector's tarball, policies and `manual-bpftool/`; FORMs are suffixes of the hand-made dumps
to keep (`.dump.txt` and so on). Members and times stay as captured; logs of the eBPF SDK keep their last lines.
"""

from __future__ import annotations

import gzip
import io
import re
import shutil
import sys
import tarfile
from pathlib import Path

KEPT = re.compile(
    r"networking/(ebpf-.*|iproute\.txt)|ipamd/ipam\.json|containerd/containerd-containers\.txt|kernel/uname\.txt"
    r"|system/(instance-id|region|ps)\.txt|cni/cni-configuration-variables-.*"
    r"|var_log/aws-routed-eni/(network-policy-agent.*|ebpf-sdk\.log|ipamd\.log)"
)
SDK_LINES = 20


def thin(source: bytes) -> bytes:
    """A tar.gz with the kept members only; the same input gives the same bytes."""
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(source)) as old,
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for info in old:
            name = info.name.removeprefix("./")
            if not info.isfile() or not KEPT.fullmatch(name):
                continue
            content = old.extractfile(info)
            data = content.read() if content else b""
            if name.endswith("ebpf-sdk.log"):
                data = b"".join(data.splitlines(keepends=True)[-SDK_LINES:])
            slim = tarfile.TarInfo(info.name)
            slim.size, slim.mtime, slim.mode = len(data), info.mtime, 0o644
            new.addfile(slim, io.BytesIO(data))
    return packed.getvalue()


def main() -> None:
    """Copy the policies and chosen dumps, thin the tarball."""
    source, target, forms = Path(sys.argv[1]), Path(sys.argv[2]), tuple(sys.argv[3:])
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.name.endswith(".tar.gz"):
            (target / path.name).write_bytes(thin(path.read_bytes()))
        elif path.suffix == ".yaml":
            shutil.copyfile(path, target / path.name)
    for path in sorted(source.glob("manual-*/*")):
        if forms and path.name.endswith(forms):
            folder = target / path.parent.name
            folder.mkdir(exist_ok=True)
            shutil.copyfile(path, folder / path.name)


if __name__ == "__main__":
    main()
