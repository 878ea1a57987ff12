"""The form that a model fills in where it is told the schema in words."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from llmbatch.parse.form import form_of
from llmbatch.parse.shape import shape_of


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Node(BaseModel):
    name: str
    children: list[Node]
    parent: Node | None = None


class Report(BaseModel):
    summary: str
    category: Literal["corrective", "adaptive"] = Field(alias="kind")
    sure: float
    tags: list[str]


@pytest.mark.parametrize(
    ("shape", "form"),
    [
        (Literal["yes", "no"], '{"value": "<yes or no>"}'),
        (Level, '{"value": <1 or 2>}'),
        (Literal["only"], '{"value": "only"}'),
        (int, '{"value": <whole number>}'),
        (list[bool], '{"value": [<true or false>, ...]}'),
        (int | str | None, '{"value": <whole number> or "<text>" or null}'),
        (
            Report,
            '{"summary": "<text>", "kind": "<corrective or adaptive>", "sure": <number>, "tags": ["<text>", ...]}',
        ),
    ],
)
def test_a_form_names_each_member_and_what_may_stand_there(shape: Any, form: str) -> None:
    """In the order of the schema, by the names that the model is to write."""
    assert form == form_of(shape_of(shape).json_schema)


def test_a_shape_inside_itself_ends() -> None:
    """What is in words cannot go on for ever."""
    assert '{"name": "<text>", "children": [<...>, ...], "parent": <...> or null}' in form_of(
        shape_of(Node).json_schema
    )
