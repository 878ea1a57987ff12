"""aiohttp under vcrpy: the request as it goes over the wire, and the response as it was stored.

vcrpy's stub sees what the caller wrote: a relative URL under a session's `base_url`, a `json=` value without
a content type, a form. Two of these may be one text and two requests, so they are turned into URL and bytes
first. And it takes every request behind a redirect for one without a body: what was posted there would be one call
whatever its body, and be looked up as a GET. Knows no store and no case.
"""

# ruff: noqa: SLF001 - aiohttp has no public way to complete a request without sending it

from __future__ import annotations

import functools
from collections.abc import AsyncIterable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from aiohttp import FormData, TooManyRedirects, hdrs, payload
from vcr.request import Request
from vcr.stubs import aiohttp_stubs
from yarl import URL

from llmbatch.cassette.recording import asked
from llmbatch.cassette.recording.asked import AskedRequest, asked_exchange
from llmbatch.cassette.recording.wire import Attempt, current_attempt, response_of


def wrap_request(
    attempts: Callable[[], AbstractContextManager[Attempt]], call: Callable[..., Any]
) -> Callable[..., Any]:
    """Wrap `ClientSession._request`, outermost."""

    @functools.wraps(call)
    async def request(session: Any, method: str, url: Any, **options: Any) -> Any:
        if asked_exchange(options.get("data")) is not None:
            # complete as it is, and what becomes of it is for its sender to file
            return await call(session, method, url, **options)
        # raised below, from the response that the caller gets
        raise_for_status = options.pop("raise_for_status", None)
        options = await _as_sent(session, options)
        with attempts() as attempt:
            response = await call(session, method.upper(), session._build_url(url), raise_for_status=False, **options)
        if attempt.to_hand_on:
            response = _rebuilt(attempt)
        await aiohttp_stubs._raise_for_status(session, raise_for_status, response)
        return response

    return request


async def _as_sent(session: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with the body as bytes and its content type among the headers."""
    sent = dict(options)
    data, value = sent.get("data"), sent.pop("json", None)
    if value is not None:
        if data is not None:
            return dict(options)  # aiohttp says what is wrong with that
        dumps = session._json_serialize_bytes
        body = dumps(value) if dumps is not None else session._json_serialize(value).encode()
        content_type = "application/json"
    elif data is None or isinstance(data, bytes | AsyncIterable):
        return sent
    else:
        whole = _payload_of(data)
        body, content_type = await whole.as_bytes(), whole.headers[hdrs.CONTENT_TYPE]
    headers = session._prepare_headers(sent.get("headers"))
    headers.setdefault(hdrs.CONTENT_TYPE, content_type)
    return {**sent, "data": body, "headers": headers}


def _payload_of(data: Any) -> payload.Payload:
    if isinstance(data, FormData):
        data = data()
    try:
        return payload.PAYLOAD_REGISTRY.get(data, disposition=None)
    except payload.LookupError:  # aiohttp's own, no subclass of the built-in
        form: payload.Payload = FormData(data)()
        return form


async def record_responses(cassette: Any, request: Any, response: Any) -> None:
    """Record a response and the redirects before it; in the place of vcrpy's function of that name.

    From the last to the first, and no redirect to what is no answer: a replay that follows one cannot call a service.
    """
    if type(request) is AskedRequest:  # no redirect is followed, and the response is for nobody to read
        await asked.record(cassette, request, response)
        return
    chain = [(request, (*response.history, response)[0])]
    for each in (*response.history, response)[1:]:
        sent, before = chain[-1]
        chain.append((_redirected(sent, before.status, str(each.request_info.url)), each))
    attempt = current_attempt.get()
    for sent, each in reversed(chain):
        await aiohttp_stubs.record_response(cassette, sent, each)
        if attempt is not None and attempt.live:
            return
    if attempt is not None:
        attempt.stored.reverse()


def play_responses(cassette: Any, request: Any, options: Mapping[str, Any]) -> Any:
    """Return the recorded response, redirects followed; in the place of vcrpy's function of that name.

    Raises TooManyRedirects where a live server would have it raised: a cassette may come from anybody.
    """
    history: list[Any] = []
    most = options.get("max_redirects", 10)
    while True:
        response = aiohttp_stubs.build_response(request, cassette.play_response(request), history)
        followed = options.get("allow_redirects", True) and 300 <= response.status <= 399
        if not followed or hdrs.LOCATION not in response.headers:
            return response
        target = URL(response.url).join(URL(response.headers[hdrs.LOCATION]))
        request = _redirected(request, response.status, str(target))
        history.append(response)
        if most and len(history) >= most:
            raise TooManyRedirects(history[0].request_info, tuple(history))


def _redirected(request: Any, status: int, url: str) -> Any:
    """Return the request that aiohttp makes of one when it is sent elsewhere (RFC 9110 section 15.4)."""
    method, body = request.method, request.body
    if (status == 303 and method != hdrs.METH_HEAD) or (status in (301, 302) and method == hdrs.METH_POST):
        method, body = hdrs.METH_GET, None
    return Request(method, url, body, request.headers)


def _rebuilt(attempt: Attempt) -> Any:
    """Return the response vcrpy would replay: by the same function, with the redirects before it."""
    responses: list[Any] = []
    for request, reply in attempt.stored:
        responses.append(aiohttp_stubs.build_response(request, response_of(reply), list(responses)))
    return responses[-1]
