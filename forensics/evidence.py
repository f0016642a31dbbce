"""Citations: a claim's place in the bytes, with the text that stands there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from forensics.artifact import Artifact
    from formats.base import Span

#: A quoted passage is cut after so many lines; its span still names the whole.
EXCERPT_LINES = 40


class Citation(NamedTuple):
    """One place in one artifact: bytes [start, end), lines first..last, what it shows, and its text when held."""

    artifact: str
    path: str
    start: int
    end: int
    first_line: int
    last_line: int
    note: str
    excerpt: str | None

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values, as in a finding's evidence[]."""
        return {
            "artifact": self.artifact,
            "path": self.path,
            "start": self.start,
            "end": self.end,
            "first_line": self.first_line,
            "last_line": self.last_line,
            "note": self.note,
            "excerpt": self.excerpt,
        }


def excerpt(data: bytes, start: int, end: int) -> str:
    """The text of bytes [start, end) of an artifact, at most EXCERPT_LINES of it; the rest is counted."""
    rows = data[start:end].decode("utf-8", "backslashreplace").splitlines()
    text = "\n".join(rows[:EXCERPT_LINES])
    if len(rows) > EXCERPT_LINES:
        text += f"\n[... {len(rows) - EXCERPT_LINES} more lines ...]"
    return text


def cite(artifact: Artifact, span: Span, note: str) -> Citation:
    """Cite a span of an artifact. The excerpt is null when the artifact's bytes were streamed and not kept."""
    text = excerpt(artifact.data, span.start, span.end) if artifact.data is not None else None
    return Citation(artifact.id, artifact.shown_path, span.start, span.end, span.first_line, span.last_line, note, text)
