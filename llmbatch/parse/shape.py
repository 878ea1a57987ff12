"""The shape of an answer: from a Python type to the schema that is sent and the validator of what comes back.

Knows no request and no reply. Built once for a type; a type that strict mode cannot carry is an error of the
author's, found before anything is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

import orjson
from pydantic import TypeAdapter, create_model
from typing_extensions import TypeForm

from llmbatch.config.values import StructuredMode
from llmbatch.errors import TaskError
from llmbatch.parse.form import form_of
from llmbatch.parse.json_schema import json_schema_of
from llmbatch.parse.label_rules import RULES, check_rules
from llmbatch.parse.labels import Labels, labels_of
from llmbatch.parse.limits import check_limits
from llmbatch.parse.naming import ANSWER, described, name_of, place_of_type
from llmbatch.parse.strict import JsonSchema, NotStrictError, resolve, strict_schema

T = TypeVar("T")

VALUE = "value"
"""The property that holds an answer which is not an object: strict mode wants an object at the root."""
TOOL_PURPOSE = "Give the answer"
"""What the one function is for, in words that are part of recorded requests."""
_MODES_IN_WORDS = frozenset({"json_object", "text"})


@dataclass(frozen=True, slots=True, eq=False)
class Shape(Generic[T]):
    """What an answer must look like.

    `fields` are the columns it gives, in order. `wrapped` says that the value travels as `{"value": ...}`;
    `plain` that it is the text itself, without a schema; `is_one_column` that it has no fields as a row sees it.
    """

    name: str
    fields: tuple[str, ...]
    json_schema: JsonSchema
    instruction: str
    plain: bool
    wrapped: bool
    is_one_column: bool
    adapter: TypeAdapter[T]
    validate_json: Callable[[str], T]
    """Validates the whole answer and unwraps it. Raises ValidationError, or what the author's code raises."""
    reading_schema: JsonSchema
    """The schema with the rules by which labels are read; it is never sent."""
    may_hold_infinity: bool
    """Whether a number of any kind fits somewhere: pydantic takes one that is too large for an infinity."""
    _keys: Mapping[str, str]
    _members: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def request_members(self, mode: StructuredMode) -> Mapping[str, Any]:
        """Return what a request says of the shape beside its messages; nothing where that is in words alone."""
        return self._members.get(mode, {})

    def instruction_in(self, mode: StructuredMode) -> str:
        """Return the shape in words, for the modes in which nothing else tells the model of it."""
        return self.instruction if mode in _MODES_IN_WORDS else ""

    def key_of(self, column: str) -> str:
        """Return the JSON key of a column: the alias of a field that has one, `value` if wrapped."""
        return self._keys.get(column, column)

    def label_values(self, column: str) -> Labels:
        """Return the labels of a column with the JSON values they stand for; empty where they are open."""
        node = self.json_schema.get("properties", {}).get(self.key_of(column))
        return {} if node is None else labels_of(node, self.json_schema)

    def labels(self, column: str) -> tuple[str, ...]:
        """Return the closed set of labels of a column as the model writes them; empty where it is open."""
        return tuple(self.label_values(column))


_shapes: dict[object, Shape[Any]] = {}


def shape_of(tp: TypeForm[T]) -> Shape[T]:
    """Return the shape of a type, the same object each time.

    Takes pydantic models, TypedDicts, dataclasses, Literal, Enum, int, float, bool, str, lists, Optional and
    unions of them. Raises TaskError with the path and the reason for a type that strict mode cannot carry.
    """
    # Literal["a", "b"] equals Literal["b", "a"], but their schemas differ, as do their reprs
    key: object = tp if isinstance(tp, type) else (repr(tp), tp)
    try:
        known = _shapes.get(key)
    except TypeError:
        key, known = repr(tp), None
    if known is None:
        known = _shapes.setdefault(key, _plain() if tp is str else _build(tp))
    return cast("Shape[T]", known)


def _plain() -> Shape[str]:
    adapter = TypeAdapter(str)
    return Shape("text", (ANSWER,), {}, "", True, False, True, adapter, adapter.validator.validate_json, {}, False, {})


