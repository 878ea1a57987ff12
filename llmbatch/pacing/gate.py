"""How many attempts may be in flight. Knows no HTTP, no clock and no retry."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Gate:
    """A bound that several lanes share, and that can shrink and grow while it is used.

    Shrinking below what is in use takes no slot away: nobody enters until enough have left. A lane that finds the
    gate full leaves its `pump` here and is called in its turn when there is room, so that lanes alternate.
    """

    __slots__ = ("_waiting", "highest_in_use", "in_use", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = _checked(limit)
        self._waiting: deque[Callable[[], None]] = deque()
        self.in_use = 0
        self.highest_in_use = 0

    @property
    def free(self) -> int:
        """How many may enter now; below 1 where nobody may."""
        return self.limit - self.in_use

    def resize(self, limit: int) -> None:
        """Set how many may be inside from now on; at least 1. `call_waiting` afterwards."""
        self.limit = _checked(limit)

    def enter(self) -> None:
        """Take a slot; for whoever has seen that one is free."""
        self.in_use += 1
        self.highest_in_use = max(self.highest_in_use, self.in_use)

    def leave(self) -> None:
        """Give a slot back. `call_waiting` afterwards."""
        self.in_use -= 1

    def wait(self, pump: Callable[[], None]) -> None:
        """Call `pump`, once, when there is room."""
        if pump not in self._waiting:
            self._waiting.append(pump)

    def call_waiting(self) -> None:
        """Call those who wait for room, each in its turn, as long as there is some."""
        while self._waiting and self.in_use < self.limit:
            self._waiting.popleft()()


def _checked(limit: int) -> int:
    if limit < 1:
        msg = f"a gate of {limit} would never open"
        raise ValueError(msg)
    return limit
