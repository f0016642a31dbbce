"""Archives as streams of members: tar, tar.gz, gz, zip, folder. One forward pass, nothing is ever extracted.

Member names are data: they are shown and matched, never used as a path on this machine.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from forensics.budget import Budget, OverBudget
from forensics.inflate import GZIP_MAGIC, Inflater
from forensics.tar_stream import BLOCK, Content, Forward, resyncing
from formats.base import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

#: POSIX and GNU tar headers bear it.
TAR_MAGIC, TAR_MAGIC_AT = b"ustar", 257
ZIP_MAGIC = b"PK\x03\x04"
TAR_BUFFER = 1024 * 1024
#: A zip inside another archive must be held in memory, because its directory stands at its end.
NESTED_ZIP_BYTES = 256 * 1024 * 1024


@dataclass(slots=True)
class Member:
    """One file of an input: its path as text (undecodable bytes escaped), a forward-only stream, its header time.

    `container` is the chain of archives around it, outermost first; `modified` is a tar header's time (evidence),
    None for loose files and folders, whose times say nothing; `size` is what a tar header says of it.
    """

    container: tuple[str, ...]
    path: str
    stream: BinaryIO
    modified: int | None = None
    size: int | None = None


class Peekable(io.RawIOBase):
    """A forward-only stream whose first bytes can be looked at before anybody reads them."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self._ahead = b""
        self.taken = 0

    def peek(self, count: int) -> bytes:
        while len(self._ahead) < count and (piece := self._stream.read(count - len(self._ahead))):
            self._ahead += piece
        return self._ahead[:count]

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size is None or size < 0:
            data = self._ahead + self._stream.read()
            self._ahead = b""
        elif self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
        else:
            data = self._stream.read(size)
        self.taken += len(data)
        return data

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def text_name(name: str) -> str:
    """A member name for people and for matching: `./` dropped, surrogate escapes made visible."""
    shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    while shown.startswith("./"):
        shown = shown[2:]
    return shown


