"""Who is asked, when, and what an answer lets through."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.call.values import Call, Request
from llmbatch.cassette.case import CaseContext
from llmbatch.config import Config, Endpoint, resolve_model
from llmbatch.engine.protocol import Order, Outcome
from llmbatch.errors import ExitCode
from llmbatch.invocation.consent import Consent
from llmbatch.invocation.scout import Foreseen
from llmbatch.money.book import PriceBook
from llmbatch.money.estimate import Range
from llmbatch.money.prices import Prices
from llmbatch.money.purse import Purse
from llmbatch.money.spending import Spending
from llmbatch.runner.stop import Stop

MODEL = resolve_model(Config(Path(), endpoints={"e": Endpoint("e", "https://h.example/v1")}), "e/m")
BODY = b'{"max_tokens":100}'
USAGE = b'{"usage":{"prompt_tokens":0,"completion_tokens":10}}'
ORDER = Order(Call(Request("POST", "https://h.example/v1", {}, BODY, b""), 0, 0, b""), BODY, MODEL, CaseContext("c", 0))
NOTHING = Failure(FailureKind.NOT_RUN, "")
A_CALL_USD = 10 * 1000 / 1e6


@dataclass
class Table:
    """A run of calls of a cent each, a person with answers, and how often they were asked."""

    answers: list[bool]
    foreseen: Foreseen
    above_usd: float = 1.0
    left: int = 1_000_000
    questions: list[str] = field(default_factory=list)
    made: int = 0

    def __post_init__(self) -> None:
        self.stop = Stop()
        book = PriceBook(lambda url, name: Prices(0.0, 1000.0))
        self.spending = Spending(
            book, Purse(), planned=[MODEL], record_prices=lambda prices: None, on_end=self.stop.by_error
        )
        self.consent = Consent(
            self, self.spending, self.stop, self.above_usd, self.confirm, lambda: self.left, self.foresee
        )

    async def obtain(self, order: Order) -> Outcome:
        if not self.stop.requested:
            self.made += 1
            await self.spending.reserve(MODEL, BODY)
            self.spending.settle(MODEL, BODY, 0.0, received=USAGE, kind=None)
        return NOTHING

    async def confirm(self, question: str) -> bool:
        self.questions.append(question)
        await asyncio.sleep(0)
        return self.answers.pop(0)

    async def foresee(self) -> Foreseen:
        await asyncio.sleep(0)
        return self.foreseen

    async def play(self, orders: int) -> None:
        """Put orders, four at a time."""
        for _ in range(orders // 4):
            await asyncio.gather(*(self.consent.obtain(ORDER) for _ in range(4)))


def foreseen(usd: float) -> Foreseen:
    return Foreseen(7, Range(usd / 2, usd, 0), is_sample=False)


async def test_a_dear_run_asks_once_and_goes_on() -> None:
    """All orders wait for one answer, and yes holds to the end."""
    table = Table([True], foreseen(50.0))
    await table.play(400)

    assert (400, 1) == (table.made, len(table.questions))
    assert "7 calls would cost $25.00 to $50.00" in table.questions[0]


async def test_no_ends_the_run_before_its_first_call() -> None:
    """As the person's own end: the same command goes on."""
    table = Table([False], foreseen(50.0))
    await table.play(8)

    assert (0, ExitCode.INTERRUPTED) == (table.made, table.stop.exit_code)
    assert "NotApproved" in (table.stop.reason or "")


async def test_a_run_with_few_cases_left_looks_no_further() -> None:
    """Whatever the rest may cost at most is below the amount."""
    table = Table([], foreseen(50.0), left=9)
    await table.play(8)

    assert (8, []) == (table.made, table.questions)


async def test_a_cheap_probe_does_not_make_a_run_cheap() -> None:
    """What the cases cost is looked at before the first question of a probe."""
    table = Table([False], foreseen(50.0), left=9)
    await table.consent.obtain(replace(ORDER, is_probe=True))

    assert (0, 1) == (table.made, len(table.questions))


async def test_what_was_foreseen_too_low_is_asked_about_when_the_amount_is_reached() -> None:
    """No more is spent without a yes than was said, but what is on its way."""
    table = Table([False], foreseen(0.5))
    await table.play(400)

    assert 1 == len(table.questions)
    assert "is spent. " in table.questions[0]
    assert 1.0 < table.spending.bill.usd <= 1.0 + 4 * A_CALL_USD
    assert pytest.approx(table.made * A_CALL_USD) == table.spending.bill.usd


async def test_the_end_of_the_run_is_a_no() -> None:
    """Ctrl-C must not wait for somebody to type."""
    table = Table([], foreseen(50.0))
    asked = asyncio.Event()

    async def never(question: str) -> bool:
        asked.set()
        await asyncio.get_running_loop().create_future()
        return True

    table.consent.confirm = never
    waiting = asyncio.ensure_future(table.consent.obtain(ORDER))
    await asked.wait()
    table.stop.by_interrupt()
    await waiting

    assert 0 == table.made


async def test_nobody_is_asked_when_the_end_has_come_during_the_estimate() -> None:
    """A question that cannot be answered any more is not put."""
    table = Table([], foreseen(50.0))

    async def interrupted() -> Foreseen:
        table.stop.by_interrupt()
        return foreseen(50.0)

    table.consent.foresee = interrupted
    await table.consent.obtain(ORDER)

    assert (0, []) == (table.made, table.questions)
