"""What calls would cost is a range that holds, and says what it is taken from."""

from __future__ import annotations

import random

import pytest

from llmbatch.money.estimate import FEW, MOST_SEEN, Seen, Wanted, estimated
from llmbatch.money.prices import Prices
from llmbatch.parse.completion import Usage

PRICES = Prices(1.0, 10.0)
BODY = b'{"messages":[{"role":"user","content":"' + b"x" * 400 + b'"}],"max_tokens":500}'


def wanted(calls: int) -> Wanted:
    found = Wanted()
    for _ in range(calls):
        found.add(BODY)
    return found


def seen(lengths: list[int], tokens_in: int = 100) -> Seen:
    found = Seen()
    for length in lengths:
        found.add(BODY, Usage(tokens_in, length))
    return found


def test_without_answers_the_range_is_from_no_answer_to_the_longest() -> None:
    """Questions at four characters a token."""
    cost = estimated(wanted(10), PRICES, None)

    asking = 10 * len(BODY) / 4 * 1.0 / 1e6
    assert (asking, asking + 10 * 500 * 10.0 / 1e6, 0) == pytest.approx(cost)


def test_few_answers_give_the_range_from_the_shortest_to_the_longest() -> None:
    """A mean of three says little."""
    cost = estimated(wanted(100), PRICES, seen([10, 50, 20]))

    asking = 100 * 100 / 1e6
    assert (asking + 100 * 10 * 10 / 1e6, asking + 100 * 50 * 10 / 1e6, 3) == pytest.approx(cost)


@pytest.mark.parametrize(("known", "calls"), [(30, 30), (30, 500), (500, 100), (100, 1)])
def test_the_range_holds_nine_times_in_ten_at_least(known: int, calls: int) -> None:
    """For lengths with a heavy tail, as those of answers are."""
    dice = random.Random(f"{known} {calls}")

    def length() -> int:
        return min(500, int(dice.lognormvariate(4, 0.8)))

    held = 0
    for _ in range(100):
        low, high, _ = estimated(wanted(calls), PRICES, seen([length() for _ in range(known)]))
        spent = calls * 100 / 1e6 + sum(length() for _ in range(calls)) * 10 / 1e6
        held += low <= spent <= high
    assert held >= 90


def test_enough_is_enough() -> None:
    """So that a forecast of a large cassette does not read all of it."""
    assert not seen([1] * (MOST_SEEN - 1)).is_full
    assert seen([1] * MOST_SEEN).is_full
    assert FEW < MOST_SEEN
