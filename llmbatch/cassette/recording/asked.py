"""The requests of `ask` on their way through vcrpy's stub for aiohttp: what is known of one is not worked out again.

They take the same way as all others: the patched method of aiohttp, vcrpy's stub, the one cassette. What is left out
is what vcrpy and the recorder do to find out what a request is, which here its exchange says. Knows no store and no
transport.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import ParseResult, urlparse

from aiohttp import DummyCookieJar
from vcr.request import Request

from llmbatch.cassette.case import Exchange, current_exchange
from llmbatch.cassette.recording.wire import Sent


class AskedRequest(Request):  # type: ignore[misc]
    """A vcrpy request whose call is known. Its headers are as the stub gives them, its URL is parsed when read."""

    def __init__(self, method: str, uri: str, body: bytes, headers: Mapping[str, Any], sent: Sent) -> None:
        self.method = method
        self._uri = uri
        self._body = body
        self._was_file = self._was_iter = False
        self._headers = headers
        self.llmbatch_sent = sent

    @property
    def parsed_uri(self) -> ParseResult:
        return urlparse(self._uri)


def asked_exchange(body: object) -> Exchange | None:
    """Return the exchange under way if this very object is the body it sends."""
    exchange = current_exchange.get()
    return exchange if exchange is not None and body is not None and body is exchange.wire else None


def request_of(begin: Callable[[Exchange], Sent]) -> Callable[..., Any]:
    """Return what takes the place of vcrpy's `Request` in its stub; `begin` notes that an exchange is sent."""

    def request(method: str, uri: str, body: Any, headers: Mapping[str, Any]) -> Any:
        exchange = asked_exchange(body)
        if exchange is None:
            return Request(method, uri, body, headers)
        return AskedRequest(method, uri, body, headers, begin(exchange))

    return request


def cookie_header_of(build: Callable[..., str | None]) -> Callable[..., str | None]:
    """Wrap the stub's own: of a session that keeps no cookies, a request that has none gets none."""

    def cookie_header(session: Any, cookies: Any, header: str | None, url: Any) -> str | None:
        if cookies is None and header is None and type(session.cookie_jar) is DummyCookieJar:
            return None
        return build(session, cookies, header, url)

    return cookie_header


async def record(cassette: Any, request: AskedRequest, response: Any) -> None:
    """Record the live response to a request of `ask`, once all of it is there, as it came."""
    body: bytes = await response.read()
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in response.headers.items():
        lower = name.lower()
        headers[lower] = (*headers[lower], value) if lower in headers else (value,)
    cassette.append_asked(request.llmbatch_sent, response.status, response.reason or "", headers, body)
