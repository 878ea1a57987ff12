"""Why a value is not valid, in our words: location, kind and value.

Never pydantic's text: its links carry a version, and the words are sent in re-asks, which are recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson
from pydantic import ValidationError

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.parse.extract import shortened, shown
from llmbatch.parse.labels import labels_of
from llmbatch.parse.naming import ANSWER
from llmbatch.parse.normalise import Change
from llmbatch.parse.shape import VALUE, Shape
from llmbatch.parse.strict import JsonSchema, resolve

_MOST = 5
_MOST_CHANGES = 20
_LABEL_ERRORS = ("literal_error", "enum", "bool_parsing")
_SAYABLE = (str, int, float)  # a null, a list or an object is no word outside of labels
_LABEL_KINDS = ("literal_error", "enum", "bool_parsing", "bool_type")
# kind of error to the words after the value; {…} are members of the error's context
_WORDS = {
    "int_type": "is not an integer",
    "int_parsing": "is not an integer",
    "int_parsing_size": "is too large for an integer",
    "int_from_float": "is not an integer",
    "float_type": "is not a number",
    "float_parsing": "is not a number",
    "finite_number": "is not a finite number",
    "bool_type": "is not true or false",
    "bool_parsing": "is not true or false",
    "string_type": "is not a string",
    "list_type": "is not a list",
    "tuple_type": "is not a list",
    "dict_type": "is not an object",
    "model_type": "is not an object",
    "model_attributes_type": "is not an object",
    "dataclass_type": "is not an object",
    "none_required": "is not null",
    "extra_forbidden": "is not a field of the answer",
    "unexpected_keyword_argument": "is not a field of the answer",
    "greater_than": "is not greater than {gt}",
    "greater_than_equal": "is less than {ge}",
    "less_than": "is not less than {lt}",
    "less_than_equal": "is greater than {le}",
    "multiple_of": "is not a multiple of {multiple_of}",
    "string_too_short": "is shorter than {min_length} characters",
    "string_too_long": "is longer than {max_length} characters",
    "string_pattern_mismatch": "does not match {pattern}",
    "too_short": "has {actual_length} items, and at least {min_length} are needed",
    "too_long": "has more than {max_length} items",
    "date_from_datetime_parsing": "is not a date",
    "date_parsing": "is not a date",
    "datetime_parsing": "is not a date and time",
    "datetime_from_date_parsing": "is not a date and time",
    "literal_error": "is not one of {expected}",
    "enum": "is not one of {expected}",
    "union_tag_invalid": "has a {discriminator} that is not one of {expected_tags}",
    "union_tag_not_found": "has no {discriminator}",
    "recursion_loop": "holds itself",
}


class Asked(Protocol):
    """What was asked for, as a schema: the shape of an answer, or the arguments of a function."""

    @property
    def json_schema(self) -> JsonSchema:
        """The schema, an object at its root."""
        ...

    @property
    def wrapped(self) -> bool:
        """Whether the value is no object by itself and travels in one."""
        ...


def refusal_of(error: ValidationError, shape: Asked) -> Failure:
    """Return why an answer is not valid: one phrase for each error, in the order of the fields, at most five of them.

    OUT_OF_LABEL where words outside closed sets of labels are all that is wrong; its detail is the first such word.
    """
    errors = error.errors(include_url=False)
    phrases = [_phrase(dict(entry), shape) for entry in errors[:_MOST]]
    if len(errors) > _MOST:
        phrases.append(f"and {len(errors) - _MOST} more")
    message = "; ".join(phrases)
    if all(entry["type"] in _LABEL_ERRORS and isinstance(entry["input"], _SAYABLE) for entry in errors):
        return Failure(FailureKind.OUT_OF_LABEL, message, _said(errors[0]["input"]))
    return Failure(FailureKind.INVALID_ANSWER, message, str(errors[0]["type"]))


def word_refused(word: str, shape: Shape[Any]) -> Failure:
    """Return the failure of an answer that is one word, and none of the labels."""
    message = f"the answer: {shown(word)} is not one of {', '.join(shape.labels(ANSWER))}"
    return Failure(FailureKind.OUT_OF_LABEL, message, shortened(word))


def show_changes(changes: Sequence[Change], shape: Asked) -> str:
    """Return what was read as a label, in one line; at most twenty of them."""
    shown_ones = [f"{_where(at, shape)}: {show_value(said)} as {label}" for at, said, label in changes[:_MOST_CHANGES]]
    more = [f"and {len(changes) - _MOST_CHANGES} more"] if len(changes) > _MOST_CHANGES else []
    return "; ".join([*shown_ones, *more])


def show_value(value: Any) -> str:
    """Return a JSON value on one line: strings quoted, everything cut to 80 characters."""
    if isinstance(value, str):
        return shown(value)
    try:
        text = orjson.dumps(value, default=repr).decode()
    except TypeError:
        text = repr(value)
    return shortened(text)


def _said(value: Any) -> str:
    return shortened(value) if isinstance(value, str) else show_value(value)


def _phrase(entry: Mapping[str, Any], shape: Asked) -> str:
    location, kind, value = entry["loc"], entry["type"], entry.get("input")
    where = _where(location, shape)
    if kind == "missing":
        return f"{where}: missing"
    context = entry.get("ctx", {})
    if kind in ("value_error", "assertion_error"):  # the author's own validator: the author's own words
        said = " ".join(str(context.get("error", "")).split())[:200]
        return f"{where}: {show_value(value)}: {said or 'refused by a validator'}"
    labels = _labels_at(location, shape) if kind in _LABEL_KINDS else ()
    if labels:
        return f"{where}: {show_value(value)} is not one of {', '.join(labels)}"
    words = _WORDS.get(kind, f"is not valid ({kind.replace('_', ' ')})")
    try:
        words = words.format_map(context)
    except (KeyError, ValueError):
        words = f"is not valid ({kind.replace('_', ' ')})"
    return f"{where}: {show_value(value)} {words}"


def _where(location: tuple[int | str, ...], shape: Asked) -> str:
    if shape.wrapped and location[:1] == (VALUE,):
        location = location[1:]
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path or "the answer"


def _labels_at(location: tuple[int | str, ...], shape: Asked) -> tuple[str, ...]:
    root = shape.json_schema
    node: Mapping[str, Any] = root
    for step in location if location or not shape.wrapped else (VALUE,):
        node = resolve(node, root)
        if isinstance(step, int) and "items" in node:
            node = node["items"]
        elif step in node.get("properties", {}):
            node = node["properties"][step]
        else:
            return ()  # a step into one shape of several: which one is not in the schema
    return tuple(labels_of(node, root))
