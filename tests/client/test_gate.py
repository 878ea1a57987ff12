"""The gate holds its limit whatever is cancelled or resized, in the order of asking; the pacer spaces starts."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmbatch.client.gate import Gate
from llmbatch.client.pacer import Pacer


async def turn(times: int = 3) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


async def test_waiters_enter_in_the_order_in_which_they_asked() -> None:
    """Nobody is overtaken, not even by someone who asks while a slot is free but spoken for."""
    gate, entered = Gate(1), list[int]()

    async def visit(number: int) -> None:
        async with gate:
            entered.append(number)
            await turn(1)

    await asyncio.gather(*(visit(number) for number in range(20)))

    assert entered == list(range(20))
    assert gate.in_use == 0


async def test_a_gate_that_grows_lets_waiters_in_at_once() -> None:
    """No slot has to be left first."""
    gate = Gate(1)
    await gate.acquire()
    waiters = [asyncio.create_task(gate.acquire()) for _ in range(3)]
    await turn()

    gate.resize(3)
    await turn()

    assert [waiter.done() for waiter in waiters] == [True, True, False]
    assert (gate.in_use, gate.waiting) == (3, 1)
    gate.release()
    await asyncio.gather(*waiters)


async def test_a_gate_that_shrinks_waits_until_enough_have_left() -> None:
    """A slot in use is never taken away."""
    gate = Gate(3)
    for _ in range(3):
        await gate.acquire()
    gate.resize(1)
    waiter = asyncio.create_task(gate.acquire())

    gate.release()
    gate.release()
    await turn()
    assert not waiter.done()

    gate.release()
    await waiter
    assert gate.in_use == 1


async def test_a_slot_handed_to_a_waiter_that_is_cancelled_goes_to_the_next() -> None:
    """Cancellation may arrive between the hand-over and the waking."""
    gate = Gate(1)
    await gate.acquire()
    cancelled, patient = asyncio.create_task(gate.acquire()), asyncio.create_task(gate.acquire())
    await turn()

    gate.release()
    cancelled.cancel()
    await patient

    assert cancelled.cancelled()
    assert gate.in_use == 1


@given(st.integers(0, 2**32), st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_no_mix_of_visits_cancellations_and_resizes_loses_a_slot_or_exceeds_the_limit(seed: int, limit: int) -> None:
    """The limit holds at every entry, and at the end every slot is back."""

    async def scenario() -> Gate:
        chance, gate, largest = random.Random(seed), Gate(limit), limit

        async def visit() -> None:
            async with gate:
                assert gate.in_use <= largest
                await turn(chance.randrange(4))

        tasks = []
        for _ in range(60):
            tasks.append(asyncio.create_task(visit()))
            if chance.random() < 0.3:
                chance.choice(tasks).cancel()
            if chance.random() < 0.2:
                size = chance.randint(1, 8)
                largest = max(largest, size)
                gate.resize(size)
            await turn(chance.randrange(2))
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
        return gate

    gate = asyncio.run(scenario())

    assert (gate.in_use, gate.waiting) == (0, 0)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_gate_that_would_never_open_is_refused(limit: int) -> None:
    """A run that hangs is worse than one that does not start."""
    with pytest.raises(ValueError, match="never open"):
        Gate(limit)


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_starts_are_spaced_evenly_and_a_stall_earns_no_burst() -> None:
    """60 a minute is one a second, after a stall too."""
    clock = Clock()
    pacer, starts = Pacer(60, clock=clock, sleep=clock.sleep), []
    for _ in range(3):
        await pacer.wait()
        starts.append(clock.now)
    clock.now += 50
    for _ in range(2):
        await pacer.wait()
        starts.append(clock.now)

    assert starts == [100.0, 101.0, 102.0, 152.0, 153.0]


async def test_a_hold_keeps_everybody_back() -> None:
    """A rate limit is the service's, not one call's."""
    clock = Clock()
    pacer = Pacer(clock=clock, sleep=clock.sleep)
    pacer.hold(7)
    pacer.hold(2)

    await pacer.wait()

    assert clock.now == 107.0
