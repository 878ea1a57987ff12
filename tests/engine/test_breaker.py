"""When calls to a service may start, when it is left alone, and when it ends the run; the time is passed in."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.call.failure import FailureKind as Kind
from llmbatch.engine.breaker import (
    FAILING_SECONDS,
    PAUSES_SECONDS,
    RECHECK_SECONDS,
    REFUSALS_THAT_STOP,
    UNREACHED_THAT_STOP,
    WIDEN_SECONDS,
    Breaker,
    State,
)
from llmbatch.policy import Verdict

GOOD = Verdict(final=True)
BROKEN = Verdict(Kind.SERVER_ERROR, retry="backoff", message="HTTP 500")
UNREACHED = Verdict(Kind.CONNECT_ERROR, retry="backoff")
LIMITED = Verdict(Kind.RATE_LIMITED, retry="global")
REFUSED = Verdict(Kind.BAD_REQUEST, final=True, message="HTTP 400")
KEY = Verdict(Kind.AUTH, stop=True, message="HTTP 401")


def room(breaker: Breaker, now: float) -> int:
    """How many calls may be on their way."""
    most = next(number for number in itertools.count(1) if number == 1_000 or not breaker.may_start(number, now))
    return most if most > 1 or breaker.may_start(0, now) else 0


def flowing() -> Breaker:
    breaker = Breaker(0.0)
    breaker.judge(GOOD, 0.0)
    return breaker


def tripped() -> tuple[Breaker, float]:
    """A breaker over which everything has failed for just as long as it stands."""
    breaker = flowing()
    for second in range(int(FAILING_SECONDS) + 20):
        breaker.judge(BROKEN, float(second))
        if breaker.state is State.PAUSED:
            return breaker, float(second)
    raise AssertionError("it never tripped")


def test_the_first_call_goes_alone_and_a_success_lets_all_others_go() -> None:
    """A wrong key should cost one call, not as many as may be in flight."""
    breaker = Breaker(0.0)

    assert room(breaker, 0.0) == 1
    assert breaker.judge(GOOD, 0.1) == GOOD
    assert room(breaker, 0.1) == 1_000


def test_a_first_call_that_is_slow_holds_up_nobody_for_long() -> None:
    """Twice as many may go with every quarter of a second of silence."""
    breaker = Breaker(0.0)
    breaker.may_start(0, 10.0)

    assert [room(breaker, 10.0 + step * WIDEN_SECONDS) for step in range(5)] == [1, 2, 4, 8, 16]
    assert breaker.seconds_until_more(10.0 + WIDEN_SECONDS * 1.5) == pytest.approx(WIDEN_SECONDS / 2)


def test_a_failure_before_the_first_success_lets_more_go_a_little_later() -> None:
    """A question that always fails must not keep the others from showing that the service works."""
    breaker = Breaker(0.0)
    breaker.judge(BROKEN, 0.0)

    assert room(breaker, 0.0) == 0
    assert room(breaker, 0.25) == 2


@pytest.mark.parametrize("verdict", [UNREACHED, LIMITED])
def test_what_is_not_reached_or_limited_is_tried_by_one_at_a_time(verdict: Verdict) -> None:
    """More calls would show nothing more."""
    breaker = Breaker(0.0)
    breaker.judge(verdict, 0.0)

    assert [room(breaker, now) for now in (0.0, 0.25)] == [0, 1]


def test_a_service_that_was_never_reached_ends_the_run_soon() -> None:
    """And one that was reached once does not."""
    breaker = Breaker(0.0)
    stops = [breaker.judge(UNREACHED, float(call)).stop for call in range(UNREACHED_THAT_STOP)]
    reached = flowing()

    assert stops == [False] * (UNREACHED_THAT_STOP - 1) + [True]
    assert not any(reached.judge(UNREACHED, 0.0).stop for _ in range(10))


def test_refusals_of_all_first_questions_end_the_run() -> None:
    """A parameter that the model does not know is refused for every sample."""
    breaker = Breaker(0.0)
    verdicts = [breaker.judge(REFUSED, 0.0) for _ in range(REFUSALS_THAT_STOP)]
    other = flowing()

    assert [verdict.stop for verdict in verdicts] == [False] * (REFUSALS_THAT_STOP - 1) + [True]
    assert "20 questions were all refused" in verdicts[-1].message
    assert not any(other.judge(REFUSED, 0.0).stop for _ in range(100))


def test_a_key_that_never_worked_ends_the_run_at_once() -> None:
    """There is nothing to wait for."""
    assert Breaker(0.0).judge(KEY, 0.0).stop


def test_a_key_that_worked_is_tried_once_more_by_one_call() -> None:
    """A gateway that rotates its keys refuses a good one for a moment."""
    breaker = flowing()
    first, second = breaker.judge(KEY, 10.0), breaker.judge(KEY, 10.1)
    held = room(breaker, 10.0 + RECHECK_SECONDS / 2)
    tried = room(breaker, 10.0 + RECHECK_SECONDS)

    assert [(each.stop, each.retry, each.max_retries) for each in (first, second)] == [(False, "backoff", 1)] * 2
    assert (held, tried) == (0, 1)
    assert breaker.judge(KEY, 11.1).stop


def test_a_key_that_works_again_lets_all_go_again() -> None:
    """What one question alone is refused is that question's affair."""
    breaker = flowing()
    breaker.judge(KEY, 10.0)
    breaker.may_start(0, 11.0)
    breaker.judge(GOOD, 11.1)

    assert breaker.state is State.FLOWING
    assert not breaker.judge(KEY, 12.0).stop


