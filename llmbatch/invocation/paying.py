"""The money side of a run: its purse, the prices that its cassette keeps, and what it says of what it paid."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from llmbatch.cassette.store import Store
from llmbatch.config import ResolvedModel
from llmbatch.errors import LlmbatchError
from llmbatch.money.bill import Bill
from llmbatch.money.book import PriceBook
from llmbatch.money.purse import Purse
from llmbatch.money.spending import Spending
from llmbatch.runlog import Log
from llmbatch.runner.counters import Counters
from llmbatch.runner.stop import Stop


def open_book(purse: Purse, store: Store, models: Iterable[ResolvedModel]) -> PriceBook:
    """Return the prices of a run.

    Raises ConfigError where a budget is given, something may be called, and the price of a model is not known.
    """
    book = PriceBook()
    if purse.budget_usd is not None and store.can_record:
        book.check(models)
    return book


def make_spending(
    book: PriceBook,
    purse: Purse,
    store: Store,
    *,
    models: Iterable[ResolvedModel],
    stop: Stop,
    log: Log,
    note: Callable[[str], None],
) -> Spending:
    """Return what the attempts of a run are paid from. `models` are those of the plan."""

    def ended(error: LlmbatchError) -> None:
        if not stop.requested:
            log.write(
                "budget",
                limit_usd=purse.budget_usd,
                spent_usd=purse.spent_usd,
                reserved_usd=purse.reserved_usd,
                why=error.what,
            )
        stop.by_error(error)

    return Spending(book, purse, planned=models, record_prices=store.use_prices, on_end=ended, note=note)


def tell_counters(bill: Bill, counters: Counters) -> None:
    """Show what was paid so far."""
    counters.tokens_in, counters.tokens_out, counters.cost_usd = bill.tokens_in, bill.tokens_out, bill.usd
