"""Looks every few seconds whether a run still moves, and says which cases wait for what where it does not."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from llmbatch.engine.stalls import Stalls, Waiting, longest_waiting, stall_text
from llmbatch.plan import Case
from llmbatch.runlog import Log
from llmbatch.runner.counters import Counters

LOOK_SECONDS = 5.0
OWN_CODE = "its own code, or a call past `ask`"


class Calls(Protocol):
    """What is known of the calls of a run."""

    @property
    def answers(self) -> int:
        """How many were answered."""
        ...

    def late_after_seconds(self) -> float | None:
        """How long a call may take before it is late, of the slowest model; None where that is not known."""
        ...

    def waiting(self, now: float) -> list[Waiting]:
        """What the cases whose calls are on their way wait for."""
        ...


class StallWatch:
    """Watches one run. `sleep` returns true when the run has ended.

    To start and to end a case costs it nothing: it looks at the cases that are `running`, and since when one is there
    is as exact as its looks are close.
    """

    def __init__(
        self,
        running: Mapping[int, Case],
        calls: Calls,
        counters: Counters,
        *,
        note: Callable[[str], None],
        log: Log,
        sleep: Callable[[float], Awaitable[Any]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._running = running
        self._calls = calls
        self._counters = counters
        self._note = note
        self._log = log
        self._sleep = sleep
        self._clock = clock
        self._stalls = Stalls()
        self._seen_at: dict[int, float] = {}

    async def watch(self) -> None:
        """Look until the run has ended, or this is cancelled."""
        while not await self._sleep(LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Look once, and say what is to be said."""
        now, calls = self._clock(), self._calls
        self._seen_at = {index: self._seen_at.get(index, now) for index in list(self._running)}
        finished = self._counters.done + calls.answers
        seconds = self._stalls.seconds(finished, now, late_after=calls.late_after_seconds())
        waiting = [] if seconds is None else self._waiting(now)
        if seconds is None or not waiting:
            return
        self._note(stall_text(seconds, waiting))
        named = longest_waiting(waiting)
        self._log.write("stall", cases=[each.case for each in named], since_seconds=round(seconds, 3))

    def _waiting(self, now: float) -> list[Waiting]:
        waiting = self._calls.waiting(now)
        known = {each.case for each in waiting}
        for index, case in list(self._running.items()):
            if case.id not in known:
                waiting.append(Waiting(case.id, OWN_CODE, now - self._seen_at.get(index, now)))
        return waiting
