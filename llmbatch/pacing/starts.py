"""The starts of one endpoint and model under its limits a minute: booked a little ahead, used in time, or lost."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence

from llmbatch.pacing.booking import AHEAD_SECONDS
from llmbatch.pacing.headers import StatedLimits
from llmbatch.pacing.ledger import Limit
from llmbatch.pacing.surroundings import Surroundings

LONGEST_NAP_SECONDS = 0.25
"""How soon the lines are looked at again: tokens may be given back meanwhile, by this run or another."""

MOST_BOOKED = 256


class Starts:
    """Says when the next request may start.

    `limits` are the endpoint's and, last, the model's, which learns from replies what nobody configured.
    """

    __slots__ = (
        "_around",
        "_batch",
        "_booked",
        "_known",
        "_late_seconds",
        "_learns_rpm",
        "_learns_tpm",
        "_limits",
        "counts_tokens",
        "is_paced",
        "lowest_tpm",
    )

    def __init__(self, limits: Sequence[Limit], around: Surroundings) -> None:
        self._limits = tuple(limits)
        self._around = around
        self._booked: deque[tuple[float, float]] = deque()
        self._batch = 1
        self._learns_rpm = all(limit.rates.rpm is None for limit in limits)
        self._learns_tpm = all(limit.rates.tpm is None for limit in limits)
        self._look_at_rates()

    def next(self, waiting: Iterable[float], now: float) -> float:
        """Return when the first may start, or when to ask again; `now` or before: at once.

        `waiting` are the estimated tokens of those who could start now if there were no limit.
        """
        booked = self._booked
        while booked and booked[0][0] + self._late_seconds < now:
            self._batch = max(1, self._batch // 2)
            self.owe(-booked.popleft()[1])  # whether it was not wanted or the process was stopped: the start is gone
        if not booked:
            tokens = list(waiting)
            tokens += tokens[-1:] * (self._batch - len(tokens))  # for those who come next: about as many as came last
            booking = self._around.ledger.book(self._known, tokens, now)
            if booking is None:
                return now + 0.001 + 0.002 * self._around.random()
            booked.extend(zip(booking.starts, tokens, strict=False))
            if not booked:  # at random, so that runs which wait for the same instant take turns
                look_at = booking.free_at - AHEAD_SECONDS * (0.5 + 0.5 * self._around.random())
                return max(now + 0.001, min(look_at, now + LONGEST_NAP_SECONDS))
        return booked[0][0]

    def take(self, tokens: float) -> None:
        """Use the start that `next` said is due, for a request of so many tokens."""
        self.owe(tokens - self._booked.popleft()[1])
        if not self._booked:
            self._batch = min(MOST_BOOKED, 2 * self._batch)

    def owe(self, tokens: float) -> None:
        """Correct what was booked: requests took so many tokens more, or with a negative number less."""
        if tokens:
            for limit in self._known:
                limit.owed_tokens += tokens

    def learn(self, stated: StatedLimits) -> tuple[float | None, float | None] | None:
        """Take over the limits that a service states where none is configured; return rpm and tpm if they changed."""
        rates = self._limits[-1].rates
        before = (rates.rpm, rates.tpm)
        if self._learns_rpm and stated.rpm is not None:
            rates.rpm = stated.rpm
        if self._learns_tpm and stated.tpm is not None:
            rates.tpm = stated.tpm
        if (rates.rpm, rates.tpm) == before:
            return None
        self._look_at_rates()
        return rates.rpm, rates.tpm

    def _look_at_rates(self) -> None:
        self._known = tuple(limit for limit in self._limits if limit.rates.known)
        rates = [limit.rates for limit in self._known]
        self.is_paced = bool(rates)
        self._late_seconds = min((each.late_seconds for each in rates), default=math.inf)
        tpm = [each.tpm for each in rates if each.tpm is not None]
        self.lowest_tpm = min(tpm, default=math.inf)
        self.counts_tokens = bool(tpm)
        self._booked.clear()
