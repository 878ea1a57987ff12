"""Where a value stands in the text of an answer. Knows no token and no label.

All places are in characters of the text.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple, TypeAlias

from llmbatch.parse.repair import TOKEN

Path: TypeAlias = tuple[str | int, ...]
"""Keys of objects and places of lists, from the root of a JSON document."""

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BARE = re.compile(r"[^\s,\]}]+")


class Span(NamedTuple):
    """A value's place: `opens` where it may begin (behind the colon), its characters from `start` up to `end`.

    The quotes of a string are not among its characters.
    """

    opens: int
    start: int
    end: int


def span_of(source: str, path: Path, at: int = 0) -> Span | None:
    """Return the place of the value that a path leads to; None where the document has none.

    Of several equal keys the last one counts, as it does for those who read the document.
    """
    start = _after_space(source, at)
    opening = source[start : start + 1]
    if not path:
        return _scalar(source, at, start)
    step, rest = path[0], path[1:]
    if opening != ("{" if isinstance(step, str) else "["):
        return None
    found = None
    for place, (key, value_at) in enumerate(_members(source, start)):
        if (key == step) if isinstance(step, str) else (place == step):
            found = value_at
    return None if found is None else span_of(source, rest, found)


def _scalar(source: str, opens: int, start: int) -> Span | None:
    if (string := _STRING.match(source, start)) is not None:
        return Span(opens, start + 1, string.end() - 1)
    bare = None if source[start : start + 1] in ("{", "[") else _BARE.match(source, start)
    return None if bare is None else Span(opens, start, bare.end())


def _members(source: str, start: int) -> list[tuple[str | None, int]]:
    """Return the key of each member of an object or list, None in a list, and where its value may begin."""
    members: list[tuple[str | None, int]] = []
    is_object, at = source[start] == "{", start + 1
    while (begin := _after_space(source, at)) < len(source) and source[begin] not in "}]":
        key = None
        if is_object:
            quoted = _STRING.match(source, begin)
            colon = -1 if quoted is None else _after_space(source, quoted.end())
            if quoted is None or source[colon : colon + 1] != ":":
                break
            key, at = str(json.loads(quoted[0], strict=False)), colon + 1
        members.append((key, at))
        end = _after_space(source, _end_of_value(source, _after_space(source, at)))
        if source[end : end + 1] != ",":
            break
        at = end + 1
    return members


def _end_of_value(source: str, start: int) -> int:
    if source[start : start + 1] not in ("{", "["):
        found = _STRING.match(source, start) or _BARE.match(source, start)
        return len(source) if found is None else found.end()
    depth = 0
    for token in TOKEN.finditer(source, start):
        depth += 1 if token[0] in "{[" else -1 if token[0] in "}]" else 0
        if depth == 0:
            return token.end()
    return len(source)


def _after_space(source: str, at: int) -> int:
    space = _SPACE.match(source, at)
    return at if space is None else space.end()
