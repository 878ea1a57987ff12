"""The sliding window: how many at a time, when it ends, and what an exception does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.runner.pool import BREATH_SECONDS, Breath, run_window


class Busy:
    """Work that keeps a slot for as many turns of the loop as its item says."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.done: list[int] = []

    async def __call__(self, turns: int) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(turns):
            await asyncio.sleep(0)
        self.now -= 1
        self.done.append(turns)


def always() -> bool:
    return True


@given(items=st.lists(st.integers(0, 5), max_size=40), window=st.integers(1, 10))
def test_every_item_is_worked_on_once_and_never_more_than_the_window(items: list[int], window: int) -> None:
    """Whatever the order in which items end."""
    busy = Busy()

    asyncio.run(run_window(items, busy, window=window, may_start=always))

    assert sorted(items) == sorted(busy.done)
    assert busy.most <= window


async def test_a_slow_item_does_not_hold_up_the_others() -> None:
    """A window slides; chunks would wait for their slowest."""
    busy = Busy()

    await run_window([1000, *[1] * 50], busy, window=2, may_start=always)

    assert 1000 == busy.done[-1]


async def test_items_are_taken_only_when_a_worker_is_free() -> None:
    """So that a million cases are never held at once."""
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number

    seen: list[int] = []

    async def work(number: int) -> None:
        seen.append(taken - number)
        await asyncio.sleep(0)

    await run_window(items(), work, window=4, may_start=always)

    assert max(seen) <= 4


async def test_nothing_more_is_taken_when_nothing_may_start() -> None:
    """What is on its way ends by itself."""
    done: list[int] = []

    async def work(number: int) -> None:
        await asyncio.sleep(0)
        done.append(number)

    await run_window(range(100), work, window=3, may_start=lambda: len(done) < 10)

    assert 10 <= len(done) <= 12


async def test_an_exception_ends_the_window_and_is_raised() -> None:
    """The other workers are cancelled, not left behind."""
    cancelled: list[int] = []

    async def work(number: int) -> None:
        if number == 3:
            msg = "three"
            raise ValueError(msg)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    with pytest.raises(ValueError, match="three"):
        await run_window(range(100), work, window=4, may_start=always)

    assert [0, 1, 2] == sorted(cancelled)


async def test_the_loop_is_handed_back_by_one_shared_deadline() -> None:
    """Work that never waits would keep the display and signals out; once in 10 ms is enough."""
    now = 0.0
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count_turns())
    breath = Breath(lambda: now)
    for _ in range(10):
        await breath.take()
    before_deadline = turns
    now += BREATH_SECONDS
    await breath.take()
    counter.cancel()

    assert (0, 1) == (before_deadline, turns)
