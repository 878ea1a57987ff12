"""The live engine: one order, made as few HTTP calls as the service allows, recorded by the recorder around it.

Knows no prompt and no task. Importing it imports aiohttp and tenacity, so a run does so at its first miss.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.call.values import RecordedFailure, Reply
from llmbatch.cassette.case import Exchange, current_case, current_exchange
from llmbatch.cassette.store import Store
from llmbatch.client.gate import Gate, Pacer
from llmbatch.client.retry import Attempted, RetrySettings, attempted_error, attempted_reply, with_retries
from llmbatch.client.transport import Transport
from llmbatch.engine.protocol import Order, Outcome
from llmbatch.engine.single_flight import SingleFlight
from llmbatch.errors import InternalError, LlmbatchError, ServiceError
from llmbatch.policy import Verdict

NOT_SENT = Failure(FailureKind.NOT_RUN, "the run ended before this question was sent")


class Halt(Protocol):
    """What the engine may know of the run's end: whether it has come, and how to bring it about."""

    @property
    def requested(self) -> bool:
        """Whether nothing further may be sent."""
        ...

    def by_service(self, error: ServiceError) -> None:
        """End the run because the service refuses in a way that no further call can help."""
        ...


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
    pacers: dict[str, Pacer] = field(default_factory=dict)
    _flights: SingleFlight[Outcome] = field(default_factory=SingleFlight)
    _failed: dict[bytes, Failure] = field(default_factory=dict)

    async def obtain(self, order: Order) -> Outcome:
        """Return the recorded reply, or the failure that equal orders of this run share.

        Raises InternalError when the reply did not pass the recorder: it would not be on disk.
        """
        failed = self._failed.get(order.call.key)
        if failed is not None:
            return failed
        outcome, own = await self._flights.run(order.call.key, lambda: self._make(order))
        if isinstance(outcome, Reply) and not own:  # the recorder has noted one's own
            order.case.note(outcome, paid=False)
        return outcome

    async def _make(self, order: Order) -> Outcome:
        attempted = await with_retries(lambda number: self._attempt(order), self.retry)
        outcome, verdict = attempted.value, attempted.verdict
        if verdict.stop:
            self.halt.by_service(_service_error(order, verdict))
        assert outcome is not None
        if isinstance(outcome, Failure) and outcome is not NOT_SENT:
            self._failed[order.call.key] = outcome
        return outcome

    async def _attempt(self, order: Order) -> Attempted[Outcome]:
        endpoint = order.model.endpoint
        pacer = self.pacers.get(endpoint.name)
        if pacer is not None and not self.halt.requested:
            await pacer.wait()
        async with self.gate:
            if self.halt.requested:
                return Attempted(Verdict(kind=FailureKind.NOT_RUN), value=NOT_SENT)
            exchange = Exchange(order.call)
            case_token = current_case.set(order.case)
            exchange_token = current_exchange.set(exchange)
            try:
                await self.transport.post(
                    order.call.request.url,
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

    def _failed_attempt(self, order: Order, attempted: Attempted[Outcome]) -> Attempted[Outcome]:
        """File an attempt that brought no reply."""
        kind = attempted.verdict.kind or FailureKind.CONNECT_ERROR
        message = attempted.verdict.message or f"{type(attempted.error).__name__}: {attempted.error}"
        self.store.record_failure(order.call, kind, message, reply=None, case=order.case.case_id)
        return replace(attempted, value=RecordedFailure(order.call, kind, message).as_failure())


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


def _service_error(order: Order, verdict: Verdict) -> ServiceError:
    model = order.model
    return ServiceError(
        f"{model.endpoint.name} refuses {model.text}: {verdict.kind}",
        said=verdict.message,
        endpoint=f"{model.endpoint.base_url} (key variable {model.endpoint.key_env or 'none'})",
        fix=_FIXES.get(verdict.kind, "put the cause right; the same command goes on where it stopped"),
    )


_FIXES: dict[FailureKind | None, str] = {
    FailureKind.AUTH: "check the key in the key variable and its rights; the same command goes on where it stopped",
    FailureKind.QUOTA: "raise the quota or the balance; the same command goes on where it stopped",
    FailureKind.MODEL_NOT_FOUND: "check the model's name and the base URL (does it end in /v1?), then run again",
    FailureKind.CONFIG_ERROR: "check the base URL, the proxy and the certificate of the endpoint, then run again",
    FailureKind.RATE_LIMITED: "wait as long as the service asks, or lower --concurrency; then run again",
}
