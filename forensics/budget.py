"""How much of a hostile input is read: bounds on size, expansion, members, depth and time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

MIB = 1024 * 1024


@dataclass(slots=True)
class Budget:
    """Counts what has been read and says when to stop. One per run.

    bytes_out: most bytes that all members may unpack to. ratio: most bytes out per byte in, asked only after
    `ratio_after` bytes, because a small file of zeros is no attack. members: most members. depth: archives inside
    archives. seconds: wall time of reading.
    """

    bytes_out: int = 20 * 1024 * MIB
    ratio: int = 200
    ratio_after: int = 100 * MIB
    members: int = 200_000
    depth: int = 3
    seconds: float = 3600.0
    used_out: int = 0
    used_members: int = 0
    started: float = field(default_factory=time.monotonic)

    def spend(self, count: int) -> None:
        """Account for unpacked bytes. Raises OverBudget."""
        self.used_out += count
        if self.used_out > self.bytes_out:
            raise OverBudget(f"more than {self.bytes_out // MIB} MiB unpacked")
        if time.monotonic() - self.started > self.seconds:
            raise OverBudget(f"reading took longer than {self.seconds:.0f} s")

    def member(self) -> None:
        """Account for one more member. Raises OverBudget."""
        self.used_members += 1
        if self.used_members > self.members:
            raise OverBudget(f"more than {self.members} members")

    def expansion(self, bytes_in: int, bytes_out: int) -> None:
        """Check one archive's expansion. Raises OverBudget."""
        if bytes_out > self.ratio_after and bytes_out > self.ratio * max(bytes_in, 1):
            raise OverBudget(f"unpacks to more than {self.ratio} times its size")


class OverBudget(Exception):
    """An input asked for more than its budget; what was read before stays."""
