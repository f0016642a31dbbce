"""FORMATS: every external format this project reads, in priority order. Adding one: a file, a line, a corpus folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from formats.base import Format

FORMATS: tuple[Format, ...] = ()
