"""Samples from Python code: what can be read again is accepted, everything else says what to give instead."""

from __future__ import annotations

import datetime as dt
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import PureWindowsPath
from typing import Any

import polars as pl
import pytest
from pydantic import BaseModel

from llmbatch.errors import SampleError
from llmbatch.samples import open_samples
from llmbatch.samples.values import NotJsonLikeError, canonical_json, json_like


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    tags: frozenset[str] = frozenset()


class Issue(BaseModel):
    title: str
    opened: dt.date


Pair = namedtuple("Pair", "left right")


@pytest.mark.parametrize(
    ("item", "data"),
    [
        ({"a": 1}, {"a": 1}),
        (Point(1, frozenset("ba")), {"x": 1, "tags": ["a", "b"]}),
        (Issue(title="t", opened=dt.date(2024, 1, 2)), {"title": "t", "opened": "2024-01-02"}),
        (Pair(1, 2), {"left": 1, "right": 2}),
        ("text", {"value": "text"}),
        (3, {"value": 3}),
        (Colour.RED, {"value": "red"}),
    ],
)
def test_each_kind_of_item_has_its_fields_and_is_given_to_the_task_itself(item: object, data: dict[str, Any]) -> None:
    """`data` is JSON-like; `value` is the very item, or a copy where it is a dict."""
    [sample] = open_samples([item])

    assert data == sample.data
    assert item == sample.value
    assert sample.place == "item 1"


def test_a_function_is_called_again_for_every_pass() -> None:
    """A generator function is a source; what it yields is not kept."""

    def numbers() -> Iterator[int]:
        yield from range(3)

    samples = open_samples(numbers)

    assert [0, 1, 2] == [sample.value for sample in samples] == [sample.value for sample in samples]
    assert (samples.count(), samples.fields(), samples.name) == (3, ["value"], "numbers()")


@pytest.mark.parametrize(
    "source",
    [
        (n for n in range(3)),
        map(str, [1]),
        {"a": 1},
        b"bytes",
        7,
        pl.DataFrame({"a": [1]}),
        lambda needed: [needed],
    ],
    ids=["generator", "map", "mapping", "bytes", "number", "frame", "arguments"],
)
def test_a_source_that_cannot_be_read_again_is_refused_at_once(source: Any) -> None:
    """The error comes when samples are opened, before anything is asked."""
    with pytest.raises(SampleError) as caught:
        open_samples(source)

    assert caught.value.details["fix"]


def test_an_async_function_is_refused() -> None:
    """Samples are read by plain iteration."""

    async def later() -> list[int]:
        return []

    with pytest.raises(SampleError, match="async"):
        open_samples(later)  # type: ignore[arg-type]


def test_a_function_that_gives_one_iterator_twice_is_found_out() -> None:
    """The second pass would be empty, and the run would look finished."""
    once = iter([1, 2])
    samples = open_samples(lambda: once)
    assert samples.count() == 2

    with pytest.raises(SampleError, match="same iterator twice"):
        list(samples)


def test_an_error_in_the_authors_function_names_its_line() -> None:
    """It is the author's to put right: file and line of the raise."""

    def broken() -> Iterator[int]:
        yield 1
        raise KeyError("no such repo")

    with pytest.raises(SampleError, match="KeyError") as caught:
        list(open_samples(broken))

    assert caught.value.place is not None
    assert "test_sample_objects.py:" in caught.value.place
    assert caught.value.details["after"] == "1 items"


@pytest.mark.parametrize("item", [None, object(), float("nan"), {1: "a"}, {"a": "\ud800"}, {"a": b"x"}])
def test_an_item_without_a_json_form_is_a_bad_sample(item: object) -> None:
    """Its neighbours stay, and its id does not depend on an address in memory."""
    before, bad, after = open_samples([1, item, 2])

    assert bad.error is not None
    assert [before.error, after.error] == [None, None]
    [again] = open_samples([item])
    assert bad.id == again.id


def test_values_keep_their_meaning_as_json() -> None:
    """Text forms are exact and the same on every system."""
    values = [Decimal("1.10"), PureWindowsPath("a\\b"), dt.timedelta(hours=1), {"b", "a"}, (1, None)]

    assert json_like(values) == ["1.10", "a/b", "PT1H", ["a", "b"], [1, None]]


def test_nesting_without_end_is_refused() -> None:
    """A list that holds itself is an error, not a crash."""
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(NotJsonLikeError, match="nested"):
        json_like(endless)


def test_canonical_json_is_exact_for_integers_of_any_length() -> None:
    """Equal content has equal bytes, members sorted."""
    assert f'{{"a":"é","b":{2**80}}}'.encode() == canonical_json({"b": 2**80, "a": "é"})


def test_the_authors_list_is_not_changed_by_a_task() -> None:
    """A dict item is copied before a task gets it, so the next pass sees the same ids."""
    rows = [{"a": 1}]
    samples = open_samples(rows)

    for sample in samples:
        sample.value.clear()

    assert rows == [{"a": 1}]
