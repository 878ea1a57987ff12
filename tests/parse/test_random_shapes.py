"""What holds for every type that can be asked for, whatever it is made of."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from llmbatch.call.failure import Failure
from llmbatch.parse.completion import Completion
from llmbatch.parse.shape import VALUE, Shape, shape_of
from llmbatch.parse.structured import Parsed, parse_answer
from tests.support.random_shapes import Node, Typed, shapes
from tests.support.strict_rules import broken_rules

WAYS = {
    "exact": "{}",
    "after thoughts": '<think>\nmaybe {{"value": 1}}\n</think>\n\n{}',
    "fenced": "Sure:\n```json\n{}\n```\nDone.",
    "embedded": "I think that it is {} all in all.",
}


def written(typed: Typed, shape: Shape[Any], value: object) -> str:
    """Return the JSON of a value as a model writes it when it keeps to the schema."""
    text = TypeAdapter(typed.shape).dump_json(value, by_alias=True).decode()
    return f'{{"{VALUE}":{text}}}' if shape.wrapped else text


def read(shape: Shape[Any], text: str) -> Parsed[Any] | Failure:
    empty: dict[str, Any] = dict.fromkeys(Completion._fields)
    return parse_answer(shape, Completion(**{**empty, "text": text, "held": {}}), "json_schema")


anything = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@anything
@given(shapes, st.data())
def test_any_type_becomes_a_schema_that_strict_mode_takes_and_its_values_come_back(
    typed: Typed, data: st.DataObject
) -> None:
    """By the documented rules, read independently; a value comes back equal through every way of finding it."""
    if typed.shape is str:
        return
    shape = shape_of(typed.shape)
    value = data.draw(typed.values)
    text = written(typed, shape, value)

    assert [] == broken_rules(shape.json_schema)
    Draft202012Validator(shape.json_schema).validate(json.loads(text))
    for way, form in WAYS.items():
        answer = read(shape, form.format(text))
        assert isinstance(answer, Parsed), (way, answer, text)
        assert value == answer.value, way
        assert type(value) is type(answer.value), way


@anything
@given(shapes, st.data())
def test_a_repair_gives_the_value_that_was_said_or_none(typed: Typed, data: st.DataObject) -> None:
    """A comma too many, or an end that is missing: a cut answer is none, or it is all there; nothing is filled in."""
    if typed.shape is str:
        return
    shape = shape_of(typed.shape)
    value = data.draw(typed.values)
    text = written(typed, shape, value)
    cut = text[: data.draw(st.integers(1, len(text) - 1))]

    for broken in (f"{text[:-1]},}}", f"So: {text[:-1]}", cut):
        answer = read(shape, broken)
        assert isinstance(answer, Failure) or value == answer.value


@given(st.sampled_from(["properties", "required", "additionalProperties", "type"]))
@example("anyOf")
def test_the_checker_sees_a_schema_that_breaks_a_rule(keyword: str) -> None:
    """It is the judge of the others."""
    schema = json.loads(json.dumps(shape_of(Node).json_schema))
    node = schema["$defs"]["Node"]
    if keyword == "anyOf":
        node["properties"]["twin"]["oneOf"] = node["properties"]["twin"].pop("anyOf")
    else:
        del node[keyword]

    assert [] == broken_rules(shape_of(Node).json_schema)
    assert broken_rules(schema)


@pytest.mark.parametrize("missing", ["name", "below", "twin"])
def test_what_the_schema_refuses_an_independent_validator_refuses(missing: str) -> None:
    """All fields are required of the model, those with a default as well."""
    value: dict[str, Any] = {"name": "a", "below": [], "twin": None}
    del value[missing]

    assert not Draft202012Validator(shape_of(Node).json_schema).is_valid(value)
