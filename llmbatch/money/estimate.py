"""What calls that are not made yet would cost, as a range: from answers to calls like them, or from limits. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from llmbatch.money.bound import most_tokens
from llmbatch.money.prices import Prices
from llmbatch.parse.completion import Usage

MOST_SEEN = 500
"""Answers that are looked at for one estimate."""

FEW = 20
"""Below so many answers the range is from the smallest to the largest of them."""

BYTES_A_TOKEN = 4
"""Of English text, about; where no answer tells better."""

_DEVIATIONS = 2.5
"""On each side of the mean: lengths of answers have a heavy tail, and a few of them tell too little of it."""


@dataclass(slots=True)
class Wanted:
    """Calls without an answer: how many, the bytes of their questions, the most tokens of their answers."""

    calls: int = 0
    bytes_in: int = 0
    most_tokens_out: int = 0

    def add(self, body: bytes) -> None:
        """Count one call."""
        self.calls += 1
        self.bytes_in += len(body)
        self.most_tokens_out += most_tokens(body).tokens_out

    def times(self, share: float) -> Wanted:
        """Return as many times the calls."""
        return Wanted(*(round(number * share) for number in (self.calls, self.bytes_in, self.most_tokens_out)))


@dataclass(slots=True)
class Seen:
    """Answers to calls like those: the bytes of their questions, the tokens of these, and of each answer."""

    bytes_in: int = 0
    tokens_in: int = 0
    tokens_out: list[int] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Whether more would tell nothing new."""
        return len(self.tokens_out) >= MOST_SEEN

    def add(self, body: bytes, usage: Usage) -> None:
        """Take in one answer."""
        self.bytes_in += len(body)
        self.tokens_in += usage.tokens_in
        self.tokens_out.append(usage.tokens_out)


class Range(NamedTuple):
    """US dollars from `low` to `high`, of which the cost is likely one. `answers` is how many it is taken from."""

    low_usd: float
    high_usd: float
    answers: int


def estimated(wanted: Wanted, prices: Prices, seen: Seen | None) -> Range:
    """Return what the calls would cost.

    From answers: their questions' tokens a byte, and their lengths, the sum of which lies in the range nine times in
    ten at least; of fewer than FEW of them, all as short as the shortest to all as long as the longest. Without any:
    from questions alone to answers that are all as long as `max_tokens` allows.
    """
    price_in, price_out = prices.usd_per_million_in / 1e6, prices.usd_per_million_out / 1e6
    if seen is None or not seen.tokens_out:
        asking = wanted.bytes_in / BYTES_A_TOKEN * price_in
        return Range(asking, asking + wanted.most_tokens_out * price_out, 0)
    asking = wanted.bytes_in * seen.tokens_in / max(1, seen.bytes_in) * price_in
    low, high = _sum_of_lengths(wanted.calls, seen.tokens_out)
    return Range(asking + low * price_out, asking + high * price_out, len(seen.tokens_out))


def _sum_of_lengths(calls: int, lengths: list[int]) -> tuple[float, float]:
    """Return a range for the sum of further lengths that are drawn as these were."""
    known = len(lengths)
    shortest, longest = calls * min(lengths), calls * max(lengths)
    if known < FEW:
        return shortest, longest
    mean = math.fsum(lengths) / known
    variance = math.fsum((length - mean) ** 2 for length in lengths) / (known - 1)
    # of the sum itself, and of the mean that it is foretold by
    margin = _DEVIATIONS * math.sqrt(variance * (calls + calls * calls / known))
    return max(shortest, calls * mean - margin), min(longest, calls * mean + margin)
