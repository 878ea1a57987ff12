"""Shapes that nobody thought of: types made of all that pydantic has and JSON can say, and values of them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import itertools
import uuid
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple

from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, RootModel, create_model
from typing_extensions import TypedDict

# made at run time, which type checkers have no words for
_create: Any = create_model
_enum: Any = enum.Enum
_list: Any = list
_literal: Any = Literal
_typed_dict: Any = TypedDict

_numbers = itertools.count()
_words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_names = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True).filter(lambda name: not name.startswith("model_"))
_labels = st.lists(_words, min_size=1, max_size=4, unique=True)
_integers = st.integers(-(2**53), 2**53)


class Typed(NamedTuple):
    """A type, the values it has, and whether they are written as a scalar, a list, an object or null."""

    shape: Any
    values: st.SearchStrategy[Any]
    kinds: frozenset[str]


def _of(shape: Any, values: st.SearchStrategy[Any], *kinds: str) -> st.SearchStrategy[Typed]:
    return st.just(Typed(shape, values, frozenset(kinds)))


@st.composite
def _enums(draw: st.DrawFn) -> Typed:
    labels = draw(_labels)
    made = _enum(f"Labels{next(_numbers)}", {f"m{at}": label for at, label in enumerate(labels)})
    return Typed(made, st.sampled_from(list(made)), frozenset({"scalar"}))


@st.composite
def _literals(draw: st.DrawFn) -> Typed:
    labels = draw(_labels | st.lists(st.integers(-9, 9), min_size=1, max_size=3, unique=True))
    return Typed(_literal[tuple(labels)], st.sampled_from(labels), frozenset({"scalar"}))


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Node(BaseModel):
    name: str
    below: list[Node] = []
    twin: Node | None = None


_leaves = st.one_of(
    _of(str, _words, "scalar"),
    _of(int, _integers, "scalar"),
    _of(float, st.floats(allow_nan=False, allow_infinity=False), "scalar"),
    _of(bool, st.booleans(), "scalar"),
    _of(None, st.none(), "null"),
    _of(Level, st.sampled_from(Level), "scalar"),
    _of(dt.date, st.dates(), "scalar"),
    _of(dt.datetime, st.datetimes(), "scalar"),
    _of(dt.timedelta, st.timedeltas(dt.timedelta(-9), dt.timedelta(9)), "scalar"),
    _of(uuid.UUID, st.uuids(), "scalar"),
    _of(decimal.Decimal, st.decimals(-1000, 1000, places=3), "scalar"),
    _of(PurePosixPath, st.sampled_from([PurePosixPath("a/b"), PurePosixPath("/")]), "scalar"),
    _of(Annotated[int, Field(ge=0, le=9, description="a digit")], st.integers(0, 9), "scalar"),
    _of(Annotated[str, Field(pattern="^[a-c]*$", max_length=5)], st.text("abc", max_size=5), "scalar"),
    _of(Annotated[str, AfterValidator(str.strip)], st.just("kept"), "scalar"),
    _of(Node, st.builds(Node, name=_words, below=st.lists(st.builds(Node, name=_words), max_size=2)), "object"),
    _enums(),
    _literals(),
)


@st.composite
def _models(draw: st.DrawFn, inner: st.SearchStrategy[Typed]) -> Typed:
    """Draw a model, a dataclass or a TypedDict of one to four fields, some with an alias or a description."""
    fields = draw(st.dictionaries(_names, inner, min_size=1, max_size=4))
    name, kind = f"Made{next(_numbers)}", draw(st.sampled_from(["model", "model", "dataclass", "typed_dict"]))
    values = st.fixed_dictionaries({key: typed.values for key, typed in fields.items()})
    if kind == "typed_dict":
        shape = _typed_dict(name, {key: typed.shape for key, typed in fields.items()})
        return Typed(shape, values, frozenset({"object"}))
    made: Any
    if kind == "dataclass":
        made = dataclasses.make_dataclass(name, [(key, typed.shape) for key, typed in fields.items()])
    else:
        aliased = draw(st.booleans())
        said = draw(st.none() | _words)
        made = _create(
            name,
            **{
                key: (typed.shape, Field(alias=f"{key}-as" if aliased else None, description=said))
                for key, typed in fields.items()
            },
            __config__={"populate_by_name": True},
        )
    return Typed(made, values.map(lambda given: made(**given)), frozenset({"object"}))


@st.composite
def _lists(draw: st.DrawFn, inner: st.SearchStrategy[Typed]) -> Typed:
    typed = draw(inner)
    values = st.lists(typed.values, max_size=3)
    if draw(st.booleans()):
        return Typed(_list[typed.shape], values, frozenset({"array"}))
    made: Any = RootModel[_list[typed.shape]]
    return Typed(made, values.map(made), frozenset({"array"}))


@st.composite
def _unions(draw: st.DrawFn, inner: st.SearchStrategy[Typed]) -> Typed:
    """Draw a union whose members pydantic tells apart by their JSON, so that a value comes back as what it was."""
    first, second = draw(inner), draw(inner)
    if first.kinds & second.kinds:
        second = Typed(None, st.none(), frozenset({"null"}))
    if first.kinds & second.kinds:
        return first
    return Typed(first.shape | second.shape, first.values | second.values, first.kinds | second.kinds)


@st.composite
def _tagged_unions(draw: st.DrawFn, inner: st.SearchStrategy[Typed]) -> Typed:
    members = [draw(inner) for _ in range(draw(st.integers(2, 3)))]
    made = [
        _create(f"Tagged{next(_numbers)}", kind=(_literal[f"t{at}"], f"t{at}"), held=(typed.shape, ...))
        for at, typed in enumerate(members)
    ]
    shape = made[0]
    for each in made[1:]:
        shape = shape | each
    built = [st.builds(each, held=typed.values) for each, typed in zip(made, members, strict=True)]
    return Typed(Annotated[shape, Field(discriminator="kind")], st.one_of(built), frozenset({"object"}))


def _deeper(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    return _models(inner) | _lists(inner) | _unions(inner) | _tagged_unions(inner)


shapes: st.SearchStrategy[Typed] = st.recursive(_leaves, _deeper, max_leaves=6)
"""Types of every kind that can be asked for, with their values."""
