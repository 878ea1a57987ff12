"""The live engine: one order, made as few HTTP calls as the service allows, recorded by the recorder around it.

Knows no prompt and no task. Importing it imports aiohttp and tenacity, so a run does so at its first miss.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from functools import partial

from llmbatch.call.failure import Failure
from llmbatch.call.values import Reply
from llmbatch.cassette.recording.canary import Canary
from llmbatch.client.retry import RetrySettings, with_retries
from llmbatch.client.transport import LIBRARY
from llmbatch.config import ResolvedModel
from llmbatch.engine.attempt import NOT_SENT, Attempts
from llmbatch.engine.flights import Flights
from llmbatch.engine.health import Halt, Health
from llmbatch.engine.protocol import Order, Outcome
from llmbatch.errors import AnswerError, NoAnswerRecorded


@dataclass(slots=True)
class LiveEngine:
    """Calls services now: equal orders are one flight, a flight is as many `attempts` as `retry` allows."""

    attempts: Attempts
    retry: RetrySettings
    health: Health
    _flights: Flights = field(init=False)
    _failed: dict[bytes, Failure] = field(default_factory=dict)
    _retries: dict[int, tuple[ResolvedModel, RetrySettings]] = field(default_factory=dict)
    _canary: Canary = field(init=False)

    def __post_init__(self) -> None:
        self._flights = Flights(self._make)
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
        outcome, own = await self._flights.join(order)
        if not own and isinstance(outcome, Reply):  # the recorder has noted one's own
            order.case.note(outcome, paid=False)
        return outcome

    async def close(self) -> None:
        """End what is still on its way, at once."""
        await self._flights.cancel()

    async def _make(self, order: Order) -> Outcome:
        await self._canary.prove()
        attempted = await with_retries(partial(self.attempts.make, order), self._retry_of(order.model))
        outcome = attempted.value
        assert outcome is not None
        if isinstance(outcome, Failure) and outcome is not NOT_SENT:
            self._failed[order.call.key] = outcome
        return outcome

    def _retry_of(self, model: ResolvedModel) -> RetrySettings:
        known = self._retries.get(id(model))
        if known is None:
            known = self._retries[id(model)] = (model, replace(self.retry, review=partial(self.health.review, model)))
        return known[1]


def refuse(model: ResolvedModel, halt: Halt) -> None:
    """Raise where a client may not send: NoAnswerRecorded without a key, AnswerError when the run has ended."""
    if not model.can_call:
        raise NoAnswerRecorded(
            f"no recorded answer from {model.text}, and nothing may be called: {model.endpoint.key_env} is not set",
            fix=f"set {model.endpoint.key_env} and run again",
        )
    if halt.requested:
        raise AnswerError(NOT_SENT.message, kind=NOT_SENT.kind)
