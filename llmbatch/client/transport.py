"""The lean live path: exact bytes out, the whole reply in, over one connection pool.

Runs under vcrpy's patch of aiohttp, which records what passes. Knows no retry, no gate and no case.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType

import aiohttp

from llmbatch.call.values import Reply
from llmbatch.client.proxy import proxy_of

LARGEST_REPLY_BYTES = 64 * 1024 * 1024
LIBRARY = f"aiohttp {aiohttp.__version__}"


class ReplyTooLarge(Exception):
    """A reply went over the limit; nothing of it is kept. The rules for exceptions know it by its name."""


class _CappedResponse(aiohttp.ClientResponse):
    """A response whose `read` stops at the limit, counted after decompression. vcrpy reads by `read` too."""

    async def read(self) -> bytes:
        if self._body is None:
            try:
                self._body = await self._read_capped()
            except BaseException:
                self.close()
                raise
        return await super().read()

    async def _read_capped(self) -> bytes:
        chunks: list[bytes] = []
        room = LARGEST_REPLY_BYTES
        async for chunk in self.content.iter_any():
            room -= len(chunk)
            if room < 0:
                msg = f"the reply is larger than {LARGEST_REPLY_BYTES:,} bytes"
                raise ReplyTooLarge(msg)
            chunks.append(chunk)
        return b"".join(chunks)


class Transport:
    """Sends bodies to model APIs. An async context manager; the session is opened by the first `post`.

    Proxies come from the environment, cookies are neither kept nor sent, redirects are not followed: an
    authorization header never reaches another host.
    """

    def __init__(self, *, timeout_seconds: float = 600.0, connect_timeout_seconds: float = 10.0) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=connect_timeout_seconds)
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[str, str | None] = {}

    async def __aenter__(self) -> Transport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; a later `post` opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout_seconds: float | None = None,
        connect_timeout_seconds: float | None = None,
    ) -> Reply:
        """Send exactly these bytes and return the whole reply, decompressed.

        `timeout_seconds` is the time for all of it, so that keep-alives cannot stretch it. Raises aiohttp's
        errors, TimeoutError, and ReplyTooLarge.
        """
        timeout = self._timeout
        if timeout_seconds is not None or connect_timeout_seconds is not None:
            timeout = aiohttp.ClientTimeout(
                total=timeout_seconds or timeout.total,
                sock_connect=connect_timeout_seconds or timeout.sock_connect,
            )
        if url not in self._proxies:
            self._proxies[url] = proxy_of(url)
        started_ns = time.perf_counter_ns()
        async with self._open().post(
            url, data=body, headers=headers, timeout=timeout, proxy=self._proxies[url], allow_redirects=False
        ) as response:
            payload = await response.read()
            taken_us = (time.perf_counter_ns() - started_ns) // 1000
            received: dict[str, tuple[str, ...]] = {}
            for name, value in response.headers.items():
                received[name.lower()] = (*received.get(name.lower(), ()), value)
            now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            return Reply(response.status, response.reason or "", received, payload, now, taken_us)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # replies are small: unpacking them costs a call more than their bytes do, and can hide a bomb
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "llmbatch"},
                response_class=_CappedResponse,
                trust_env=False,  # would read the environment at every call
            )
        return self._session
