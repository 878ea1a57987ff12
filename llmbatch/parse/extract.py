"""Take JSON out of what a model said. Knows no shape; takes nothing that the text does not hold.

Four ways, in this order: the text is JSON; a fenced block is; a balanced object or array in the prose is; the
last of them is after repair. Every step is linear in the text, and repair is bounded, so that hostile text
costs no more than its length.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.parse.repair import TOKEN, close_json, repair_json

How = Literal["exact", "fenced", "embedded", "repaired"]

MAX_DEPTH = 100
_TRIED_SPANS = 32  # how many balanced spans are tried, from the last one back
_MAX_SPANS = 1_000  # a text with more of them is no answer, and scanning it would take its time

# as DeepSeek and Qwen, Magistral, Kimi, Seed, Command and gpt-oss mark what they think, where a server leaves it in
_THOUGHT = "(?:seed:)?(?:think|thinking|thought|reasoning)"
_THOUGHT_END = re.compile(
    rf"</{_THOUGHT}>|\[/THINK\]|\u25c1/think\u25b7|<\|END_THINKING\|>|<\|channel\|>final<\|message\|>",
    re.IGNORECASE,
)
_THOUGHT_START = re.compile(
    rf"^[ \t]*+(?:<{_THOUGHT}>|\[THINK\]|\u25c1think\u25b7"
    r"|<\|START_THINKING\|>|<\|channel\|>analysis<\|message\|>)",
    re.IGNORECASE | re.MULTILINE,
)
_FENCE = re.compile(r"[ \t]*(?:`{3,}|~{3,})[ \t]*([A-Za-z0-9_+-]*)[ \t]*$")
_JSON_TAGS = frozenset({"", "json", "jsonc", "json5", "javascript", "js"})
# a brace or bracket that starts JSON, or what was meant to be JSON: prose has others
_OBJECT_START = r"""\{\s*+(?:["'}\u201c]|[A-Za-z_]\w*+\s*+:)"""
_ARRAY_START = r"""\[\s*+(?:["'{\[\]\u201c]|-?\d|true|false|null)"""
_STARTS = {
    "object": re.compile(_OBJECT_START),
    "any": re.compile(f"{_OBJECT_START}|{_ARRAY_START}"),
}


@dataclass(frozen=True, slots=True)
class Extracted:
    """A JSON value and how it was come by. `source` is its JSON text: the text's own, or the repaired."""

    value: Any
    how: How
    source: str
    is_closed: bool = False
    """Whether the last braces were missing: if the text was cut, so may be members before them."""


def extract_json(text: str, wanted: Literal["object", "any"] = "any") -> Extracted | Failure:
    """Return the JSON value that a text ends in, or Failure(PARSE_ERROR). Never raises.

    `wanted` says what may be taken out of prose: with `object` a citation `[1]` is no candidate.
    """
    for candidate in (text.strip(), said := without_thoughts(text).strip()):
        if (exact := _parse(candidate)) is not None:
            return _once_more(exact[0], wanted) or Extracted(exact[0], "exact", candidate)
    if not said:
        return Failure(FailureKind.PARSE_ERROR, "the model thought, and gave no answer after it")
    return _last_fenced(said) or _from_prose(said, _STARTS[wanted])


def _once_more(value: Any, wanted: str) -> Extracted | None:
    """Take the object out of a string that is nothing else: models encode their JSON twice."""
    if wanted != "object" or not isinstance(value, str) or (inner := _parse(value.strip())) is None:
        return None
    return Extracted(inner[0], "embedded", value.strip()) if isinstance(inner[0], dict) else None


def without_thoughts(text: str) -> str:
    """Return what follows the model's `<think>…</think>`, also where the opening tag was in the prompt.

    A thought that begins on a line of its own and never ends is left out as well.
    """
    end = max((tag.end() for tag in _THOUGHT_END.finditer(text)), default=0)
    unended = _THOUGHT_START.search(text, end)
    return text[end:] if unended is None else text[end : unended.start()]


def shown(text: str, limit: int = 80) -> str:
    """Return a text quoted on one line, at most `limit` characters of it."""
    return repr(shortened(text, limit))


def shortened(text: str, limit: int = 80) -> str:
    """Return a text, or its beginning with a mark that says so."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def written(value: Any) -> str:
    """Return a value as JSON text; a number that is no JSON becomes null, which no number is."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer beyond 64 bits: a model writes what it likes
        pass
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return "null"


def _parse(text: str) -> tuple[Any] | None:
    """Return the value in a tuple of its own, so that `null` is not taken for no value."""
    if not text or _is_too_deep(text):
        return None
    try:
        return (orjson.loads(text),)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None


def _is_too_deep(text: str) -> bool:
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return False
    depth = 0
    for token in TOKEN.finditer(text):
        mark = token[0]
        depth += 1 if mark in ("{", "[") else -1 if mark in ("}", "]") else 0
        if depth > MAX_DEPTH:
            return True
    return False


def _last_fenced(text: str) -> Extracted | None:
    """Return the last fenced block that parses; none if the text ends in an unclosed block that does not."""
    if "```" not in text and "~~~" not in text:
        return None
    found = None
    inside: list[str] | None = None
    tag = ""
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if inside is None and fence:
            inside, tag = [], fence[1].lower()
        elif inside is not None and fence and not fence[1]:
            found = _fenced(inside, tag) or found
            inside = None
        elif inside is not None:
            inside.append(line)
    if inside is None:
        return found
    return _fenced(inside, tag)


def _fenced(lines: list[str], tag: str) -> Extracted | None:
    source = "\n".join(lines).strip()
    parsed = _parse(source) if tag in _JSON_TAGS else None
    return None if parsed is None else Extracted(parsed[0], "fenced", source)


def _from_prose(said: str, start: re.Pattern[str]) -> Extracted | Failure:
    """Return the last balanced span that parses, else the last one repaired."""
    spans, cut = _balanced_spans(said, start)
    for span in reversed(spans[-_TRIED_SPANS:] if cut is None else []):
        if (parsed := _parse(span)) is not None:
            return Extracted(parsed[0], "embedded", span)
    if cut is not None:
        if (closed := close_json(cut)) is not None:
            return Extracted(closed[0], "repaired", closed[1], is_closed=True)
        return Failure(FailureKind.PARSE_ERROR, f"the answer holds JSON that is cut: {shown(cut)}")
    if not spans:
        return Failure(FailureKind.PARSE_ERROR, f"the answer holds no JSON: {shown(said)}")
    if (repaired := repair_json(spans[-1])) is not None:
        return Extracted(repaired, "repaired", written(repaired))
    return Failure(FailureKind.PARSE_ERROR, f"the answer holds broken JSON: {shown(spans[-1])}")


def _balanced_spans(text: str, start: re.Pattern[str]) -> tuple[list[str], str | None]:
    """Return the outermost balanced spans in order, and the piece at the end that never closes, if any.

    A piece that never closes ends the search: what is balanced inside it is a part of an answer only.
    """
    spans: list[str] = []
    position = 0
    while (opening := start.search(text, position)) is not None:
        end = _end_of(text, opening.start())
        if end is None:
            return spans, text[opening.start() :]
        spans.append(text[opening.start() : end])
        position = end
        if len(spans) > _MAX_SPANS:
            return [], None
    return spans, None


def _end_of(text: str, start: int) -> int | None:
    depth = 0
    for token in TOKEN.finditer(text, start):
        mark = token[0]
        if mark in ("{", "["):
            depth += 1
        elif mark in ("}", "]"):
            depth -= 1
            if depth == 0:
                return token.end()
        elif not token[1]:
            return None
    return None
