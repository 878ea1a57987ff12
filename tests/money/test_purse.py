"""The purse lets through what the budget pays for, and nothing that it might not."""

from __future__ import annotations

import asyncio
import random

import pytest

from llmbatch.money.purse import Purse


async def test_what_is_on_its_way_counts_as_spent() -> None:
    """Two reservations fill the budget; the third waits for one of them to cost less than was reserved."""
    purse = Purse(1.0)
    assert await purse.reserve(0.5)
    assert await purse.reserve(0.5)
    third = asyncio.ensure_future(purse.reserve(0.5))
    await asyncio.sleep(0)

    assert not third.done()
    purse.settle(0.5, 0.25)
    await asyncio.sleep(0)
    assert not third.done()
    purse.settle(0.5, 0.25)
    assert await third
    assert (0.5, 0.5, 1) == (purse.spent_usd, purse.reserved_usd, purse.in_flight)


async def test_nothing_is_reserved_where_even_an_idle_run_has_no_room() -> None:
    """That is the end of the run, and whoever waits is told."""
    purse = Purse(1.0)
    assert not await purse.reserve(1.01)
    assert await purse.reserve(0.9)
    waiting = [asyncio.ensure_future(purse.reserve(0.2)) for _ in range(3)]
    await asyncio.sleep(0)
    purse.settle(0.9, 0.9)

    assert [False] * 3 == await asyncio.gather(*waiting)
    assert (0.9, 0.0, 0) == (purse.spent_usd, purse.reserved_usd, purse.in_flight)


async def test_an_attempt_that_is_broken_off_gives_its_reservation_back() -> None:
    """Whether it waited still or had just been let through."""
    purse = Purse(1.0)
    assert await purse.reserve(1.0)
    waits, served = (asyncio.ensure_future(purse.reserve(1.0)) for _ in range(2))
    await asyncio.sleep(0)
    waits.cancel()
    purse.settle(1.0, 0.0)
    served.cancel()
    await asyncio.gather(waits, served, return_exceptions=True)

    assert (0.0, 0.0, 0) == (purse.spent_usd, purse.reserved_usd, purse.in_flight)
    assert await purse.reserve(1.0)


@pytest.mark.parametrize("seed", range(20))
async def test_attempts_that_cost_no_more_than_reserved_never_pass_the_budget(seed: int) -> None:
    """Whatever the order in which they end; and less than one attempt's worth is left over."""
    dice = random.Random(seed)
    purse = Purse(1.0)
    refused = 0

    async def attempt() -> None:
        nonlocal refused
        reserved = dice.uniform(0.001, 0.05)
        if not await purse.reserve(reserved):
            refused += 1
            return
        assert purse.spent_usd + purse.reserved_usd <= 1.0 + 1e-9
        for _ in range(dice.randrange(5)):
            await asyncio.sleep(0)
        purse.settle(reserved, dice.uniform(0.0, reserved))

    await asyncio.gather(*(attempt() for _ in range(400)))
    assert refused
    assert 0.95 <= purse.spent_usd <= 1.0 + 1e-9
    assert (0.0, 0) == (purse.reserved_usd, purse.in_flight)


async def test_without_a_budget_everything_is_counted_and_nothing_waits() -> None:
    """As all runs do."""
    purse = Purse()
    for _ in range(3):
        assert await purse.reserve(10.0)
        purse.settle(10.0, 2.0)

    assert 6.0 == purse.spent_usd
