"""How two requests differ, field by field and, in a text, line by line. Pure; knows no file.

Two calls have no difference here exactly when they have the same key: what the key ignores is no difference, and
what it covers always is one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any
from urllib.parse import urlsplit

from llmbatch.call.key import canonical_body, request_digest
from llmbatch.call.values import Call, Reply, Request
from llmbatch.cassette.scrub import key_headers_of
from llmbatch.cassette.upkeep.looking.difference import Difference, common_ends

MOST_PAIRS = 250_000
"""Lines of one text times those of the other up to which they are matched; larger ones are compared as one piece."""
DEEPEST = 40
"""Levels of JSON that are walked into; what lies deeper is compared as a whole."""


def differences(before: Call, after: Call) -> Iterator[Difference]:
    """Yield what tells two calls apart: address, headers, body, then which draw it is."""
    yield from request_differences(before.request, after.request)
    for name in ("repeat", "ordinal"):
        yield from _of_values(name, getattr(before, name), getattr(after, name))


def request_differences(before: Request, after: Request) -> Iterator[Difference]:
    """Yield what tells two requests apart, whichever draw of them it is."""
    yield from _of_texts("method", before.method.upper(), after.method.upper())
    yield from _of_urls(before.url, after.url)
    was, now = key_headers_of(before.headers), key_headers_of(after.headers)
    for name in sorted({*was, *now}):
        if was.get(name) != now.get(name):
            yield Difference(f"header {name}", None, _joined(was.get(name)), _joined(now.get(name)), is_text=True)
    yield from _of_bodies(before, after)


def reply_differences(before: Reply, after: Reply) -> Iterator[Difference]:
    """Yield how two replies differ: status, then the body; no time and no header."""
    yield from _of_values("status", before.status, after.status)
    was, now = _document(before.body), _document(after.body)
    if was is None or now is None:
        yield from _of_raw(before.body, after.body)
        return
    yield from _of_any("reply", was, now, 0)


def _of_urls(before: str, after: str) -> Iterator[Difference]:
    if request_digest("", before, b"", {}) == request_digest("", after, b"", {}):
        return
    try:
        was, now = urlsplit(before), urlsplit(after)
        pairs = [
            ("scheme", was.scheme, now.scheme),
            ("host", was.netloc, now.netloc),
            ("path", was.path, now.path),
            ("query", was.query, now.query),
        ]
    except ValueError:  # an address that is none, from a stranger's cassette
        pairs = []
    found = [each for name, one, other in pairs for each in _of_values(name, one, other, show=str)]
    yield from found or [Difference("url", None, before, after, is_text=True)]


def _joined(values: Sequence[str] | None) -> str | None:
    return None if values is None else ", ".join(values)


def _of_bodies(before: Request, after: Request) -> Iterator[Difference]:
    was, now = _canonical(before), _canonical(after)
    if was == now:
        return
    one, other = _document(was), _document(now)
    try:
        if isinstance(one, dict) and isinstance(other, dict):
            found = list(_of_documents(one, other))
        elif one is not None and other is not None:
            found = list(_of_any("body", one, other, 0))
        else:
            found = list(_of_raw(was, now))
    except RecursionError:  # a stranger's body may be nested as deeply as it likes
        found = []
    # what the values do not show, the bytes do: a number that JSON does not have, a member given twice
    yield from found or [Difference("body", None, f"{len(was)} bytes", f"{len(now)} other bytes")]


def _canonical(request: Request) -> bytes:
    return canonical_body(request.body, request.headers.get("content-type", (None,))[0])


def _document(body: bytes) -> Any:
    """Return JSON as values with exact integers; None for anything else."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _of_raw(before: bytes, after: bytes) -> Iterator[Difference]:
    try:
        yield from _of_texts("body", before.decode(), after.decode())
    except UnicodeDecodeError:
        if before != after:
            yield Difference("body", None, f"{len(before)} bytes", f"{len(after)} other bytes")


