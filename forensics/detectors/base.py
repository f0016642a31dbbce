"""What a detector is: an id, what it is about, and one function from a pod's context to an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from forensics.context import Context
    from forensics.finding import Answer


class Detector(NamedTuple):
    """One detector. `run` answers for one pod identifier of one node; it never raises for lack of input."""

    id: str
    title: str
    about: str
    needs: tuple[str, ...]
    run: Callable[[Context], Answer]
    #: catalogue ids of defects this detector can name
    defects: tuple[str, ...] = ()
