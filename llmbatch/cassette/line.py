"""One recorded line: JSON that YAML reads as the same values, and a checksum behind it.

    - {"key":"<32 hex>","generation":0,...,"request":{...},"response":{...}} # crc32=xxxxxxxx

Pure: bytes to values and back. Knows no file, no scrubbing and no winner among lines.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from binascii import unhexlify
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
import orjson

from llmbatch.call.values import Call, Headers, Reply, Request

_T = TypeVar("_T")

RECORD_CAP = 64 * 1024 * 1024
"""Bytes of the longest line that is written or read."""

PREFIX = b'- {"key":"'
"""What an interaction's line begins with; the 32 digits of its key follow."""
_AFTER_KEY = b'","generation":'
_FRAME = re.compile(PREFIX.replace(b"{", rb"\{") + rb"([0-9a-f]{32})" + _AFTER_KEY + rb"([0-9]{1,9}),")
_GENERATIONS = 10**9  # as in the name of `generation-N.complete`
FIRST_GENERATION = _AFTER_KEY + b"0,"
"""What stands behind the key of a line of generation 0."""
CRC_MARK = b" # crc32="
"""What stands before the eight digits of the checksum and the newline."""
_SUFFIX = len(CRC_MARK) + 8 + 1
_CLOSING_BRACE = ord("}")
# inside of a JSON string every quote is escaped, and a header's value is a list:
# so neither can occur before the member itself
_REQUEST_MARK = b',"request":{"method":'
_RESPONSE_MARK = b',"response":'
_REPLY_MARK = b',"response":{"status":'
_BINARY_REPLY = b'"body":{"string":!!binary "'
_PLAIN_REPLY = b'"body":{"string":"'
_BINARY_REQUEST = b',"body":!!binary "'
_PLAIN_REQUEST = b',"body":"'

# JSON allows these raw; PyYAML refuses them, or changes them without a word (U+0085, U+2028)
_SUSPECTS = (b"\x7f", b"\xc2", b"\xe2\x80\xa8", b"\xe2\x80\xa9", b"\xef\xbb\xbf", b"\xef\xbf\xbe", b"\xef\xbf\xbf")
_NOT_YAML = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]|\xef(?:\xbb\xbf|\xbf[\xbe\xbf])")


class BadLineError(ValueError):
    """Bytes that are not a line as this module writes it; the text says what is wrong with it."""


class Frame(NamedTuple):
    """What the index needs of a line, read by position."""

    key: bytes
    generation: int


_LARGEST_INT = (1 << 63) - 1


class _Status(msgspec.Struct, gc=False):
    code: Annotated[int, msgspec.Meta(ge=100, le=999)]
    message: str


class _Body(msgspec.Struct, gc=False):
    string: str


class _Response(msgspec.Struct, gc=False):
    status: _Status
    headers: dict[str, tuple[str, ...]]
    body: _Body


class _Answered(msgspec.Struct, gc=False):
    """What an answer's line says of its reply, where the body is a text: read with its types in one step."""

    recorded_at: str
    taken_us: Annotated[int, msgspec.Meta(ge=-_LARGEST_INT, le=_LARGEST_INT)]
    response: _Response


_answered = msgspec.json.Decoder(_Answered).decode


class Decoded(NamedTuple):
    """A whole line as values; `kind` and `message` are None for an answer, `reply` may be for a failure.

    `recorded_at` is that of the reply where there is one; empty in failures of old cassettes without a reply.
    """

    call: Call
    reply: Reply | None
    generation: int
    case: str | None
    kind: str | None
    message: str | None
    recorded_at: str = ""


def dumps(value: Any) -> bytes:
    """Return compact JSON that YAML 1.1 loaders read as the same value; a float in it may become text."""
    text = orjson.dumps(value)
    if text.isascii():
        return text.replace(b"\x7f", b"\\u007f") if b"\x7f" in text else text
    # seven plain searches take a tenth of the time of one with the pattern
    return _NOT_YAML.sub(_escape, text) if any(suspect in text for suspect in _SUSPECTS) else text


