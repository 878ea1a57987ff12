"""What the attempts of a run come to, added up. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from llmbatch.parse.completion import Usage


class Cost(NamedTuple):
    """What one attempt cost. `usd` is None where no price is known.

    Where nobody knows whether it was billed `usd` is an estimate, and it may have cost up to `unsure_usd` more.
    """

    usd: float | None
    unsure_usd: float = 0.0
    is_estimate: bool = False


@dataclass(slots=True)
class Bill:
    """What the attempts came to. `retried` followed one that failed; `unanswered` brought no answer.

    `unanswered_usd` is the part of the cost for these, `estimated_usd` that for attempts of which nobody knows whether
    they were billed; these may have cost up to `unsure_usd` more. `unpriced` counts attempts whose price is not known:
    they are not in `usd`. `dearest_usd` is the most that an answer cost.
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
    unsure_usd: float = 0.0
    dearest_usd: float = 0.0
    unanswered: int = 0
    estimated: int = 0
    unpriced: int = 0

    @property
    def answered(self) -> int:
        """How many attempts brought an answer."""
        return self.attempts - self.unanswered

    def add(self, usage: Usage | None, cost: Cost, *, is_answer: bool, is_retry: bool, is_free: bool) -> None:
        """Count one attempt."""
        self.attempts += 1
        self.retried += is_retry
        self.unanswered += not is_answer
        if usage is not None:
            self.tokens_in += usage.tokens_in
            self.tokens_out += usage.tokens_out
            self.tokens_cached += usage.tokens_cached
            self.tokens_reasoning += usage.tokens_reasoning
        usd, unsure_usd, is_estimate = cost
        if usd is None:
            self.unpriced += not is_free
            return
        self.usd += usd
        if not is_answer:
            self.unanswered_usd += usd
        if is_estimate:
            self.estimated += 1
            self.estimated_usd += usd
            self.unsure_usd += unsure_usd
        elif is_answer and usd > self.dearest_usd:
            self.dearest_usd = usd
