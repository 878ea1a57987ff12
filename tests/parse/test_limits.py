"""How large a shape may be."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, create_model

from llmbatch.errors import TaskError
from llmbatch.parse.shape import shape_of


def nested(levels: int) -> Any:
    """Return a class whose deepest field is so many steps below it."""
    shape: Any = str
    for level in range(levels):
        shape = create_model(f"Level{levels - level}", inner=(shape, ...))
    return shape


def wide(properties: int) -> Any:
    fields: Any = {f"f{each}": (int, ...) for each in range(properties)}
    return create_model("Wide", **fields)


def labels(count: int, characters: int = 4) -> Any:
    members: Any = {f"l{each}": f"{each:0{characters}d}" for each in range(count)}
    return Enum("Labels", members)


def listed(shape: Any) -> Any:
    return list[shape]


class Part(BaseModel):
    words: list[list[str]]


class Whole(BaseModel):
    parts: list[Part]
    first: Part
    again: list[Whole]


@pytest.mark.parametrize(
    "shape",
    [nested(10), listed(nested(8)), wide(5_000), labels(1_000), labels(251, 59), labels(250, 100), Whole],
    ids=["nested", "nested in a list", "wide", "labels", "characters of many labels", "of few", "recursive"],
)
def test_a_shape_may_be_as_large_as_the_documented_limits(shape: Any) -> None:
    """Ten levels, 5,000 properties, 1,000 labels, 15,000 characters in more than 250 labels."""
    assert shape_of(shape).json_schema


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        (nested(11), ("Level1.inner.inner.inner.inner.inner.inner.inner.inner.inner.inner.inner cannot be asked for: "
                     "it has 11 levels of nesting, and strict schemas take 10")),
        (listed(nested(9)), "11 levels of nesting"),
        (wide(5_001), "Wide cannot be asked for: it has 5,001 properties, and strict schemas take 5,000"),
        (labels(1_001), "it has 1,001 labels, and strict schemas take 1,000"),
        (listed(labels(251, 60)), "it has 15,060 characters in its 251 labels, and strict schemas take 15,000"),
        (Literal["x" * 120_000], "it has 120,005 characters in its names and labels"),
    ],
    ids=["nested", "nested in a list", "wide", "labels", "characters of many labels", "characters"],
)  # fmt: skip
def test_a_shape_beyond_them_is_the_authors_error(shape: Any, what: str) -> None:
    """Where the type is too deep its path is told; a service would refuse every one of its questions."""
    with pytest.raises(TaskError) as caught:
        shape_of(shape)

    assert what in caught.value.what
