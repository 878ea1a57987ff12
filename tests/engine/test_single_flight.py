"""Equal work is done once, and nobody waits for ever."""

from __future__ import annotations

import asyncio

import pytest

from llmbatch.engine.single_flight import SingleFlight


class Work:
    """Counts how often it was begun and ends when it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> str:
        self.begun += 1
        await self.may_end.wait()
        return f"outcome {self.begun}"


async def started(*tasks: asyncio.Task[tuple[str, bool]]) -> None:
    """Let tasks run until each of them waits."""
    for _ in range(3 * len(tasks)):
        await asyncio.sleep(0)


async def test_equal_work_at_the_same_time_is_done_once() -> None:
    """The first leads, the others share its outcome and are told that it was not theirs."""
    flight, work = SingleFlight[str](), Work()

    tasks = [asyncio.create_task(flight.run("key", work)) for _ in range(5)]
    await started(*tasks)
    work.may_end.set()
    outcomes = await asyncio.gather(*tasks)

    assert 1 == work.begun
    assert [("outcome 1", True)] + [("outcome 1", False)] * 4 == outcomes


async def test_unequal_work_does_not_wait() -> None:
    """Keys are apart."""
    flight, blocked, free = SingleFlight[str](), Work(), Work()
    free.may_end.set()

    waiting = asyncio.create_task(flight.run("one", blocked))
    outcome = await flight.run("two", free)
    blocked.may_end.set()

    assert ("outcome 1", True) == outcome
    assert ("outcome 1", True) == await waiting


async def test_a_waiter_takes_over_when_the_leader_is_cancelled() -> None:
    """Otherwise a case that times out would take the others down with it."""
    flight, work = SingleFlight[str](), Work()

    leader, waiter = (asyncio.create_task(flight.run("key", work)) for _ in range(2))
    await started(leader, waiter)
    leader.cancel()
    await started(leader, waiter)
    work.may_end.set()

    assert ("outcome 2", True) == await waiter
    assert leader.cancelled()


async def test_a_cancelled_waiter_does_not_cancel_the_leader() -> None:
    """The work belongs to all who want it."""
    flight, work = SingleFlight[str](), Work()

    leader, waiter = (asyncio.create_task(flight.run("key", work)) for _ in range(2))
    await started(leader, waiter)
    waiter.cancel()
    await started(leader, waiter)
    work.may_end.set()

    assert ("outcome 1", True) == await leader


async def test_an_exception_reaches_everybody_and_ends_the_flight() -> None:
    """A later caller begins anew."""
    flight = SingleFlight[str]()

    async def fail() -> str:
        await asyncio.sleep(0)
        msg = "no"
        raise ValueError(msg)

    async def succeed() -> str:
        return "yes"

    outcomes = await asyncio.gather(flight.run("key", fail), flight.run("key", fail), return_exceptions=True)

    assert [ValueError, ValueError] == [type(outcome) for outcome in outcomes]
    assert ("yes", True) == await flight.run("key", succeed)


async def test_an_exception_that_nobody_waits_for_is_no_warning() -> None:
    """The leader raises it; the future that waiters would have read is not left unread."""
    flight = SingleFlight[str]()

    async def fail() -> str:
        msg = "no"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="no"):
        await flight.run("key", fail)
