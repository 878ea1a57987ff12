"""One order on its way: one call as a rule, two where one is late. The first answer is the outcome for all who wait."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from llmbatch.cassette.case import CaseContext
from llmbatch.client.underway import Underway
from llmbatch.engine.protocol import Order, Outcome


@dataclass(slots=True, eq=False, kw_only=True)
class Flight(Underway):
    """An order, the tasks that may bring its outcome, who waits for it, and the cases that these belong to.

    As a call underway it is its first one; `hedge` is the other. `landed` is done when the outcome is there, and holds
    the exception that there was instead.
    """

    order: Order
    landed: asyncio.Future[None]
    first_task: asyncio.Task[None] | None = None
    hedge: Underway | None = None
    hedge_task: asyncio.Task[None] | None = None
    waiting: list[asyncio.Future[Outcome]] = field(default_factory=list)
    cases: list[CaseContext] = field(default_factory=list)

    @property
    def has_landed(self) -> bool:
        """Whether the outcome is there."""
        return self.landed.done()

    def other_than(self, call: Underway) -> tuple[Underway | None, asyncio.Task[None] | None]:
        """Return the other call, with its task, of the two."""
        return (self.hedge, self.hedge_task) if call is self else (self, self.first_task)


def take_off(order: Order, now: float) -> Flight:
    """Return the flight of an order that is about to wait for its turn."""
    return Flight(
        case=order.case.case_id,
        model=order.model.text,
        since=now,
        stage="turn",
        stage_since=now,
        order=order,
        landed=asyncio.get_running_loop().create_future(),
    )
