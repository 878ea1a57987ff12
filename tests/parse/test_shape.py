"""From a Python type to the schema that is sent."""

from __future__ import annotations

import dataclasses
import enum
from typing import Annotated, Any, Literal, Optional, get_args

import orjson
import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, WithJsonSchema, computed_field
from typing_extensions import TypedDict

from llmbatch.config import StructuredMode
from llmbatch.errors import TaskError
from llmbatch.parse.form import form_of
from llmbatch.parse.shape import shape_of


class Verdict(BaseModel):
    reasoning_steps: list[str]
    category: Literal["corrective", "adaptive", "perfective"]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Score(BaseModel):
    """How good it is."""

    points: Annotated[int, Field(ge=0, le=10, description="from 0 to 10")]
    colour: Colour = Field(Colour.RED, description="as seen")
    note: str | None = Field(None, max_length=20, pattern="^[a-z]*$", title="A note")
    only: Literal["x"] = "x"
    mixed: Literal["a", 1, None] = None


class Node(BaseModel):
    name: str
    children: list[Node] = Field(default=[], description="below it")
    left: Optional[Node] = None  # noqa: UP045 - both spellings must give the same schema


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


class Movie(TypedDict, total=False):
    title: str
    year: int


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    kind: Literal["a", "b"] = Field(alias="class")
    sure: bool

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated property
    @property
    def strong(self) -> bool:
        return self.sure


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]
    loud: bool


