"""Bytes of a body to a JSON document. Knows nothing of what the document means."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import orjson

from llmbatch.call.failure import Failure, FailureKind

_BOM = b"\xef\xbb\xbf"


def load_body(body: bytes) -> Any:
    """Return the document, or Failure(INVALID_JSON).

    A byte order mark, leading blank lines (some services keep a connection alive with them) and lone
    surrogates (which become U+FFFD) are tolerated; NaN and Infinity are not JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        first = error
    try:
        text = body.removeprefix(_BOM).decode("utf-8")
        return without_lone_surrogates(json.loads(text, parse_constant=_refuse_constant))
    except (ValueError, RecursionError):
        seen = body[:80].decode("utf-8", "replace")
        return Failure(FailureKind.INVALID_JSON, f"the body is not JSON ({first.msg}): {seen!r}")


def json_text(document: dict[str, Any]) -> str:
    """Return an object of a body as JSON text again; `{…}`, which is no JSON, for one that is nested too deep."""
    try:
        return orjson.dumps(document).decode()
    except TypeError:  # deeper than orjson writes, which is less than it reads
        return "{…}"


def without_lone_surrogates(value: Any) -> Any:
    """Return the document with every lone surrogate replaced by U+FFFD: no UTF-8 file can hold one."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [without_lone_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {without_lone_surrogates(key): without_lone_surrogates(item) for key, item in value.items()}
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
