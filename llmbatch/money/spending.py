"""What a run pays: every attempt at its real cost, whatever came of it, within what the run may spend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from llmbatch.call.failure import FailureKind
from llmbatch.config import ResolvedModel
from llmbatch.errors import BudgetReached, LlmbatchError, UsageError
from llmbatch.money.bill import Bill, Cost
from llmbatch.money.book import PriceBook, is_free
from llmbatch.money.bound import most_usd
from llmbatch.money.purse import Purse
from llmbatch.money.words import dollars
from llmbatch.parse.completion import Usage, usage_of

MAYBE_BILLED = frozenset(
    {
        FailureKind.TIMEOUT,
        FailureKind.TRUNCATED_BODY,
        FailureKind.INVALID_JSON,
        FailureKind.EMPTY_CHOICES,
        FailureKind.TOO_LARGE,
    }
)
"""What may have been billed although no usage came: the service was at work, and what it said is lost or no answer."""

ENOUGH_ANSWERS = 20
"""From so many on, what may have been billed unanswered counts as the dearest of them, and no more at its very most."""

Snapshot = Mapping[str, Mapping[str, str] | None]


class Spending:
    """Reserves for attempts and settles them, by the prices of their models; `bills` has those of each model.

    `record_prices` hears of the prices of a model before anything of it is recorded, `note` of models that have none;
    `on_end` of the error that ends the run.
    """

    def __init__(
        self,
        book: PriceBook,
        purse: Purse,
        *,
        planned: Iterable[ResolvedModel] = (),
        record_prices: Callable[[Snapshot], None],
        on_end: Callable[[LlmbatchError], None],
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.book = book
        self.purse = purse
        self.bill = Bill()
        self.bills: dict[str, Bill] = {}
        self._record_prices = record_prices
        self._on_end = on_end
        self._note = note
        self.planned = tuple(planned)
        self._met: set[str] = set()

    def meet(self, model: ResolvedModel) -> None:
        """Look up the prices of a model that is about to be called; at the first of all `planned`, for one snapshot."""
        if model.text not in self._met:
            new = [model] if self._met else [*self.planned, model]
            self._record_prices(self.book.snapshot(new))
            self._met.update(each.text for each in new)
            unknown = [each.text for each in self.book.unpriced(new)]
            if unknown:
                self._note(
                    f"no price of {', '.join(unknown)} is known, so its cost is not counted: usd_per_million_in and "
                    "usd_per_million_out of the configuration set one"
                )

    async def reserve(self, model: ResolvedModel, body: bytes) -> float | None:
        """Reserve the most that an attempt may cost, and return it; None where the run has ended over it.

        Whatever comes of the attempt, `settle` it.
        """
        self.meet(model)
        purse = self.purse
        usd = 0.0
        if purse.budget_usd is not None and not is_free(model):
            prices = self.book.prices(model)
            if prices is None:
                self._refuse(model)
                return None
            usd = most_usd(prices, body)
        if await purse.reserve(usd):
            return usd
        self._on_end(self._reached(model, usd))
        return None

    def settle(
        self,
        model: ResolvedModel,
        body: bytes,
        reserved_usd: float,
        *,
        received: bytes | None,
        kind: FailureKind | None,
        number: int = 0,
    ) -> float | None:
        """Count what attempt `number` of a call (from 0) cost, and return it; None where no price is known.

        `received` is the body that came, if one did, `kind` what was wrong with it; None for an answer.
        """
        own = self.bills.get(model.qualified)
        if own is None:
            own = self.bills[model.qualified] = Bill()
        usage = usage_of(received) if received else None
        cost = self._cost(model, body, usage, kind)
        free = cost.usd is None and is_free(model)
        for bill in (self.bill, own):
            bill.add(usage, cost, is_answer=kind is None, is_retry=number > 0, is_free=free)
        self.purse.settle(reserved_usd, cost.usd or 0.0)
        return cost.usd

    def release(self, reserved_usd: float) -> None:
        """Give back what was reserved for an attempt that was not sent."""
        self.purse.settle(reserved_usd, 0.0)

    def _cost(self, model: ResolvedModel, body: bytes, usage: Usage | None, kind: FailureKind | None) -> Cost:
        prices = self.book.prices(model)
        if usage is not None:
            known = None if prices is None else prices.cost_usd(usage)
            if known is not None or prices is None:
                return Cost(known)
        elif kind is not None and kind not in MAYBE_BILLED:
            return Cost(0.0)
        if prices is None:
            return Cost(None)
        most, own = most_usd(prices, body), self.bills[model.qualified]
        likely = min(most, own.dearest_usd) if own.answered >= ENOUGH_ANSWERS else most
        return Cost(likely, most - likely, is_estimate=True)

    def _refuse(self, model: ResolvedModel) -> None:
        try:
            self.book.check([model])
        except LlmbatchError as error:
            self._on_end(error)

    def _reached(self, model: ResolvedModel, usd: float) -> LlmbatchError:
        purse, bill = self.purse, self.bill
        assert purse.budget_usd is not None
        budget, spent = purse.budget_usd, purse.spent_usd
        if not bill.attempts and not spent:
            return UsageError(
                f"a budget of {dollars(budget)} does not pay for one call of {model.text}: it may cost {dollars(usd)}",
                estimate="a token for each byte of the question, and an answer as long as max_tokens allows",
                fix=f"give --budget at least {dollars(usd)}, or lower max_tokens; nothing was sent",
            )
        above = max(0.0, spent + bill.unsure_usd - budget)
        words = f"{dollars(spent)}, all attempts counted"
        if bill.estimated:
            words += f"; {dollars(bill.estimated_usd)} of it for {bill.estimated} that may have been billed unanswered"
        return BudgetReached(
            f"the budget of {dollars(budget)} does not reach for the next call, which may cost {dollars(usd)}",
            spent=words,
            above=f"at most {dollars(above)} above the budget; nothing is on its way",
            fix="the same command with a higher --budget goes on where this stopped, and pays for nothing twice",
        )
