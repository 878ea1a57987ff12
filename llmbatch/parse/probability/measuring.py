"""From the body of a reply and the place of a label to the label's probabilities, or to why there are none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llmbatch.call.failure import Failure
from llmbatch.parse.extract import Extracted, extract_json, without_thoughts
from llmbatch.parse.probability.aligning import Placed, place_tokens
from llmbatch.parse.probability.doubts import Source, source_of
from llmbatch.parse.probability.fields import ClosedField
from llmbatch.parse.probability.locating import Path, Span, span_of
from llmbatch.parse.probability.spelling import AROUND_A_WORD, Spelling, State
from llmbatch.parse.probability.tokens import Beside, Token, is_of_the_sampler, read_tokens
from llmbatch.parse.probability.tree import Spread, spread_over_labels
from llmbatch.parse.shape import VALUE

_STARTS_TRIED = 50
_MOST_TOKENS = 200  # of a label, and of line breaks and the like that a model may write behind it without end


@dataclass(frozen=True, slots=True)
class Measured:
    """What the tokens of an answer say of the labels at one place of it.

    `place` is that of the label that stands there. `first_token` is the probability of the token in which it begins.
    """

    field: ClosedField
    spread: Spread
    place: int
    first_token: float
    source: Source
    doubt: str


def measure(document: Any, text: str, field: ClosedField, asked: int) -> Measured | str:
    """Return the probabilities of the labels at a place of an answer, or why there are none.

    `document` is the reply's body, `text` the answer that was taken out of it, and `asked` how many tokens were to be
    listed at each place.
    """
    tokens = read_tokens(document)
    if tokens is None:
        return "the service returned no logprobs"
    if not any(token.others or token.ruled_out for token in tokens):
        return "the service returned the logprobs of no other tokens (top_logprobs)"
    place = _place_of(text, field)
    if place is None:
        return f"the answer has no {field.path} that could be found in its text"
    span, spelling = place
    placed = place_tokens(tokens, text) or ()
    begins = span.start - 1 if spelling.tells_by_quotes and text[span.start - 1 : span.start] == '"' else span.start
    path, before = _path_of(placed, text, span.opens, begins)
    label = _written(path, before, spelling)
    if label is None:
        return f"the tokens that the service lists do not spell {field.path}"
    source, doubt = source_of(tokens, path[: _tokens_of(path, before, spelling)], asked)
    if is_of_the_sampler(document):
        source, doubt = "rescaled", "the service gave the probabilities of its sampler (post_sampling_probs)"
    spread = spread_over_labels([path], spelling, len(field.labels), before)
    first = path[0] if begins == span.start else _path_of(placed, text, span.opens, span.start)[0][0]
    return Measured(field, spread, label, first.said.probability, source, doubt)


def _place_of(text: str, field: ClosedField) -> tuple[Span, Spelling] | None:
    """Return where the label stands in the text, as JSON or as a bare word."""
    keys: Path = field.keys
    extracted = extract_json(text, field.wanted)
    if not isinstance(extracted, Failure):
        if keys[:1] == (VALUE,) and not (isinstance(extracted.value, dict) and VALUE in extracted.value):
            keys = keys[1:]
        if keys:
            span = _span_in(text, extracted, keys)
            return None if span is None else (span, field.json)
    return (_last_words(text), field.word) if field.keys == (VALUE,) else None


def _span_in(text: str, extracted: Extracted, keys: Path) -> Span | None:
    """Return the place of the value in the text: where its JSON stands, or in the broken JSON that was repaired."""
    value = extracted.value
    for key in keys:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    whole = text.rfind(extracted.source)
    starts = [whole] if whole >= 0 else [at for at, mark in enumerate(text) if mark in "{["][:_STARTS_TRIED]
    for start in starts:
        span = span_of(text, keys, start)
        if span is not None and _reads_as(text, span, value):
            return span
    return None


def _reads_as(text: str, span: Span, value: Any) -> bool:
    said = text[span.start : span.end]
    try:
        return bool(json.loads(f'"{said}"' if isinstance(value, str) else said, strict=False) == value)
    except ValueError:
        return False


def _last_words(text: str) -> Span:
    """Return the place of the last line that says anything, without what stands around its words."""
    said = without_thoughts(text)
    end = len(text) - len(said) + len(said.rstrip(AROUND_A_WORD))
    line = max(text.rfind("\n", 0, end) + 1, len(text) - len(said))
    start = line + len(text[line:end]) - len(text[line:end].lstrip(AROUND_A_WORD))
    return Span(line, start, end)


def _path_of(placed: Sequence[Placed], text: str, may_begin: int, begins: int) -> tuple[list[Token], bytes]:
    """Return the tokens from the one in which the label begins, and the bytes from where it may begin up to that.

    A token that holds the end of what stands before the value is cut there: of those beside it, only such as
    begin alike can lead to the value.
    """
    content = text.encode("utf-8", "replace")
    opens, start = (len(text[:place].encode("utf-8", "replace")) for place in (may_begin, begins))
    first = next((at for at, token in enumerate(placed) if token.end > start and token.start <= start), None)
    if first is None:
        return [], b""
    begin = placed[first].start
    # a token without text in the middle of an answer has not ended it
    last = max(at for at, token in enumerate(placed) if token.start < token.end and token.start < len(content))
    path = [
        one.token if at > last else one.token._replace(said=one.token.said._replace(ends=False))
        for at, one in enumerate(placed[first : first + _MOST_TOKENS], start=first)
    ]
    if begin >= opens:
        return path, content[opens:begin]
    shared = content[begin:opens]
    return [_without(path[0], shared), *path[1:]], b""


def _without(token: Token, shared: bytes) -> Token:
    """Take the bytes before the value off a token and those beside it; what begins otherwise leads elsewhere."""
    others = []
    for other in token.others:
        if other.spelled is None or other.spelled.startswith(shared):
            spelled = None if other.spelled is None else other.spelled[len(shared) :]
            others.append(other._replace(spelled=spelled))
        elif shared.startswith(other.spelled) and not other.ends:
            others.append(other._replace(spelled=b""))  # the value may still follow
        else:
            others.append(other._replace(spelled=b"\x00", ends=False))
    said = token.said._replace(spelled=(token.said.spelled or b"")[len(shared) :])
    return Token(said, Beside.of(others, token.ruled_out))


def _tokens_of(path: Sequence[Token], before: bytes, spelling: Spelling) -> int:
    """Return how many tokens it takes until one label is left."""
    written = before
    for count, token in enumerate(path, start=1):
        written += token.said.spelled or b""
        if len(spelling.read(written).labels) <= 1:
            return count
    return len(path)


def _written(path: Sequence[Token], before: bytes, spelling: Spelling) -> int | None:
    """Return the label that the tokens spell, by its place."""
    written, reading = before, None
    for token in path:
        if token.said.ends:
            break
        written += token.said.spelled or b""
        reading = spelling.read(written)
        if reading.state in (State.WHOLE, State.GONE):
            break
    if reading is None or reading.state in (State.OPEN, State.SAID):
        reading = spelling.read(written, ended=True)
    return next(iter(reading.labels)) if reading.state is State.WHOLE else None
