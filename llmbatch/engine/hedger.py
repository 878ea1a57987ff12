"""Looks for late calls while nothing is left to start, and has one more equal call sent for each. Knows no HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from llmbatch.engine.flight import Flight
from llmbatch.engine.hedging import Hedging


@dataclass(slots=True)
class Hedger:
    """One for a run. `room_for` tells how many more calls like one there is a slot for now, `sleep` returns true when
    the run has ended.
    """

    room_for: Callable[[Flight], int]
    sleep: Callable[[float], Awaitable[Any]]
    on_hedge: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    hedging: Hedging = field(default_factory=Hedging)
    _watch: asyncio.Task[None] | None = None

    def begin(self, flights: Mapping[bytes, Flight], send: Callable[[Flight], None]) -> None:
        """Watch the flights, which may come and go, from now on: no further case will be started."""
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._look(flights, send))

    async def close(self) -> None:
        """Look no further."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch

    async def _look(self, flights: Mapping[bytes, Flight], send: Callable[[Flight], None]) -> None:
        while not await self.sleep(self.hedging.check_after_seconds()):
            for flight in self.hedging.overdue(list(flights.values()), self.clock(), self.room_for):
                flight.hedged = True
                self.hedging.sent += 1
                self.on_hedge()
                send(flight)
