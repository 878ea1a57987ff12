"""One attempt at an order, step by step: each step is an object that this module is handed, and does not look into.

In this order: whether the service may be called at all, what limits the spending, what limits the pace, a slot, the
request through the recorder, and then back through the same objects with what came of it. A slot is held for one
attempt, never while waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.call.values import Reply
from llmbatch.cassette.store import Store
from llmbatch.client.retry import Attempted
from llmbatch.client.underway import Underway
from llmbatch.engine.health import Halt, Health
from llmbatch.engine.protocol import Order, Outcome
from llmbatch.engine.sending import Sender
from llmbatch.engine.teller import Teller
from llmbatch.money.spending import Spending
from llmbatch.pacing import Pacing
from llmbatch.policy import Verdict

NOT_SENT = Failure(FailureKind.NOT_RUN, "the run ended before this question was sent")


@dataclass(frozen=True, slots=True)
class Attempts:
    """Makes attempts. `spending` reserves for each and counts what it cost; `health` holds them back while a service is
    tried by few, or left alone; `pacing` bounds those in flight and those of a minute, and learns from what they come
    to; `halt` tells when nothing further may be sent; `teller` hears of what was no plain first success.
    """

    store: Store
    sender: Sender
    spending: Spending
    pacing: Pacing
    halt: Halt
    health: Health
    teller: Teller
    clock: Callable[[], float] = time.monotonic

    async def make(self, order: Order, call: Underway, number: int) -> Attempted[Outcome]:
        """Make attempt `number` (from 0) and return what it came to; NOT_SENT where the run has ended meanwhile.

        `call` always says what is waited for.
        """
        call.enter("turn", self.clock())
        model, body, spending = order.model, order.wire, self.spending
        reserved_usd = None if self._over else await spending.reserve(model, body)
        if reserved_usd is None:
            return self._nothing_sent(order, number)
        try:
            attempted = await self._admitted(order, call, number)
        except BaseException:
            if call.is_sent:  # what is broken off may have been billed
                spending.settle(model, body, reserved_usd, received=None, kind=FailureKind.TIMEOUT)
            else:
                spending.release(reserved_usd)
            raise
        kind, received = attempted.verdict.kind, attempted.received
        if kind is FailureKind.NOT_RUN or attempted.replayed:
            spending.release(reserved_usd)
        else:
            cost_usd = spending.settle(model, body, reserved_usd, received=received, kind=kind, number=number)
            if kind is not None or number or call.is_hedge:
                taken = self.clock() - call.stage_since
                self.teller.attempt(
                    order, attempted, number, cost_usd=cost_usd, taken_seconds=taken, hedge=call.is_hedge
                )
        if attempted.verdict.retry != "no":
            call.enter("back-off", self.clock())
        return attempted

    async def _admitted(self, order: Order, call: Underway, number: int) -> Attempted[Outcome]:
        """Send when the pace and the state of the service allow it, in a slot."""
        model = order.model
        passage = self.health.passage(model)
        while True:
            async with passage:
                call.enter("slot", self.clock())
                slot = await self.pacing.admit(model.endpoint, model.name, order.wire, again=number > 0)
                try:
                    if self._over:
                        return self._nothing_sent(order, number)
                    if not passage.is_closed:  # it may have been, while this one waited for its slot
                        call.enter("service", self.clock())
                        attempted = await self.sender.send(order)
                        reply = attempted.value if isinstance(attempted.value, Reply) else None
                        slot.settle(attempted.verdict, reply, attempted.retry_after_seconds)
                        return attempted
                finally:
                    slot.release()
            call.enter("turn", self.clock())

    @property
    def _over(self) -> bool:
        """Whether nothing further may be sent; an error of the disk ends the run a moment later."""
        return self.halt.requested or self.store.disk_error is not None

    def _nothing_sent(self, order: Order, number: int) -> Attempted[Outcome]:
        """Return why the run's end left the question open: the attempt that failed before it, if there is one."""
        failed = self.store.find_failure(order.call.key) if number else None
        value = NOT_SENT if failed is None else failed.as_failure()
        return Attempted(Verdict(kind=FailureKind.NOT_RUN), value=value)
