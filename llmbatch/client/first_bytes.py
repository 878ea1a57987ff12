"""Ends the replies of a route whose first byte is late, by one timer for all of them: one each costs microseconds."""

from __future__ import annotations

import asyncio

from aiohttp.client_proto import ResponseHandler

from llmbatch.config import Timeouts
from llmbatch.policy.timeouts import NoFirstByteInTime

LOOKS_WITHIN = 10
LEAST_SECONDS, MOST_SECONDS = 0.02, 1.0


class FirstBytes:
    """The connections that wait for the first byte of a reply. One whose time is over is ended by the next look."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._look_seconds = min(MOST_SECONDS, max(LEAST_SECONDS, timeouts.first_byte / LOOKS_WITHIN))
        self._since: dict[ResponseHandler, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, waiting: ResponseHandler) -> None:
        """Hear that a request has been sent."""
        loop = asyncio.get_running_loop()
        self._since[waiting] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._look_seconds, self._look, loop)

    def end(self, waiting: ResponseHandler) -> None:
        """Hear that the wait is over, whatever ended it."""
        self._since.pop(waiting, None)

    def close(self) -> None:
        """Look no further."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        begun_before = loop.time() - self._timeouts.first_byte
        for waiting, since in list(self._since.items()):
            if since > begun_before:
                break  # they stand in the order in which they were begun
            del self._since[waiting]
            waiting.set_exception(NoFirstByteInTime(self._timeouts))
        self._timer = loop.call_later(self._look_seconds, self._look, loop) if self._since else None
