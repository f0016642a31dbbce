"""What mail, markdown, terminals and editors do to a text that somebody pastes. Each returns the whole new text."""

from __future__ import annotations

import re


def fenced(text: str) -> str:
    """A markdown fence between two sentences."""
    return f"This is what the node says:\n\n```console\n{_ended(text)}```\n\nDoes that help?\n"


def prompted(text: str) -> str:
    """A shell session: other commands before and after."""
    return f"[root@ip-10-0-1-10 ~]# date\nSat Nov 21 03:22:18 UTC 2026\n{_ended(text)}[root@ip-10-0-1-10 ~]# exit\n"


def quoted(text: str) -> str:
    """A mail reply."""
    return re.sub(r"(?m)^", "> ", text.removesuffix("\n")) + "\n"


def windows(text: str) -> str:
    """Line ends of another system, and a byte order mark."""
    return "\ufeff" + text.replace("\r\n", "\n").replace("\n", "\r\n")


def indented(text: str) -> str:
    """A code block by indentation."""
    return re.sub(r"(?m)^(?=.)", "    ", text)


def tabbed(text: str) -> str:
    """A code block by tabs."""
    return re.sub(r"(?m)^(?=.)", "\t", text)


def curled(text: str) -> str:
    """Every straight quote made typographic."""
    return re.sub(r'"([^"\n]*)"', "\u201c\\1\u201d", text)


def bulleted(text: str) -> str:
    """Every line an item of a list."""
    return re.sub(r"(?m)^(?=\S)", "* ", text)


def coloured(text: str) -> str:
    """A terminal's colours around the first word of each line, and its reset at the end."""
    return re.sub(r"(?m)^(\s*)(\S+)(.*)$", "\\1\x1b[1;34m\\2\x1b[0m\\3\x1b[K", text)


def trailing(text: str) -> str:
    """Blanks that a terminal pads its lines with."""
    return re.sub(r"(?m)$", "   ", text)


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


DISGUISES = {
    one.__name__: one
    for one in (fenced, prompted, quoted, windows, indented, tabbed, curled, bulleted, coloured, trailing)
}
