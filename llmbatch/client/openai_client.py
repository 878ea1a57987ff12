"""The `client` of a task: the official SDK, its own retries off, ours below it.

The transport is httpx2's own class, so that vcrpy's patch of that class records and replays what passes. A
replayed request takes no slot and waits for nothing: the gate stands where the connection pool is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import httpx2
import openai

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Reply
from llmbatch.cassette.recording.canary import CANARY_HOST, Canary
from llmbatch.client.gate import Gate
from llmbatch.client.pacer import Pacer
from llmbatch.client.pool_in_time import send_in_time
from llmbatch.client.proxy import proxy_of
from llmbatch.client.retry import Attempted, RetrySettings, attempted_error, attempted_reply, with_retries
from llmbatch.config import ResolvedModel, Timeouts
from llmbatch.errors import InternalError
from llmbatch.money.tab import Tab
from llmbatch.policy import Verdict
from llmbatch.policy.timeouts import NoConnectionInTime, NotInTime

_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=1000)  # the gate is the limit


class Line(Protocol):
    """Where attempts wait until the service may be called."""

    @property
    def is_closed(self) -> bool:
        """Whether nobody may pass for now, even one who has entered."""
        ...

    async def enter(self) -> None:
        """Wait for one's turn."""
        ...

    def leave(self) -> None:
        """End one's turn."""
        ...


def build_client(
    resolved: ResolvedModel,
    gate: Gate,
    settings: RetrySettings | None = None,
    pacer: Pacer | None = None,
    *,
    passage: Line | None = None,
    tab: Tab | None = None,
    before_send: Callable[[], None] = lambda: None,
    on_unintercepted: Callable[[InternalError], None] | None = None,
) -> openai.AsyncOpenAI:
    """Return an SDK client for the model's endpoint whose attempts pass the gate and follow our policy.

    Organisation and project of the environment are not sent. The caller closes it. Without a key the client
    has a placeholder, so that a replay needs none. Attempts are paid from `tab` and go through `passage`; `before_send`
    raises where nothing further may be sent.

    With `on_unintercepted`, the client proves by a canary before its first request that a recorder sees what it
    sends; where none does, that is told the error, and every call raises it.
    """
    endpoint = resolved.endpoint
    transport = GatedTransport(
        gate,
        settings or RetrySettings(),
        pacer or Pacer(),
        before_send,
        passage=passage,
        tab=tab,
        timeouts=endpoint.timeouts,
        proxy=proxy_of(endpoint.base_url),
    )
    if on_unintercepted is not None:
        transport.prove_by_canary(f"`client` of {endpoint.name} (httpx2 {httpx2.__version__})", on_unintercepted)
    client = openai.AsyncOpenAI(
        api_key=resolved.key.reveal() if resolved.key is not None else "none",
        base_url=endpoint.base_url,
        default_headers=dict(endpoint.headers),
        max_retries=0,
        timeout=httpx2.Timeout(endpoint.timeout_seconds, connect=endpoint.connect_timeout_seconds, pool=None),
        http_client=openai.DefaultAsyncHttpxClient(transport=transport, follow_redirects=False),
    )
    client.organization = None
    client.project = None
    return client


@dataclass
class _Slot:
    """Whether this attempt has its turn at the service, whether it has passed the gate, and whether it was sent.

    `reserved_usd` is what is reserved for it, None where nothing is.
    """

    body: bytes
    entered: bool = False
    taken: bool = False
    sent: bool = False
    reserved_usd: float | None = None


_BROKEN_OFF: Attempted[Any] = Attempted(Verdict(kind=FailureKind.TIMEOUT))
"""What a cancelled attempt counts as: it may have been billed."""

_slot: ContextVar[_Slot] = ContextVar("llmbatch_slot")


