"""Equal orders share one flight: one asyncio task, which nobody who waits for it can cancel. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from llmbatch.cassette.case import CaseContext
from llmbatch.engine.protocol import Order, Outcome


@dataclass(slots=True)
class _Flight:
    """One task, who waits for it, and the cases that these belong to."""

    task: asyncio.Task[Outcome]
    waiting: list[asyncio.Future[Outcome]] = field(default_factory=list)
    cases: list[CaseContext] = field(default_factory=list)


class Flights:
    """Lets the first of equal orders be made and hands its outcome to all; `make` makes one.

    What is sent is paid for, so a task of the author's that gives up waiting takes the answer down neither with it nor
    with the others who wait: its case knows of the flight, as `pending`, until it has landed.
    """

    def __init__(self, make: Callable[[Order], Coroutine[Any, Any, Outcome]]) -> None:
        self._make = make
        self._flights: dict[bytes, _Flight] = {}

    async def join(self, order: Order) -> tuple[Outcome, bool]:
        """Return the outcome, and whether the order is the one that was made. An exception reaches everybody."""
        loop = asyncio.get_running_loop()
        key, case = order.call.key, order.case
        flight = self._flights.get(key)
        own = flight is None
        if flight is None:
            flight = self._flights[key] = _Flight(loop.create_task(self._make(order)))
            flight.task.add_done_callback(lambda _: self._land(key))
        flight.cases.append(case)
        case.pending.add(flight.task)
        waiter: asyncio.Future[Outcome] = loop.create_future()  # a third of the work of asyncio.shield
        flight.waiting.append(waiter)
        try:
            return await waiter, own
        except asyncio.CancelledError:
            case.abandoned = True
            raise

    async def cancel(self) -> None:
        """End all flights at once."""
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _land(self, key: bytes) -> None:
        flight = self._flights.pop(key)
        task = flight.task
        for case in flight.cases:
            case.pending.discard(task)
        # asked for even if nobody waits any more: whoever runs the case looks at it
        error = None if task.cancelled() else task.exception()
        for waiter in flight.waiting:
            if waiter.done():
                continue
            if task.cancelled():
                waiter.cancel()
            elif error is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(task.result())
