"""The only place where text is made safe: for terminals, HTML, Markdown and CSV.

Everything a report prints may come from a hostile bundle. Control characters (C0, DEL, C1), bidirectional controls,
zero-width and other invisible characters and lone surrogates are made visible as `\\x1b` or `\\u202e` in every sink: a
reader must see what stands there, and neither a terminal nor a browser may act on it. A backslash of the text itself
stays as it is.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

# Unicode 15.1: Cc, Cf, Zl, Zp, Cs, variation selectors, fillers and tags. Listed, not asked of unicodedata, so that
# the answer does not change with the Python version.
_C0 = "\x00-\x1f"
_INVISIBLE = (
    f"{_C0}\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u115f-\u1160\u17b4-\u17b5"
    "\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_LINE = re.compile(f"[{_INVISIBLE}]")
_BLOCK = re.compile(f"(?![\n\t])[{_INVISIBLE}]")
#: What JSON may carry raw but a terminal that shows it must not see: all but line feeds.
_JSON = re.compile(f"[\x00-\t\x0b-\x1f{_INVISIBLE.removeprefix(_C0)}]")

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")

# Only what Markdown acts on where it stands, so that the source stays readable: an underscore inside a word, a dot in
# an address or a `>` in the middle of a line mean nothing.
_MD_PUNCTUATION = re.compile(r"[\\`*\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|#(?=#*\s*$)")
_MD_LEAD = re.compile(r"^(?:([-+](?=[-+\s]|$)|[=>#])|(\d{1,9})(?=[.)](?:\s|$)))")
_TICKS = re.compile(r"`+")
_TILDES = re.compile(r"~+")


class Written(str):
    """Text that one of this module's writers has already made safe for its sink."""

    __slots__ = ()


def visible(text: str) -> str:
    """One line: every control and invisible character, line ends and tabs included, as a visible escape."""
    return _LINE.sub(_shown, text)


def visible_block(text: str) -> str:
    """Several lines: as visible(), but line feeds stay and tabs become four blanks; CRLF counts as one line end."""
    return _BLOCK.sub(_shown, text.replace("\r\n", "\n")).replace("\t", "    ")


def json_text(text: str) -> str:
    """JSON source whose strings carry no raw invisible character: the same values, written as \\uXXXX."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return _JSON.sub(lambda hit: _utf16_escape(hit.group()), text)


def csv_cell(value: object) -> str:
    """A cell that no spreadsheet takes for a formula; quoting is the csv module's work. None is an empty cell."""
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        return str(value)
    text = visible(str(value))
    return "'" + text if _FORMULA.match(str(value)) else text


def markdown(text: str) -> Written:
    """Prose on one line of a Markdown page, stripped: it makes no HTML, emphasis, link, cell, list or heading."""
    line = _MD_PUNCTUATION.sub(lambda hit: "\\" + hit.group(), visible(text))
    line = re.sub(r"&(?=[#A-Za-z])", "&amp;", line).replace("<", "&lt;")
    return Written(_MD_LEAD.sub(_lead, line.strip()))


def markdown_code(text: str, *, cell: bool = False) -> Written:
    """Inline code, fenced by more backticks than it holds; `cell` escapes pipes too, as a table cell needs."""
    line = visible(text).replace("|", "\\|") if cell else visible(text)
    if not line.strip():
        return Written("–")
    ticks = "`" * (_longest(_TICKS, line) + 1)
    pad = " " if line[0] in "` " or line[-1] in "` " else ""
    return Written(f"{ticks}{pad}{line}{pad}{ticks}")


def markdown_fence(text: str, info: str = "") -> Written:
    """A fenced block whose fence is longer than any run of backticks or tildes inside. `info` is ours, never data."""
    body = visible_block(text).rstrip("\n")
    fence = "`" * max(3, _longest(_TICKS, body) + 1, _longest(_TILDES, body) + 1)
    return Written(f"{fence}{info}\n{body}\n{fence}")


def html_environment() -> jinja2.Environment:
    """Jinja2 for HTML: autoescape on, undefined names fail, every printed string made visible, null as `unknown`."""
    return _environment(autoescape=True, finalize=_finalize_html)


def markdown_environment() -> jinja2.Environment:
    """Jinja2 for Markdown: what no filter wrote is escaped as prose, so forgetting a filter is never unsafe."""
    environment = _environment(autoescape=False, finalize=_finalize_markdown)
    environment.filters["code"] = lambda value: markdown_code("unknown" if value is None else str(value))
    environment.filters["cell"] = lambda value: markdown_code("unknown" if value is None else str(value), cell=True)
    environment.filters["listed"] = _listed_cells
    environment.filters["fence"] = lambda value, info="": markdown_fence(str(value), info)
    return environment


def cells(text: str) -> int:
    """Terminal cells that visible text takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_cell_width(char) for char in text)


def _environment(*, autoescape: bool, finalize: Any) -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("reports", "templates"),
        autoescape=autoescape,  # noqa: S701  off for Markdown only, where finalize escapes instead
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _finalize_html(value: Any) -> Any:
    if value is None:
        return "unknown"
    # A macro's output is Markup: its parts have been here already.
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return visible_block(value)
    return value


def _finalize_markdown(value: Any) -> Any:
    if value is None:
        return Written("unknown")
    return markdown(value) if isinstance(value, str) and not isinstance(value, Written) else value


def _listed_cells(values: list[str], limit: int) -> Written:
    rest = f" and {len(values) - limit} more" if len(values) > limit else ""
    return Written(", ".join(markdown_code(value, cell=True) for value in values[:limit]) + rest)


def _shown(hit: re.Match[str]) -> str:
    char = hit.group()
    code = ord(char)
    if char in _NAMED:
        return _NAMED[char]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _utf16_escape(char: str) -> str:
    raw = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[at]:02x}{raw[at + 1]:02x}" for at in range(0, len(raw), 2))


def _lead(hit: re.Match[str]) -> str:
    mark, number = hit.groups()
    return f"{number}\\" if number else f"\\{mark}"


def _longest(runs: re.Pattern[str], text: str) -> int:
    return max((len(run) for run in runs.findall(text)), default=0)


def _cell_width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
