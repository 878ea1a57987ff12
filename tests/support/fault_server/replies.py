"""Replies over HTTP: good ones, refusals, and pages of somebody in between."""

from __future__ import annotations

import gzip
import time
from collections.abc import Mapping
from email.utils import formatdate

import orjson
from aiohttp import web

_STATUS_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded", 400: "invalid_value"}
_HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in to the network</body></html>"
_REFUSALS = {
    "quota": (429, "You exceeded your current quota, please check your plan.", "insufficient_quota"),
    "moderation": (403, "Your chosen model requires moderation and your input was flagged.", "403"),
    "context": (400, "This model's maximum context length is 128 tokens.", "context_length_exceeded"),
}


def refusal(name: str, options: Mapping[str, str]) -> web.Response | None:
    """Return the reply of a fault that is no answer and comes whole; None for any other."""
    headers = headers_of(options)
    code = options.get("code")
    if name.isdecimal():
        return error(int(name), f"the script says {name}", code=code, headers=headers)
    if name in _REFUSALS:
        status, said, code = _REFUSALS[name]
        return error(status, said, code=code)
    if name == "html":
        return web.Response(body=_HTML, content_type="text/html")
    if name == "plain":
        return web.Response(text="It works!")
    if name == "words":
        return web.Response(status=400, text="The engine says no.")
    return None


def headers_of(options: Mapping[str, str]) -> dict[str, str]:
    """Return the headers among a directive's options; now+5 becomes an HTTP date."""
    return {name: _dated(value) for name, value in options.items() if name != "code"}


def _dated(value: str) -> str:
    shift = value.removeprefix("now")
    return value if shift == value else formatdate(time.time() + float(shift), usegmt=True)


def error(status: int, said: str, *, code: str | None = None, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an error as OpenAI words it."""
    inside = {
        "message": said,
        "type": "error",
        "param": None,
        "code": code or _STATUS_CODES.get(status, "server_error"),
    }
    return web.Response(
        status=status, body=orjson.dumps({"error": inside}), content_type="application/json", headers=headers
    )


def whole(request: web.BaseRequest, encoded: bytes, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a good reply, packed where the client takes that."""
    sent = {"content-type": "application/json", "openai-processing-ms": "1", **(headers or {})}
    if "gzip" in request.headers.get("accept-encoding", ""):
        encoded = gzip.compress(encoded, 1, mtime=0)
        sent["content-encoding"] = "gzip"
    return web.Response(body=encoded, headers=sent)
