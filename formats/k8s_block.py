"""A strict reader of the block YAML that kubectl prints; whatever it does not know for certain it leaves to libyaml.

It reads mappings and sequences in block style, one-line plain and quoted scalars, `{}`, `[]` and `|` literals of
printable ASCII. Anything else (flow collections, anchors, tags, folded or wrapped scalars, duplicate keys, tabs)
gives NOT_SIMPLE, never a reading that differs from libyaml's: a property test holds the two together.
"""

from __future__ import annotations

from typing import Any, Final

from formats.patterns import lazy

#: What parse() gives for text outside its subset.
NOT_SIMPLE: Final = object()
#: Nesting that no Kubernetes object reaches; consumers may recurse that deep.
MAX_DEPTH = 200
#: Distinct lines remembered per load; policy dumps repeat nearly all of theirs.
MEMO_LINES = 100_000

_PAIR, _OPEN, _DASH_PAIR, _DASH_OPEN, _DASH_SCALAR, _SKIP, _NEW_MAP, _NEW_LIST, _DASH_MAP, _BAIL = range(10)

#: (operation, level, key, value, level of the mapping that a dash opens). A sequence at indentation i has level
#: 2i+1 and a mapping 2i, so that a sequence nests inside a mapping of its own indentation.
Token = tuple[int, int, str, Any, int]

_KEY = r"(?:[fkv]:\S+|[A-Za-z0-9_.][A-Za-z0-9_./\-]*(?::[A-Za-z0-9_./\-]+)*)"
_LINE = lazy(rf"( *)(- )?(?:({_KEY}):(?: +([^ ].*)?)?|([^ ].*))")
_INTEGER = lazy(r"-?[1-9][0-9]{0,17}|0")
_DOUBLE = lazy(r'"[^"\\]*"')
_SINGLE = lazy(r"'(?:[^']|'')*'")
_PLAIN = lazy(r"(?:[A-Za-z0-9_./$(+\\^;<]|-[^ -]|:(?! |$))[^#:]*(?:(?:(?<! )#|:(?! |$))[^#:]*)*")
_LITERAL = lazy(r"( *)(- )?" + rf"({_KEY}): +\|(-?) *")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BAIL_TOKEN: Token = (_BAIL, 0, "", None, 0)
_NO_VALUE: Final = object()


def resolve(text: str) -> Any:
    """The value of a plain scalar: null, true, false and decimal integers; all else stays text.

    YAML 1.1 would make 10 of `012`, 45045 of `12:30:45` and true of `on`; the cluster's own schema decides instead.
    """
    if text in _NULLS:
        return None
    if text == "true":
        return True
    if text == "false":
        return False
    return int(text) if _INTEGER.fullmatch(text) else text


def parse(text: str, memo: dict[str, Token]) -> Any:
    """The object of one document or list item (`- ...` gives a list of one); NOT_SIMPLE when it is not certain.

    `memo` maps a line to its token and is shared by the documents of one load.
    """
    rows = text.split("\n")
    if ": |" in text:
        folded = _fold_literals(rows, memo)
        if folded is None:
            return NOT_SIMPLE
        rows = folded
    return _build(rows, memo)


def _build(rows: list[str], memo: dict[str, Token]) -> Any:  # noqa: C901 (a call a line would double its cost)
    root: dict[str, Any] = {}
    top: Any = root
    top_level = -1
    stack: list[tuple[int, Any]] = []
    pending: str | None = ""
    for row in rows:
        token = memo.get(row)
        if token is None:
            token = _token(row)
            if len(memo) < MEMO_LINES:
                memo[row] = token
        operation, level, key, value, item_level = token
        if operation == _SKIP:
            continue
        if operation == _BAIL:
            return NOT_SIMPLE
        if pending is not None:
            if level > top_level:
                if len(stack) > MAX_DEPTH:
                    return NOT_SIMPLE
                child: Any = [] if level & 1 else {}
                top[pending] = child
                stack.append((top_level, top))
                top, top_level = child, level
            pending = None
        while top_level > level:
            top_level, top = stack.pop()
        if top_level != level:
            return NOT_SIMPLE
        if level & 1:
            if operation == _DASH_SCALAR:
                top.append(value)
                continue
            child = {key: {} if operation == _DASH_MAP else value}
            top.append(child)
            stack.append((top_level, top))
            top, top_level = child, item_level
            if operation == _DASH_OPEN:
                pending = key
            continue
        if key in top:
            return NOT_SIMPLE
        if operation == _PAIR:
            top[key] = value
        elif operation == _OPEN:
            top[key] = None
            pending = key
        else:
            top[key] = {} if operation == _NEW_MAP else []
    return root.get("", NOT_SIMPLE)