class GatedTransport(httpx2.AsyncHTTPTransport):
    """httpx2's transport with a gate slot an attempt and our retries; raises what the last attempt raised."""

    def __init__(
        self,
        gate: Gate,
        settings: RetrySettings,
        pacer: Pacer,
        before_send: Callable[[], None],
        *,
        passage: Line | None = None,
        tab: Tab | None = None,
        timeouts: Timeouts,
        proxy: str | None = None,
    ) -> None:
        super().__init__(limits=_LIMITS, trust_env=True, proxy=proxy)
        self._gate = gate
        self._passage = passage
        self._tab = tab
        self._settings = settings
        self._pool: Any = _GatedPool(self._pool, gate, pacer, before_send, passage=passage, tab=tab, timeouts=timeouts)

    def prove_by_canary(self, name: str, on_failure: Callable[[InternalError], None]) -> None:
        """Send a canary through this transport before its first request."""

        def send(url: str) -> Awaitable[object]:
            return super(GatedTransport, self).handle_async_request(httpx2.Request("GET", url))

        self._pool.canary = Canary(name, send, on_failure)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()

        async def attempt(number: int) -> Attempted[httpx2.Response]:
            request.stream = httpx2.ByteStream(body)
            slot = _Slot(body)
            attempted, received = _BROKEN_OFF, None
            try:
                response, content = await self._attempt(request, slot)
                reply = _as_reply(response, content)
                received = reply.body
                attempted = attempted_reply(reply, url=str(request.url), value=_whole(response, content))
            except Exception as error:  # noqa: BLE001  every error has a verdict, and the last is raised again
                attempted = attempted_error(error)
            finally:
                self._settle(slot, received, attempted.verdict.kind)
            return attempted

        outcome = await with_retries(attempt, self._settings)
        if outcome.value is not None:
            return outcome.value
        assert outcome.error is not None
        if isinstance(outcome.error, NotInTime):
            missed = httpx2.ConnectTimeout if isinstance(outcome.error, NoConnectionInTime) else httpx2.ReadTimeout
            raise missed(str(outcome.error), request=request) from outcome.error
        raise outcome.error

    def _settle(self, slot: _Slot, received: bytes | None, kind: FailureKind | None) -> None:
        """Count what an attempt cost, if it was more than a replay."""
        if self._tab is None or slot.reserved_usd is None:
            return
        if slot.sent:
            self._tab.settle(slot.body, slot.reserved_usd, received=received, kind=kind)
        else:
            self._tab.release(slot.reserved_usd)

    async def _attempt(self, request: httpx2.Request, slot: _Slot) -> tuple[httpx2.Response, bytes]:
        """Send once and read the whole reply, holding the slot that sending took until then."""
        token = _slot.set(slot)
        try:
            response = await super().handle_async_request(request)
            content = b"".join([part async for part in response.aiter_raw()])
        finally:
            _slot.reset(token)
            if slot.taken:
                self._gate.release()
            if slot.entered and self._passage is not None:
                self._passage.leave()
        return response, content


class _GatedPool:
    """The connection pool behind the gate: asked only when something is really sent."""

    def __init__(
        self,
        pool: Any,
        gate: Gate,
        pacer: Pacer,
        before_send: Callable[[], None],
        *,
        passage: Line | None,
        tab: Tab | None,
        timeouts: Timeouts,
    ) -> None:
        self._pool = pool
        self._gate = gate
        self._pacer = pacer
        self._before_send = before_send
        self._passage = passage
        self._tab = tab
        self._timeouts = timeouts
        self.canary: Canary | None = None

    async def handle_async_request(self, request: Any) -> Any:
        if self.canary is not None:
            if request.url.host == CANARY_HOST.encode():
                raise ConnectionRefusedError("it came as far as the connection pool")
            await self.canary.prove()
        slot = _slot.get()
        if self._tab is not None:
            slot.reserved_usd = await self._tab.reserve(slot.body)  # None has ended the run
        await self._take_turn(slot)
        self._before_send()
        slot.sent = True
        return await send_in_time(self._pool, request, self._timeouts)

    async def _take_turn(self, slot: _Slot) -> None:
        """Wait for the service, the pace and a slot, until all three are had at once."""
        while True:
            if self._passage is not None:
                await self._passage.enter()
                slot.entered = True
            await self._pacer.wait()
            await self._gate.acquire()
            slot.taken = True
            if self._passage is None or not self._passage.is_closed:
                return
            self._gate.release()
            self._passage.leave()
            slot.taken = slot.entered = False

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def __aenter__(self) -> _GatedPool:
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.__aexit__(kind, error, trace)


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
