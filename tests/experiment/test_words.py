"""The decorators remember what they are told and refuse what cannot be run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llmbatch.errors import TaskError
from llmbatch.experiment.parameter import param, parametrize
from llmbatch.experiment.words import TABLE_ATTRIBUTE, Task, table, task

if TYPE_CHECKING:
    import polars as pl


@task(samples=[{"a": 1}], truth="a")
async def asked(sample: dict[str, Any]) -> int:
    """Answer one."""
    return len(sample)


async def test_a_task_is_called_like_the_plain_function() -> None:
    """A unit test of a task needs no run."""
    called = await asked({"a": 1})

    assert called == 1
    assert asked.__doc__ == "Answer one."
    assert asked.name == "asked"


def test_a_task_knows_the_line_of_its_def() -> None:
    """Errors point at the function, past its decorators."""
    assert asked.place == "tests/experiment/test_words.py:18"


def test_parametrize_may_stand_above_or_below_task() -> None:
    """The topmost parameter is first, whatever the order of the decorators."""

    @parametrize("model", ["a/b"])
    @task(samples=[])
    @parametrize("prompt", ["p.md"])
    def both(sample: dict[str, Any], prompt: str) -> int:
        return len(sample) + len(prompt)

    assert isinstance(both, Task)
    assert both.parameter_names == ("model", "prompt")


def test_a_parameter_may_have_several_names_and_rows_their_own_ids_and_marks() -> None:
    """`param` carries one id and its marks; `ids=` names the others."""

    @task(samples=[])
    @parametrize("low, high", [(0, 1), param(2, 3, id="wide", marks=["slow"])], ids=["narrow", "unused"])
    def ranged(low: int, high: int) -> int:
        return high - low

    (parameter,) = ranged.declaration.parameters
    assert parameter.names == ("low", "high")
    assert [(row.values, row.id, row.marks) for row in parameter.rows] == [
        ((0, 1), "narrow", ()),
        ((2, 3), "wide", ("slow",)),
    ]


@pytest.mark.parametrize(
    ("names", "values", "ids", "said"),
    [
        ("", [1], None, "names nothing"),
        ("a b", [1], None, "`a b` cannot be an argument's name"),
        ("ask", [1], None, "`ask` is provided by llmbatch"),
        ("a,a", [(1, 2)], None, "has a name twice"),
        ("a", [], None, "has no value"),
        ("a", "text", None, "are one string"),
        ("a,b", [(1,)], None, "holds 1 values, not 2"),
        ("a", [param(1, 2)], None, "holds 2 values, not 1"),
        ("a", [1, 2], ["one"], "has 2 values and ids=['one']"),
        ("a", [1], ["x]"], "cannot be named on a command line"),
    ],
)
def test_parametrize_refuses_what_has_no_meaning(names: str, values: Any, ids: list[str] | None, said: str) -> None:
    """Each refusal names the value and ends in a fix."""
    with pytest.raises(TaskError) as caught:
        parametrize(names, values, ids=ids)

    assert said in str(caught.value)
    assert "fix" in caught.value.details


def test_one_name_is_parametrised_once() -> None:
    """Two lists for one argument would hide one of them."""

    @parametrize("prompt", ["a.md"])
    def twice(prompt: str) -> int:
        return len(prompt)

    with pytest.raises(TaskError, match="twice is parametrised by `prompt` twice"):
        parametrize("prompt", ["b.md"])(twice)


def test_the_rows_of_another_task_have_ids_already() -> None:
    """Each is known by its case; a column of that name would be another identity."""
    with pytest.raises(TaskError, match="its samples are the rows of") as caught:
        task(samples=asked, id="id")(lambda sample: 1)

    assert "leave id= out" in caught.value.details["fix"]


@pytest.mark.parametrize("repeat", [0, -1, True, 1.5])
def test_repeat_is_a_whole_number_from_one_on(repeat: Any) -> None:
    """A task that is never asked, or half asked, is a mistake."""
    with pytest.raises(TaskError, match="has repeat="):
        task(samples=[], repeat=repeat)(lambda sample: 1)


def test_a_table_gets_the_frame_its_annotation_names() -> None:
    """Lazy where the annotation says LazyFrame, even one that exists only for type checkers."""

    @table(asked)
    def lazy(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows

    @table(asked)
    def eager(rows: pl.DataFrame) -> pl.DataFrame:
        return rows

    assert getattr(lazy, TABLE_ATTRIBUTE).wants_lazy is True
    assert getattr(eager, TABLE_ATTRIBUTE).wants_lazy is False
    assert getattr(eager, TABLE_ATTRIBUTE).sources == (asked,)


def test_a_table_is_made_from_tasks_only() -> None:
    """A forgotten `(task)` and a plain function are told apart from a task."""

    def plain(rows: Any) -> Any:
        return rows

    with pytest.raises(TaskError, match="@table takes tasks, not plain"):
        table(plain)  # type: ignore[arg-type]
    with pytest.raises(TaskError, match="names no task"):
        table()


def test_a_table_function_takes_one_frame() -> None:
    """The rows of all sources come as one frame."""
    with pytest.raises(TaskError, match="takes 2 arguments"):
        table(asked)(lambda rows, more: rows)
