"""How many attempts may be in flight. Knows no HTTP and no retry."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from types import TracebackType


class Gate:
    """A first-come-first-served semaphore that can shrink and grow while it is used.

    Shrinking below what is in use takes no slot away: nobody enters until enough have left. A waiter that is
    cancelled loses its turn and no slot.
    """

    __slots__ = ("_limit", "_waiters", "highest_in_use", "in_use")

    def __init__(self, limit: int) -> None:
        self._limit = _checked(limit)
        self._waiters: deque[asyncio.Future[None]] = deque()
        self.in_use = 0
        self.highest_in_use = 0

    @property
    def limit(self) -> int:
        return self._limit

    @property
    def waiting(self) -> int:
        return sum(1 for waiter in self._waiters if not waiter.done())

    def resize(self, limit: int) -> None:
        """Set how many may be inside from now on; at least 1."""
        self._limit = _checked(limit)
        self._admit()

    async def acquire(self) -> None:
        """Wait for a slot, in the order of asking, and take it."""
        if self.in_use < self._limit and all(waiter.done() for waiter in self._waiters):
            self._take()
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release()  # the slot had been handed over before the cancellation arrived
            else:
                with suppress(ValueError):  # it may have been passed over already
                    self._waiters.remove(waiter)
            raise

    def release(self) -> None:
        """Give a slot back."""
        self.in_use -= 1
        self._admit()

    def _take(self) -> None:
        self.in_use += 1
        self.highest_in_use = max(self.highest_in_use, self.in_use)

    def _admit(self) -> None:
        while self._waiters and self.in_use < self._limit:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._take()
                waiter.set_result(None)

    async def __aenter__(self) -> Gate:
        await self.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _checked(limit: int) -> int:
    if limit < 1:
        msg = f"a gate of {limit} would never open"
        raise ValueError(msg)
    return limit
