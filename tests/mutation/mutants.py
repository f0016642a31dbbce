"""Small wrong versions of a module: one comparison, constant, boolean or operator changed in its syntax tree.

Left alone: annotations, decorators (dataclass and cache settings), `if TYPE_CHECKING` blocks, `strict=`, and text.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr,
}  # fmt: skip


class Mutant(NamedTuple):
    """One change: the line it is on, what it is, and the whole tree with it made."""

    line: int
    change: str
    tree: ast.Module


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in source order and always in the same one.

    The tree is one and the same object, changed and changed back: use each mutant before taking the next.
    """
    tree = ast.parse(source)
    for node in list(_reachable(tree)):
        yield from _of(node, tree)


def _reachable(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for name, value in ast.iter_fields(node):
        if (
            name in ("annotation", "returns", "decorator_list")
            or isinstance(node, ast.keyword)
            and node.arg == "strict"
        ):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _reachable(child)


def _of(node: ast.AST, tree: ast.Module) -> Iterator[Mutant]:
    if isinstance(node, ast.Compare):
        yield from _comparisons(node, tree)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield from _changed(node, "value", [not node.value], tree)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield from _changed(node, "value", [node.value + 1, node.value - 1], tree)
    elif isinstance(node, ast.BoolOp):
        yield from _changed(node, "op", [ast.Or() if isinstance(node.op, ast.And) else ast.And()], tree)
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OPERATORS:
        yield from _changed(node, "op", [OPERATORS[type(node.op)]()], tree)
    elif (
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        or isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.Not)
        or isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.Invert)
    ):
        yield from _changed(node, "op", [ast.UAdd()], tree)
    if isinstance(node, ast.If | ast.IfExp | ast.While) and not isinstance(node.test, ast.Compare):
        yield from _changed(node, "test", [ast.UnaryOp(ast.Not(), node.test)], tree)


def _comparisons(node: ast.Compare, tree: ast.Module) -> Iterator[Mutant]:
    for at, before in enumerate(node.ops):
        for other in COMPARISONS[type(before)]:
            text = ast.unparse(node)
            node.ops[at] = other()
            yield Mutant(node.lineno, f"{text}  ->  {ast.unparse(node)}", ast.fix_missing_locations(tree))
            node.ops[at] = before


def _changed(node: ast.AST, field: str, values: list, tree: ast.Module) -> Iterator[Mutant]:
    before, text = getattr(node, field), ast.unparse(node).partition("\n")[0]
    for value in values:
        setattr(node, field, value)
        after = ast.unparse(node).partition("\n")[0]
        yield Mutant(node.lineno, f"{text}  ->  {after}", ast.fix_missing_locations(tree))
        setattr(node, field, before)
