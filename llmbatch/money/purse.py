"""How much a run may spend: reserved before an attempt, settled after it. Amounts only; knows no model and no call."""

from __future__ import annotations

import asyncio
from collections import deque

_TOLERANCE_USD = 1e-12
"""Sums of binary fractions are not exact; nobody bills a picodollar."""


class Purse:
    """Spends up to a budget, and holds back what is on its way. For one event loop.

    What is spent passes the budget only by as much as attempts cost more than was reserved for them. Without a budget
    everything is let through and counted.
    """

    __slots__ = ("_waiting", "budget_usd", "in_flight", "reserved_usd", "spent_usd")

    def __init__(self, budget_usd: float | None = None) -> None:
        self.budget_usd = budget_usd
        self.spent_usd = 0.0
        self.reserved_usd = 0.0
        self.in_flight = 0
        self._waiting: deque[tuple[float, asyncio.Future[bool]]] = deque()

    async def reserve(self, usd: float) -> bool:
        """Reserve for an attempt, and wait while what is on its way may leave room for it; `settle` ends it.

        False: nothing is reserved, since there is no room even with nothing on its way. First come, first served.
        """
        if not self._waiting and self._fits(usd):
            self._take(usd)
            return True
        if not self.in_flight:
            return False
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((usd, turn))
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self.settle(usd, 0.0)  # it was reserved before the cancellation arrived
            raise

    def settle(self, reserved_usd: float, spent_usd: float) -> None:
        """Give back what was reserved for an attempt, and spend what it cost."""
        self.in_flight -= 1
        self.reserved_usd = self.reserved_usd - reserved_usd if self.in_flight else 0.0
        self.spent_usd += spent_usd
        if self._waiting:
            self._serve()

    def _serve(self) -> None:
        while self._waiting:
            usd, turn = self._waiting[0]
            if not turn.done():
                fits = self._fits(usd)
                if fits:
                    self._take(usd)
                elif self.in_flight:
                    return
                turn.set_result(fits)
            self._waiting.popleft()

    def _fits(self, usd: float) -> bool:
        budget = self.budget_usd
        return budget is None or self.spent_usd + self.reserved_usd + usd <= budget + _TOLERANCE_USD

    def _take(self, usd: float) -> None:
        self.in_flight += 1
        self.reserved_usd += usd
