"""The requests to a service: its list of models, which costs nothing, and one small call. Sends them unrecorded."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import aiohttp
import orjson

from llmbatch.call.values import Reply
from llmbatch.capability.reading import refused_parameter, refuses
from llmbatch.doctor.service.reaching import tls_problem
from llmbatch.doctor.service.subject import Subject

WAIT_SECONDS = 30.0
CALL_TOKENS = 16
LARGEST_BYTES = 16 * 1024 * 1024


class Unanswered(Exception):
    """No HTTP reply came; `said` is what happened and `fix` how to put it right."""

    def __init__(self, said: str, fix: str) -> None:
        super().__init__(said)
        self.said = said
        self.fix = fix


class Asking:
    """Sends requests as a run would: same proxy, same headers, no redirect followed. An async context manager."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    async def __aenter__(self) -> Asking:
        timeout = aiohttp.ClientTimeout(total=WAIT_SECONDS)
        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "llmbatch"}
        self._session = aiohttp.ClientSession(timeout=timeout, headers=headers, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def models(self, base_url: str) -> Reply:
        """Ask for the list of models. Raises Unanswered."""
        return await self._send("GET", self._subject.endpoint.with_query(f"{base_url}/models"), None)

    async def call(self) -> Reply:
        """Make the smallest call to the subject's model, its limit under the name that is taken. Raises Unanswered."""
        model = self._subject.model
        body: dict[str, Any] = {
            "model": model.name,
            "messages": [{"role": "user", "content": "Say ok."}],
            **model.defaults,
        }
        limit = "max_completion_tokens" if "max_completion_tokens" in body else "max_tokens"
        reply = await self.put(orjson.dumps({**body, limit: CALL_TOKENS}))
        if refuses(reply) and refused_parameter(reply, ["max_tokens"]) == limit:
            reply = await self.put(orjson.dumps({**body, "max_completion_tokens": CALL_TOKENS}))
        return reply

    async def put(self, body: bytes) -> Reply:
        """Put a question to the subject's model. Raises Unanswered."""
        return await self._send("POST", self._subject.model.chat_url, body)

    async def _send(self, method: str, url: str, body: bytes | None) -> Reply:
        started = time.perf_counter_ns()
        headers = self._subject.model.wire_headers()
        proxy = self._subject.proxy.url if self._subject.proxy else None
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, proxy=proxy, allow_redirects=False
            ) as response:
                payload = await _read(response)
                received = {name.lower(): tuple(response.headers.getall(name)) for name in response.headers}
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise _unanswered(error, url) from error
        taken_us = (time.perf_counter_ns() - started) // 1000
        return Reply(response.status, response.reason or "", received, payload, taken_us=taken_us)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the body, and no more of it than any honest answer has."""
    body = b""
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > LARGEST_BYTES:
            break
    return body


def _unanswered(error: BaseException, url: str) -> Unanswered:
    where = url.partition("://")[2].partition("/")[0]
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return proxy_refused(error.status, error.message)
    cause = error.__cause__ or error
    if isinstance(error, aiohttp.ClientSSLError) or isinstance(cause, ssl.SSLError):
        return Unanswered(*tls_problem(getattr(error, "certificate_error", cause), where))
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return Unanswered("the proxy takes no connection", "correct the proxy in the environment, or set NO_PROXY")
    if isinstance(error, aiohttp.ClientResponseError) or "HttpProcessing" in type(error).__name__:
        return Unanswered(
            f"{where} answers, and not in HTTP: {getattr(error, 'message', error)}",
            "check host and port: another kind of server listens there",
        )
    if isinstance(error, TimeoutError):
        return Unanswered(f"{where} does not answer within {WAIT_SECONDS:.0f} s", "look at the server, or try again")
    said = str(error) or type(error).__name__
    return Unanswered(
        f"{where} ends the connection: {said}", "check host and port (https or http?), and the server's log"
    )


def proxy_refused(status: int, reason: str) -> Unanswered:
    """Return what a proxy says in the place of the service."""
    if status == 407:
        return Unanswered(
            "the proxy asks for a user and a password (407)",
            "write them into it: HTTPS_PROXY=http://user:password@host:port, or name the service's host in NO_PROXY",
        )
    return Unanswered(f"the proxy refuses to connect: {status} {reason}", "ask who runs it, or set NO_PROXY")


def limits_of(headers: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the rate limits that a reply tells of, by the rest of their header's name."""
    prefix = "x-ratelimit-limit-"
    return {name.removeprefix(prefix): values[0] for name, values in headers.items() if name.startswith(prefix)}
