"""Records of JSON Lines: one object a line, in bounded memory. Knows neither identity nor truth.

Lines end at the byte 0x0A and nowhere else: U+2028 and U+0085 inside a text are text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import blake2b
from typing import Any, BinaryIO, NoReturn

import msgspec
import orjson

from llmbatch.samples.values import Record

LONGEST_LINE = 64 * 1024 * 1024
"""Bytes of the longest line that is read; a longer one is a bad record, and is passed over in pieces."""

_BOM = b"\xef\xbb\xbf"
_EXACT_FLOAT = 2.0**63  # at and beyond it a float may stand for an integer that orjson could not hold
_EXACT_TYPES = frozenset({str, int, bool, type(None)})
_MANY_DIGITS = re.compile(rb"[0-9]{19}")


_record_of: Callable[[tuple[Any, ...]], Record] = partial(tuple.__new__, Record)  # a third of the time of Record(...)


def read_jsonl(stream: BinaryIO, *, parsed: bool = True, only: str | None = None) -> Iterator[Record]:
    """Yield a record for each line that is not blank; a line that is no JSON object has its `problem` set.

    Unless `parsed`, a record holds its line's bytes, and whether they are JSON is not looked at. With `only`, a
    record may hold that one field alone, and what is passed over may not be JSON.
    """
    number = 0
    read_only = None if only is None else _reader_of(only)
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if number == 1 and line.startswith(_BOM):
            line = line[len(_BOM) :]
        if len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            digest = _pass_over(stream, line)
            yield Record(number, None, problem=f"the line is longer than {LONGEST_LINE} bytes", raw=digest)
            continue
        text = line.strip()
        if not text:
            continue
        if not parsed:
            yield Record(number, None, raw=text)
            continue
        if read_only is not None and (found := read_only(text)) is not None:
            yield _record_of((number, found, None, "", b""))
            continue
        try:
            data = orjson.loads(text)
        except orjson.JSONDecodeError:
            data = None
        # flat objects without a float, as most are, hold what was written
        if type(data) is dict and _EXACT_TYPES.issuperset(map(type, data.values())):
            yield _record_of((number, data, None, "", b""))
        else:
            yield _record(number, text)


def _reader_of(field: str) -> Callable[[bytes], dict[str, str] | None] | None:
    """Return what reads one text out of an object and passes over the rest; None where it is not there as a text.

    There is none for a name that JSON must escape.
    """
    try:
        only = msgspec.defstruct("Only", [("value", str)], rename={"value": field}, gc=False)
    except ValueError:
        return None
    decode = msgspec.json.Decoder(only).decode

    def read(text: bytes) -> dict[str, str] | None:
        try:
            found: Any = decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        return {field: found.value}

    return read


def _record(number: int, text: bytes) -> Record:
    try:
        data = exact_json(text)
    except ValueError as error:
        return Record(number, None, problem=f"not JSON: {error}", raw=text)
    except RecursionError:
        return Record(number, None, problem="not JSON: nested too deeply", raw=text)
    if type(data) is not dict:
        return Record(number, None, problem=f"not a JSON object but {_named(data)}", raw=text)
    return Record(number, data)


def exact_json(text: bytes) -> Any:
    """Return the value of a JSON text, integers exact however long. Raises ValueError, for NaN too."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        if not _MANY_DIGITS.search(text):  # only a long integer can be orjson's fault
            raise
        return _slow_json(text)
    return _slow_json(text) if _may_have_lost_digits(value) else value


def _may_have_lost_digits(value: Any) -> bool:
    kind = type(value)
    if kind is float:
        return not -_EXACT_FLOAT < value < _EXACT_FLOAT
    if kind is dict:
        value = value.values()
    elif kind is not list:
        return False
    for item in value:
        kind = type(item)
        if kind is str or kind is int:
            continue
        if (kind is float or kind is dict or kind is list) and _may_have_lost_digits(item):
            return True
    return False


def _slow_json(text: bytes) -> Any:
    value = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    # what orjson refuses in the first place: 1e400 and lone surrogates
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _pass_over(stream: BinaryIO, start: bytes) -> bytes:
    """Read on to the end of the line in pieces; return a digest that stands for the whole line."""
    digest = blake2b(start)
    while piece := stream.readline(1024 * 1024):
        digest.update(piece)
        if piece.endswith(b"\n"):
            break
    return digest.digest()


def _named(value: object) -> str:
    names = {list: "an array", str: "a text", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
