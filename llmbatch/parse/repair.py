"""Repair text that was meant to be JSON, without adding to it. The only user of json_repair.

json_repair always returns something: for `{"a": }` an empty string, for `{"a": tru` a word. Here a
repair counts only if every key and every value of it can be read in the text.
"""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import Any

import orjson

_MAX_CHARACTERS = 12_000  # json_repair is quadratic on hostile text: this holds it under 0.2 s
_MAX_BRACKETS = 200
_MAX_DEPTH = 24
TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+("?)|[{}\[\]]', re.DOTALL)
"""A string, group 1 empty if it never closes, or a bracket."""
_CLOSING = {"{": "}", "[": "]"}
_NUMBER = re.compile(r"-?\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?")
_QUOTES = (('"', '"'), ("'", "'"), ("\u201c", "\u201d"))
# a quote beside a comma, a colon or a bracket inside a string: two strings that were taken for one
_SEAM = re.compile(r'"\s*[,:}\]+]|[,:{\[+]\s*"')
_ESCAPE = re.compile(r'\\["\\/bfnrtu]')
# what a model writes for members it leaves out
_LEFT_OUT = ("...", "\u2026")
_TRIPLE_QUOTES = ('"""', "'''")
_WORDS = {True: ("true", "True"), False: ("false", "False"), None: ("null", "None")}


def close_json(text: str) -> tuple[Any, str] | None:
    """Return the value, and its text, of JSON whose closing brackets are missing at the end; None if more is.

    Only the braces of objects are added, and only after a closed string or bracket: a list, a number, a word or an open
    string may go on in the part that is not there. Whether an object has all its members is the caller's to see.
    """
    text = text.rstrip().rstrip("`~").rstrip()
    if not text.endswith(('"', "}", "]")):
        return None
    missing: list[str] = []
    for token in TOKEN.finditer(text):
        mark = token[0]
        if mark in _CLOSING:
            missing.append(_CLOSING[mark])
        elif mark in ("}", "]") and (not missing or missing.pop() != mark):
            return None
    if len(missing) > _MAX_DEPTH or "]" in missing:
        return None
    source = text + "".join(reversed(missing))
    try:
        return orjson.loads(source), source
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None


def repair_json(text: str) -> Any | None:
    """Return the object or array that a balanced but broken text stands for, or None where that would be a guess."""
    brackets = [token[0] for token in TOKEN.finditer(text) if not token[0].startswith('"')]
    skeleton = [mark for mark in brackets if mark in _CLOSING]
    depths = accumulate(1 if mark in _CLOSING else -1 for mark in brackets)
    if any(quotes in text for quotes in _TRIPLE_QUOTES):
        return None
    if len(text) > _MAX_CHARACTERS or len(skeleton) > _MAX_BRACKETS or max(depths, default=0) > _MAX_DEPTH:
        return None
    from json_repair import loads  # noqa: PLC0415 - only broken answers pay for the import

    try:
        value = loads(text, skip_json_loads=True)
    except (ValueError, RecursionError, IndexError, TypeError, KeyError, AttributeError):
        return None  # a library that guesses may fail in any of these ways on hostile text
    if _skeleton(value) != skeleton or _leaves_out(value, text):
        return None
    numbers = {float(number.replace("_", "")) for number in _NUMBER.findall(text)}
    return value if _is_said(value, text, numbers) else None


def _skeleton(value: Any) -> list[str]:
    """Return the opening brackets of a value in the order written: repair must not turn one into the other."""
    if isinstance(value, dict):
        return ["{", *(mark for item in value.values() for mark in _skeleton(item))]
    if isinstance(value, list):
        return ["[", *(mark for item in value for mark in _skeleton(item))]
    return []


def _leaves_out(value: Any, text: str) -> bool:
    """Whether the text has dots that stand for something, and not in one of the strings."""
    return any(text.count(dots) > _count(value, dots) for dots in _LEFT_OUT)


def _count(value: Any, dots: str) -> int:
    if isinstance(value, dict):
        return sum(key.count(dots) + _count(item, dots) for key, item in value.items())
    if isinstance(value, list):
        return sum(_count(item, dots) for item in value)
    return value.count(dots) if isinstance(value, str) else 0


def _is_said(value: Any, text: str, numbers: set[float]) -> bool:
    if isinstance(value, dict):
        return all(_is_key(key, text) and _is_said(item, text, numbers) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_said(item, text, numbers) for item in value)
    if isinstance(value, str):
        return any(f"{left}{said}{right}" in text for said in _spellings(value) for left, right in _QUOTES)
    if isinstance(value, bool) or value is None:
        return any(word in text for word in _WORDS[value])
    return float(value) in numbers


def _is_key(key: str, text: str) -> bool:
    return bool(key) and any(said in text for said in _spellings(key))


def _spellings(value: str) -> tuple[str, ...]:
    """Return how a string may stand in the text, raw and escaped; nothing for one whose ends were guessed."""
    if _SEAM.search(value) or any("\ud800" <= character <= "\udfff" for character in value):
        return ()
    escaped = json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]
    if _ESCAPE.search(value):  # the escapes of a string were left standing, which makes it another one
        return escaped
    return (value, *escaped, value.replace("'", "\\'"))
