"""Sample, and the JSON-like values a sample is made of. Knows no file, no identity and no task."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from llmbatch.call.failure import Failure

_PLAIN = frozenset({str, int, bool, type(None)})


class Sample(NamedTuple):
    """One input record of one pass, with an identity that does not depend on its position.

    `data` holds the fields as JSON-like values in the order read, the truth included. `value` is what a
    task gets: a dict of its own, an instance of the declared shape, or the very object that was yielded.
    `truth` is None where no truth is declared. With `error` set the record could not be used, and `data`
    holds what could be read of it. `place` is `file:line`, or `item N` counted from 1.
    """

    id: str
    data: Mapping[str, Any]
    value: Any
    truth: Any = None
    error: Failure | None = None
    place: str = ""


class Record(NamedTuple):
    """One record as a format or an iterable gives it, before it has an identity.

    `number` is the line, row or item, counted from 1. Either `data` is there, or `raw` (bytes that stand
    for the record) and `problem` (what is wrong with it) are. `value` is what was yielded; from a file: None.
    """

    number: int
    data: dict[str, Any] | None
    value: Any = None
    problem: str = ""
    raw: bytes = b""


class NotJsonLikeError(ValueError):
    """A value that has no exact JSON form; the message names it."""


def json_like(value: Any) -> Any:
    """Return the value as str, int, float, bool, None, list or dict, with nothing lost and in a stable order.

    Dates become ISO 8601 text, Decimal, UUID and paths their text (`/` on every system), sets a sorted list,
    models and dataclasses a dict. Raises NotJsonLikeError for NaN, infinities, keys that are not str, bytes,
    lone surrogates and any other object.
    """
    try:
        return _json_like(value)
    except RecursionError:
        raise NotJsonLikeError("it is nested too deeply") from None


def _json_like(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return _text(value)
    if kind in _PLAIN:
        return value
    if kind is float:
        return _finite(value)
    if kind is dict:
        return {_key(key): _json_like(item) for key, item in value.items()}
    if kind is list:
        return [_json_like(item) for item in value]
    return _converted(value)


def _converted(value: Any) -> Any:
    """Return the JSON form of a value of a type beyond JSON's own."""
    for kinds, convert in _CONVERSIONS:
        if isinstance(value, kinds):
            return convert(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _attributes(value)
    if type(value).__module__.startswith("pydantic"):  # URLs; a secret's text is its mask
        return str(value)
    raise NotJsonLikeError(f"a value of type {type(value).__name__} has no JSON form")


def _text(text: str) -> str:
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise NotJsonLikeError("a text holds a lone surrogate, which UTF-8 cannot carry") from None
    return text


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise NotJsonLikeError(f"{number} is not a JSON number")
    return number


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise NotJsonLikeError(f"the key {key!r} is not a str")
    return _text(str.__str__(key))


def _members(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    return {_key(key): _json_like(item) for key, item in mapping.items()}


def _items(values: Iterable[Any]) -> list[Any]:
    return [_json_like(item) for item in values]


def _tuple(values: tuple[Any, ...]) -> Any:
    return _members(values._asdict()) if hasattr(values, "_asdict") else _items(values)


def _attributes(value: Any) -> dict[str, Any]:
    return {field.name: _json_like(getattr(value, field.name)) for field in dataclasses.fields(value)}


def canonical_json(value: Any) -> bytes:
    """Return one byte form for equal JSON-like values: members sorted, integers exact, UTF-8, no spaces."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # integers beyond 64 bits, or nesting beyond orjson's limit
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
        return text.encode("utf-8")


# the first row that fits decides: an enum may be a str, a datetime is a date, a named tuple a tuple
_CONVERSIONS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    (Enum, lambda value: _json_like(value.value)),
    (BaseModel, lambda value: _members(value.model_dump())),
    ((date, time), lambda value: value.isoformat()),  # datetime is a date
    (timedelta, to_jsonable_python),  # ISO 8601, as pydantic writes it
    (PurePath, lambda value: _text(value.as_posix())),
    ((Decimal, UUID), str),
    (str, lambda value: _text(str.__str__(value))),
    (Integral, int),
    (Real, lambda value: _finite(float(value))),
    (Mapping, _members),
    ((set, frozenset), lambda value: sorted(_items(value), key=canonical_json)),
    (tuple, _tuple),
    (list, _items),
)
