"""A Go panic in a container log: message, goroutine and the frame of the program that crashed, from the stack text."""

from __future__ import annotations

import re
from typing import Any

from formats.base import Record, Span

_HEAD = re.compile(r"^(?:panic: |fatal error: )(?P<message>.*?)(?: \[recovered\])?$")
_GOROUTINE = re.compile(r"^goroutine (?P<number>\d+) (?:gp=\S+ m=\S+ (?:mp=\S+ )?)?\[(?P<state>[^\]]*)\]:?$")
_FUNCTION = re.compile(r"^(?P<name>[\w./\-@%*()\[\]·{}]+?)\((?:[^()]|\([^()]*\))*\)?(?:\.\.\.)?$")
_MORE = re.compile(
    r"^(?:\t|\s{2,}\S|\[signal |\[recovered\]|created by |exit status |\.\.\.|[a-z0-9]{2,3}\s+0x|\s*panic: )"
)
_SIGNAL = re.compile(r"^\[signal (?P<signal>\w+).*?pc=0x(?P<pc>[0-9a-f]+)")
_RUNTIME = ("runtime.", "runtime/", "panic")
_OURS = "github.com/aws/aws-network-policy-agent/"
#: A crash of this agent has some tens of lines; past this it is something else.
_LINES = 2000
# Where Linux puts position-independent executables: 0x55.. and 0x56.. on x86-64, 0xaaaa.. on arm64.
_ARCHES = (("aaaa", "arm64"), ("55", "amd64"), ("56", "amd64"))


class Panic:
    """Collects the lines of one panic."""

    def __init__(self, text: str, span: Span) -> None:
        found = _HEAD.match(text.strip())
        self._first = text.strip()
        self._message = found["message"] if found else text.strip()
        self._span = span
        self._goroutine: int | None = None
        self._frames: list[str] = []
        self._signal: str | None = None
        self._pc = ""
        self._count = 1

    def take(self, text: str, span: Span) -> bool:
        """Whether the line belongs to the panic."""
        stripped = text.strip()
        self._count += 1
        if self._count > _LINES or stripped.startswith(("{", "```")):
            return False
        goroutine = _GOROUTINE.match(stripped)
        signal = _SIGNAL.match(stripped)
        function = _FUNCTION.match(stripped) if not text.startswith(("\t", "  ")) else None
        if goroutine:
            if self._goroutine is None:
                self._goroutine = int(goroutine["number"])
        elif signal:
            self._signal, self._pc = signal["signal"], signal["pc"]
        elif function and ("." in function["name"] or function["name"] == "panic"):
            self._frames.append(function["name"])
        elif stripped and not _MORE.match(text):
            return False
        if stripped:
            self._span = Span(self._span.start, span.end, self._span.first_line, span.last_line)
        return True

    def record(self, log: str) -> Record:
        """The `panic` event: its frame is the first one of this agent, or the first that is not the Go runtime's."""
        own = [name for name in self._frames if name.startswith(_OURS)]
        other = [name for name in self._frames if not name.startswith(_RUNTIME)]
        frame = next(iter(own or other), None)
        data: dict[str, Any] = {
            "log": log,
            "ts": None,
            "utc_ns": None,
            "level": "panic",
            "event": "panic",
            "msg": self._first,
            "panic": self._message.removeprefix("runtime error: "),
            "frame": frame.removeprefix(_OURS) if frame else None,
            "goroutine": self._goroutine,
            "signal": self._signal,
            "arch_hint": next((arch for start, arch in _ARCHES if self._pc.startswith(start)), None),
            "frames": [name.removeprefix(_OURS) for name in self._frames[:20]],
        }
        return Record("log_event", data, self._span)