def _build(tp: Any) -> Shape[Any]:
    name = name_of(tp)
    adapter, schema = _adapter(tp, name)
    try:
        strict, reading = strict_schema(schema, name), strict_schema(schema, name, RULES)
        check_rules(reading, name)
        wrapped = strict.get("type") != "object"
        if wrapped:
            strict, reading = _wrapped_schema(strict), _wrapped_schema(reading)
        check_limits(strict, name)
    except NotStrictError as error:
        raise TaskError(
            f"{error.path} cannot be asked for: {error.reason}",
            place=place_of_type(tp),
            shape=described(tp),
            fix=error.fix,
        ) from None
    of_fields = None if wrapped else _columns(tp, adapter, strict)
    columns, keys = of_fields or ((ANSWER,), {ANSWER: VALUE} if wrapped else {})
    return Shape(
        name=name,
        fields=columns,
        json_schema=strict,
        instruction=_instruction(strict),
        plain=False,
        wrapped=wrapped,
        is_one_column=of_fields is None,
        adapter=adapter,
        validate_json=_unwrapping(tp) if wrapped else adapter.validator.validate_json,
        reading_schema=reading,
        may_hold_infinity=b'"number"' in orjson.dumps(strict),
        _keys=keys,
        _members=_request_members(name, strict),
    )


def _request_members(name: str, schema: JsonSchema) -> Mapping[str, Mapping[str, Any]]:
    """Return the members of a request by mode.

    The one function is forced by the word `required`, not by its name: llama.cpp takes an object for `auto`
    (ggml-org/llama.cpp#26535), and with one function both say the same. It is not `strict`, which services without
    strict schemas refuse or pass over, and it is those that are asked by a function.
    """
    return {
        "json_schema": {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": name, "schema": schema, "strict": True},
            }
        },
        "json_object": {"response_format": {"type": "json_object"}},
        "tool": {
            "tools": [
                {"type": "function", "function": {"name": name, "description": TOOL_PURPOSE, "parameters": schema}}
            ],
            "tool_choice": "required",
        },
    }


def _adapter(tp: Any, name: str) -> tuple[TypeAdapter[Any], JsonSchema]:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(tp)
        return adapter, json_schema_of(adapter, "validation")
    except Exception as error:  # noqa: BLE001 - pydantic asserts as well, and hooks of the author's raise anything
        raise TaskError(
            f"{name} cannot be the shape of an answer",
            place=place_of_type(tp),
            shape=described(tp),
            reason=str(error).split("\n\n", maxsplit=1)[0] or type(error).__name__,
            fix="use a pydantic model, a TypedDict (of typing_extensions), a dataclass, Literal[...], "
            "an Enum, int, float, bool, str, or a list of these",
        ) from None


def _wrapped_schema(inner: JsonSchema) -> JsonSchema:
    definitions = inner.pop("$defs", None)
    schema: JsonSchema = {
        "type": "object",
        "properties": {VALUE: inner},
        "required": [VALUE],
        "additionalProperties": False,
    }
    return {**schema, "$defs": definitions} if definitions else schema


def _unwrapping(tp: Any) -> Callable[[str], Any]:
    wrapper: Any = create_model("Answer", value=(tp, ...))
    validate = wrapper.__pydantic_validator__.validate_json

    def validate_and_unwrap(text: str) -> Any:
        return validate(text).value

    return validate_and_unwrap


def _columns(tp: Any, adapter: TypeAdapter[Any], strict: JsonSchema) -> tuple[tuple[str, ...], dict[str, str]] | None:
    """Return the columns (computed fields included) and the JSON key of each that is asked for.

    None for a class that the author's serializer turns into something without fields: it is one column.
    """
    given = json_schema_of(adapter, "serialization", by_alias=False)
    columns = resolve(given, given).get("properties")
    if columns is None:
        return None
    asked = json_schema_of(adapter, "validation", by_alias=False)
    names, keys = list(resolve(asked, asked)["properties"]), list(strict["properties"])
    if len(names) > len(keys):
        raise TaskError(
            f"{name_of(tp)} asks for {len(names)} fields under {len(keys)} names",
            place=place_of_type(tp),
            fields=", ".join(names),
            names=", ".join(keys),
            fix="give each field an alias of its own",
        )
    return tuple(columns), dict(zip(names, keys, strict=True))


def _instruction(schema: JsonSchema) -> str:
    compact = orjson.dumps(schema).decode()
    task = "Answer with one JSON object of this form, with each <...> filled in, and with nothing else:"
    return f"The JSON schema of the answer:\n{compact}\n\n{task}\n{form_of(schema)}"
