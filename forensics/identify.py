"""Which formats is this? Every format is asked; the losing scores are kept, because they are evidence too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from formats import FORMATS
from formats.bpftool_frame import condensed
from formats.json_documents import straight_quotes

if TYPE_CHECKING:
    from formats.base import Format, Score

#: Below this a format does not claim a source.
CLAIM = 30
_DOCUMENT = re.compile(rb"\s*[{\[]")
#: A list bullet, as a page makes of a row of asterisks.
_BULLET = re.compile(rb"(?m)^[ \t]*(?:\*|\xe2\x80\xa2) +")


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
    """Ask every format about the head of a source.

    An exclusive winner of a text that begins with its document reads alone; in a page of several things every format
    that claims it reads.
    """
    shown = condensed(head)
    asked = [(form, form.sniff(shown, path)) for form in FORMATS]
    if b"\xe2\x80" in shown or (b"* " in shown and _BULLET.search(shown)):
        bare = straight_quotes(_BULLET.sub(b"", shown))
        asked = [(form, max(score, form.sniff(bare, path), key=_value)) for form, score in asked]
    ranked = sorted((pair for pair in asked if pair[1].value > 0), key=lambda pair: -pair[1].value)
    scores = tuple((form.name, score) for form, score in ranked)
    claims = [form for form, score in ranked if score.value >= CLAIM]
    begins = _DOCUMENT.match(shown) is not None
    if claims and claims[0].exclusive and (begins or all(form.exclusive for form in claims)):
        claims = claims[:1]
    elif begins or not claims:
        claims = [form for form in claims if not form.exclusive]
    return Identity(tuple(claims), scores)


def _value(score: Score) -> int:
    return score.value
