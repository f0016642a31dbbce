"""Findings to something a person or a machine reads. Reads the result document only."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple


class Renderer(NamedTuple):
    """One form of the report. `module` is imported when it is asked for; it has `render(document, *, color, width)`."""

    name: str
    module: str
    suffix: str
    title: str

    def render(self, document: dict[str, Any], *, color: bool = False, width: int = 100) -> str:
        """The document in this form, always ending with a line end. Colour and width matter to the text form only."""
        text: str = import_module(self.module).render(document, color=color, width=width)
        return text


RENDERERS: tuple[Renderer, ...] = (
    Renderer("text", "reports.text", ".txt", "terminal summary, worst first"),
    Renderer("json", "reports.json_", ".json", "the result document itself"),
    Renderer("html", "reports.html", ".html", "one self-contained page with the bytes that prove it"),
    Renderer("markdown", "reports.markdown", ".md", "post-mortem page"),
    Renderer("sarif", "reports.sarif", ".sarif", "SARIF 2.1.0, for code scanning and ticket systems"),
)


def renderer(name: str) -> Renderer:
    """The renderer of that name. Raises ValueError that lists the names."""
    for known in RENDERERS:
        if known.name == name:
            return known
    raise ValueError(f"no report form {name!r}; there are {', '.join(known.name for known in RENDERERS)}")


def render(name: str, document: dict[str, Any], *, color: bool = False, width: int = 100) -> str:
    """`document` in the form `name`. Raises ValueError for an unknown form."""
    return renderer(name).render(document, color=color, width=width)
