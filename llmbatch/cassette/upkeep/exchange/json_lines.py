"""Interactions as JSON lines, one object each, and back without a loss. Knows no file name and no store.

    {"key": ..., "generation": 0, "repeat": 0, "ordinal": 0, "recorded_at": ..., "taken_us": 0, "case": ...,
     "request": {"method": ..., "url": ..., "headers": {...}, BODY}, "response": {"status": ..., "reason": ...,
     "headers": {...}, BODY}}

BODY is `json` where the body is JSON, and `text` (or `base64`, where it is not UTF-8) where the compact form of that
JSON is not the body, byte for byte. Where there is a `text` or a `base64`, it is the body.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import orjson

from llmbatch.call.values import Headers, Interaction, RecordedFailure, Reply
from llmbatch.cassette.line import typed
from llmbatch.cassette.upkeep.exchange.incoming import Incoming, Unusable, capped_lines

_MOST = 2**53
"""Counts are below this, which every reader of JSON keeps exact."""


def json_line(found: Interaction | RecordedFailure) -> bytes:
    """Return the line of an answer or of a failed attempt, which has `kind` and `message` and may have no response."""
    call, reply = found.call, found.reply
    members: dict[str, Any] = {
        "key": call.key.hex(),
        "generation": found.generation if isinstance(found, Interaction) else 0,
        "repeat": call.repeat,
        "ordinal": call.ordinal,
        "recorded_at": reply.recorded_at if reply else "",
        "taken_us": reply.taken_us if reply else 0,
        "case": found.case if isinstance(found, Interaction) else None,
    }
    if isinstance(found, RecordedFailure):
        members |= {"kind": found.kind, "message": found.message}
    request = call.request
    members["request"] = {
        "method": request.method,
        "url": request.url,
        "headers": dict(request.headers),
        **_body_members(request.body),
    }
    members["response"] = reply and {
        "status": reply.status,
        "reason": reply.reason,
        "headers": dict(reply.headers),
        **_body_members(reply.body),
    }
    return orjson.dumps(members, option=orjson.OPT_APPEND_NEWLINE)


def _body_members(body: bytes | None) -> dict[str, Any]:
    if body is None:
        return {}
    members: dict[str, Any] = {}
    if body[:1] in (b"{", b"["):
        try:
            value = orjson.loads(body)
            same = orjson.dumps(value) == body
        except (orjson.JSONDecodeError, orjson.JSONEncodeError):
            pass
        else:
            members["json"] = value
            if same:
                return members
    try:
        members["text"] = body.decode()
    except UnicodeDecodeError:
        members["base64"] = base64.b64encode(body).decode()
    return members


def read_json_lines(stream: BinaryIO, name: str) -> Iterator[Incoming | Unusable]:
    """Yield what `json_line` wrote, line by line. Raises CassetteDamaged for a line beyond 64 MiB."""
    for number, line in capped_lines(stream, name):
        try:
            yield _incoming(number, orjson.loads(line))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            yield Unusable(number, f"it is not an exported interaction ({type(error).__name__}: {error})")


def _incoming(number: int, value: dict[str, Any]) -> Incoming:
    request, response = value["request"], value["response"]
    reply = None
    if response is not None:
        status, reason = typed(int, response["status"]), typed(str, response["reason"])
        if not 100 <= status <= 999:
            raise ValueError("its status is no HTTP status")
        recorded_at, taken_us = typed(str, value["recorded_at"]), _count(value["taken_us"])
        body = _body_of(response) or b""
        reply = Reply(status, reason, _headers_of(response), body, recorded_at, taken_us)
    failure = (typed(str, value["kind"]), typed(str, value["message"])) if "kind" in value else None
    if reply is None and failure is None:
        raise ValueError("it has no response")
    return Incoming(
        number,
        typed(str, request["method"]),
        typed(str, request["url"]),
        _headers_of(request),
        _body_of(request),
        reply,
        failure,
        None if value["case"] is None else typed(str, value["case"]),
        (_count(value["repeat"]), _count(value["ordinal"])),
        bytes.fromhex(value["key"]),
    )


def _headers_of(message: Mapping[str, Any]) -> Headers:
    headers = typed(dict, message["headers"])
    return {name.lower(): tuple(typed(str, value) for value in typed(list, values)) for name, values in headers.items()}


def _body_of(message: Mapping[str, Any]) -> bytes | None:
    if "text" in message:
        return typed(str, message["text"]).encode()
    if "base64" in message:
        return base64.b64decode(typed(str, message["base64"]), validate=True)
    return orjson.dumps(message["json"]) if "json" in message else None


def _count(value: Any) -> int:
    if not 0 <= typed(int, value) < _MOST:
        raise ValueError("a count is out of range")
    return int(value)