class Pets(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


GOLDEN = [
    (
        Verdict,
        (
            '{"type":"object","properties":{"reasoning_steps":{"type":"array","items":{"type":"string"}},'
            '"category":{"type":"string","enum":["corrective","adaptive","perfective"]}},'
            '"required":["reasoning_steps","category"],"additionalProperties":false}'
        ),
    ),
    (
        Score,
        (
            '{"type":"object","properties":{"points":{"type":"integer","description":"from 0 to 10"},'
            '"colour":{"type":"string","enum":["red","blue"],"description":"as seen"},'
            '"note":{"anyOf":[{"type":"string"},{"type":"null"}]},"only":{"type":"string","enum":["x"]},'
            '"mixed":{"type":["string","integer","null"],"enum":["a",1,null]}},'
            '"required":["points","colour","note","only","mixed"],"additionalProperties":false,'
            '"description":"How good it is."}'
        ),
    ),
    (
        Node,
        (
            '{"type":"object","properties":{"name":{"type":"string"},'
            '"children":{"type":"array","items":{"$ref":"#/$defs/Node"},"description":"below it"},'
            '"left":{"anyOf":[{"$ref":"#/$defs/Node"},{"type":"null"}]}},'
            '"required":["name","children","left"],"additionalProperties":false,"$defs":{"Node":'
            '{"type":"object","properties":{"name":{"type":"string"},'
            '"children":{"type":"array","items":{"$ref":"#/$defs/Node"},"description":"below it"},'
            '"left":{"anyOf":[{"$ref":"#/$defs/Node"},{"type":"null"}]}},'
            '"required":["name","children","left"],"additionalProperties":false}}}'
        ),
    ),
    (
        Point,
        (
            '{"type":"object","properties":{"x":{"type":"number"},"y":{"type":"number"}},'
            '"required":["x","y"],"additionalProperties":false}'
        ),
    ),
    (
        Movie,
        (
            '{"type":"object","properties":{"title":{"type":"string"},"year":{"type":"integer"}},'
            '"required":["title","year"],"additionalProperties":false}'
        ),
    ),
    (
        Aliased,
        (
            '{"type":"object","properties":{"class":{"type":"string","enum":["a","b"]},"sure":{"type":"boolean"}},'
            '"required":["class","sure"],"additionalProperties":false}'
        ),
    ),
    (
        Pets,
        (
            '{"type":"object","properties":{"pet":{"anyOf":[{"$ref":"#/$defs/Cat"},{"$ref":"#/$defs/Dog"}]}},'
            '"required":["pet"],"additionalProperties":false,"$defs":{'
            '"Cat":{"type":"object","properties":{"kind":{"type":"string","enum":["cat"]}},'
            '"required":["kind"],"additionalProperties":false},'
            '"Dog":{"type":"object","properties":{"kind":{"type":"string","enum":["dog"]},'
            '"loud":{"type":"boolean"}},"required":["kind","loud"],"additionalProperties":false}}}'
        ),
    ),
    (
        Literal["yes", "no"],
        (
            '{"type":"object","properties":{"value":{"type":"string","enum":["yes","no"]}},'
            '"required":["value"],"additionalProperties":false}'
        ),
    ),
    (
        list[Colour],
        (
            '{"type":"object","properties":{"value":{"type":"array","items":{"$ref":"#/$defs/Colour"}}},'
            '"required":["value"],"additionalProperties":false,'
            '"$defs":{"Colour":{"type":"string","enum":["red","blue"]}}}'
        ),
    ),
    (
        int | None,
        (
            '{"type":"object","properties":{"value":{"anyOf":[{"type":"integer"},{"type":"null"}]}},'
            '"required":["value"],"additionalProperties":false}'
        ),
    ),
]


@pytest.mark.parametrize(("tp", "schema"), GOLDEN, ids=[str(tp) for tp, _ in GOLDEN])
def test_the_schema_of_a_type_is_these_bytes(tp: Any, schema: str) -> None:
    """A library's upgrade that would move these bytes would move every recorded key."""
    assert schema == orjson.dumps(shape_of(tp).json_schema).decode()


def test_what_a_request_says_of_the_shape_in_each_mode() -> None:
    """The strict schema under the class's name, JSON mode, one function that must be called, or nothing."""
    shape = shape_of(Verdict)

    strict = {"name": "Verdict", "schema": shape.json_schema, "strict": True}
    function = {"name": "Verdict", "description": "Give the answer", "parameters": shape.json_schema}
    assert {"response_format": {"type": "json_schema", "json_schema": strict}} == shape.request_members("json_schema")
    assert {"response_format": {"type": "json_object"}} == shape.request_members("json_object")
    tools = [{"type": "function", "function": function}]
    assert {"tools": tools, "tool_choice": "required"} == shape.request_members("tool")
    assert {} == shape.request_members("text")


def test_the_shape_is_put_into_words_where_nothing_else_tells_the_model() -> None:
    """JSON mode and text know no schema."""
    shape = shape_of(Verdict)

    form = form_of(shape.json_schema)
    words = (
        f"The JSON schema of the answer:\n{GOLDEN[0][1]}\n\n"
        f"Answer with one JSON object of this form, with each <...> filled in, and with nothing else:\n{form}"
    )
    assert [words, words, "", ""] == [
        shape.instruction_in(mode) for mode in ("json_object", "text", "json_schema", "tool")
    ]


def test_plain_text_asks_for_no_format() -> None:
    """`str` is the text itself."""
    shape = shape_of(str)

    assert shape.plain
    assert shape.instruction == ""
    assert [{}] * 4 == [shape.request_members(mode) for mode in get_args(StructuredMode)]
    assert shape.fields == ("answer",)


def test_a_shape_is_built_once() -> None:
    """Every case of a task asks for the same type."""
    assert shape_of(Verdict) is shape_of(Verdict)
    assert shape_of(list[int]) is shape_of(list[int])


def test_types_that_python_calls_equal_but_are_written_in_another_order_are_apart() -> None:
    """The order of labels steers the model, and is part of the request."""
    forward, backward = shape_of(Literal["p", "q"]), shape_of(Literal["q", "p"])

    assert (forward.labels("answer"), backward.labels("answer")) == (("p", "q"), ("q", "p"))


def test_fields_are_the_columns_and_know_their_json_keys() -> None:
    """Computed fields are columns that are not asked for; an alias is the key, the name is the column."""
    shape = shape_of(Aliased)

    assert shape.fields == ("kind", "sure", "strong")
    assert [shape.key_of(column) for column in shape.fields] == ["class", "sure", "strong"]
    assert shape_of(list[int]).fields == ("answer",)
    assert shape_of(Movie).fields == ("title", "year")


@pytest.mark.parametrize(
    ("tp", "column", "labels"),
    [
        (Verdict, "category", ("corrective", "adaptive", "perfective")),
        (Verdict, "reasoning_steps", ()),
        (Verdict, "nothing", ()),
        (Score, "colour", ("red", "blue")),
        (Score, "mixed", ("a", "1", "null")),
        (Score, "note", ()),
        (Aliased, "kind", ("a", "b")),
        (Aliased, "sure", ("true", "false")),
        (Literal["yes", "no"], "answer", ("yes", "no")),
        (Colour | None, "answer", ("red", "blue", "null")),
        (str, "answer", ()),
    ],
)
def test_labels_are_the_closed_set_of_a_column(tp: Any, column: str, labels: tuple[str, ...]) -> None:
    """As the model writes them; an open column has none."""
    assert labels == shape_of(tp).labels(column)


class Open(BaseModel):
    inner: list[dict[str, Any]]


class Anything(BaseModel):
    extra: Any


class Tagged(BaseModel):
    tags: set[str]


class Placed(BaseModel):
    place: tuple[int, str]


class Bare:
    pass


class Nobody(enum.Enum):
    pass


class Hooked:
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        raise OSError("no schema today")


@pytest.mark.parametrize(
    ("tp", "path", "reason"),
    [
        (Open, "Open.inner[]", "open mapping"),
        (Anything, "Anything.extra", "its type is open"),
        (Tagged, "Tagged.tags", "a set has no order"),
        (Placed, "Placed.place", "tuple of fixed places"),
        (dict[str, int], "answer", "open mapping"),
        (list[Any], "answer[]", "its type is open"),
        (Bare, "Bare", "cannot be the shape of an answer"),
        ("Undefined", "answer", "cannot be the shape"),
        (Nobody, "Nobody", "Enum without members"),
        (list[Nobody], "answer[]", "Enum without members"),
        (Literal[()], "answer", "cannot be the shape"),
        (list[SecretStr], "answer[]", "nothing but stars"),
        (Hooked, "Hooked", "cannot be the shape"),
        (Annotated[int, WithJsonSchema({"$ref": "#/elsewhere"})], "answer", "cannot be the shape"),
    ],
)
def test_a_type_that_strict_mode_cannot_carry_is_the_authors_error(tp: Any, path: str, reason: str) -> None:
    """With the path, the reason and what to write instead; before anything is asked."""
    with pytest.raises(TaskError) as caught:
        shape_of(tp)

    assert caught.value.what.startswith(f"{path} cannot be")
    assert reason in caught.value.what
    assert list(caught.value.details)[-1] == "fix"
    assert "pydantic.dev" not in str(caught.value)


def test_the_error_names_the_line_of_the_class() -> None:
    """So that an editor can open it."""
    with pytest.raises(TaskError) as caught:
        shape_of(Open)

    assert caught.value.place is not None
    assert caught.value.place.rpartition(":")[0].endswith("test_shape.py")
