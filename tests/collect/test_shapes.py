"""A shape that cannot be asked for stops at collection, wherever the file names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import llmbatch
from llmbatch.collect import collect
from llmbatch.collect.experiment import experiment_of_task
from llmbatch.errors import TaskError

FILE = """
import enum
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

import llmbatch
from llmbatch import Answer, Ask, param, parametrize, task


class Bad(BaseModel):
    inner: list["Part"]


class Part(BaseModel):
    extra: dict[str, int]


class Good(BaseModel):
    word: str


class Base(BaseModel):
    pass


SHAPES = {"bad": Bad, "good": Good}
T = TypeVar("T")


@task(samples=[{"text": "a"}])
@parametrize("shape", [VALUES])
async def first(sample: dict[str, Any], ask: Ask, shape: Any) -> RETURNED:
    return BODY


async def helper(ask, Bad=Good):
    return await ask(Bad, "{text}", {"text": "x"})
"""
DEFAULTS = {"VALUES": "Good", "RETURNED": "Answer[Any]", "BODY": 'await ask("{text}", sample)'}


def collected(folder: Path, **parts: str) -> Any:
    text = FILE
    for name, default in DEFAULTS.items():
        text = text.replace(name, parts.get(name, default))
    (folder / "pyproject.toml").write_text("", encoding="utf-8")
    path = folder / "one.py"
    path.write_text(text, encoding="utf-8")
    return collect(path)


@pytest.mark.parametrize(
    ("parts", "asked"),
    [
        ({"RETURNED": "Answer[Bad]"}, "first returns its Answer"),
        ({"RETURNED": "Answer[Good] | Answer[list[Bad]]"}, "first returns its Answer"),
        ({"RETURNED": '"Answer[Bad]"'}, "first returns its Answer"),
        ({"VALUES": "Good, Bad"}, "a value of `shape` in first"),
        ({"VALUES": 'param(list[Bad], id="x")'}, "a value of `shape` in first"),
        ({"BODY": 'await ask(Bad, "{text}", sample)'}, "in ask(...)"),
        ({"BODY": 'await ask(Bad | None, "{text}", sample)'}, "in ask(...)"),
        ({"BODY": 'await ask(SHAPES["bad"], "{text}", sample)'}, "in ask(...)"),
        ({"BODY": '[await ask(list[Bad], "{text}", sample) for word in "ab"]'}, "in ask(...)"),
    ],
)
def test_a_shape_that_cannot_be_asked_for_is_refused_where_the_file_names_it(
    tmp_path: Path, parts: dict[str, str], asked: str
) -> None:
    """With the reason, the place inside the type, the line of the class and the line that asks."""
    with pytest.raises(TaskError) as caught:
        collected(tmp_path, **parts)

    assert ".inner[].extra cannot be asked for: it is an open mapping" in caught.value.what.replace(
        "[].inner", ".inner"
    )
    assert caught.value.details["asked"].startswith(f"{asked}, ")
    assert f"{tmp_path.as_posix()}/one.py:" in f"{caught.value.place} {caught.value.details['asked']}"
    assert list(caught.value.details)[-1] == "fix"


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"RETURNED": "Answer[Good]", "VALUES": 'int, Good, "text", dict, None'},
        {"RETURNED": "Answer[Base]"},
        {"RETURNED": "Answer[T]"},
        {"RETURNED": "Answer[BaseModel]"},
        {"BODY": 'await ask(shape, "{text}", sample)'},
        {"BODY": 'await ask(unknown(Bad), "{text}", sample)'},
        {"BODY": 'await ask([{"role": "user", "content": "x"}], sample)'},
    ],
)
def test_what_cannot_be_seen_or_is_no_shape_is_left_to_the_rehearsal(tmp_path: Path, parts: dict[str, str]) -> None:
    """Nothing is refused that might not be asked: a local name, a base class, a class of another kind."""
    assert "first" == collected(tmp_path, **parts).tasks[0].name


def test_a_task_at_hand_is_looked_at_like_a_file(tmp_path: Path) -> None:
    """A notebook's task names its shapes in the same places."""
    task = collected(tmp_path, RETURNED="Answer[Good]").tasks[0].task
    task._function.__annotations__["return"] = "Answer[Bad]"

    with pytest.raises(TaskError) as caught:
        experiment_of_task(task)

    assert caught.value.details["asked"].startswith("first returns its Answer")


def test_a_shape_that_is_made_while_a_task_runs_is_found_by_its_rehearsal(tmp_path: Path) -> None:
    """Nothing is paid before it; the line of the task is told where the type has none."""
    collected(tmp_path, BODY='await ask([dict[str, int]][0], "{text}", sample, model="ollama/m")')

    with pytest.raises(TaskError) as caught:
        llmbatch.run(tmp_path / "one.py")

    assert f"{tmp_path.as_posix()}/one.py:33" == caught.value.place
    assert caught.value.details["fix"].endswith("; no call was made")
