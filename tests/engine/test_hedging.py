"""A call is late by what calls of its model took; hedges are few, the latest first, and never a second for a call."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.client.underway import Stage, Underway
from llmbatch.engine.hedging import (
    LEAST_CHECK_SECONDS,
    LEAST_SECONDS,
    LEAST_SEEN,
    MOST_CHECK_SECONDS,
    MOST_KEPT,
    MOST_SHARE,
    Hedging,
    late_after_seconds,
)


def underway(since: float, *, model: str = "m", stage: Stage = "service", case: str = "c") -> Underway:
    return Underway(case, model, since, stage, since)


def after(number: int, seconds: float = 1.0, model: str = "m") -> Hedging:
    hedging = Hedging()
    for _ in range(number):
        hedging.answered(model, seconds)
    return hedging


def test_of_a_few_calls_nobody_knows_what_is_late() -> None:
    """The first answers of a model say nothing yet."""
    assert late_after_seconds([1.0] * (LEAST_SEEN - 1)) is None
    assert after(LEAST_SEEN - 1).overdue([underway(0.0)], 1e6, lambda call: 10) == []


def test_where_all_calls_take_alike_the_slowest_is_not_late() -> None:
    """A quantile alone would call 2 of 100 equal calls late."""
    assert late_after_seconds([1.0, *[0.99] * 99]) == 1.98


def test_nobody_pays_to_save_milliseconds() -> None:
    """However quick a model is, a call is not late within the first second."""
    assert late_after_seconds([0.005] * 100) == LEAST_SECONDS


def test_late_is_beyond_nearly_all_that_calls_took() -> None:
    """Of heavy-tailed times one in fifty is above it."""
    chance = random.Random(7)
    taken = [chance.lognormvariate(0.0, 1.0) for _ in range(1000)]

    limit = late_after_seconds(taken)

    assert limit is not None
    assert sum(each >= limit for each in taken) == 20


def test_the_latest_call_is_hedged_first_and_none_beyond_the_room() -> None:
    """The run waits for its slowest call; a hedge that finds no slot would be late itself."""
    calls = [underway(3.0), underway(1.0), underway(2.0), underway(99.0)]

    assert [calls[1], calls[2]] == after(1000).overdue(calls, 100.0, lambda call: 2)


def test_only_a_call_that_its_service_keeps_waiting_is_late() -> None:
    """A second call would not shorten a back-off, or a turn under a limit; and one hedge is all a call gets."""
    hedged = underway(0.0)
    hedged.hedged = True
    calls = [underway(0.0, stage="back-off"), underway(0.0, stage="turn"), underway(0.0, stage="slot"), hedged]

    assert after(1000).overdue(calls, 1e6, lambda call: 10) == []


def test_each_model_is_judged_by_its_own_times() -> None:
    """What is long for a small model is usual for a large one; of an unknown one nothing is known."""
    hedging = after(100, 1.0, "quick")
    for _ in range(100):
        hedging.answered("slow", 60.0)
    quick, slow, new = (underway(0.0, model=model) for model in ("quick", "slow", "new"))

    assert [quick] == hedging.overdue([quick, slow, new], 30.0, lambda call: 10)


@pytest.mark.parametrize(("answers", "allowed"), [(LEAST_SEEN, 1), (100, 2), (5000, 100)])
def test_hedges_are_at_most_one_in_fifty_calls(answers: int, allowed: int) -> None:
    """They are paid for: the share of a run is bounded, and a short run may send one."""
    hedging = after(answers)
    calls = [underway(0.0) for _ in range(500)]

    assert allowed == len(hedging.overdue(calls, 1e6, lambda call: 1000))
    hedging.sent = allowed
    assert hedging.overdue(calls, 1e6, lambda call: 1000) == []


def test_what_is_kept_is_bounded() -> None:
    """A million calls take the memory of a thousand, and the last of them count."""
    hedging = after(MOST_KEPT, 100.0)
    for _ in range(MOST_KEPT):
        hedging.answered("m", 1.0)

    assert hedging.late_after() == {"m": 2.0}
    assert hedging.answers == 2 * MOST_KEPT


@given(
    taken=st.lists(st.floats(0.001, 1000.0), max_size=60),
    since=st.lists(st.floats(0.0, 1000.0), max_size=30),
    room=st.integers(0, 40),
)
def test_whatever_the_times_the_bounds_hold(taken: list[float], since: list[float], room: int) -> None:
    """Never more than the room, the allowance, or the calls; never one that is on time."""
    hedging = Hedging()
    for seconds in taken:
        hedging.answered("m", seconds)

    late = hedging.overdue([underway(each) for each in since], 1000.0, lambda call: room)

    assert len(late) <= min(room, max(1, MOST_SHARE * len(taken)), len(since))
    limit = late_after_seconds(taken)
    assert all(limit is not None and 1000.0 - call.since >= limit for call in late)
    assert LEAST_CHECK_SECONDS <= hedging.check_after_seconds() <= MOST_CHECK_SECONDS
