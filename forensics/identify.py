"""Which formats is this? Every format is asked; the losing scores are kept, because they are evidence too."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from formats import FORMATS
from formats.bpftool_frame import condensed

if TYPE_CHECKING:
    from formats.base import Format, Score

#: Below this a format does not claim a source.
CLAIM = 30


class Identity(NamedTuple):
    """The formats that read a source, best first, and every non-zero score with its reason."""

    formats: tuple[Format, ...]
    scores: tuple[tuple[str, Score], ...]

    @property
    def name(self) -> str | None:
        """The name of the format that leads; None when nothing claimed the source."""
        return self.formats[0].name if self.formats else None

    @property
    def why(self) -> str:
        """The winner's reason."""
        return self.scores[0][1].reason if self.formats else ""


def identify(head: bytes, path: str) -> Identity:
    """Ask every format about the head of a source. An exclusive winner reads alone; line formats read together."""
    shown = condensed(head)
    asked = [(form, form.sniff(shown, path)) for form in FORMATS]
    ranked = sorted((pair for pair in asked if pair[1].value > 0), key=lambda pair: -pair[1].value)
    scores = tuple((form.name, score) for form, score in ranked)
    claims = [form for form, score in ranked if score.value >= CLAIM]
    if claims and claims[0].exclusive:
        claims = claims[:1]
    else:
        claims = [form for form in claims if not form.exclusive]
    return Identity(tuple(claims), scores)
