"""The lean live path: exact bytes out, the whole reply in, over one connection pool.

Runs under vcrpy's patch of aiohttp, which records what passes. Knows no retry, no gate and no case.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from llmbatch.call.values import Reply, instant_text
from llmbatch.client.first_bytes import FirstBytes
from llmbatch.client.proxy import proxy_of
from llmbatch.config import DEFAULT_TIMEOUTS, Timeouts
from llmbatch.policy.timeouts import (
    NoConnectionInTime,
    NoNextByteInTime,
    NotInTime,
    NoWholeReplyInTime,
)

LARGEST_REPLY_BYTES = 64 * 1024 * 1024
LIBRARY = f"aiohttp {aiohttp.__version__}"
# replies are small: unpacking them costs a call more than their bytes do, and can hide a bomb
_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "llmbatch"}


class ReplyTooLarge(Exception):
    """A reply went over the limit; nothing of it is kept. The rules for exceptions know it by its name."""


class _HeldResponse(aiohttp.ClientResponse):
    """A response whose `read` stops at the limit, counted after decompression, and keeps to the time between two bytes.

    vcrpy reads by `read` too.
    """

    timeouts: Timeouts
    first_bytes: FirstBytes

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        protocol = connection.protocol
        assert protocol is not None
        self.first_bytes.begin(protocol)
        try:
            started = await super().start(connection)
        finally:
            self.first_bytes.end(protocol)
        if not self.content.is_eof():  # a reply that is here whole needs no timer
            protocol.read_timeout = self.timeouts.idle
            protocol.start_timeout()
        return started

    async def read(self) -> bytes:
        if self._body is None:
            try:
                self._body = await self._read_capped()
            except BaseException:
                self.close()
                raise
        return await super().read()

    async def _read_capped(self) -> bytes:
        if self.content.is_eof() and self.content.total_bytes <= LARGEST_REPLY_BYTES:
            return self.content.read_nowait()  # it is all here, as that of most is
        chunks: list[bytes] = []
        room = LARGEST_REPLY_BYTES
        try:
            async for chunk in self.content.iter_any():
                room -= len(chunk)
                if room < 0:
                    msg = f"the reply is larger than {LARGEST_REPLY_BYTES:,} bytes"
                    raise ReplyTooLarge(msg)
                chunks.append(chunk)
        except aiohttp.SocketTimeoutError as error:  # vcrpy would take it for a reply without a body
            raise NoNextByteInTime(self.timeouts) from error
        return b"".join(chunks)


class Route:
    """Where requests go, and all that they carry but their bodies: worked out once for many, by `Transport.route`."""

    __slots__ = ("_first_bytes", "_session", "_timeouts", "_url")

    def __init__(self, session: aiohttp.ClientSession, url: str, timeouts: Timeouts, first_bytes: FirstBytes) -> None:
        self._session = session
        self._url = URL(url)
        self._timeouts = timeouts
        self._first_bytes = first_bytes

    async def send(self, body: bytes) -> tuple[aiohttp.ClientResponse, bytes]:
        """Send exactly these bytes and return the response and its whole body, decompressed.

        Raises aiohttp's errors, those of policy.timeouts, and ReplyTooLarge.
        """
        try:
            response = await self._session.post(self._url, data=body, allow_redirects=False)
            # to its end, which gives the connection back; an error has closed it
            return response, await response.read()
        except TimeoutError as error:
            raise _not_in_time(error, self._timeouts) from error

    async def close(self) -> None:
        """End the use of the connections; they stay open for other routes."""
        self._first_bytes.close()
        await self._session.close()


def _not_in_time(error: TimeoutError, timeouts: Timeouts) -> NotInTime:
    """Say which step it was whose time is over."""
    match error:
        case NotInTime():
            return error
        case aiohttp.ConnectionTimeoutError():
            return NoConnectionInTime(timeouts)
    return NoWholeReplyInTime(timeouts)


class Transport:
    """Sends bodies to model APIs. An async context manager; connections are opened by the first request.

    Proxies come from the environment, cookies are neither kept nor sent, redirects are not followed: an
    authorization header never reaches another host.
    """

    def __init__(self) -> None:
        self._connector: aiohttp.TCPConnector | None = None
        self._routes: dict[tuple[object, ...], Route] = {}

    async def __aenter__(self) -> Transport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; a route that is asked for later opens new ones."""
        routes, self._routes = self._routes, {}
        for route in routes.values():
            await route.close()
        connector, self._connector = self._connector, None
        if connector is not None:
            await connector.close()

    def route(self, url: str, headers: Mapping[str, str], timeouts: Timeouts = DEFAULT_TIMEOUTS) -> Route:
        """Return the way to a URL, the same for equal arguments. It is of use until `close`."""
        key = (url, tuple(headers.items()), timeouts)
        known = self._routes.get(key)
        if known is None:
            first_bytes = FirstBytes(timeouts)
            session = aiohttp.ClientSession(
                connector=self._open(),
                connector_owner=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={**_HEADERS, **headers},
                response_class=type("_Response", (_HeldResponse,), {"timeouts": timeouts, "first_bytes": first_bytes}),
                timeout=aiohttp.ClientTimeout(total=timeouts.total, sock_connect=timeouts.connect),
                proxy=proxy_of(url),
                trust_env=False,  # would read the environment at every call
            )
            known = self._routes[key] = Route(session, url, timeouts, first_bytes)
        return known

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], timeouts: Timeouts = DEFAULT_TIMEOUTS
    ) -> Reply:
        """Send exactly these bytes over the route of the other arguments and return the whole reply."""
        route = self.route(url, headers, timeouts)
        started_ns = time.perf_counter_ns()
        response, payload = await route.send(body)
        taken_us = (time.perf_counter_ns() - started_ns) // 1000
        received: dict[str, tuple[str, ...]] = {}
        for name, value in response.headers.items():
            received[name.lower()] = (*received.get(name.lower(), ()), value)
        return Reply(
            response.status, response.reason or "", received, payload, instant_text(datetime.now(UTC)), taken_us
        )

    def _open(self) -> aiohttp.TCPConnector:
        if self._connector is None:
            self._connector = aiohttp.TCPConnector(limit=0, limit_per_host=0)
        return self._connector
