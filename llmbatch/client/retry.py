"""Trying again: how often, and how long to wait. Knows no HTTP library; time and chance are passed in.

The caller's attempt takes and leaves its own gate slot, so none is held while this room sleeps.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Reply
from llmbatch.policy import Verdict, retry_after_seconds, verdict_of_exception, verdict_of_reply

T = TypeVar("T")

LONGEST_RESET_SECONDS = 60.0
"""`x-ratelimit-reset-*` tells when a bucket is full again; there is room in it long before."""


@dataclass(slots=True)
class Attempted(Generic[T]):
    """What an attempt came to: a value or an error, its verdict, and the wait the service asked for.

    `attempts` counts all of them, this one included; `with_retries` fills it in. `received` is the body that came over
    the wire, if one did; `replayed` says that nothing was sent: the answer was recorded, or nothing may be sent.
    Not changed once it is made; to freeze it would take thrice the time to make one.
    """

    verdict: Verdict
    value: T | None = None
    error: Exception | None = None
    retry_after_seconds: float | None = None
    attempts: int = 1
    received: bytes | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """The limits, and the clock, sleep and chance that tests replace.

    Errors are limited by count (`max_retries`), rate limits by time (`rate_limit_seconds` since a call's
    first). `review` has the last word on every attempt, for what is known beyond the call. `on_attempt` hears
    of every attempt, `on_wait` of every wait before it begins (seconds).
    """

    max_retries: int = 5
    rate_limit_seconds: float = 900.0
    longest_wait_seconds: float = 120.0
    backoff_seconds: float = 0.5
    longest_backoff_seconds: float = 60.0
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep
    random: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic
    review: Callable[[Attempted[Any]], Attempted[Any]] | None = None
    on_attempt: Callable[[Attempted[Any]], None] | None = None
    on_wait: Callable[[Verdict, float], None] | None = None

    def heard(self, attempted: Attempted[T]) -> Attempted[T]:
        """Return the attempt as reviewed; whoever wants to hear of it has."""
        if self.review is not None and not attempted.replayed:  # which says nothing of the service
            attempted = self.review(attempted)
        if self.on_attempt is not None:
            self.on_attempt(attempted)
        return attempted


def attempted_reply(reply: Reply, *, url: str, value: T, now: datetime | None = None) -> Attempted[T]:
    """Judge a reply that came; `value` is what the caller wants back."""
    verdict = verdict_of_reply(reply, url=url)
    asked = None
    if verdict.kind is not None:
        asked = retry_after_seconds(reply, now=now or datetime.now(UTC))
        if asked is not None and not any(name in reply.headers for name in ("retry-after", "retry-after-ms")):
            asked = min(asked, LONGEST_RESET_SECONDS)
    return Attempted(verdict, value=value, retry_after_seconds=asked)


def attempted_error(error: Exception) -> Attempted[Any]:
    """Judge an exception that an attempt raised."""
    return Attempted(verdict_of_exception(error), error=error)


async def with_retries(
    attempt: Callable[[int], Awaitable[Attempted[T]]], settings: RetrySettings | None = None
) -> Attempted[T]:
    """Make attempts (numbered from 0) until one needs no other or a budget is used up; return the last.

    A wait the service asks for is kept to, plus up to a tenth so that callers do not wake together. One
    longer than `longest_wait_seconds` is not slept through: the verdict becomes one that stops the run.
    """
    settings = settings or RetrySettings()
    first = await attempt(0)
    if first.verdict.kind is None:  # most calls: tenacity's state would cost more than all the rest of ours
        return settings.heard(first)
    budget: _Budget[T] = _Budget(settings)
    made = [first]

    async def attempt_once() -> Attempted[T]:
        return budget.judge(made.pop() if made else await attempt(budget.attempts))

    retrying = AsyncRetrying(
        retry=retry_if_result(budget.wants_another),
        stop=lambda state: not budget.allows_another(),
        wait=lambda state: budget.wait_seconds,
        sleep=budget.settings.sleep,
        before_sleep=budget.announce,
        retry_error_callback=lambda state: budget.last,
    )
    result: Attempted[T] = await retrying(attempt_once)
    return result


@dataclass
class _Budget(Generic[T]):
    """What is left of a call's retries, and the wait before the next."""

    settings: RetrySettings
    attempts: int = 0
    wait_seconds: float = 0.0
    last: Attempted[T] | None = None
    _failures: Counter[FailureKind | None] = field(default_factory=Counter)
    _limited_since: float | None = None

    def judge(self, attempted: Attempted[T]) -> Attempted[T]:
        """Count the attempt, decide the wait after it, and turn a wait that is too long into a stop."""
        self.attempts += 1
        verdict = attempted.verdict
        self._failures[verdict.kind] += 1
        if self._is_rate_limit(attempted) and self._limited_since is None:
            self._limited_since = self.settings.clock()
        asked = attempted.retry_after_seconds
        longest = self.settings.longest_wait_seconds
        if verdict.retry != "no" and asked is not None and asked > longest:
            said = f"the service asks to wait {asked:,.0f} s, longer than {longest:,.0f} s; {verdict.message}"
            attempted = replace(attempted, verdict=verdict._replace(retry="no", stop=True, message=said))
        self.wait_seconds = self._wait_after(attempted)
        self.last = self.settings.heard(replace(attempted, attempts=self.attempts))
        return self.last

    def wants_another(self, attempted: Attempted[T]) -> bool:
        return attempted.verdict.retry != "no" and not attempted.verdict.stop

    def allows_another(self) -> bool:
        """Whether a budget is left: time for rate limits, a number for everything else."""
        assert self.last is not None
        verdict = self.last.verdict
        if self._is_rate_limit(self.last):
            since = self._limited_since
            assert since is not None
            return self.settings.clock() - since + self.wait_seconds <= self.settings.rate_limit_seconds
        errors = sum(number for kind, number in self._failures.items() if kind is not FailureKind.RATE_LIMITED)
        own_limit = verdict.max_retries
        of_kind = own_limit is None or self._failures[verdict.kind] <= own_limit
        return of_kind and errors <= self.settings.max_retries

    def announce(self, state: RetryCallState) -> None:
        if self.settings.on_wait is not None:
            assert self.last is not None
            self.settings.on_wait(self.last.verdict, self.wait_seconds)

    def _is_rate_limit(self, attempted: Attempted[T]) -> bool:
        return attempted.verdict.kind is FailureKind.RATE_LIMITED

    def _wait_after(self, attempted: Attempted[T]) -> float:
        asked, settings = attempted.retry_after_seconds, self.settings
        same = self._failures[attempted.verdict.kind]
        doubled = settings.backoff_seconds * 2.0 ** min(same - 1, 30)
        backoff = settings.random() * min(settings.longest_backoff_seconds, doubled)
        if asked is None:
            return backoff
        if asked < settings.backoff_seconds and same > 1:
            return max(asked, backoff)  # "at once" that was no use once is not taken at its word again
        return asked * (1.0 + 0.1 * settings.random())
