"""What sniffers of node files share: the path as a hint, and one scale of scores."""

from __future__ import annotations

from formats.base import NO, Score
from formats.patterns import lazy

_PROMPTED = lazy(
    rb"(?:\xef\xbb\xbf|\s|```\w*\n|>|[^\n]*(?:curl|cat|jq|python|sudo|kubectl|ctr|docker|crictl|cilium)\b[^\n]*\n"
    rb"|\s*%[^\n]*\n|\s*Dload[^\n]*\n|\s*\d+ [^\n]*\d+k?\n)*[{\[]"
)


def basename(path: str) -> str:
    """The last part of a path, in lower case."""
    return path.replace("\\", "/").rsplit("/", 1)[-1].lower()


def scored(content: int, *, named: bool, what: str) -> Score:
    """Content decides: alone it scores `content`, with a fitting name 20 more (at most 95), a name alone 15."""
    if content <= 0:
        return Score(15, f"named like {what}, its content is not") if named else NO
    return Score(min(95, content + 20), f"{what}, by name and content") if named else Score(content, f"reads as {what}")


def begins_as_json(head: bytes) -> bool:
    """Whether JSON is the first thing in a member, a command line and curl's progress meter apart."""
    return _PROMPTED.match(head[:4096]) is not None
