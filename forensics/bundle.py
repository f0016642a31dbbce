"""Bundle: one case, from any mix of tarballs, folders, zips, loose files and standard input.

Everything is read once, forward; the order in which members arrive changes nothing in the result.
"""

from __future__ import annotations

import hashlib
import io
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from forensics.archive import ZIP_MAGIC, Member, folder_files, is_tar, members
from forensics.budget import Budget, OverBudget
from forensics.inflate import GZIP_MAGIC
from forensics.problem import CaseProblem, NothingReadable, UsageError
from forensics.reading import Readers
from forensics.tar_stream import BLOCK
from formats.base import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from forensics.artifact import Artifact


@dataclass(slots=True, repr=False)
class Input:
    """One argument of the command line. `name` is null for a lone archive or folder: packing is not evidence."""

    label: str
    kind: str  # archive, folder, file, stdin
    artifacts: list[Artifact] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """SHA-256 over the sorted (path, size, sha256) of the members: equal for folder, tar and tar.gz."""
        rows = sorted(f"{a.shown_path}\0{a.size}\0{a.sha256}\n" for a in self.artifacts)
        return hashlib.sha256("".join(rows).encode()).hexdigest()


@dataclass(slots=True, repr=False)
class Bundle:
    """All artifacts of a case in a stable order, and the problems of the containers themselves."""

    inputs: list[Input]
    artifacts: list[Artifact]
    problems: list[CaseProblem]


def read_bundle(
    paths: Sequence[str], budget: Budget | None = None, progress: Callable[[str, int], None] | None = None
) -> Bundle:
    """Read every input. Raises UsageError for a path that is not there, NothingReadable when nothing was read.

    progress(path, bytes read so far) is called before each member.
    """
    budget = budget or Budget()
    _check(paths)
    inputs: list[Input] = []
    problems: list[CaseProblem] = []
    for index, path in enumerate(paths):
        label = "-" if path == "-" else Path(path).resolve().name
        entry = Input(label, "file")
        inputs.append(entry)
        readers = Readers(Path(path).stat().st_size if Path(path).is_file() else 0, index)
        try:
            for member in _open(path, entry, budget):
                if isinstance(member, Problem):
                    problems.append(CaseProblem.of(member, None, None))
                    continue
                if progress is not None:
                    progress(member.path, budget.used_out)
                readers.take(member)
        except OverBudget as error:
            problems.append(
                CaseProblem(
                    f"{label}: stopped: {error}", done="what came before was read", lost="the rest of this input"
                )
            )
        except OSError as error:
            problems.append(CaseProblem(f"{label}: cannot be read ({error.strerror or error})", done="skipped"))
        finally:
            entry.artifacts += readers.close()
    artifacts = _arrange(inputs)
    if not any(artifact.size for artifact in artifacts):
        reasons = "; ".join(problem.what for problem in problems) or "empty"
        raise NothingReadable(f"nothing readable in {', '.join(paths)}: {reasons}")
    return Bundle(inputs, artifacts, sorted(problems, key=lambda problem: problem.what))


def _check(paths: Sequence[str]) -> None:
    if not paths:
        raise UsageError("no input: name a tarball, a folder, files, or - for standard input")
    for path in paths:
        if path != "-" and not Path(path).exists():
            raise UsageError(f"no such file or folder: {path}")


def _open(path: str, entry: Input, budget: Budget) -> Iterator[Member | Problem]:
    if path == "-":
        entry.kind = "stdin"
        yield from members("-", io.BytesIO(sys.stdin.buffer.read()), budget)
        return
    root = Path(path)
    if root.is_dir():
        entry.kind = "folder"
        for name, file in folder_files(root):
            yield from _file(name, file, budget)
        return
    with root.open("rb") as stream:
        entry.kind = "archive" if _is_archive(stream) else "file"
    yield from _file(root.name, root, budget)


def _file(name: str, file: Path, budget: Budget) -> Iterator[Member | Problem]:
    try:
        with file.open("rb") as stream:
            yield from members(name, stream, budget)
    except OSError as error:
        yield Problem(what=f"{name}: cannot be read ({error.strerror or error})", done="skipped", lost="this file")


def _is_archive(stream: BinaryIO) -> bool:
    head = stream.read(BLOCK)
    return head.startswith((GZIP_MAGIC, ZIP_MAGIC)) or is_tar(head)


def _arrange(inputs: list[Input]) -> list[Artifact]:
    """Give every artifact its location, its shown path and a stable id; the result is sorted by location."""
    alone = len(inputs) == 1
    for entry in inputs:
        for artifact in entry.artifacts:
            parts = list(artifact.container)
            if alone and entry.kind in ("archive", "stdin"):
                parts = parts[1:]
            elif not alone and entry.kind == "folder":
                parts = [entry.label + "/", *parts]
            artifact.shown_path = "".join(_joint(part) for part in parts) + artifact.path
            artifact.location = tuple(
                p for part in (*parts, artifact.path) for p in part.split("/") if p not in ("", ".")
            )
    artifacts = sorted(
        (artifact for entry in inputs for artifact in entry.artifacts),
        key=lambda artifact: (artifact.location, artifact.sha256, artifact.input),
    )
    for number, artifact in enumerate(artifacts, 1):
        artifact.id = f"a{number:04d}"
    return artifacts


def _joint(part: str) -> str:
    return part if part.endswith("/") else part + "!"
