"""One outcome for equal calls: while one is on its way the others wait for it. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Lets the first of several equal pieces of work run and hands its outcome to all.

    If the one that runs is cancelled, one of those that wait takes over; an exception reaches everybody.
    """

    def __init__(self) -> None:
        self._in_flight: dict[Hashable, asyncio.Future[T | None]] = {}

    async def run(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Return the outcome and whether it is this caller's own work."""
        while (pending := self._in_flight.get(key)) is not None:
            # shielded: a waiter that is cancelled must not cancel the work of the others
            outcome = await asyncio.shield(pending)
            if outcome is not None:
                return outcome, False
        return await self._lead(key, work), True

    async def _lead(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        future: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._in_flight[key] = future
        try:
            outcome = await work()
        except asyncio.CancelledError:
            future.set_result(None)
            raise
        except BaseException as error:
            future.set_exception(error)
            future.exception()  # nobody may be waiting: that is no unretrieved exception
            raise
        else:
            future.set_result(outcome)
            return outcome
        finally:
            del self._in_flight[key]
