"""Equal orders share one flight, which nobody who waits for it can cancel. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from llmbatch.engine.flight import Flight, take_off
from llmbatch.engine.protocol import Order, Outcome


class Flights:
    """Lets the first of equal orders be made and hands its outcome to all; `fly` makes its call, and lands it.

    What is sent is paid for, so a task of the author's that gives up waiting takes the answer down neither with it nor
    with the others who wait: its case knows of the flight, as `pending`, until it has landed.
    """

    def __init__(
        self, fly: Callable[[Flight], Coroutine[Any, Any, None]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fly = fly
        self._clock = clock
        self.under_way: dict[bytes, Flight] = {}

    async def join(self, order: Order) -> tuple[Outcome, bool]:
        """Return the outcome, and whether the order is the one that was made. An exception reaches everybody."""
        loop = asyncio.get_running_loop()
        key, case = order.call.key, order.case
        flight = self.under_way.get(key)
        own = flight is None
        if flight is None:
            flight = self.under_way[key] = take_off(order, self._clock())
            flight.first_task = loop.create_task(self._fly(flight))
            flight.first_task.add_done_callback(partial(self._ended, flight))
        flight.cases.append(case)
        case.pending.add(flight.landed)
        waiter: asyncio.Future[Outcome] = loop.create_future()  # a third of the work of asyncio.shield
        flight.waiting.append(waiter)
        try:
            return await waiter, own
        except asyncio.CancelledError:
            case.abandoned = True
            raise

    def land(self, flight: Flight, outcome: Outcome) -> None:
        """Give the outcome to all who wait."""
        self._leave(flight)
        flight.landed.set_result(None)
        for waiter in flight.waiting:
            if not waiter.done():
                waiter.set_result(outcome)

    async def cancel(self) -> None:
        """End all flights at once."""
        tasks = []
        for flight in self.under_way.values():
            tasks += [task for task in (flight.first_task, flight.hedge_task) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, flight: Flight, task: asyncio.Task[None]) -> None:
        """Hand on what the first call was ended by, where it landed nothing."""
        error = None if task.cancelled() else task.exception()
        if flight.has_landed:
            return
        self._leave(flight)
        futures: list[asyncio.Future[Any]] = [flight.landed, *flight.waiting]
        for future in futures:
            if future.done():
                continue
            if error is None:
                future.cancel()
            else:
                future.set_exception(error)
        if error is not None:
            flight.landed.exception()  # nobody may look at it; whoever runs the case does

    def _leave(self, flight: Flight) -> None:
        del self.under_way[flight.order.call.key]
        for case in flight.cases:
            case.pending.discard(flight.landed)
