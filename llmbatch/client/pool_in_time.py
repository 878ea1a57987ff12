"""The split time-outs for httpx2, which itself knows none for the first byte and none for a whole reply.

Stands where httpx2 asks its connection pool, and so within what a recorder brackets: a reply that is late is filed
as a failed attempt with the same words as one of `ask`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpcore2

from llmbatch.config import Timeouts
from llmbatch.policy.timeouts import NoConnectionInTime, NoFirstByteInTime, NoNextByteInTime, NoWholeReplyInTime


async def send_in_time(pool: Any, request: Any, timeouts: Timeouts) -> Any:
    """Hand the request to the pool and return its response, whose body is held to the time-outs as well.

    Raises the errors of policy.timeouts. Time-outs that an author gives a call of the SDK count beside these.
    """
    ends_at = asyncio.get_running_loop().time() + timeouts.total
    try:
        async with asyncio.timeout(min(timeouts.first_byte, timeouts.total)):
            response = await pool.handle_async_request(request)
    except TimeoutError:
        raise _first_missed(timeouts) from None
    except httpcore2.ConnectTimeout as error:
        if request.extensions.get("timeout", {}).get("connect") != timeouts.connect:
            raise  # an author's own
        raise NoConnectionInTime(timeouts) from error
    response.stream = _StreamInTime(response.stream, timeouts, ends_at)
    return response


def _first_missed(timeouts: Timeouts) -> TimeoutError:
    return NoFirstByteInTime(timeouts) if timeouts.first_byte < timeouts.total else NoWholeReplyInTime(timeouts)


class _StreamInTime:
    """A body whose every part must come before the idle time is over, and its last before all of the time is."""

    def __init__(self, stream: Any, timeouts: Timeouts, ends_at: float) -> None:
        self._stream = stream
        self._timeouts = timeouts
        self._ends_at = ends_at

    async def __aiter__(self) -> AsyncIterator[bytes]:
        time, parts = asyncio.get_running_loop().time, aiter(self._stream)
        while True:
            idle_until = time() + self._timeouts.idle
            try:
                async with asyncio.timeout_at(min(idle_until, self._ends_at)):
                    part = await anext(parts)
            except StopAsyncIteration:
                return
            except TimeoutError:
                missed = NoNextByteInTime if idle_until < self._ends_at else NoWholeReplyInTime
                raise missed(self._timeouts) from None
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
