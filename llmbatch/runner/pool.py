"""A sliding window of workers over an iterator. Knows nothing of cases: it takes items and a coroutine function."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

BREATH_SECONDS = 0.01
"""How long work that never waits may keep the event loop before it hands it back."""


class Breath:
    """One deadline that all workers share, so that a replay hands the loop back every 10 ms, not every case."""

    __slots__ = ("_clock", "_deadline")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deadline = clock() + BREATH_SECONDS

    def is_due(self) -> bool:
        """Whether the deadline has passed."""
        return self._clock() >= self._deadline

    async def take(self) -> None:
        """Let the loop run others if the deadline has passed."""
        if self.is_due():
            await asyncio.sleep(0)
            self._deadline = self._clock() + BREATH_SECONDS


async def run_window(
    items: Iterable[T],
    work: Callable[[T], Awaitable[None]],
    *,
    window: int,
    may_start: Callable[[], bool],
    on_last: Callable[[], None] = lambda: None,
) -> None:
    """Await `work(item)` for each item, at most `window` at a time, starting each as soon as one ends.

    Items are taken from the iterator one by one, when a worker is free. An exception of `work` ends all workers
    and is raised. One of the iterator is raised when the items that are on their way have ended. When `may_start`
    turns false no further item is taken. `on_last` is called, maybe more than once, when no item is left to take.
    """
    source = iter(items)
    breath = Breath()
    broken: list[Exception] = []

    async def worker() -> None:
        while not broken and may_start():
            try:
                item = next(source)
            except StopIteration:
                on_last()
                return
            except Exception as error:  # noqa: BLE001 - samples may raise anything, and what is on its way is paid for
                broken.append(error)
                return
            await work(item)
            if breath.is_due():
                await breath.take()

    workers = [asyncio.create_task(worker()) for _ in range(window)]
    try:
        await asyncio.gather(*workers)
        if broken:
            raise broken[0]
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
