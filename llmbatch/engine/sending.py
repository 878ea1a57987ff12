"""Sending one order once, through the recorder, and telling what came of it. Knows no limit and no second try."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import RecordedFailure, instant_text
from llmbatch.cassette.case import Exchange, current_case, current_exchange
from llmbatch.cassette.store import Store
from llmbatch.client.retry import Attempted, attempted_error, attempted_reply
from llmbatch.client.transport import Route, Transport
from llmbatch.config import ResolvedModel
from llmbatch.engine.protocol import Order, Outcome
from llmbatch.errors import InternalError, LlmbatchError
from llmbatch.policy import Verdict

GIVEN_UP = "given up at the end of the run, since an equal call had answered first: it may be paid for"


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends orders. What comes back is in the cassette before `send` returns."""

    store: Store
    transport: Transport
    _routes: dict[tuple[int, str | None], tuple[ResolvedModel, Route]] = field(default_factory=dict)

    async def send(self, order: Order) -> Attempted[Outcome]:
        """Return the recorded reply or failure of one HTTP request, with its verdict.

        Raises InternalError when a reply did not pass the recorder: it would not be on disk. And other errors of
        ours, a full disk among them.
        """
        exchange = Exchange(order.call, wire=order.wire)
        case_token = current_case.set(order.case)
        exchange_token = current_exchange.set(exchange)
        try:
            # what came, be it a second answer that is filed as a duplicate
            _, received = await self._route(order.model, order.url).send(order.wire)
        except LlmbatchError:
            raise
        except Exception as error:  # noqa: BLE001 - every exception has a verdict in the policy
            return self._without_reply(order, attempted_error(error))
        finally:
            current_exchange.reset(exchange_token)
            current_case.reset(case_token)
        return _judged(order, exchange, received)

    def _route(self, model: ResolvedModel, url: str | None) -> Route:
        known = self._routes.get((id(model), url))
        if known is None:
            # the URL as configured: the one in a call is without secrets
            route = self.transport.route(url or model.chat_url, model.wire_headers(), model.endpoint.timeouts)
            known = self._routes[id(model), url] = (model, route)
        return known[1]

    def record_given_up(self, order: Order) -> None:
        """File a call whose reply is not waited for any more, since an equal one has answered: it may be paid for."""
        now = instant_text(datetime.now(UTC))
        case = order.case.case_id
        self.store.record_failure(order.call, FailureKind.DUPLICATE, GIVEN_UP, case=case, recorded_at=now)

    def _without_reply(self, order: Order, attempted: Attempted[Outcome]) -> Attempted[Outcome]:
        """File an attempt that brought no reply."""
        kind = attempted.verdict.kind or FailureKind.CONNECT_ERROR
        message = attempted.verdict.message or f"{type(attempted.error).__name__}: {attempted.error}"
        message = self.store.scrub_text(message)
        now = instant_text(datetime.now(UTC))
        self.store.record_failure(order.call, kind, message, case=order.case.case_id, recorded_at=now)
        return replace(attempted, value=RecordedFailure(order.call, kind, message).as_failure())


def _judged(order: Order, exchange: Exchange, received: bytes) -> Attempted[Outcome]:
    """Tell what the recorder made of the attempt."""
    if exchange.failure is not None:
        failed = exchange.failure
        outcome: Outcome = failed.as_failure()
        if failed.reply is None:
            verdict = Verdict(kind=FailureKind(failed.kind), message=failed.message)
            return Attempted(verdict, value=outcome, received=received)
        return replace(attempted_reply(failed.reply, url=order.call.request.url, value=outcome), received=received)
    if exchange.reply is None:
        raise InternalError(
            f"the answer of {order.call.request.url} was not recorded: the HTTP library is not intercepted",
            fix="install vcrpy and aiohttp in the versions that llmbatch names; nothing further was sent",
        )
    if exchange.reply.status >= 400:  # a refusal that is kept: the answer to this question, and news of the service
        attempted: Attempted[Outcome] = attempted_reply(
            exchange.reply, url=order.call.request.url, value=exchange.reply
        )
        return replace(attempted, received=received)
    return Attempted(_ANSWERED, value=exchange.reply, received=received, replayed=exchange.replayed)


_ANSWERED = Verdict(final=True)
