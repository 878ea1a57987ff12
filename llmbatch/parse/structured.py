"""From a completion to a typed value, or to the reason why there is none. Raises nothing into a run.

What can be said of a bad answer is said in our words, since it is sent back to the model on a re-ask and a
re-ask is part of a recorded request: a library's upgrade must not change it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import orjson
from pydantic import ValidationError

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.config.values import StructuredMode
from llmbatch.errors import AnswerError
from llmbatch.parse.completion import Completion
from llmbatch.parse.extract import Extracted, How, extract_json, shown, without_thoughts, written
from llmbatch.parse.naming import ANSWER
from llmbatch.parse.normalise import Change, label_of_word, with_exact_labels
from llmbatch.parse.reasons import refusal_of, show_changes, word_refused
from llmbatch.parse.shape import VALUE, Shape
from llmbatch.parse.strict import resolve
from llmbatch.parse.tool_answer import without_call

T = TypeVar("T")

_AROUND_A_WORD = " \t\r\n\"'`*_.,;:!?()[]\u201c\u201d\u2018\u2019"


class Parsed(NamedTuple, Generic[T]):
    """A valid answer and how it was found: `text` is a plain text, `word` a bare label, the rest JSON.

    `normalised` says what was read as a label that it is not; empty for most.
    """

    value: T
    how: How | Literal["text", "word"]
    normalised: str = ""


# a third of the time of Parsed(...)
_parsed: Callable[[tuple[Any, str, str]], Parsed[Any]] = partial(tuple.__new__, Parsed)


def parse_answer(shape: Shape[T], completion: Completion, mode: StructuredMode) -> Parsed[T] | Failure:
    """Return the answer's value, or why there is none.

    An answer that was cut at the length limit is good only if what was asked for is there whole. Any mode
    reads tolerantly: services that accept a schema do not all keep to it.
    """
    if completion.refusal:
        return Failure(FailureKind.REFUSAL, f"the model refused: {completion.refusal[:200]}")
    if completion.finish_reason == "content_filter":
        return Failure(FailureKind.CONTENT_FILTER, "the service filtered the answer")
    text = completion.text or ""
    cut = completion.finish_reason == "length"
    parsed: Parsed[Any] | Failure | None = None
    if text[:1] == "{" and not shape.plain and _is_read_alike(text, shape):
        try:
            parsed = _parsed((shape.validate_json(text), "exact", ""))
        except Exception:  # noqa: BLE001 - the author's validators may raise anything: the slow way says what
            parsed = None
    elif not text.strip():
        return _nothing_said(completion, cut)
    if parsed is None:
        parsed = Parsed(text, "text") if shape.plain else _parse(shape, text, mode)
    if cut and not _is_whole(parsed, shape, text):
        return Failure(FailureKind.TRUNCATED, "the answer was cut at max_tokens", "length")
    return parsed


def reask_message(failure: Failure, said: str = "") -> str:
    """Return the text that asks a model to correct its answer; `said` is the answer."""
    if failure.kind is FailureKind.OUT_OF_LABEL and isinstance(unread := extract_json(said), Failure):
        failure = unread  # a bare word: asked again in these words before it had a category of its own
    match failure.kind:
        case FailureKind.INVALID_ANSWER | FailureKind.OUT_OF_LABEL:
            faults = "\n".join(f"- {phrase}" for phrase in failure.message.split("; "))
            fault = f"Your answer does not fit:\n{faults}\nAnswer again"
        case _:
            fault = f"Your answer could not be read: {failure.message}\nAnswer again"
    return f"{fault}, whole and in the form that was asked for, and with nothing else."


def columns_of(value: T, shape: Shape[T]) -> dict[str, Any]:
    """Return the columns of a value, named `shape.fields`: enums as their values, models as mappings.

    Raises AnswerError (a failure of the row) when a serializer or computed field of the author's raises.
    """
    if shape.plain:
        return {ANSWER: value}
    try:
        dumped = shape.adapter.serializer.to_python(value, mode="json", by_alias=False)
    except Exception as error:
        raise AnswerError(
            f"{shape.name} could not be turned into columns: {type(error).__name__}: {error}",
            kind=FailureKind.TASK_ERROR,
            fix="correct the serializer or computed field of the class; nothing is paid again",
        ) from error
    if shape.is_one_column or not isinstance(dumped, dict):
        return {ANSWER: dumped}
    return dumped if tuple(dumped) == shape.fields else {name: dumped.get(name) for name in shape.fields}


def _is_read_alike(text: str, shape: Shape[Any]) -> bool:
    """Whether pydantic takes no more for JSON than JSON is: it knows NaN, and takes 1e999 for an infinity."""
    if "NaN" in text or "Infinity" in text:
        return False
    if shape.may_hold_infinity:
        try:
            orjson.loads(text)
        except ValueError:
            return False
    return True


def _nothing_said(completion: Completion, cut: bool) -> Failure:
    if cut:
        return Failure(FailureKind.TRUNCATED, "the answer was cut at max_tokens before it began", "length")
    if completion.tool_calls:
        return Failure(FailureKind.TOOL_CALLS, "the model called tools in place of an answer")
    if completion.reasoning:
        return Failure(FailureKind.EMPTY_CONTENT, "the model reasoned, and gave no answer")
    return Failure(FailureKind.EMPTY_CONTENT, "the answer is empty")


def _parse(shape: Shape[Any], text: str, mode: StructuredMode) -> Parsed[Any] | Failure:
    extracted = extract_json(text, "object" if _wants_object(shape) else "any")
    if isinstance(extracted, Failure):
        return (_as_word(shape, text) if shape.wrapped else None) or extracted
    if mode == "tool":
        extracted = without_call(extracted, shape.fields)
    return _validated(shape, extracted)


def _wants_object(shape: Shape[Any]) -> bool:
    if not shape.wrapped:
        return True
    node = shape.json_schema["properties"][VALUE]
    return node.get("type") != "array" and "anyOf" not in node


def _as_word(shape: Shape[Any], text: str) -> Parsed[Any] | Failure | None:
    """Take a bare label, alone on the last line that says anything; a word alone that is none is out of label."""
    values = shape.label_values(ANSWER)
    line = _last_line(text)
    word = line.strip(_AROUND_A_WORD)
    if not values or not word:
        return None
    label = label_of_word(line, shape.reading_schema, VALUE) or label_of_word(word, shape.reading_schema, VALUE)
    if label is None:
        return word_refused(word, shape) if _is_one_word(word, text, list(values)) else None
    value = {VALUE: values[label]}
    found = _validated(shape, Extracted(value, "exact", written(value)))
    changes = [] if label in (line, word) else [Change((VALUE,), word, label)]
    return Parsed(found.value, "word", show_changes(changes, shape)) if isinstance(found, Parsed) else None


def _is_one_word(word: str, text: str, labels: list[str]) -> bool:
    """Whether all that was said is no longer than a label, and nothing that was meant to be JSON."""
    said = without_thoughts(text).strip()
    most = max(len(label.split()) for label in labels)
    return "\n" not in said and len(word.split()) <= most and not set(word) & set('{}[]:"')


def _validated(shape: Shape[Any], extracted: Extracted) -> Parsed[Any] | Failure:
    """Validate the text's own JSON; if it is refused, once more with near spellings of labels put right."""
    value, source = extracted.value, extracted.source
    if extracted.is_closed and not _has_last_members(value, shape.json_schema, shape.json_schema):
        return Failure(FailureKind.PARSE_ERROR, f"the answer holds JSON that is cut: {shown(source)}")
    if shape.wrapped and not (isinstance(value, dict) and VALUE in value):
        value, source = {VALUE: value}, f'{{"{VALUE}":{source}}}'
    exact, changes = with_exact_labels(value, shape.reading_schema)
    refused: Exception | None = None
    for candidate, made in [(source, []), (written(exact), changes)][: 2 if changes else 1]:
        try:
            return Parsed(shape.validate_json(candidate), extracted.how, show_changes(made, shape))
        except Exception as error:  # noqa: BLE001 - the author's validators may raise anything; the run goes on
            refused = error
    if isinstance(refused, ValidationError):
        return refusal_of(refused, shape)
    name = type(refused).__name__
    return Failure(FailureKind.INVALID_ANSWER, f"a validator of {shape.name} raised {name}: {refused}", name)


