"""Between `ask` and the engine of a run that asks recorded refusals again."""

from __future__ import annotations

from dataclasses import dataclass

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.cassette.retrying import RetryingStore
from llmbatch.engine.protocol import Engine, Order, Outcome


@dataclass(frozen=True, slots=True)
class AskingAgain:
    """An engine whose failures leave a recorded refusal as it is: a row says what a replay would say."""

    engine: Engine
    store: RetryingStore

    async def obtain(self, order: Order) -> Outcome:
        """Return the outcome, or the refusal that was recorded before where the service could not answer now."""
        outcome = await self.engine.obtain(order)
        if isinstance(outcome, Failure) and outcome.kind is not FailureKind.NOT_RUN:
            recorded = self.store.settle(order.call.key)
            if recorded is not None:
                order.case.note(recorded, paid=False)
                return recorded
        return outcome