def _escape(match: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(match[0].decode())


def with_crc(prefix: bytes, payload: bytes) -> bytes:
    """Return a whole line: the prefix, the payload, and the payload's CRC-32 as a YAML comment."""
    return b"%b%b%b%08x\n" % (prefix, payload, CRC_MARK, zlib.crc32(payload))


def payload_of(line: bytes, prefix: bytes) -> bytes:
    """Return what stands between the prefix and the checksum. Raises BadLineError unless both are right."""
    payload = line[len(prefix) : -_SUFFIX]
    # the checksum is compared as bytes: int(..., 16) would take a changed case for the same number
    if line.endswith(b"%b%08x\n" % (CRC_MARK, zlib.crc32(payload))) and line.startswith(prefix):
        return payload
    if not line.startswith(prefix) or line[-_SUFFIX : -_SUFFIX + len(CRC_MARK)] != CRC_MARK or line[-1:] != b"\n":
        raise BadLineError("it does not begin and end as a recorded line does")
    raise BadLineError("its checksum does not match")


def encode(
    call: Call,
    reply: Reply | None,
    *,
    generation: int,
    case: str | None,
    failure: tuple[str, str] | None = None,
    recorded_at: str = "",
) -> bytes:
    """Return the line of an answer or, with `failure` = (kind, message), of a failure: scrubbed values.

    `recorded_at` is for a failure without a reply; a reply brings its own.
    """
    head: dict[str, Any] = {
        "key": call.key.hex(),
        "generation": generation,
        "repeat": call.repeat,
        "ordinal": call.ordinal,
        "recorded_at": reply.recorded_at if reply else recorded_at,
        "taken_us": reply.taken_us if reply else 0,
        "case": case,
    }
    if failure is not None:
        head["kind"], head["message"] = failure
    request = call.request
    body, body_binary = _body_text(request.body)
    head["request"] = {
        "method": request.method,
        "uri": request.url,
        "body": body,
        "headers": dict(request.headers),
    }
    reply_binary = False
    if reply is None:
        head["response"] = None
    else:
        text, reply_binary = _body_text(reply.body)
        status = {"code": reply.status, "message": reply.reason}
        head["response"] = {"status": status, "headers": dict(reply.headers), "body": {"string": text}}
    payload = dumps(head)
    if body_binary:
        payload = payload.replace(_PLAIN_REQUEST, _BINARY_REQUEST, 1)
    if reply_binary:
        payload = _BINARY_REPLY.join(payload.rsplit(_PLAIN_REPLY, 1))
    return with_crc(b"- ", payload)


def _body_text(body: bytes | None) -> tuple[str | None, bool]:
    if body is None:
        return None, False
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True


def typed(kind: type[_T], value: Any) -> _T:
    """Return the value. Raises TypeError unless it is of that type: a checksum says nothing of who wrote a line."""
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} expected, found {type(value).__name__}")
    return value


def frame(line: bytes) -> Frame:
    """Return key and generation, by position. Raises BadLineError; the checksum's value is not looked at."""
    found = _FRAME.match(line)
    if found is None or line[-_SUFFIX : len(CRC_MARK) - _SUFFIX] != CRC_MARK or line[-1:] != b"\n":
        raise BadLineError("it does not begin and end as a line does (32 hexadecimal digits, generation, checksum)")
    return Frame(unhexlify(found[1]), int(found[2]))


def decode_reply(line: bytes) -> Reply:
    """Return the reply of an answer's line without parsing the request. Raises BadLineError."""
    return decode_reply_at(line, 0, len(line))


def decode_reply_at(text: bytes, start: int, stop: int) -> Reply:
    """Return the reply of the line at `text[start:stop]`, as `decode_reply` does, without a copy of the line."""
    end = stop - _SUFFIX
    view = memoryview(text)
    checksum = b"%b%08x\n" % (CRC_MARK, zlib.crc32(view[start + 2 : end]))
    if not (text.startswith(b"- ", start) and text.endswith(checksum, start, stop)):
        payload_of(text[start:stop], b"- ")  # says what is wrong
    request = text.find(_REQUEST_MARK, start, end)
    response = text.find(_REPLY_MARK, request, end)
    if request < 0 or response < 0 or text[end - 1] != _CLOSING_BRACE:
        raise BadLineError("it holds no request or no response")
    answered = b"".join((view[start + 2 : request], view[response:end]))  # one object still, without the request
    try:
        found = _answered(answered)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _reply_of(answered)
    heard = found.response
    status = heard.status
    return Reply(
        status.code, status.message, heard.headers, heard.body.string.encode(), found.recorded_at, found.taken_us
    )


