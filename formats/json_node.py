"""A JSON value with the place it was read from, and a document of such values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Node:
    """A JSON value at bytes [start, end): a dict or list of Nodes, or a scalar. `cut`: a part of it is missing."""

    value: Any
    start: int
    end: int
    cut: bool = False

    def get(self, *path: str) -> Any:
        """The plain scalar at a path of object keys; None when it is absent or not a scalar."""
        here = self.at(*path)
        return None if here is None or isinstance(here.value, dict | list) else here.value

    def text(self, *path: str) -> str | None:
        """The non-empty string at a path of object keys, else None."""
        value = self.get(*path)
        return value if isinstance(value, str) and value else None

    def at(self, *path: str) -> Node | None:
        """The Node at a path of object keys, else None."""
        here: Node | None = self
        for key in path:
            here = here.value.get(key) if here is not None and isinstance(here.value, dict) else None
        return here

    def items(self) -> list[tuple[str, Node]]:
        """(key, Node) of an object's members, in file order; empty for anything else."""
        return list(self.value.items()) if isinstance(self.value, dict) else []

    def parts(self) -> list[Node]:
        """The elements of an array; empty for anything else."""
        return self.value if isinstance(self.value, list) else []


@dataclass(slots=True)
class Document:
    """One document. `fragment`: it begins in the middle of an object. The lists are byte ranges, in order:
    `dots` of elisions, `tears` where something is broken off or does not fit, `foreign_text` lines in between.
    """

    root: Node
    fragment: bool
    dots: list[tuple[int, int]] = field(default_factory=list)
    tears: list[tuple[int, int]] = field(default_factory=list)
    foreign_text: list[tuple[int, int]] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Nothing of it is missing."""
        return not (self.fragment or self.dots or self.tears)


def walk(root: Node) -> Iterator[tuple[str | None, Node]]:
    """(key, Node) of every object in a document, outer before inner, in file order; key is None inside arrays."""
    todo: list[tuple[str | None, Node]] = [(None, root)]
    while todo:
        key, node = todo.pop()
        if isinstance(node.value, dict):
            yield key, node
            todo.extend(reversed(node.value.items()))
        else:
            todo.extend((None, part) for part in reversed(node.parts()))
