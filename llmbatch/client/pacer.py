"""How close together attempts may start. Knows no HTTP and no retry; clock and sleep are passed in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class Pacer:
    """Spaces starts evenly to `rpm` a minute (None: no spacing) and can hold all of them back.

    Time not used is not saved up: after a stall there is no burst. A `sleep` that returns true says that
    nothing will be started any more, and ends the wait.
    """

    __slots__ = ("_clock", "_held_until", "_interval", "_next", "_sleep")

    def __init__(
        self,
        rpm: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._interval = 60.0 / rpm if rpm else 0.0
        self._clock = clock
        self._sleep = sleep
        self._next = clock()
        self._held_until = self._next

    async def wait(self) -> None:
        """Wait until the next start is due, in the order of asking."""
        due = max(self._clock(), self._next)
        self._next = due + self._interval
        while (delay := max(due, self._held_until) - self._clock()) > 0:
            if await self._sleep(delay):
                return

    def hold(self, seconds: float) -> None:
        """Let nobody start for that long, those who wait already included."""
        self._held_until = max(self._held_until, self._clock() + seconds)
        self._next = max(self._next, self._held_until)
