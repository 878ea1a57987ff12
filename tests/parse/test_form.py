"""The form that a model fills in where it is told the schema in words."""

from __future__ import annotations

import json
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
    level: Level
    sure: float
    breaking: bool
    ticket: str | None
    tags: list[str]


@pytest.mark.parametrize(
    ("shape", "form"),
    [
        (Literal["yes", "no"], {"value": "yes | no"}),
        (int, {"value": 0}),
        (list[bool], {"value": [True]}),
        (int | str, {"value": 0}),
        (
            Report,
            {
                "summary": "...",
                "kind": "corrective | adaptive",
                "level": 1,
                "sure": 0.0,
                "breaking": True,
                "ticket": "...",
                "tags": ["..."],
            },
        ),
    ],
)
def test_a_form_names_each_member_and_what_may_stand_there(shape: Any, form: object) -> None:
    """In the order of the schema, by the names that the model is to write."""
    filled = json.loads(form_of(shape_of(shape).json_schema))

    assert [form, list(form)] == [filled, list(filled)]  # type: ignore[call-overload]


def test_a_shape_inside_itself_ends() -> None:
    """What is in words cannot go on for ever."""
    form = json.loads(form_of(shape_of(Node).json_schema))

    assert form["name"] == "..."
    assert len(json.dumps(form)) < 200
