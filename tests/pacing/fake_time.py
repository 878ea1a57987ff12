"""Time that only tests move, for the room of pacing: a clock and the calls that are due on it."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

from llmbatch.pacing.ledger import Ledger, OwnLedger
from llmbatch.pacing.surroundings import Surroundings


class Due:
    """A call that is due later."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeTime:
    """Begins at 1,000 s. `advance` makes the calls that fall due, in order, each at its own instant."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._due: list[tuple[float, int, Due]] = []
        self._number = 0

    def clock(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Due:
        due = Due(callback)
        self._number += 1
        heapq.heappush(self._due, (self.now + seconds, self._number, due))
        return due

    async def advance(self, seconds: float) -> None:
        end = self.now + seconds
        await turn()
        while self._due and self._due[0][0] <= end:
            at, _, due = heapq.heappop(self._due)
            self.now = max(self.now, at)
            if due.callback is not None:
                due.callback()
                await turn()
        self.now = end

    def stall(self, seconds: float) -> None:
        """Let time go by in which this process did nothing: what fell due meanwhile is late."""
        self.now += seconds


class Heard:
    """A run log that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.notes: list[str] = []

    def write(self, event: str, /, **details: Any) -> None:
        self.events.append((event, details))

    def limits(self) -> list[tuple[int, int]]:
        """Return every change of a limit: what it was and what it became."""
        return [(details["was"], details["limit"]) for event, details in self.events if event == "limit"]


def around(time: FakeTime, heard: Heard | None = None, ledger: Ledger | None = None) -> Surroundings:
    """Return surroundings in that time, in which chance always says a half."""
    heard = heard or Heard()
    return Surroundings(
        ledger or OwnLedger(), heard, heard.notes.append, time.clock, time.call_later, random=lambda: 0.5
    )


async def turn(times: int = 4) -> None:
    """Let tasks that can go on do so."""
    for _ in range(times):
        await asyncio.sleep(0)
