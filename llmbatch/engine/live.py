"""The live engine: one order, made as few HTTP calls as the service allows, recorded by the recorder around it.

Knows no prompt and no task. Importing it imports aiohttp and tenacity, so a run does so at its first miss.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.call.values import RecordedFailure, Reply, instant_text
from llmbatch.cassette.case import Exchange, current_case, current_exchange
from llmbatch.cassette.recording.canary import Canary
from llmbatch.cassette.store import Store
from llmbatch.client.gate import Gate
from llmbatch.client.pacer import Pacer
from llmbatch.client.retry import Attempted, RetrySettings, attempted_error, attempted_reply, with_retries
from llmbatch.client.transport import LIBRARY, Transport
from llmbatch.config import ResolvedModel
from llmbatch.engine.health import Halt, Health
from llmbatch.engine.protocol import Order, Outcome
from llmbatch.engine.single_flight import SingleFlight
from llmbatch.errors import AnswerError, InternalError, LlmbatchError, NoAnswerRecorded
from llmbatch.policy import Verdict

NOT_SENT = Failure(FailureKind.NOT_RUN, "the run ended before this question was sent")


@dataclass(slots=True)
class LiveEngine:
    """Calls services now. `gate` bounds the attempts in flight over all endpoints; a slot is held for one
    attempt and never while waiting for the next. `pacers` space the starts of an endpoint, by its name.
    """

    store: Store
    transport: Transport
    gate: Gate
    retry: RetrySettings
    halt: Halt
    health: Health
    pacers: dict[str, Pacer] = field(default_factory=dict)
    _flights: SingleFlight[Outcome] = field(default_factory=SingleFlight)
    _failed: dict[bytes, Failure] = field(default_factory=dict)
    _tasks: set[asyncio.Future[Outcome]] = field(default_factory=set)
    _canary: Canary = field(init=False)

    def __post_init__(self) -> None:
        def send(url: str) -> Awaitable[object]:
            return self.transport.post(url, b"", {})

        self._canary = Canary(f"`ask` ({LIBRARY})", send, self.halt.by_error)

    async def obtain(self, order: Order) -> Outcome:
        """Return the recorded reply, or the failure that equal orders of this run share.

        Raises InternalError when the transport is not intercepted, which a canary tells before the first call; and
        when a reply did not pass the recorder all the same: it would not be on disk.
        """
        failed = self._failed.get(order.call.key)
        if failed is not None:
            return failed
        # in a task of its own, and shielded: what is sent is paid for, so a task of the author's that gives up
        # waiting does not take the answer down with it
        obtaining = asyncio.ensure_future(self._obtain(order))
        for pending in (self._tasks, order.case.pending):
            pending.add(obtaining)
            obtaining.add_done_callback(pending.discard)
        obtaining.add_done_callback(_looked_at)
        try:
            return await asyncio.shield(obtaining)
        except asyncio.CancelledError:
            order.case.abandoned = True
            raise

    async def close(self) -> None:
        """End what is still on its way, at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _obtain(self, order: Order) -> Outcome:
        outcome, own = await self._flights.run(order.call.key, lambda: self._make(order))
        if isinstance(outcome, Reply) and not own:  # the recorder has noted one's own
            order.case.note(outcome, paid=False)
        return outcome

    async def _make(self, order: Order) -> Outcome:
        await self._canary.prove()
        retry = replace(self.retry, review=lambda attempted: self.health.review(order.model, attempted))
        attempted = await with_retries(lambda number: self._attempt(order, number), retry)
        outcome = attempted.value
        assert outcome is not None
        if isinstance(outcome, Failure) and outcome is not NOT_SENT:
            self._failed[order.call.key] = outcome
        return outcome

    async def _attempt(self, order: Order, number: int) -> Attempted[Outcome]:
        endpoint = order.model.endpoint
        pacer = self.pacers.get(endpoint.name)
        if pacer is not None and not self.halt.requested:
            await pacer.wait()
        async with self.gate:
            if self.halt.requested or self.store.disk_error is not None:  # it ends the run, a moment later
                return Attempted(Verdict(kind=FailureKind.NOT_RUN), value=self._not_sent(order, number))
            exchange = Exchange(order.call)
            case_token = current_case.set(order.case)
            exchange_token = current_exchange.set(exchange)
            try:
                await self.transport.post(
                    order.model.chat_url,  # as configured: the one in the call is without secrets
                    order.wire,
                    order.model.wire_headers(),
                    timeout_seconds=endpoint.timeout_seconds,
                    connect_timeout_seconds=endpoint.connect_timeout_seconds,
                )
            except LlmbatchError:
                raise
            except Exception as error:  # noqa: BLE001 - every exception has a verdict in the policy
                return self._failed_attempt(order, attempted_error(error))
            finally:
                current_exchange.reset(exchange_token)
                current_case.reset(case_token)
        return _judged(order, exchange)

    def _not_sent(self, order: Order, number: int) -> Failure:
        """Return why the run's end left the question open: the attempt that failed before it, if there is one."""
        failed = self.store.find_failure(order.call.key) if number else None
        return NOT_SENT if failed is None else failed.as_failure()

    def _failed_attempt(self, order: Order, attempted: Attempted[Outcome]) -> Attempted[Outcome]:
        """File an attempt that brought no reply."""
        kind = attempted.verdict.kind or FailureKind.CONNECT_ERROR
        message = attempted.verdict.message or f"{type(attempted.error).__name__}: {attempted.error}"
        message = self.store.scrub_text(message)
        now = instant_text(datetime.now(UTC))
        self.store.record_failure(order.call, kind, message, case=order.case.case_id, recorded_at=now)
        return replace(attempted, value=RecordedFailure(order.call, kind, message).as_failure())


def _looked_at(obtaining: asyncio.Future[Outcome]) -> None:
    """Take note of an exception that nobody waits for any more: whoever runs the case looks at it."""
    if not obtaining.cancelled():
        obtaining.exception()


def _judged(order: Order, exchange: Exchange) -> Attempted[Outcome]:
    """Tell what the recorder made of the attempt."""
    if exchange.failure is not None:
        failed = exchange.failure
        outcome: Outcome = failed.as_failure()
        if failed.reply is None:
            return Attempted(Verdict(kind=FailureKind(failed.kind), message=failed.message), value=outcome)
        return attempted_reply(failed.reply, url=order.call.request.url, value=outcome)
    if exchange.reply is None:
        raise InternalError(
            f"the answer of {order.call.request.url} was not recorded: the HTTP library is not intercepted",
            fix="install vcrpy and aiohttp in the versions that llmbatch names; nothing further was sent",
        )
    return Attempted(Verdict(final=True), value=exchange.reply)


def refuse(model: ResolvedModel, halt: Halt) -> None:
    """Raise where a client may not send: NoAnswerRecorded without a key, AnswerError when the run has ended."""
    if not model.can_call:
        raise NoAnswerRecorded(
            f"no recorded answer from {model.text}, and nothing may be called: {model.endpoint.key_env} is not set",
            fix=f"set {model.endpoint.key_env} and run again",
        )
    if halt.requested:
        raise AnswerError(NOT_SENT.message, kind=NOT_SENT.kind)