def _token(row: str) -> Token:
    if not row.strip(" "):
        return (_SKIP, 0, "", None, 0)
    if not row.isascii() or not row.isprintable():
        return _BAIL_TOKEN
    if row.lstrip(" ").startswith("#"):
        return (_SKIP, 0, "", None, 0)
    match = _LINE.fullmatch(row)
    if match is None:
        return _BAIL_TOKEN
    blanks, dash, key, text, bare = match.groups()
    indent = len(blanks)
    if key is None:
        value = _scalar(bare) if dash else _NO_VALUE
        return _BAIL_TOKEN if value is _NO_VALUE else (_DASH_SCALAR, 2 * indent + 1, "", value, 0)
    if dash:
        level, item_level = 2 * indent + 1, 2 * indent + 4
        if text is None:
            return (_DASH_OPEN, level, key, None, item_level)
        if text.rstrip(" ") == "{}":
            return (_DASH_MAP, level, key, None, item_level)
        value = _scalar(text)
        return _BAIL_TOKEN if value is _NO_VALUE else (_DASH_PAIR, level, key, value, item_level)
    if text is None:
        return (_OPEN, 2 * indent, key, None, 0)
    if text[0] in "{[" and text.rstrip(" ") in ("{}", "[]"):
        return (_NEW_MAP if text[0] == "{" else _NEW_LIST, 2 * indent, key, None, 0)
    value = _scalar(text)
    return _BAIL_TOKEN if value is _NO_VALUE else (_PAIR, 2 * indent, key, value, 0)


def _scalar(text: str) -> Any:
    """The value of a one-line scalar; _NO_VALUE when it is not surely one."""
    text = text.rstrip(" ")
    first = text[0]
    if first == '"':
        return text[1:-1] if _DOUBLE.fullmatch(text) else _NO_VALUE
    if first == "'":
        return text[1:-1].replace("''", "'") if _SINGLE.fullmatch(text) else _NO_VALUE
    if text == "~" or _PLAIN.fullmatch(text):
        return resolve(text)
    return _NO_VALUE


def _fold_literals(rows: list[str], memo: dict[str, Token]) -> list[str] | None:
    """Rows with every `key: |` and its body replaced by one row whose token is put into the memo; None when unsure."""
    out: list[str] = []
    at = 0
    while at < len(rows):
        row = rows[at]
        at += 1
        match = _LITERAL.fullmatch(row) if ": |" in row else None
        if match is None:
            out.append(row)
            continue
        blanks, dash, key, chomp = match.groups()
        parent = len(blanks) + (2 if dash else 0)
        first = rows[at] if at < len(rows) else ""
        indent = len(first) - len(first.lstrip(" "))
        if indent <= parent or not first.strip(" "):
            return None
        body: list[str] = []
        while at < len(rows) and (rows[at].startswith(" " * indent) or not rows[at].strip(" ")):
            if not (rows[at].isascii() and rows[at].isprintable()) or (len(rows[at]) < indent and rows[at]):
                return None
            body.append(rows[at][indent:])
            at += 1
        if at < len(rows) and len(rows[at]) - len(rows[at].lstrip(" ")) > parent:
            return None
        ended = at < len(rows) or not body[-1]
        while body and not body[-1]:
            body.pop()
        value = "\n".join(body) + ("" if chomp or not ended else "\n")
        name = f"\0{len(memo)}\0{len(out)}\0{row}"
        level = 2 * len(blanks)
        token = (_DASH_PAIR, level + 1, key, value, level + 4) if dash else (_PAIR, level, key, value, 0)
        if not _LINE.fullmatch(row):
            return None
        memo[name] = token
        out.append(name)
    return out