def _of_documents(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    """Compare the members of a request: what is short first, then messages, in the words of prompts."""
    names = dict.fromkeys([*before, *after])
    for name in [*(name for name in names if name != "messages"), *(name for name in names if name == "messages")]:
        was, now = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if name == "messages" and _are_messages(was) and _are_messages(now):
            yield from _of_lists(was, now, _message_names(was, now), _of_message, 0)
        else:
            yield from _of_members(name, was, now, 0)


_ABSENT: Any = object()


def _are_messages(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(turn, dict) for turn in value)


def _message_names(before: list[Any], after: list[Any]) -> Callable[[int, Any], str]:
    only_user = all(sum(turn.get("role") == "user" for turn in turns) <= 1 for turns in (before, after))

    def name(index: int, turn: Any) -> str:
        role = turn.get("role")
        if role in {"system", "developer"} and index == 0:
            return "system prompt"
        return "user message" if role == "user" and only_user else f"message {index + 1} ({role})"

    return name


def _of_message(name: str, before: Any, after: Any, depth: int) -> Iterator[Difference]:
    for member in dict.fromkeys([*before, *after]):
        was, now = before.get(member, _ABSENT), after.get(member, _ABSENT)
        field = name if member == "content" else f"{name}.{member}"
        yield from _of_members(field, was, now, depth + 1)
    yield from _of_order(name, before, after)


def _of_members(field: str, before: Any, after: Any, depth: int) -> Iterator[Difference]:
    if before is _ABSENT:
        yield Difference(field, None, None, _shown(after), isinstance(after, str))
    elif after is _ABSENT:
        yield Difference(field, None, _shown(before), None, isinstance(before, str))
    else:
        yield from _of_any(field, before, after, depth)


def _of_any(field: str, before: Any, after: Any, depth: int) -> Iterator[Difference]:
    if depth >= DEEPEST:
        yield from _of_values(field, before, after)
    elif isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            yield from _of_members(f"{field}.{name}", before.get(name, _ABSENT), after.get(name, _ABSENT), depth + 1)
        yield from _of_order(field, before, after)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _of_lists(before, after, lambda index, _: f"{field}[{index}]", _of_any, depth)
    elif isinstance(before, str) and isinstance(after, str):
        yield from _of_texts(field, before, after)
    else:
        yield from _of_values(field, before, after)


def _of_order(field: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    """The order of members steers generation, and is in the key below the top level."""
    was, now = [name for name in before if name in after], [name for name in after if name in before]
    if was != now:
        yield Difference(f"{field}, order of members", None, ", ".join(was), ", ".join(now))


def _of_lists(
    before: list[Any],
    after: list[Any],
    name: Callable[[int, Any], str],
    compare: Callable[[str, Any, Any, int], Iterator[Difference]],
    depth: int,
) -> Iterator[Difference]:
    """Compare item by item between what both begin and what both end with."""
    was, now = [_json(item) for item in before], [_json(item) for item in after]
    start, end = common_ends(was, now)
    left, right = len(was) - end, len(now) - end
    for index in range(start, min(left, right)):
        if was[index] != now[index]:
            yield from compare(name(index, after[index]), before[index], after[index], depth + 1)
    for index in range(min(left, right), left):
        yield from _of_members(name(index, before[index]), _said(before[index]), _ABSENT, depth)
    for index in range(min(left, right), right):
        yield from _of_members(name(index, after[index]), _ABSENT, _said(after[index]), depth)


def _said(item: Any) -> Any:
    """Return what a whole turn that came or went says; any other item as it is."""
    is_turn = isinstance(item, dict) and set(item) == {"role", "content"} and isinstance(item["content"], str)
    return item["content"] if is_turn else item


def _of_values(field: str, before: Any, after: Any, show: Callable[[Any], str] | None = None) -> Iterator[Difference]:
    if _json(before) != _json(after):
        show = show or _shown
        yield Difference(field, None, show(before), show(after))


def _of_texts(field: str, before: str, after: str) -> Iterator[Difference]:
    if before == after:
        return
    was, now = before.split("\n"), after.split("\n")
    if len(was) == len(now) == 1:
        yield Difference(field, None, before, after, is_text=True)
        return
    for left, left_end, right, right_end in _hunks(was, now):
        paired = min(left_end - left, right_end - right)
        for step in range(paired):
            yield Difference(field, right + step + 1, was[left + step], now[right + step], is_text=True)
        for line in range(left + paired, left_end):
            yield Difference(field, line + 1, was[line], None, is_text=True)
        for line in range(right + paired, right_end):
            yield Difference(field, line + 1, None, now[line], is_text=True)


def _hunks(was: Sequence[str], now: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    start, end = common_ends(was, now)
    left, right = len(was) - end, len(now) - end
    if (left - start) * (right - start) > MOST_PAIRS:
        yield start, left, start, right
        return
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, was[start:left], now[start:right], autojunk=False).get_opcodes():
        if tag != "equal":
            yield start + i1, start + i2, start + j1, start + j2


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
