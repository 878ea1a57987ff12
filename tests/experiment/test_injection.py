"""What a task's signature may ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from llmbatch.errors import TaskError
from llmbatch.experiment.answer import Answer
from llmbatch.experiment.columns import closed_columns, declared_columns, declared_kinds
from llmbatch.experiment.injection import inspect_task
from llmbatch.experiment.parameter import parametrize
from llmbatch.experiment.words import Task, task

if TYPE_CHECKING:
    from llmbatch.experiment.ask import Ask


class Commit(BaseModel):
    message: str


class Verdict(BaseModel):
    steps: list[str]
    category: Literal["a", "b"]
    score: float | None
    more: dict[str, int]


def declared(function: Callable[..., Any], **options: Any) -> Task[..., Any]:
    return task(samples=[], **options)(function)


def test_arguments_are_listed_in_the_order_of_the_signature() -> None:
    """An argument with a default that nothing provides keeps its default."""

    @parametrize("prompt", ["a.md"])
    async def fine(ask: Ask, sample: Commit, prompt: str, model: str, note: str = "") -> Answer[Verdict]:
        return await ask(Verdict, prompt + note + model, sample)

    injection = inspect_task(declared(fine))

    assert injection.arguments == ("ask", "sample", "prompt", "model")
    assert injection.is_async


def test_an_unknown_argument_is_named_with_the_nearest_known_one() -> None:
    """API.md, first error: what was taken, what is known, what to do."""

    @parametrize("prompt", ["a.md"])
    async def commit_classify(sample: Commit, promt: str) -> None: ...

    with pytest.raises(TaskError) as caught:
        inspect_task(declared(commit_classify))

    first, known, fix = str(caught.value).splitlines()
    assert first.startswith("commit_classify takes `promt`, and nothing provides it        tests/experiment/")
    assert known == "  known  sample, ask, client, model, prompt (from @parametrize)"
    assert fix == "  fix    rename the argument to `prompt`"


@pytest.mark.parametrize("name", ["ask", "client"])
def test_a_sync_task_takes_nothing_that_is_awaited(name: str) -> None:
    """It runs in a thread and could not await."""
    functions: dict[str, Callable[..., Any]] = {"ask": lambda ask: 1, "client": lambda client: 1}

    with pytest.raises(TaskError, match=f"takes `{name}`") as caught:
        inspect_task(declared(functions[name]))

    assert "async def" in caught.value.details["fix"]


def test_a_parametrised_name_must_be_an_argument_unless_it_is_model() -> None:
    """A value that reaches nothing would only multiply the calls."""
    by_model = parametrize("model", ["a/b"])(declared(lambda sample: 1))
    by_prompt = parametrize("prompt", ["a.md"])(declared(lambda sample: 1))

    assert inspect_task(by_model).arguments == ("sample",)
    with pytest.raises(TaskError, match="parametrised by `prompt` and does not take it"):
        inspect_task(by_prompt)


def test_arguments_without_a_name_are_refused() -> None:
    """Injection is by name."""

    def starred(*samples: Any) -> None: ...
    def double(**options: Any) -> None: ...
    def positional(sample: Any, /) -> None: ...

    for function, written in ((starred, r"\*samples"), (double, r"\*\*options"), (positional, "sample, /")):
        with pytest.raises(TaskError, match=f"takes `{written}`"):
            inspect_task(declared(function))


def test_a_task_that_yields_is_refused() -> None:
    """One sample in, one row out."""

    async def rows(sample: Any) -> Any:
        yield sample

    with pytest.raises(TaskError, match="rows yields"):
        inspect_task(declared(rows))


def test_the_shape_of_samples_is_read_past_annotations_that_do_not_resolve() -> None:
    """`Ask` is imported for type checkers only in this file; `Commit` is still found."""

    async def typed(sample: Commit, ask: Ask) -> None: ...
    async def untyped(sample: dict[str, Any]) -> None: ...

    assert inspect_task(declared(typed)).sample_shape is Commit
    assert inspect_task(declared(untyped)).sample_shape is None


class Typed(TypedDict):
    first: int


@dataclass
class Plain:
    second: str


@pytest.mark.parametrize(
    ("annotation", "names"),
    [
        (Answer[Verdict], ["steps", "category", "score", "more"]),
        (Verdict | None, ["steps", "category", "score", "more"]),
        (Annotated[Answer[Commit], "note"], ["message"]),
        (Answer[str], ["answer"]),
        (Answer[Literal["yes", "no"]], ["answer"]),
        (list[int], ["answer"]),
        (Typed, ["first"]),
        (Plain, ["second"]),
        (None, []),
        (dict[str, Any], None),
        (Any, None),
        (int | str, None),
    ],
)
def test_the_return_annotation_tells_the_columns_where_it_can(annotation: Any, names: list[str] | None) -> None:
    """None means that rows are checked when they are made."""
    columns = declared_columns(annotation)

    assert names == (None if columns is None else list(columns))


def test_kinds_are_declared_only_where_they_are_sure() -> None:
    """A mapping or a mixed label takes the kind of its cells."""
    columns = declared_columns(Answer[Verdict])

    assert columns is not None
    assert declared_kinds(columns) == {"steps": "list[str]", "category": "str", "score": "float"}
    assert declared_kinds({"a": Literal["x", 1], "b": Any, "c": list[Any], "d": bool}) == {"d": "bool"}


def test_columns_of_closed_labels_are_told_from_free_ones() -> None:
    """Also where they may be missing; a label is looked for among them first."""

    class Mood(Enum):
        GOOD = "good"

    columns = {"a": Literal["x", "y"], "b": Literal["x"] | None, "c": Mood, "d": bool, "e": str, "f": list[Mood]}

    assert {"a", "b", "c", "d"} == closed_columns(columns)
