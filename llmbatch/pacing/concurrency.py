"""How many attempts a service takes at once, found by trying: additive increase, multiplicative decrease.

After Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance" (1989). Pure.
"""

from __future__ import annotations

from typing import NamedTuple

SHRINK = 0.5
"""What is left of the attempts in flight after the service has called them too many."""
GROWTH = 8
"""A whole round of answers lets the limit grow by one of so many, and by one at the least."""
CAUTION = 8
"""So many rounds of answers it takes to go back to where the service has last refused: most time is spent below."""


class Change(NamedTuple):
    """The limit moved, and why."""

    was: int
    limit: int
    why: str


class Concurrency:
    """The limit of attempts in flight for one endpoint and model, between 1 and `ceiling`.

    An attempt carries the `epoch` in which it was sent. Rate limits shrink the limit once an epoch: sixty-four
    attempts that were refused together met one congestion. Answers to attempts of an earlier epoch prove nothing
    about the new limit. Errors of the server and time-outs say nothing about either, and are not told to it.
    """

    __slots__ = ("_answers", "_peak", "_refused_at", "ceiling", "changes", "epoch", "limit", "lowest")

    def __init__(self, ceiling: int) -> None:
        self.ceiling = self.limit = self.lowest = ceiling
        self.epoch = 0
        self.changes = 0
        self._answers = 0
        self._peak = 0
        self._refused_at = 0

    def sent(self, in_flight: int) -> None:
        """Take note of how many attempts are in flight, the new one included."""
        self._peak = max(self._peak, in_flight)

    def refused(self, epoch: int) -> Change | None:
        """Shrink because of a rate limit, unless this epoch's congestion was dealt with already.

        One that was refused alone was not refused because one is too many.
        """
        tried = min(self.limit, self._peak)
        if epoch != self.epoch or tried <= 1:
            return None
        self.epoch += 1
        self._refused_at = tried
        self._answers = self._peak = 0
        return self._move(max(1, int(tried * SHRINK)), "rate limit")

    def answered(self, epoch: int) -> Change | None:
        """Grow after as many answers as the limit lets be in flight, or more where it was refused before."""
        if self.limit >= self.ceiling or epoch != self.epoch:
            return None
        self._answers += 1
        grown = min(self.ceiling, self.limit + max(1, self.limit // GROWTH))
        rounds = CAUTION if self.limit < self._refused_at <= grown else 1
        if self._answers < rounds * self.limit:
            return None
        self._answers = 0
        return self._move(grown, "answers came")

    def _move(self, limit: int, why: str) -> Change | None:
        was, self.limit = self.limit, limit
        if was == limit:
            return None
        self.changes += 1
        self.lowest = min(self.lowest, limit)
        return Change(was, limit, why)
