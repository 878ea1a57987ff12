"""The `client` of a task: the official SDK, its own retries off, ours below it.

The transport is httpx2's own class, so that vcrpy's patch of that class records and replays what passes. A
replayed request takes no slot and waits for nothing: the pace is kept where the connection pool is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx2
import openai
import orjson

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Reply
from llmbatch.cassette.recording.canary import Canary
from llmbatch.client.paced_pool import PacedPool, Passage, Turn, current_turn
from llmbatch.client.proxy import proxy_of
from llmbatch.client.retry import Attempted, RetrySettings, attempted_error, attempted_reply, with_retries
from llmbatch.config import BEARER_HEADER, Endpoint, ResolvedModel
from llmbatch.errors import InternalError
from llmbatch.money.tab import Tab
from llmbatch.pacing import Pacing
from llmbatch.policy import Verdict
from llmbatch.policy.timeouts import NoConnectionInTime, NotInTime

_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=1000)  # the pace is the limit


def build_client(
    resolved: ResolvedModel,
    pacing: Pacing,
    settings: RetrySettings | None = None,
    *,
    passage: Passage | None = None,
    tab: Tab | None = None,
    before_send: Callable[[], None] = lambda: None,
    on_unintercepted: Callable[[InternalError], None] | None = None,
) -> openai.AsyncOpenAI:
    """Return an SDK client for the model's endpoint whose attempts keep the pace and follow our policy.

    Organisation and project of the environment are not sent. The caller closes it. Without a key the client
    has a placeholder, so that a replay needs none. Attempts are paid from `tab` and go through `passage`; `before_send`
    raises where nothing further may be sent.

    With `on_unintercepted`, the client proves by a canary before its first request that a recorder sees what it
    sends; where none does, that is told the error, and every call raises it.
    """
    endpoint = resolved.endpoint
    transport = PacedTransport(
        endpoint,
        pacing,
        settings or RetrySettings(),
        before_send,
        passage=passage,
        tab=tab,
        proxy=proxy_of(endpoint.base_url),
    )
    if on_unintercepted is not None:
        transport.prove_by_canary(f"`client` of {endpoint.name} (httpx2 {httpx2.__version__})", on_unintercepted)
    client = openai.AsyncOpenAI(
        api_key=resolved.key.reveal() if resolved.key is not None else "none",
        base_url=resolved.base_url,
        default_headers={**endpoint.headers, **resolved.key_header()},
        default_query=dict(endpoint.query),
        max_retries=0,
        timeout=httpx2.Timeout(endpoint.timeout_seconds, connect=endpoint.connect_timeout_seconds, pool=None),
        http_client=openai.DefaultAsyncHttpxClient(transport=transport, follow_redirects=False),
    )
    client.organization = None
    client.project = None
    return client


_BROKEN_OFF: Attempted[Any] = Attempted(Verdict(kind=FailureKind.TIMEOUT))
"""What a cancelled attempt counts as: it may have been billed."""


class PacedTransport(httpx2.AsyncHTTPTransport):
    """httpx2's transport with a slot an attempt and our retries; raises what the last attempt raised."""

    def __init__(
        self,
        endpoint: Endpoint,
        pacing: Pacing,
        settings: RetrySettings,
        before_send: Callable[[], None],
        *,
        passage: Passage | None = None,
        tab: Tab | None = None,
        proxy: str | None = None,
    ) -> None:
        super().__init__(limits=_LIMITS, trust_env=True, proxy=proxy)
        self._has_its_own_key_header = endpoint.key_header != BEARER_HEADER
        self._passage = passage
        self._tab = tab
        self._settings = settings
        self._pool: Any = PacedPool(self._pool, endpoint, pacing, before_send, passage=passage, tab=tab)

    def prove_by_canary(self, name: str, on_failure: Callable[[InternalError], None]) -> None:
        """Send a canary through this transport before its first request."""

        def send(url: str) -> Awaitable[object]:
            return super(PacedTransport, self).handle_async_request(httpx2.Request("GET", url))

        self._pool.canary = Canary(name, send, on_failure)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        model = _model_in(body)
        if self._has_its_own_key_header:  # the SDK sends its bearer token whatever its other headers are
            request.headers.pop(BEARER_HEADER, None)

        async def attempt(number: int) -> Attempted[httpx2.Response]:
            request.stream = httpx2.ByteStream(body)
            return await self._attempt(request, Turn(body, model, number))

        outcome = await with_retries(attempt, self._settings)
        if outcome.value is not None:
            if outcome.value.is_success and not outcome.verdict.final:
                # a web page, an error inside a 200, no choices: the SDK would hand it on as an answer, whose row would
                # not be the one of the replay, where there is no answer
                raise httpx2.RemoteProtocolError(outcome.verdict.message, request=request)
            return outcome.value
        assert outcome.error is not None
        if isinstance(outcome.error, NotInTime):
            missed = httpx2.ConnectTimeout if isinstance(outcome.error, NoConnectionInTime) else httpx2.ReadTimeout
            raise missed(str(outcome.error), request=request) from outcome.error
        raise outcome.error

    async def _attempt(self, request: httpx2.Request, turn: Turn) -> Attempted[httpx2.Response]:
        """Send once, read the whole reply and judge it; what came of it is told to whoever limits and counts."""
        reply: Reply | None = None
        attempted: Attempted[httpx2.Response] = _BROKEN_OFF
        try:
            response, content = await self._send(request, turn)
            reply = _as_reply(response, content)
            attempted = attempted_reply(reply, url=str(request.url), value=_whole(response, content))
        except Exception as error:  # noqa: BLE001  every error has a verdict, and the last is raised again
            attempted = attempted_error(error)
        finally:
            if turn.slot is not None:
                turn.slot.settle(attempted.verdict, reply, attempted.retry_after_seconds)
            turn.end(self._passage)
            if self._tab is not None:
                turn.pay(self._tab, reply, attempted.verdict.kind)
        return attempted if turn.sent else replace(attempted, replayed=True)

    async def _send(self, request: httpx2.Request, turn: Turn) -> tuple[httpx2.Response, bytes]:
        token = current_turn.set(turn)
        try:
            response = await super().handle_async_request(request)
            return response, b"".join([part async for part in response.aiter_raw()])
        finally:
            current_turn.reset(token)


def _model_in(body: bytes) -> str:
    """Return the model that a body asks; nothing where it asks none, as a list of models does."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    model = document.get("model") if isinstance(document, dict) else None
    return model if isinstance(model, str) else ""


def _whole(response: httpx2.Response, content: bytes) -> httpx2.Response:
    """Return the response with its body, still encoded, ready to be read again."""
    return httpx2.Response(
        response.status_code,
        headers=response.headers,
        stream=httpx2.ByteStream(content),
        extensions=response.extensions,
    )


def _as_reply(response: httpx2.Response, content: bytes) -> Reply:
    """Return what the rules look at. Raises httpx2.DecodingError for a body that is not encoded as it says."""
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in response.headers.multi_items():
        headers[name.lower()] = (*headers.get(name.lower(), ()), value)
    decoded = httpx2.Response(response.status_code, headers=response.headers, content=content).content
    return Reply(response.status_code, response.reason_phrase, headers, decoded)
