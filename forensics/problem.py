"""What can go wrong, as types.

    NpforensicsError
    ├── UsageError        the command line or an override makes no sense          -> exit status 2
    └── NothingReadable   no input could be read at all                           -> exit status 2

Everything smaller is a CaseProblem: data, part of the report, never an exception that reaches a user.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from formats.base import Problem


class NpforensicsError(Exception):
    """The base of what this project raises on purpose; its text is one clear line for the user."""


class UsageError(NpforensicsError):
    """The command line, or an override, makes no sense."""


class NothingReadable(NpforensicsError):
    """No input could be read."""


class CaseProblem(NamedTuple):
    """A Problem with the artifact it stands in."""

    what: str
    artifact: str | None = None
    path: str | None = None
    lines: tuple[int, int] | None = None
    bytes: tuple[int, int] | None = None
    done: str = ""
    lost: str = ""
    hint: str = ""

    @classmethod
    def of(cls, problem: Problem, artifact: str | None, path: str | None) -> CaseProblem:
        """A reader's Problem, placed in its artifact."""
        span = problem.span
        return cls(
            what=problem.what,
            artifact=artifact,
            path=path,
            lines=(span.first_line, span.last_line) if span else None,
            bytes=(span.start, span.end) if span else None,
            done=problem.done,
            lost=problem.lost,
            hint=problem.hint,
        )

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values, as in the result document's problems[]."""
        return {
            "what": self.what,
            "artifact": self.artifact,
            "path": self.path,
            "lines": list(self.lines) if self.lines else None,
            "bytes": list(self.bytes) if self.bytes else None,
            "done": self.done,
            "lost": self.lost,
            "hint": self.hint,
        }
