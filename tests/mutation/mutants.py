"""Small wrong versions of a module: one comparison, constant, boolean or operator changed in its syntax tree.

Left alone: annotations, decorators (dataclass and cache settings), `if TYPE_CHECKING` blocks, `strict=`, and text.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not (isinstance(child, ast.keyword) and child.arg == "strict"):
                yield from _reachable(child)


def _of(node: ast.AST, tree: ast.Module) -> Iterator[Mutant]:
    match node:
        case ast.Compare():
            yield from _comparisons(node, tree)
        case ast.Constant(value=bool()):
            yield from _changed(node, "value", [not node.value], tree)
        case ast.Constant(value=int()):
            yield from _changed(node, "value", [node.value + 1, node.value - 1], tree)
        case ast.BoolOp():
            yield from _changed(node, "op", [ast.Or() if isinstance(node.op, ast.And) else ast.And()], tree)
        case ast.BinOp() | ast.AugAssign() if type(node.op) in OPERATORS:
            yield from _changed(node, "op", [OPERATORS[type(node.op)]()], tree)
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert()):
            yield from _changed(node, "op", [ast.UAdd()], tree)
        case ast.If() | ast.IfExp() | ast.While() if not _negated_elsewhere(node.test):
            yield from _changed(node, "test", [ast.UnaryOp(ast.Not(), node.test)], tree)


def _negated_elsewhere(test: ast.expr) -> bool:
    """A comparison or a `not` at the top of a condition has its own mutants, and TYPE_CHECKING none."""
    return isinstance(test, ast.Compare | ast.UnaryOp) or ast.unparse(test) == "TYPE_CHECKING"


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