def _reply_of(text: bytes) -> Reply:
    """Return the reply of a line that is not of the usual form: its body is binary, or it is not as it should be."""
    try:
        value, binary = _loads(text, _BINARY_REPLY, _PLAIN_REPLY)
        return _reply(value, value["response"], binary=binary)
    except BadLineError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadLineError(f"it is not the JSON of an interaction ({error})") from error


def decode(line: bytes) -> Decoded:
    """Return all of a line, an answer's or a failure's. Raises BadLineError. The digest is left empty."""
    payload = payload_of(line, b"- ")
    start, response = payload.find(_REQUEST_MARK), _response_at(payload)
    if start < 0 or response < start or not payload.endswith(b"}"):
        raise BadLineError("it holds no request or no response")
    try:
        head = orjson.loads(payload[:start] + b"}")
        request = _request(payload[start + len(b',"request":') : response])
        text = payload[response + len(_RESPONSE_MARK) : -1]
        value, binary = _loads(text, _BINARY_REPLY, _PLAIN_REPLY)
        reply = None if value is None else _reply(head, value, binary=binary)
        key, case, kind, message = bytes.fromhex(head["key"]), head["case"], head.get("kind"), head.get("message")
        if len(key) != 16 or (kind is None) != (message is None) or (reply is None and kind is None):
            raise BadLineError("it has no whole key, or is neither an answer nor a failure")
        generation = typed(int, head["generation"])
        if not 0 <= generation < _GENERATIONS:
            raise BadLineError("its generation is no number")
        call = Call(request, typed(int, head["repeat"]), typed(int, head["ordinal"]), key)
        case, kind, message = (None if text is None else typed(str, text) for text in (case, kind, message))
        return Decoded(call, reply, generation, case, kind, message, typed(str, head["recorded_at"]))
    except BadLineError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadLineError(f"it is not the JSON of an interaction ({error})") from error


def _response_at(payload: bytes) -> int:
    if payload.endswith(b',"response":null}'):
        return len(payload) - len(b',"response":null}')
    return payload.rfind(_REPLY_MARK)


def _loads(text: bytes, binary_mark: bytes, plain_mark: bytes) -> tuple[Any, bool]:
    """Return the values of a text, and whether its body is binary: YAML's tag for that is no JSON."""
    try:
        return orjson.loads(text), False
    except orjson.JSONDecodeError:
        if binary_mark not in text:
            raise
    return orjson.loads(text.replace(binary_mark, plain_mark, 1)), True


def _request(text: bytes) -> Request:
    # between the method and the URL no quote can stand bare, so the mark is the member itself
    value, binary = _loads(text, _BINARY_REQUEST, _PLAIN_REQUEST)
    body = _body_bytes(value["body"], binary=binary)
    return Request(typed(str, value["method"]), typed(str, value["uri"]), _headers(value["headers"]), body, b"")


def _reply(head: dict[str, Any], response: dict[str, Any], *, binary: bool) -> Reply:
    status, text = response["status"], response["body"]["string"]
    body = text.encode() if type(text) is str and not binary else _body_bytes(text, binary=binary)
    if body is None:
        raise BadLineError("its body is null")
    headers = _headers(response["headers"])
    code, reason, recorded_at, taken_us = status["code"], status["message"], head["recorded_at"], head["taken_us"]
    if type(code) is not int or not 100 <= code <= 999 or type(reason) is not str:
        raise BadLineError("its status is no HTTP status")
    if type(recorded_at) is not str or type(taken_us) is not int:
        raise BadLineError("its times are no text and no number")
    return Reply(code, reason, headers, body, recorded_at, taken_us)


def _headers(value: dict[str, list[str]]) -> Headers:
    for values in value.values():
        if type(values) is not list:
            raise TypeError("a header has no list of values")
        "".join(values)  # raises TypeError unless all are texts
    return {name: tuple(values) for name, values in value.items()}


def _body_bytes(text: str | None, *, binary: bool) -> bytes | None:
    if text is None:
        return None
    if type(text) is not str:
        raise TypeError("a body is no text")
    try:
        return base64.b64decode(text, validate=True) if binary else text.encode()
    except binascii.Error as error:
        raise BadLineError(f"its binary body is not base64 ({error})") from error
