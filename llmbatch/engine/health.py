"""What is known of a service beyond one call: whether it was ever reached, whether it fails or refuses for good.

Knows no HTTP library. The end of a run that no further call can help is brought about here, for `ask` and for
`client` alike. The rules are in breaker.py; here is who waits, who is told, and what is said.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Protocol

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Reply
from llmbatch.client.proxy import find_proxy
from llmbatch.client.retry import Attempted
from llmbatch.config import ResolvedModel
from llmbatch.engine.breaker import RECHECK_SECONDS, Breaker, State
from llmbatch.engine.refusals import service_error
from llmbatch.errors import LlmbatchError, ServiceError
from llmbatch.runlog import Log, NoLog

LOOK_SECONDS = 0.25
"""How soon those who wait for a service notice that the run has ended."""


class Halt(Protocol):
    """What may be known of the run's end: whether it has come, and how to bring it about."""

    @property
    def requested(self) -> bool:
        """Whether nothing further may be sent."""
        ...

    def by_service(self, error: ServiceError) -> None:
        """End the run because the service refuses in a way that no further call can help."""
        ...

    def by_error(self, error: LlmbatchError) -> None:
        """End the run because of an error that concerns more than one case."""
        ...

    async def sleep(self, seconds: float) -> bool:
        """Sleep, or until the end has come; return whether it has."""
        ...


class Passage:
    """Where the attempts at one model pass: at once as a rule, in line while its breaker holds them back.

    An async context manager around one attempt. It lets everybody through once the run has ended.
    """

    def __init__(
        self, breaker: Breaker, halt: Halt, clock: Callable[[], float], on_change: Callable[[], None] = lambda: None
    ) -> None:
        self.breaker = breaker
        self.in_flight = 0
        self._halt = halt
        self._clock = clock
        self._on_change = on_change
        self._line: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_closed(self) -> bool:
        """Whether nobody may pass for now, even one who has entered."""
        return self.breaker.state is State.PAUSED

    async def enter(self) -> None:
        """Wait until an attempt may be made, in the order of asking, and count it."""
        if self._is_open:
            self.in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        self.tell()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # it had been let in before the cancellation arrived
            raise

    def leave(self) -> None:
        """Count an attempt that has ended; who waits is told by the review of what it came to."""
        self.in_flight -= 1

    async def __aenter__(self) -> None:
        await self.enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def tell(self) -> None:
        """Let in who may start now, and look again when more may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._line and self._may_start():
            turn = self._line.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)
        if self._line:
            seconds = min(LOOK_SECONDS, self.breaker.seconds_until_more(self._clock()))
            self._timer = asyncio.get_running_loop().call_later(seconds, self.tell)

    @property
    def _is_open(self) -> bool:
        return self.breaker.state is State.FLOWING or self._halt.requested

    def _may_start(self) -> bool:
        if self._is_open:
            return True
        before = self.breaker.state
        may_start = self.breaker.may_start(self.in_flight, self._clock())
        if self.breaker.state is not before:
            self._on_change()
        return may_start


class Health:
    """Reviews every attempt of a run. One for all services, each of which is an endpoint with a model."""

    def __init__(
        self,
        halt: Halt,
        log: Log | None = None,
        clock: Callable[[], float] = time.monotonic,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._halt = halt
        self._note = note
        self._log = log or NoLog()
        self._clock = clock
        self._passages: dict[tuple[str, str], Passage] = {}

    def passage(self, model: ResolvedModel) -> Passage:
        """Return where attempts at the model pass."""
        key = (model.endpoint.name, model.name)
        passage = self._passages.get(key)
        if passage is None:
            breaker = Breaker(self._clock())
            told = partial(self._tell_of, model, breaker)
            passage = self._passages[key] = Passage(breaker, self._halt, self._clock, told)
            proxy = find_proxy(model.endpoint.base_url)
            if proxy is not None:
                self._note(f"{model.endpoint.name} is reached through the proxy {proxy.shown}")
        return passage

    def review(self, model: ResolvedModel, attempted: Attempted[Any]) -> Attempted[Any]:
        """Return the attempt with the last word on what follows from it; ends the run where that is a stop."""
        passage = self.passage(model)
        breaker = passage.breaker
        before, answered_before = breaker.state, breaker.has_answered
        verdict = breaker.judge(attempted.verdict, self._clock())
        if verdict is not attempted.verdict:
            is_recheck = verdict.kind is FailureKind.AUTH and not verdict.stop
            asked = RECHECK_SECONDS if is_recheck else attempted.retry_after_seconds
            attempted = replace(attempted, verdict=verdict, retry_after_seconds=asked)
        if verdict.stop:
            self._halt.by_service(service_error(model, verdict))
        if breaker.state is not before:
            self._tell_of(model, breaker, is_first=not answered_before)
            if not answered_before:
                self._look_at_type(model, attempted.value)
        if breaker.state is not State.FLOWING or breaker.state is not before or verdict.stop:
            passage.tell()
        return attempted

    def review_probe(self, model: ResolvedModel, attempted: Attempted[Any]) -> Attempted[Any]:
        """Return an attempt at a question of a probe as reviewed.

        That a service which has answered finds nobody for a question (a 404) concerns that question alone, and one that
        it is silent on is not put again.
        """
        verdict = attempted.verdict
        if verdict.kind in {FailureKind.TIMEOUT, FailureKind.MODEL_NOT_FOUND}:
            attempted = replace(attempted, verdict=verdict._replace(stop=False, retry="no"))
        return self.review(model, attempted)

    def _tell_of(self, model: ResolvedModel, breaker: Breaker, *, is_first: bool = False) -> None:
        endpoint, name, why = model.endpoint.name, model.name, breaker.why
        if is_first and breaker.state is State.FLOWING:
            self._log.write("first_answer", endpoint=endpoint, model=name, ok=True, why=why)
        else:
            self._log.write("breaker", endpoint=endpoint, model=name, state=str(breaker.state), why=why)

    def _look_at_type(self, model: ResolvedModel, reply: object) -> None:
        """Say once that a service calls its JSON something else: many a proxy in between does."""
        said = reply.header("content-type") if isinstance(reply, Reply) else "json"
        if said is None or not ("json" in said or "event-stream" in said):
            self._note(f"{model.endpoint.name} calls its answers {said or 'nothing'}, and they are JSON: taken as such")
