"""How often and how long: by count for errors, by time for rate limits, and never a blind sleep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from llmbatch.call.failure import FailureKind as Kind
from llmbatch.call.values import Reply
from llmbatch.client.retry import Attempted, RetrySettings, attempted_reply, with_retries
from llmbatch.policy import Verdict

GOOD = Attempted(Verdict(final=True), value="answer")
BROKEN = Attempted[str](Verdict(Kind.SERVER_ERROR, retry="backoff", message="HTTP 500"))
LIMITED = Attempted[str](Verdict(Kind.RATE_LIMITED, retry="global", message="HTTP 429"))


class World:
    """A clock that only sleeping moves, and a chance that is always the same."""

    def __init__(self, chance: float = 1.0) -> None:
        self.slept: list[float] = []
        self.chance = chance

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def settings(self, **changes: Any) -> RetrySettings:
        return RetrySettings(sleep=self.sleep, random=lambda: self.chance, clock=lambda: sum(self.slept), **changes)


async def outcome(world: World, script: Sequence[Attempted[str]], **changes: Any) -> Attempted[str]:
    """Run a script of attempts; its last goes on for ever."""

    async def attempt(number: int) -> Attempted[str]:
        return script[min(number, len(script) - 1)]

    return await with_retries(attempt, world.settings(**changes))


async def test_a_good_reply_is_returned_at_once() -> None:
    """Nothing is waited for."""
    world = World()

    result = await outcome(world, [GOOD])

    assert (result.value, result.attempts, world.slept) == ("answer", 1, [])


async def test_errors_are_tried_again_as_often_as_allowed_with_doubling_waits() -> None:
    """0.5 s doubled each time; the last failure is what is returned."""
    world = World()

    result = await outcome(world, [BROKEN], max_retries=4)

    assert (result.verdict.kind, result.attempts) == (Kind.SERVER_ERROR, 5)
    assert world.slept == [0.5, 1.0, 2.0, 4.0]


async def test_a_wait_is_capped_and_fully_jittered() -> None:
    """Anything from nothing to the cap, so that callers do not wake together."""
    longest, half = World(), World(chance=0.5)

    await outcome(longest, [BROKEN], max_retries=9)
    await outcome(half, [BROKEN], max_retries=2)

    assert longest.slept[-2:] == [60.0, 60.0]
    assert half.slept == [0.25, 0.5]


async def test_a_verdict_may_allow_fewer_retries_than_the_run() -> None:
    """What may have been paid for is tried once more, not five times."""
    timeout = Attempted[str](Verdict(Kind.TIMEOUT, retry="backoff", max_retries=1))

    assert (await outcome(World(), [timeout])).attempts == 2
    assert (await outcome(World(), [timeout], max_retries=0)).attempts == 1


async def test_rate_limits_use_up_time_and_not_the_error_budget() -> None:
    """A hundred 429s, then an error, then the answer."""
    world = World()
    limited = Attempted[str](LIMITED.verdict, retry_after_seconds=2.0)

    result = await outcome(world, [limited] * 100 + [BROKEN, GOOD], max_retries=1)

    assert (result.value, result.attempts) == ("answer", 102)


async def test_rate_limits_end_when_their_time_is_over() -> None:
    """The call fails as rate limited rather than waiting for ever."""
    world = World(chance=0.0)
    limited = Attempted[str](LIMITED.verdict, retry_after_seconds=30.0)

    result = await outcome(world, [limited], rate_limit_seconds=100.0)

    assert (result.verdict.kind, world.slept) == (Kind.RATE_LIMITED, [30.0, 30.0, 30.0])


async def test_retry_after_is_kept_to_with_a_little_jitter_on_top() -> None:
    """Never earlier than asked, and not all at the same moment."""
    world = World(chance=0.5)

    await outcome(world, [Attempted(BROKEN.verdict, retry_after_seconds=10.0), GOOD])

    assert world.slept == [10.5]


async def test_retry_after_nought_is_believed_once() -> None:
    """Else a service in trouble is asked in a tight loop for a quarter of an hour."""
    world = World()

    await outcome(world, [Attempted[str](LIMITED.verdict, retry_after_seconds=0.0)] * 3 + [GOOD])

    assert world.slept == [0.0, 1.0, 2.0]


async def test_a_wait_above_the_cap_stops_the_run_and_says_so() -> None:
    """A day of silence is not what anybody wants from a run."""
    world = World()

    result = await outcome(world, [Attempted[str](LIMITED.verdict, retry_after_seconds=86_400.0)])

    assert (result.verdict.stop, result.attempts, world.slept) == (True, 1, [])
    assert "86,400 s" in result.verdict.message


async def test_a_verdict_that_stops_or_refuses_is_final_at_once() -> None:
    """No retry repairs a key or a bad request."""
    for verdict in (Verdict(Kind.AUTH, stop=True), Verdict(Kind.BAD_REQUEST, final=True)):
        world = World()
        result = await outcome(world, [Attempted(verdict)])

        assert (verdict, []) == (result.verdict, world.slept)


async def test_every_attempt_and_wait_is_reported() -> None:
    """The calls table and the limiter listen."""
    attempts: list[Attempted[Any]] = []
    waits: list[tuple[str, float]] = []

    await outcome(
        World(),
        [LIMITED, BROKEN, GOOD],
        on_attempt=attempts.append,
        on_wait=lambda verdict, seconds: waits.append((verdict.retry, seconds)),
    )

    assert [attempted.attempts for attempted in attempts] == [1, 2, 3]
    assert waits == [("global", 0.5), ("backoff", 0.5)]


async def test_an_exception_of_the_attempt_itself_is_let_through() -> None:
    """Attempts turn errors into verdicts; what they raise is cancellation or our bug."""

    async def attempt(number: int) -> Attempted[str]:
        raise ZeroDivisionError(number)

    with pytest.raises(ZeroDivisionError):
        await with_retries(attempt, World().settings())


def test_a_reset_header_is_not_taken_for_a_retry_after() -> None:
    """It tells when the bucket is full again; six minutes of it must not stop a run."""
    reply = Reply(429, "", {"x-ratelimit-reset-requests": ("6m0s",)}, b"{}")

    assert attempted_reply(reply, url="http://h/v1/chat/completions", value=None).retry_after_seconds == 60.0
