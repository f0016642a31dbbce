"""The result document as JSON: the document's own key order, two blanks, UTF-8, one line end at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.escape import json_text

if TYPE_CHECKING:
    from collections.abc import Mapping


def render(document: Mapping[str, Any], *, color: bool = False, width: int = 100) -> str:
    """Canonical text of the document: equal documents give equal bytes. Colour and width do not matter here."""
    return dumps(document)


def dumps(value: Any) -> str:
    """JSON of plain values. Invisible characters and lone surrogates are written as \\uXXXX, so nothing is lost."""
    import msgspec

    try:
        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    except UnicodeEncodeError:
        # msgspec takes no lone surrogate (a member name that is no UTF-8); json does, in the same layout.
        import json

        text = json.dumps(value, ensure_ascii=False, indent=2)
    return json_text(text) + "\n"