def is_tar(head: bytes) -> bool:
    """Whether a block begins a tar archive: its checksum holds, or it bears the magic and the header is damaged."""
    if len(head) < BLOCK:
        return False
    if head[TAR_MAGIC_AT : TAR_MAGIC_AT + len(TAR_MAGIC)] == TAR_MAGIC:
        return True
    try:
        tarfile.TarInfo.frombuf(head[:BLOCK], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def members(
    path: str,
    stream: BinaryIO,
    budget: Budget,
    container: tuple[str, ...] = (),
    modified: int | None = None,
    size: int | None = None,
) -> Iterator[Member | Problem]:
    """Every file in `stream`, archives opened in place. Yields a Problem where an archive breaks and goes on."""
    budget.member()
    here = Peekable(stream)
    head = here.peek(BLOCK)
    if head.startswith(GZIP_MAGIC):
        yield from _gzip(path, here, budget, container, modified)
    elif head.startswith(ZIP_MAGIC):
        yield from _zip(path, here, budget, container)
    elif is_tar(head):
        yield from _tar(path, here, budget, container)
    else:
        yield Member(container, path, cast("BinaryIO", here), modified, size)


class _Inflate(io.RawIOBase):
    """The inflated bytes of a gzip stream, counted against the budget; a break is kept as `error`."""

    def __init__(self, work: Inflater, budget: Budget) -> None:
        super().__init__()
        self._work = work
        self._budget = budget
        self._stopped: str | None = None
        self.out = 0

    @property
    def error(self) -> str | None:
        """What ended it before its end."""
        return self._stopped or self._work.error

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._stopped is not None:
            return b""
        data = self._work.piece(size if size and size > 0 else TAR_BUFFER)
        self.out += len(data)
        try:
            self._budget.spend(len(data))
            self._budget.expansion(self._work.taken, self.out)
        except OverBudget as error:
            self._stopped = f"stopped: {error}"
            return b""
        return data

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def drain(self) -> None:
        while self.read(TAR_BUFFER):
            pass


def _gzip(
    path: str, stream: Peekable, budget: Budget, container: tuple[str, ...], modified: int | None
) -> Iterator[Member | Problem]:
    inflate = _Inflate(Inflater(stream), budget)
    inside = Peekable(cast("BinaryIO", inflate))
    head = inside.peek(BLOCK)
    if is_tar(head) and len(container) < budget.depth:
        yield from _tar(path, inside, budget, container)
    else:
        yield Member(container, path, cast("BinaryIO", inside), modified)
    inflate.drain()
    if inflate.error is not None:
        yield Problem(
            what=f"{path}: {inflate.error}",
            done=f"what came before was read ({inflate.out} bytes)",
            lost="what came after the damage, if anything",
            hint="ask for the archive again; findings that rest on it are from the readable part",
        )


def _tar(path: str, stream: Peekable, budget: Budget, container: tuple[str, ...]) -> Iterator[Member | Problem]:
    inner = (*container, path)
    if len(inner) > budget.depth:
        yield Problem(what=f"{path}: archives nested deeper than {budget.depth}", done="not opened", lost="its members")
        return
    padded = Forward(stream)
    skipped: list[int] = []
    headers = resyncing(skipped)
    try:
        with tarfile.open(fileobj=cast("BinaryIO", padded), mode="r:", errorlevel=0, tarinfo=headers) as archive:
            for info in archive:
                yield from _tar_member(info, budget, inner, padded)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        yield Problem(
            what=f"{path}: tar archive breaks off ({error})",
            done="the members before the break were read",
            lost="at least the member at the break",
            hint="ask for the archive again",
        )
    if skipped:
        yield Problem(
            what=f"{path}: a member's header is damaged at byte {skipped[0]} of the tar archive",
            done=f"{len(skipped)} blocks of {BLOCK} bytes were passed over, up to headers that hold",
            lost="the members whose headers are damaged",
            hint="ask for the archive again",
        )
    while stream.read(1 << 20):
        pass


def _tar_member(
    info: tarfile.TarInfo, budget: Budget, inner: tuple[str, ...], padded: Forward
) -> Iterator[Member | Problem]:
    name = text_name(info.name)
    if info.isdir():
        return
    if not info.isreg() or info.issparse():
        yield Problem(what=f"{name}: a {_kind(info)}, not a regular file", done="listed, not followed", lost="nothing")
        return
    content = Content(padded, info.size)
    guarded = _Guarded(cast("BinaryIO", content), budget, tar=(padded, info.offset_data))
    yield from members(name, cast("BinaryIO", guarded), budget, inner, int(info.mtime), info.size)
    yield from guarded.problems(name)


def _kind(info: tarfile.TarInfo) -> str:
    if info.issym():
        return f"symbolic link to {text_name(info.linkname)!r}"
    if info.islnk():
        return f"hard link to {text_name(info.linkname)!r}"
    return "sparse file" if info.issparse() else "device or other special file"


def _zip(path: str, stream: Peekable, budget: Budget, container: tuple[str, ...]) -> Iterator[Member | Problem]:
    inner = (*container, path)
    data = stream.peek(NESTED_ZIP_BYTES + 1) if len(inner) <= budget.depth else b""
    if len(inner) > budget.depth or len(data) > NESTED_ZIP_BYTES:
        yield Problem(what=f"{path}: zip too large or nested too deep", done="not opened", lost="its members")
        return
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        yield Problem(what=f"{path}: zip directory cannot be read ({error})", done="not opened", lost="its members")
        return
    with archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            try:
                with archive.open(info) as content:
                    guarded = _Guarded(cast("BinaryIO", content), budget, info.compress_size)
                    yield from members(text_name(info.filename), cast("BinaryIO", guarded), budget, inner)
                    yield from guarded.problems(text_name(info.filename))
            except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
                name = text_name(info.filename)
                yield Problem(what=f"{name}: zip member cannot be read ({error})", done="skipped", lost="this member")


class _Guarded(io.RawIOBase):
    """A member's content: a break inside it ends it and is kept as its error; a zip member is counted too."""

    def __init__(
        self,
        stream: BinaryIO,
        budget: Budget,
        packed: int | None = None,
        tar: tuple[Forward, int] | None = None,
    ) -> None:
        super().__init__()
        self._stream, self._budget, self._packed, self._tar = stream, budget, packed, tar
        self.error: str | None = None
        self.out = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self.error is not None:
            return b""
        try:
            data = self._stream.read(size)
            if self._tar is not None:
                data = self._trim(data, *self._tar)
            self.out += len(data)
            if self._packed is not None:
                self._budget.spend(len(data))
                self._budget.expansion(self._packed, self.out)
        except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError, zlib.error) as error:
            self.error = f"it is cut or damaged ({error})"
            return b""
        except OverBudget as error:
            self.error = f"stopped: {error}"
            return b""
        return data

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _trim(self, data: bytes, padded: Forward, begin: int) -> bytes:
        if padded.real_end is None or begin + self.out + len(data) <= padded.real_end:
            return data
        self.error = "the archive ends inside this member"
        return data[: max(0, padded.real_end - begin - self.out)]

    def problems(self, name: str) -> Iterator[Problem]:
        if self.error is not None:
            yield Problem(
                what=f"{name}: {self.error}",
                done=f"its first {self.out} bytes were read",
                lost="the rest of this member",
                hint="ask for the archive again",
            )


def folder_files(root: Path) -> Iterator[tuple[str, Path]]:
    """(relative path, file) of every regular file below a folder, sorted, links not followed."""
    for directory, names, files in os.walk(root):
        names.sort()
        for name in sorted(files):
            file = Path(directory, name)
            if stat.S_ISREG(file.lstat().st_mode):
                yield text_name(file.relative_to(root).as_posix()), file
