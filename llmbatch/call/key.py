"""The key of a call: what tells one request, and one draw of it, from every other.

Pure. Knows no cassette and no secret: what comes in is already scrubbed, so that the key can be
computed again from the recorded line.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NoReturn

import orjson

from llmbatch.call.values import Headers

KEY_VERSION = 1
"""Moves when equal requests would get another key; stored in every segment."""

IGNORED = (
    "headers other than the key headers",
    "credentials: headers, userinfo and query parameters",
    "order and white space of top-level JSON members",
    "multipart boundary",
    "url fragment",
)
"""What of a request does not enter the key, in words; stored in every segment."""

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL)
_HOST_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(\d*))?")
_BOUNDARY = re.compile(r"""boundary=(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))""", re.IGNORECASE)
_DIGITS_TO_ZERO = bytes(ord("0") if chr(byte).isdecimal() and byte < 128 else byte for byte in range(256))
_MANY_DIGITS = b"0" * 19  # an integer of 18 digits always fits in 64 bits, one of 19 may not


def canonical_body(body: bytes | None, content_type: str | None) -> bytes:
    """Return the bytes that stand for a body in the key; no body and an empty one are the same.

    JSON: top-level members sorted, all below in the order sent, no white space, integers exact, floats
    in shortest form. Multipart: the boundary does not count. What is not valid JSON, is nested too
    deep, or holds NaN, an infinity or a lone surrogate: the bytes as they are.
    """
    if not body:
        return b""
    if content_type is not None and content_type[:10].lower() == "multipart/":
        return _without_boundary(body, content_type)
    if body.lstrip(b" \t\r\n")[:1] not in (b"{", b"["):
        return body
    try:
        # orjson reads integers beyond 64 bits as floats, which would give two requests one key
        exact = _MANY_DIGITS in body.translate(_DIGITS_TO_ZERO)
        value = _loads_exact(body) if exact else orjson.loads(body)
        if type(value) is dict:
            value = dict(sorted(value.items()))
        return orjson.dumps(value)
    except (ValueError, TypeError, RecursionError):
        return body


class Digests:
    """The digests of requests that go to one place: what they share is read once."""

    __slots__ = ("_last", "_start")

    def __init__(self, method: str, url: str, key_headers: Headers) -> None:
        self._start = _addressed(method, url)
        self._last = b"".join(_fields([name, *key_headers[name]]) for name in sorted(key_headers))

    def of(self, canonical: bytes) -> bytes:
        """Return 16 bytes that cover the method, the URL, the canonical body and the key headers."""
        digest = self._start.copy()
        digest.update(b"%d:%b%b" % (len(canonical), canonical, self._last))
        return digest.digest()


def request_digest(method: str, url: str, canonical: bytes, key_headers: Headers) -> bytes:
    """Return 16 bytes that cover the method, the URL, the canonical body and the key headers."""
    return Digests(method, url, key_headers).of(canonical)


def call_key(digest: bytes, repeat: int, ordinal: int) -> bytes:
    """Return the 16 bytes the cassette looks up: the request's digest and which draw of it is wanted."""
    key = _CALL_KEYS.copy()
    key.update(b"call/%d %s %d %d" % (KEY_VERSION, digest, repeat, ordinal))
    return key.digest()


_CALL_KEYS = blake2b(digest_size=16, person=b"llmbatch")


@lru_cache(maxsize=256)
def _addressed(method: str, url: str) -> blake2b:
    """Return a digest that has read the method and the URL, to be copied."""
    fields = _fields([f"request/{KEY_VERSION}", method.upper(), *url_parts(url)])
    return blake2b(fields, digest_size=16, person=b"llmbatch")


def url_parts(url: str) -> tuple[str, str, str, str, str]:
    """Return scheme, host, port, path and query as they enter the key; a text that is no absolute URL is all path."""
    match = _URL.fullmatch(url)
    if match is None:
        return "", "", "", url, ""
    scheme, authority, path, query = match[1].lower(), match[2].lower(), match[3], match[4]
    place = _HOST_PORT.fullmatch(authority)
    host, port = (place[1], place[2]) if place else (authority, None)
    # "?" alone is sent, and is not the same as no query
    return (
        scheme,
        host,
        port or _DEFAULT_PORTS.get(scheme, ""),
        path or "/",
        "" if query is None else f"?{query}",
    )


def _fields(texts: list[str]) -> bytes:
    """Encode texts so that no two lists give the same bytes: a count, then each with its length."""
    coded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return b"%d;" % len(coded) + b"".join(b"%d:%s" % (len(field), field) for field in coded)


def _without_boundary(body: bytes, content_type: str) -> bytes:
    found = _BOUNDARY.search(content_type)
    if found is None:
        return body
    text = re.sub(r"\\(.)", r"\1", found[1]) if found[1] is not None else found[2]
    boundary = re.escape(text.encode("utf-8", "surrogatepass"))
    parts = re.split(rb"(?:(?<=\n)|\A)--" + boundary, body)
    # lengths, not a fixed boundary: a part that holds the fixed one would look like two parts
    return b"multipart;" + b"".join(b"%d:%s" % (len(part), part) for part in parts)


def _loads_exact(body: bytes) -> Any:
    text = body.decode("utf-8")
    return json.loads(text, parse_int=_exact_int, parse_float=_finite_float, parse_constant=_refuse)


def _exact_int(text: str) -> int | orjson.Fragment:
    return int(text) if len(text) < len(_MANY_DIGITS) else orjson.Fragment(text.encode())


def _finite_float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        _refuse(text)
    return value


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)
