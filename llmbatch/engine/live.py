"""The live engine: one order, made as few HTTP calls as the service allows, recorded by the recorder around it.

Knows no prompt and no task. Importing it imports aiohttp and tenacity, so a run does so at its first miss.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

from llmbatch.call.failure import Failure
from llmbatch.call.values import Reply
from llmbatch.cassette.recording.canary import Canary
from llmbatch.cassette.store import Store
from llmbatch.client.retry import Attempted, RetrySettings, with_retries
from llmbatch.client.transport import LIBRARY
from llmbatch.client.underway import Underway
from llmbatch.config import ResolvedModel
from llmbatch.engine.attempt import NOT_SENT, Attempts
from llmbatch.engine.flight import Flight
from llmbatch.engine.flights import Flights
from llmbatch.engine.health import Halt, Health
from llmbatch.engine.hedger import Hedger
from llmbatch.engine.protocol import Order, Outcome
from llmbatch.errors import AnswerError, LlmbatchError, NoAnswerRecorded

RETRIES_OF_A_PROBE = 2
"""A service that has answered and fails at one question may do so for ever; what it would have said can be missed."""


@dataclass(slots=True)
class LiveEngine:
    """Calls services now: equal orders are one flight, a flight is as many `attempts` as `retry` allows.

    With a `hedger`, a flight that is late when nothing is left to start gets a second call. The one that answers first
    lands the flight; the other goes on for as long as the run does, and is recorded as a duplicate.
    """

    attempts: Attempts
    retry: RetrySettings
    health: Health
    hedger: Hedger | None = None
    clock: Callable[[], float] = time.monotonic
    flights: Flights = field(init=False)
    _outrun: dict[asyncio.Task[None], Order] = field(default_factory=dict)
    _failed: dict[bytes, Failure] = field(default_factory=dict)
    _retries: dict[int, tuple[ResolvedModel, RetrySettings]] = field(default_factory=dict)
    _canary: Canary = field(init=False)

    def __post_init__(self) -> None:
        self.flights = Flights(self._call, self.clock)
        transport = self.attempts.sender.transport

        def send(url: str) -> Awaitable[object]:
            return transport.post(url, b"", {})

        self._canary = Canary(f"`ask` ({LIBRARY})", send, self.attempts.halt.by_error)

    async def obtain(self, order: Order) -> Outcome:
        """Return the recorded reply, or the failure that equal orders of this run share.

        Raises InternalError when the transport is not intercepted, which a canary tells before the first call; and
        when a reply did not pass the recorder all the same: it would not be on disk.
        """
        failed = self._failed.get(order.call.key)
        if failed is not None:
            return failed
        outcome, own = await self.flights.join(order)
        if not own and isinstance(outcome, Reply):  # one's own is noted when it lands
            order.case.note(outcome, paid=False)
        return outcome

    def nothing_left_to_start(self) -> None:
        """Hear that no further case will be started: what is late from now on is worth a second call."""
        if self.hedger is not None:
            self.hedger.begin(self.flights.under_way, self._hedge)

    async def close(self) -> None:
        """End what is still on its way, at once. What was outrun and is given up now is on record all the same."""
        if self.hedger is not None:
            await self.hedger.close()
        outrun = dict(self._outrun)
        for task in outrun:
            task.cancel()
        await asyncio.gather(self.flights.cancel(), *outrun, return_exceptions=True)
        for task, order in outrun.items():
            if task.cancelled() and self.attempts.store.disk_error is None:
                self.attempts.sender.record_given_up(order)

    async def _call(self, flight: Flight) -> None:
        """Make the call of a flight, again where it failed, and land with what it came to."""
        await self._canary.prove()
        order = flight.order
        attempted = await with_retries(partial(self.attempts.make, order, flight), self._retry_of(order))
        if flight.hedge_task is not None and isinstance(attempted.value, Failure):
            await asyncio.wait([flight.hedge_task])  # it may bring what this one did not
        if not flight.has_landed:
            self._land(flight, attempted, flight)

    def _hedge(self, flight: Flight) -> None:
        """Send one more call that equals the one of a flight."""
        now = self.clock()
        flight.hedge = Underway(flight.case, flight.model, now, "turn", now, is_hedge=True)
        flight.hedge_task = asyncio.get_running_loop().create_task(self._call_again(flight, flight.hedge))
        flight.hedge_task.add_done_callback(self._hedge_ended)

    async def _call_again(self, flight: Flight, hedge: Underway) -> None:
        """Make one attempt at the hedge of a flight, and land with it if it is the first to bring an answer."""
        order, won, late_seconds = flight.order, False, hedge.since - flight.stage_since
        once = replace(self._retry_of(order), max_retries=0, rate_limit_seconds=0.0)
        try:
            attempted = await with_retries(partial(self.attempts.make, order, hedge), once)
            won = isinstance(attempted.value, Reply) and not flight.has_landed
            if won:
                self._land(flight, attempted, hedge)
        finally:
            if hedge.is_sent:  # else the first call has ended while it waited for its turn
                self.attempts.teller.hedge(order, after_seconds=late_seconds, won=won)

    def _hedge_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, LlmbatchError):
            self.attempts.halt.by_error(error)

    def _land(self, flight: Flight, attempted: Attempted[Outcome], call: Underway) -> None:
        """Land a flight with what one of its calls came to. The other is outrun, or not sent any more."""
        outcome, order = attempted.value, flight.order
        assert outcome is not None
        if isinstance(outcome, Reply):
            order.case.note(outcome, paid=not attempted.replayed)
            if self.hedger is not None:
                self.hedger.hedging.answered(call.model, self.clock() - call.stage_since)
        elif outcome is not NOT_SENT:
            self._failed[order.call.key] = outcome
        self.flights.land(flight, outcome)
        other, task = flight.other_than(call)
        if other is None or task is None or task.done():
            return
        if other.stage == "service":
            self._outrun[task] = order
            task.add_done_callback(self._outrun_ended)
        else:
            task.cancel()

    def _outrun_ended(self, task: asyncio.Task[None]) -> None:
        self._outrun.pop(task, None)

    def _retry_of(self, order: Order) -> RetrySettings:
        model = order.model
        known = self._retries.get(id(model))
        if known is None:
            told = self.attempts.teller.with_waits(model, self.retry)
            known = self._retries[id(model)] = (model, replace(told, review=partial(self.health.review, model)))
        if order.is_probe and self.health.passage(model).breaker.has_answered:
            few, review = min(self.retry.max_retries, RETRIES_OF_A_PROBE), partial(self.health.review_probe, model)
            return replace(known[1], max_retries=few, review=review)
        return known[1]


def refuse(model: ResolvedModel, halt: Halt, store: Store) -> None:
    """Raise where a client may not send.

    NoAnswerRecorded without a key, DiskError where no answer could be kept, AnswerError when the run has ended.
    """
    if not model.can_call:
        raise NoAnswerRecorded(
            f"no recorded answer from {model.text}, and nothing may be called: {model.endpoint.key_env} is not set",
            fix=f"set {model.endpoint.key_env} and run again",
        )
    if store.disk_error is not None:
        raise store.disk_error
    if halt.requested:
        raise AnswerError(NOT_SENT.message, kind=NOT_SENT.kind)
