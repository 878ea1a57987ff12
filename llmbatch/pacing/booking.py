"""When the next requests of a limit may start, given what was booked before. Pure: knows no clock and no file.

A limit is a line in time. A request books the piece of it that is its share of the minute, 60/rpm seconds, and starts
where its piece begins. Time that nobody booked is lost, so nothing is saved up for a burst (this is the generic cell
rate algorithm of ITU-T I.371, which states a token bucket by the time at which it is full again). Since a booking is
nothing but a later end of the line, any number of processes can share one, and one that is killed holds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

AHEAD_SECONDS = 0.04
"""How far ahead starts are booked, so that one look at a shared line serves many calls."""
MADE_UP_SECONDS = 0.02
"""How much time that nobody booked may still be booked, or a loop that is busy for a moment would fall behind."""
LATE_SECONDS = 0.03
"""How late a booked start may be used. At the very worst a second has 3 % more starts than its share."""
SHARE_OF_PIECE = 0.1
"""Both as a share of a request's piece, where that is more: at 5 a minute a start that is a second late is used."""
TOKENS_MADE_UP_SECONDS = 3.0
"""The same for tokens, which come in pieces of unlike size: 5 % of a minute's."""


@dataclass(slots=True)
class Rates:
    """Requests and tokens a minute that a limit allows; None where it has no such limit."""

    rpm: float | None = None
    tpm: float | None = None

    @property
    def known(self) -> bool:
        return self.rpm is not None or self.tpm is not None

    @property
    def late_seconds(self) -> float:
        """How late a start that was booked under these rates may still be used."""
        if self.rpm is not None:
            return max(LATE_SECONDS, SHARE_OF_PIECE * 60.0 / self.rpm)
        return TOKENS_MADE_UP_SECONDS if self.tpm is not None else math.inf

    def first_free(self, now: float) -> float:
        """Return the earliest time that may still be booked for requests."""
        assert self.rpm is not None
        return now - max(MADE_UP_SECONDS, SHARE_OF_PIECE * 60.0 / self.rpm)


@dataclass(slots=True)
class Line:
    """Up to when the requests and the tokens of one limit are booked: seconds on a clock that only goes forward."""

    requests_until: float = -math.inf
    tokens_until: float = -math.inf

    def free_at(self, rates: Rates, now: float) -> float:
        """Return when the next request may start: not before the pieces of all earlier ones have gone by."""
        free = -math.inf
        if rates.rpm is not None:
            free = max(self.requests_until, rates.first_free(now))
        if rates.tpm is not None:
            free = max(free, self.tokens_until)
        return free

    def book(self, rates: Rates, tokens: float, now: float) -> None:
        """Add one request of so many tokens."""
        if rates.rpm is not None:
            self.requests_until = max(self.requests_until, rates.first_free(now)) + 60.0 / rates.rpm
        self.add_tokens(rates, tokens, now)

    def add_tokens(self, rates: Rates, tokens: float, now: float) -> None:
        """Add tokens, or with a negative number give some back, that an earlier request turned out to need."""
        if rates.tpm is not None:
            self.tokens_until = max(self.tokens_until, now - TOKENS_MADE_UP_SECONDS) + tokens * 60.0 / rates.tpm


class Booking(NamedTuple):
    """The starts that were booked, in order, and from when on it is of use to ask for more."""

    starts: list[float]
    free_at: float


def book(limits: Sequence[tuple[Line, Rates]], tokens: Iterable[float], now: float) -> Booking:
    """Book a start under all limits for each request, as long as it is less than AHEAD_SECONDS away.

    `tokens` are the estimates of the requests that wait, the first one first. A request of more tokens than a minute
    allows starts like any other: when all before it are paid off; the next then waits for as long as it takes.
    """
    starts: list[float] = []
    for estimate in tokens:
        free = max((line.free_at(rates, now) for line, rates in limits), default=-math.inf)
        if free > now + AHEAD_SECONDS:
            return Booking(starts, free)
        for line, rates in limits:
            line.book(rates, estimate, now)
        starts.append(max(free, now - MADE_UP_SECONDS))
    return Booking(starts, now)
