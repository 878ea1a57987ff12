"""The connection pool of the SDK's transport behind the pace: asked only when something is really sent."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Reply
from llmbatch.cassette.recording.canary import CANARY_HOST, Canary
from llmbatch.client.pool_in_time import send_in_time
from llmbatch.config import Endpoint
from llmbatch.money.tab import Tab
from llmbatch.pacing import Pacing, Slot


class Passage(Protocol):
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


@dataclass
class Turn:
    """One attempt: whether it has its turn at the service, its slot while it has one, and whether it was sent.

    `model` is the one that the body asks; `reserved_usd` is what is reserved for it, None where nothing is.
    """

    body: bytes
    model: str
    number: int = 0
    entered: bool = False
    slot: Slot | None = None
    sent: bool = False
    reserved_usd: float | None = None

    def end(self, passage: Passage | None) -> None:
        """Give back what it has."""
        if self.slot is not None:
            self.slot.release()
        if self.entered and passage is not None:
            passage.leave()
        self.slot, self.entered = None, False

    def pay(self, tab: Tab, reply: Reply | None, kind: FailureKind | None) -> None:
        """Count what the attempt cost, if it was more than a replay."""
        if self.reserved_usd is None:
            return
        if self.sent:
            received = None if reply is None else reply.body
            tab.settle(self.body, self.reserved_usd, received=received, kind=kind, number=self.number)
        else:
            tab.release(self.reserved_usd)


current_turn: ContextVar[Turn] = ContextVar("llmbatch_turn")


class PacedPool:
    """Stands before a pool of httpcore's and takes a slot for the turn that is `current_turn`."""

    def __init__(
        self,
        pool: Any,
        endpoint: Endpoint,
        pacing: Pacing,
        before_send: Callable[[], None],
        *,
        passage: Passage | None,
        tab: Tab | None,
    ) -> None:
        self._pool = pool
        self._endpoint = endpoint
        self._timeouts = endpoint.timeouts
        self._pacing = pacing
        self._before_send = before_send
        self._passage = passage
        self._tab = tab
        self.canary: Canary | None = None

    async def handle_async_request(self, request: Any) -> Any:
        if self.canary is not None:
            if request.url.host == CANARY_HOST.encode():
                raise ConnectionRefusedError("it came as far as the connection pool")
            await self.canary.prove()
        turn = current_turn.get()
        if self._tab is not None:
            turn.reserved_usd = await self._tab.reserve(turn.body)  # None has ended the run
        await self._take(turn)
        self._before_send()
        turn.sent = True
        return await send_in_time(self._pool, request, self._timeouts)

    async def _take(self, turn: Turn) -> None:
        """Wait for the service, the pace and a slot, until all three are had at once."""
        while True:
            if self._passage is not None:
                await self._passage.enter()
                turn.entered = True
            turn.slot = await self._pacing.admit(self._endpoint, turn.model, turn.body, again=turn.number > 0)
            if self._passage is None or not self._passage.is_closed:
                return
            turn.end(self._passage)

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def __aenter__(self) -> PacedPool:
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.__aexit__(kind, error, trace)