def _has_last_members(value: Any, node: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    """Whether each object at the end of a value has all its members, so that none can be in a part that was cut off."""
    node = resolve(node, root)
    if not isinstance(value, dict | list) or not value:
        return not isinstance(value, dict)
    if "anyOf" in node:
        kind = "object" if isinstance(value, dict) else "array"
        options = [option for option in node["anyOf"] if resolve(option, root).get("type") in (kind, None)]
        return bool(options) and all(_has_last_members(value, option, root) for option in options)
    if isinstance(value, list):
        return _has_last_members(value[-1], node.get("items", {}), root)
    properties, last = node.get("properties", {}), list(value)[-1]
    return set(properties) <= set(value) and _has_last_members(value[last], properties.get(last, {}), root)


def _is_whole(parsed: Parsed[Any] | Failure, shape: Shape[Any], text: str) -> bool:
    """Whether an answer that ended at the length limit holds all that was asked for."""
    if isinstance(parsed, Failure) or parsed.how in ("text", "repaired"):
        return False
    if parsed.how == "word":
        said = _last_line(text).strip(_AROUND_A_WORD).casefold()
        return not any(label.casefold().startswith(said) and label.casefold() != said for label in shape.labels(ANSWER))
    # a bare number or word may go on in the part that is not there
    return parsed.how != "exact" or text.rstrip().endswith(("}", "]", '"'))


def _last_line(text: str) -> str:
    lines = [line for line in without_thoughts(text).splitlines() if line.strip(_AROUND_A_WORD)]
    return lines[-1].strip() if lines else ""
