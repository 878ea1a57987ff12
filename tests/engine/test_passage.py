"""Those whom a service holds back wait in line: let in few by few, or all when it flows, in the order of asking."""

from __future__ import annotations

import asyncio

from llmbatch.engine.breaker import WIDEN_SECONDS, Breaker
from llmbatch.engine.health import Passage
from llmbatch.policy import Verdict
from llmbatch.runner.stop import Stop

GOOD = Verdict(final=True)


class Line:
    """A passage at which a number of attempts ask in turn; `entered` are those that were let in."""

    def __init__(self, attempts: int) -> None:
        self.now = 0.0
        self.stop = Stop()
        self.breaker = Breaker(self.now)
        self.passage = Passage(self.breaker, self.stop, lambda: self.now)
        self.entered: list[int] = []
        self.tasks = [asyncio.create_task(self._attempt(number)) for number in range(attempts)]

    async def _attempt(self, number: int) -> None:
        await self.passage.enter()
        self.entered.append(number)

    async def looks(self) -> None:
        """Let those who may start do so."""
        self.passage.tell()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_the_first_goes_alone_and_the_rest_follows_in_order() -> None:
    """Nobody is overtaken: a plan is asked in its order."""
    line = Line(5)
    await line.looks()
    alone = list(line.entered)
    line.breaker.judge(GOOD, line.now)
    await line.looks()

    assert [0] == alone
    assert [0, 1, 2, 3, 4] == line.entered
    assert line.passage.in_flight == 5


async def test_a_service_that_is_silent_gets_twice_as_many_each_time() -> None:
    """A slow model does not hold up a run."""
    line = Line(9)
    counts = []
    for _ in range(4):
        await line.looks()
        counts.append(len(line.entered))
        line.now += WIDEN_SECONDS

    assert [1, 2, 4, 8] == counts
    for task in line.tasks:
        task.cancel()


async def test_who_gives_up_while_waiting_takes_no_place() -> None:
    """Neither in line nor, where the turn had just come, among those under way."""
    line = Line(3)
    await line.looks()
    line.tasks[1].cancel()
    await asyncio.sleep(0)
    line.breaker.judge(GOOD, line.now)
    line.passage.tell()
    line.tasks[2].cancel()  # its turn has come, and it does not know yet
    await asyncio.gather(*line.tasks, return_exceptions=True)

    assert [0] == line.entered
    assert line.passage.in_flight == 1


async def test_the_end_of_a_run_lets_everybody_through() -> None:
    """What asks then is told that nothing is sent any more."""
    line = Line(4)
    await line.looks()

    line.stop.by_interrupt()
    await line.looks()

    assert [0, 1, 2, 3] == line.entered
