"""Every attempt is counted at what it cost, whatever came of it; and nothing is sent that may not be paid."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmbatch.call.failure import FailureKind
from llmbatch.config import Config, Endpoint, ResolvedModel, resolve_model
from llmbatch.errors import BudgetReached, ConfigError, LlmbatchError, UsageError
from llmbatch.money.book import PriceBook
from llmbatch.money.bound import most_usd
from llmbatch.money.prices import Prices
from llmbatch.money.purse import Purse
from llmbatch.money.spending import Snapshot, Spending
from llmbatch.money.tab import Tab

PRICES = Prices(1.0, 10.0, 0.5)
CONFIG = Config(
    Path(), endpoints={"e": Endpoint("e", "https://h.example/v1"), "own": Endpoint("own", "http://[::1]/v1")}
)
BODY = b'{"model":"m","messages":[],"max_tokens":100}'
MOST = most_usd(PRICES, BODY)
ANSWER = b'{"usage":{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":40}}}'
COST = (60 * 1.0 + 40 * 0.5 + 20 * 10.0) / 1e6


def model(text: str = "e/m") -> ResolvedModel:
    return resolve_model(CONFIG, text)


class Ledger:
    """A spending, and what it said."""

    def __init__(self, budget_usd: float | None = None, prices: Prices | None = PRICES) -> None:
        self.ended: list[LlmbatchError] = []
        self.snapshots: list[Snapshot] = []
        self.notes: list[str] = []
        book = PriceBook(lambda url, name: prices if name.startswith("m") else None)
        self.spending = Spending(
            book,
            Purse(budget_usd),
            planned=[model()],
            record_prices=self.snapshots.append,
            on_end=self.ended.append,
            note=self.notes.append,
        )


@pytest.mark.parametrize(
    ("received", "kind", "cost", "estimated"),
    [
        (ANSWER, None, COST, 0),
        (ANSWER, FailureKind.EMPTY_CHOICES, COST, 0),
        (b"{}", None, MOST, 1),
        (b"{}", FailureKind.SERVER_ERROR, 0.0, 0),
        (b"<html>", FailureKind.NOT_API, 0.0, 0),
        (None, FailureKind.CONNECT_ERROR, 0.0, 0),
        (None, FailureKind.TIMEOUT, MOST, 1),
        (b'{"cut', FailureKind.TRUNCATED_BODY, MOST, 1),
    ],
)
async def test_an_attempt_costs_what_the_service_counted_or_the_most_where_it_may_have_been_billed(
    received: bytes | None, kind: FailureKind | None, cost: float, estimated: int
) -> None:
    """A refusal costs nothing; what broke off may have been paid for."""
    spending = Ledger().spending
    reserved = await spending.reserve(model(), BODY)
    assert reserved == 0.0, "without a budget nothing is reserved"

    assert pytest.approx(cost) == spending.settle(model(), BODY, reserved, received=received, kind=kind)
    bill = spending.bill
    assert (1, estimated, kind is not None) == (bill.attempts, bill.estimated, bool(bill.unanswered))
    assert pytest.approx(cost if kind else 0.0) == bill.unanswered_usd
    assert pytest.approx(cost) == spending.purse.spent_usd == bill.usd


async def test_with_answers_to_go_by_what_broke_off_counts_as_the_dearest_of_them() -> None:
    """And what it may have cost beyond that is kept apart: the bound holds all the same."""
    spending = Ledger().spending
    for received in (ANSWER,) * 19 + (ANSWER.replace(b"20", b"50"),):
        spending.settle(model(), BODY, await spending.reserve(model(), BODY) or 0.0, received=received, kind=None)
    dearest = COST + 30 * 10 / 1e6

    reserved = await spending.reserve(model(), BODY) or 0.0
    cost = spending.settle(model(), BODY, reserved, received=None, kind=FailureKind.TIMEOUT)
    assert pytest.approx(dearest) == cost == spending.bill.estimated_usd
    assert pytest.approx(MOST - dearest) == spending.bill.unsure_usd


async def test_the_prices_of_all_planned_models_are_told_before_the_first_call() -> None:
    """And those of another one before its own; each once."""
    ledger = Ledger()
    for text in ("e/m", "e/m", "e/m2", "e/unknown", "own/x"):
        await ledger.spending.reserve(model(text), BODY)

    recorded = PRICES.as_recorded()
    assert [{"e/m": recorded}, {"e/m2": recorded}, {"e/unknown": None}, {"own/x": None}] == ledger.snapshots


async def test_a_model_without_a_price_is_counted_as_such_and_one_of_this_machine_is_free() -> None:
    """Neither is 0 dollars; the one is said."""
    ledger = Ledger()
    spending = ledger.spending
    for text in ("e/unknown", "own/x"):
        await spending.reserve(model(text), BODY)
        assert spending.settle(model(text), BODY, 0.0, received=ANSWER, kind=None) is None

    (said,) = ledger.notes
    assert "no price of e/unknown is known" in said
    assert (1, 0.0, 200) == (spending.bill.unpriced, spending.bill.usd, spending.bill.tokens_in)


async def test_the_budget_ends_the_run_in_words() -> None:
    """What was spent, what is an estimate, how far above at most, and how to go on."""
    ledger = Ledger(2.5 * MOST)
    spending = ledger.spending
    for kind in (FailureKind.TIMEOUT, None):
        reserved = await spending.reserve(model(), BODY)
        assert reserved == MOST
        spending.settle(model(), BODY, reserved, received=None if kind else b"{}", kind=kind)

    assert await spending.reserve(model(), BODY) is None
    (error,) = ledger.ended
    assert isinstance(error, BudgetReached)
    assert "2 that may have been billed" in error.details["spent"]
    assert "at most $0 above" in error.details["above"]
    assert "higher --budget" in error.details["fix"]


async def test_a_budget_below_one_call_and_an_unknown_price_are_mistakes() -> None:
    """Told before anything is sent."""
    small, unknown = Ledger(MOST / 2), Ledger(1.0)

    assert await small.spending.reserve(model(), BODY) is None
    assert await unknown.spending.reserve(model("e/unknown"), BODY) is None
    assert await unknown.spending.reserve(model("own/x"), BODY) == 0.0
    assert [UsageError] == [type(error) for error in small.ended]
    assert [ConfigError] == [type(error) for error in unknown.ended]


async def test_a_client_pays_for_the_model_that_its_body_names() -> None:
    """Be it another one of the endpoint."""
    ledger = Ledger()
    tab = Tab(ledger.spending, model(), model)
    for body in (BODY, BODY.replace(b'"m"', b'"m2"'), b"no JSON"):
        reserved = await tab.reserve(body)
        assert reserved is not None
        tab.settle(body, reserved, received=ANSWER, kind=None)

    assert {"e/m": 2, "e/m2": 1} == {name: bill.attempts for name, bill in ledger.spending.bills.items()}