def test_a_service_that_fails_for_a_minute_is_left_alone_and_then_tried_by_one() -> None:
    """More than half of the last calls, for as long as that; a few failures trip nothing."""
    breaker, now = tripped()
    pause = PAUSES_SECONDS[0]

    assert now >= FAILING_SECONDS
    assert [room(breaker, now + after) for after in (0.0, pause - 0.1, pause)] == [0, 0, 1]
    breaker.judge(GOOD, now + pause + 1)
    assert room(breaker, now + pause + 1) == 1_000
    assert breaker.judge(BROKEN, now + pause + 2) == BROKEN
    assert breaker.state is State.FLOWING


def test_a_service_that_still_fails_after_every_pause_ends_the_run() -> None:
    """The message says what was seen; nothing more is sent."""
    breaker, now = tripped()
    for pause in PAUSES_SECONDS:
        now += pause
        assert breaker.may_start(0, now)
        verdict = breaker.judge(BROKEN, now)

    assert (verdict.stop, verdict.retry) == (True, "no")
    assert "calls failed" in verdict.message
    assert "HTTP 500" in verdict.message


def test_what_was_sent_before_a_pause_does_not_end_it() -> None:
    """Neither a late answer nor a late failure is a probe."""
    breaker, now = tripped()
    breaker.judge(GOOD, now + 1)
    breaker.judge(BROKEN, now + 2)

    assert breaker.state is State.PAUSED
    assert room(breaker, now + 3) == 0


def test_half_of_the_calls_failing_trips_nothing() -> None:
    """A bad hour of a service is what retries are for; rate limits are no failures at all."""
    breaker = flowing()
    for second in range(600):
        for verdict in (BROKEN, GOOD, LIMITED):
            breaker.judge(verdict, float(second))

    assert breaker.state is State.FLOWING


@given(st.lists(st.tuples(st.sampled_from([GOOD, BROKEN, UNREACHED, LIMITED, REFUSED, KEY]), st.floats(0, 30))))
def test_whatever_happens_a_call_may_start_after_a_while(script: list[tuple[Verdict, float]]) -> None:
    """No sequence of outcomes locks a service for good: a run ends by a stop, or it goes on."""
    breaker, now = Breaker(0.0), 0.0
    for verdict, seconds in script:
        now += seconds
        breaker.may_start(0, now)
        if breaker.judge(verdict, now).stop:
            return

    assert breaker.may_start(0, now + max(PAUSES_SECONDS))
