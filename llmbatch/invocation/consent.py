"""Asking the person at the terminal before a run pays more than they said without being asked."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from llmbatch.asking.asker import Asker
from llmbatch.engine.protocol import Engine, Order, Outcome
from llmbatch.errors import NotApproved
from llmbatch.invocation.prepared import Prepared
from llmbatch.invocation.steps import Display
from llmbatch.invocation.work import Work
from llmbatch.money.bound import most_usd
from llmbatch.money.spending import Spending
from llmbatch.money.words import dollars
from llmbatch.prompt import Prompts
from llmbatch.report.forecast import range_text
from llmbatch.runner.case import CaseRunner
from llmbatch.runner.counters import Counters
from llmbatch.runner.stop import Stop

if TYPE_CHECKING:
    from llmbatch.invocation.scout import Foreseen

LONGEST_WAIT_SECONDS = 30 * 24 * 3600.0
"""People go home over a question; nothing is paid for meanwhile."""

Confirm = Callable[[str], Awaitable[bool]]
"""Puts a question to a person and returns whether the answer is yes."""


@dataclass(slots=True)
class Consent:
    """An engine that lets orders through up to `above_usd`, and asks before it lets more through.

    At the first order what is left to do is foreseen; where the run pays more than that for all, at that moment too.
    Orders wait meanwhile, and cases whose answers are recorded go on.
    """

    engine: Engine
    spending: Spending
    stop: Stop
    above_usd: float
    confirm: Confirm
    cases_left: Callable[[], int]
    foresee: Callable[[], Awaitable[Foreseen]]
    _approved_usd: float = -1.0
    _deciding: asyncio.Task[None] | None = field(default=None, init=False)

    async def obtain(self, order: Order) -> Outcome:
        """Return the outcome of the call, once it may be made."""
        while self.spending.bill.usd > self._approved_usd and not self.stop.requested:
            if self._deciding is None:
                self._deciding = asyncio.ensure_future(self._decide(order))
            await asyncio.shield(self._deciding)
        return await self.engine.obtain(order)

    async def _decide(self, order: Order) -> None:
        """Set how much is approved, or end the run."""
        try:
            # a question of a probe costs less than those of the cases
            if self._approved_usd < 0 and not order.is_probe and self._is_cheap(order):
                self._approved_usd = self.above_usd
                return
            foreseen = await self.foresee()
            spent = self.spending.bill.usd
            if self.stop.requested:
                return
            if foreseen.cost is None or spent + foreseen.cost.high_usd <= self.above_usd:
                self._approved_usd = math.inf if foreseen.cost is None else self.above_usd
            elif await self._confirmed(_question(foreseen, spent)):
                self._approved_usd = math.inf
            else:
                self._refuse()
        finally:
            self._deciding = None

    async def _confirmed(self, question: str) -> bool:
        """Put the question; the end of the run, as by Ctrl-C, is a no."""
        answer = asyncio.ensure_future(self.confirm(question))
        end = asyncio.ensure_future(self.stop.sleep(LONGEST_WAIT_SECONDS))
        try:
            await asyncio.wait((answer, end), return_when=asyncio.FIRST_COMPLETED)
            return answer.done() and answer.result()
        finally:
            answer.cancel()
            end.cancel()

    def _is_cheap(self, order: Order) -> bool:
        """Whether all cases that are left could make this call at its highest price; true where no model has one."""
        known = [prices for model in self.spending.planned if (prices := self.spending.book.prices(model)) is not None]
        dearest = max((most_usd(prices, order.wire) for prices in known), default=0.0)
        return self.cases_left() * dearest <= self.above_usd

    def _refuse(self) -> None:
        self.stop.by_error(
            NotApproved(
                "the run was not to be paid for",
                spent=dollars(self.spending.bill.usd),
                fix="the same command asks again; --dry-run says what would be called, --budget sets a limit",
            )
        )


def _question(foreseen: Foreseen, spent_usd: float) -> str:
    assert foreseen.cost is not None
    calls = f"about {foreseen.calls:,} calls" if foreseen.is_sample else f"{foreseen.calls:,} calls"
    before = f"{dollars(spent_usd)} is spent. " if spent_usd else ""
    basis = "as the recorded answers say" if foreseen.cost.answers else "as far as max_tokens tells"
    return f"{before}{calls} would cost {range_text(foreseen.cost)}, {basis}. Go on? [y/N] "


def paused(display: Display, show_again: Callable[[], None], confirm: Confirm) -> Confirm:
    """Return how a question is put with the display out of its way."""

    async def put(question: str) -> bool:
        display.stop()
        try:
            return await confirm(question)
        finally:
            show_again()

    return put


def consent_of(
    prepared: Prepared, work: Work, spending: Spending, confirm: Confirm
) -> Callable[[Engine, CaseRunner], Engine]:
    """Return what puts a question between a run's asks and its engine."""

    def around(engine: Engine, runner: CaseRunner) -> Engine:
        async def foresee() -> Foreseen:
            from llmbatch.invocation.scout import Scout  # noqa: PLC0415 - a run that misses nothing foresees nothing

            asker = Asker(work.store, Prompts(work.plan.experiment.base_folders), work.models.resolve)
            rehearsing = replace(runner, asker=asker, counters=Counters())
            return await Scout(prepared, asker, rehearsing, spending.book, work.known).foresee()

        return Consent(
            engine,
            spending,
            work.stop,
            prepared.config.ask_above_usd,
            confirm,
            cases_left=lambda: work.plan.count() - work.counters.done,
            foresee=foresee,
        )

    return around
