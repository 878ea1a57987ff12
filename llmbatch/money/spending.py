"""What a run pays: every attempt at its real cost, whatever came of it, within what the run may spend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from llmbatch.call.failure import FailureKind
from llmbatch.config import ResolvedModel
from llmbatch.errors import BudgetReached, LlmbatchError, UsageError
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

Snapshot = Mapping[str, Mapping[str, str] | None]


@dataclass(slots=True)
class Bill:
    """What the attempts of a run came to. `retried` followed one that failed; `unanswered` brought no answer.

    `unanswered_usd` is the part of the cost for these, `estimated_usd` that for attempts of which nobody knows whether
    they were billed, each at the most that it can cost. `unpriced` counts attempts whose price is not known: they are
    not in `usd`.
    """

    attempts: int = 0
    retried: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    tokens_reasoning: int = 0
    usd: float = 0.0
    unanswered_usd: float = 0.0
    estimated_usd: float = 0.0
    unanswered: int = 0
    estimated: int = 0
    unpriced: int = 0

    def add(self, usage: Usage | None, cost_usd: float | None, *, answered: bool, estimated: bool, free: bool) -> None:
        """Count one attempt."""
        self.attempts += 1
        self.unanswered += not answered
        if usage is not None:
            self.tokens_in += usage.tokens_in
            self.tokens_out += usage.tokens_out
            self.tokens_cached += usage.tokens_cached
            self.tokens_reasoning += usage.tokens_reasoning
        if cost_usd is None:
            self.unpriced += not free
            return
        self.usd += cost_usd
        if not answered:
            self.unanswered_usd += cost_usd
        if estimated:
            self.estimated += 1
            self.estimated_usd += cost_usd


class Spending:
    """Reserves for attempts and settles them, by the prices of their models; `bills` has those of each model.

    `record_prices` hears of the prices of a model before anything of it is recorded; `on_end` of the error that ends
    the run.
    """

    def __init__(
        self,
        book: PriceBook,
        purse: Purse,
        *,
        planned: Iterable[ResolvedModel] = (),
        record_prices: Callable[[Snapshot], None],
        on_end: Callable[[LlmbatchError], None],
    ) -> None:
        self.book = book
        self.purse = purse
        self.bill = Bill()
        self.bills: dict[str, Bill] = {}
        self._record_prices = record_prices
        self._on_end = on_end
        self.planned = tuple(planned)
        self._met: set[str] = set()

    def meet(self, model: ResolvedModel) -> None:
        """Look up the prices of a model that is about to be called; at the first of all `planned`, for one snapshot."""
        if model.text not in self._met:
            new = [model] if self._met else [*self.planned, model]
            self._record_prices(self.book.snapshot(new))
            self._met.update(each.text for each in new)

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
        usage = usage_of(received) if received else None
        cost, estimated = self._cost(model, body, usage, kind)
        free = cost is None and is_free(model)
        own = self.bills.get(model.qualified)
        if own is None:
            own = self.bills[model.qualified] = Bill()
        for bill in (self.bill, own):
            bill.add(usage, cost, answered=kind is None, estimated=estimated, free=free)
            bill.retried += number > 0
        self.purse.settle(reserved_usd, cost or 0.0)
        return cost

    def release(self, reserved_usd: float) -> None:
        """Give back what was reserved for an attempt that was not sent."""
        self.purse.settle(reserved_usd, 0.0)

    def _cost(
        self, model: ResolvedModel, body: bytes, usage: Usage | None, kind: FailureKind | None
    ) -> tuple[float | None, bool]:
        """Return what an attempt cost, and whether that is an estimate."""
        prices = self.book.prices(model)
        if usage is not None:
            known = None if prices is None else prices.cost_usd(usage)
            if known is not None or prices is None:
                return known, False
        elif kind is not None and kind not in MAYBE_BILLED:
            return 0.0, False
        return (None, False) if prices is None else (most_usd(prices, body), True)

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
        above = max(0.0, spent - budget)
        words = f"{dollars(spent)}, all attempts counted"
        if bill.estimated:
            words += f"; {dollars(bill.estimated_usd)} of it for {bill.estimated} that may have been billed unanswered"
        return BudgetReached(
            f"the budget of {dollars(budget)} does not reach for the next call, which may cost {dollars(usd)}",
            spent=words,
            above=f"at most {dollars(above)} above the budget; nothing is on its way",
            fix="the same command with a higher --budget goes on where this stopped, and pays for nothing twice",
        )
