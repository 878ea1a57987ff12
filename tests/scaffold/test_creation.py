"""A new experiment's files."""

from __future__ import annotations

import runpy
import tomllib
from pathlib import Path

import orjson
import polars as pl
import pytest

from llmbatch.config import load_config, resolve_model
from llmbatch.errors import ConfigError, UsageError
from llmbatch.experiment.words import Task
from llmbatch.parse.shape import shape_of
from llmbatch.scaffold import create_experiment


def namespace(path: Path) -> dict[str, object]:
    return runpy.run_path(str(path))


def test_a_new_experiment_is_four_files(tmp_path: Path) -> None:
    """The experiment, its prompt, its samples, and settings where there are none."""
    created = create_experiment("reviews", tmp_path)

    names = ["experiments/reviews.py", "prompts/reviews.md", "experiments/data/reviews.jsonl", "llmbatch.toml"]
    assert names == [path.relative_to(tmp_path).as_posix() for path in created]
    assert all(path.is_file() for path in created)
    assert not any(b"\r" in path.read_bytes() for path in created)


def test_the_experiment_declares_its_task_and_table(tmp_path: Path) -> None:
    """The file runs as it is; its table is over the reviews that have an answer."""
    names = namespace(create_experiment("reviews", tmp_path)[0])

    assert isinstance(names["reviews"], Task)
    rows = pl.LazyFrame(
        {
            "llmbatch_variant": ["a", "a", "a"],
            "llmbatch_status": ["ok", "timeout", "ok"],
            "app": ["maps", "maps", "notes"],
            "sentiment": ["mixed", None, "positive"],
            "truth": ["mixed", "mixed", "positive"],
        }
    )
    by_app = names["by_app"]
    assert callable(by_app)
    expected = pl.DataFrame(
        {"llmbatch_variant": ["a", "a"], "app": ["maps", "notes"], "n": [1, 1], "accuracy": [1.0, 1.0]},
        schema_overrides={"n": pl.get_index_type()},
    )
    assert expected.equals(by_app(rows).collect())


def test_every_label_is_one_the_model_may_answer(tmp_path: Path) -> None:
    """Eight samples with ids of their own, and the fields that the prompt names."""
    experiment, prompt, samples, _ = create_experiment("reviews", tmp_path)
    rows = [orjson.loads(line) for line in samples.read_bytes().splitlines()]

    review = namespace(experiment)["Review"]
    assert isinstance(review, type)
    assert {row["sentiment"] for row in rows} == set(shape_of(review).labels("sentiment"))
    assert len({row["id"] for row in rows}) == 8
    assert all("{review}" in prompt.read_text() and "review" in row and "app" in row for row in rows)


def test_the_settings_define_the_model_of_the_experiment(tmp_path: Path) -> None:
    """`local/small` is an alias in llmbatch.toml; what is commented out there is valid as well."""
    settings = create_experiment("reviews", tmp_path)[-1]
    text = settings.read_text(encoding="utf-8")

    config = load_config(tmp_path, {})
    assert resolve_model(config, "local/small").name == "qwen2.5-1.5b-instruct"
    commented = [line.removeprefix("# ") for line in text.splitlines() if line.startswith(("# [", "# rpm", "# models"))]
    assert tomllib.loads("\n".join(commented))["endpoints"]["openai"]["rpm"] == 500


@pytest.mark.parametrize(
    ("file", "text", "written"),
    [
        ("llmbatch.toml", "", False),
        ("pyproject.toml", "[tool.llmbatch]\n", False),
        ("pyproject.toml", "[project]\nname = 'x'\n", True),
    ],
)
def test_settings_that_are_there_are_kept(tmp_path: Path, file: str, text: str, written: bool) -> None:
    """A second place of settings would hide the first."""
    (tmp_path / file).write_text(text)

    created = create_experiment("reviews", tmp_path)

    assert written == (tmp_path / "llmbatch.toml" in created)
    assert (tmp_path / file).read_text() == text


def test_nothing_is_written_over_and_nothing_half(tmp_path: Path) -> None:
    """One file in the way, and none is written; a second experiment needs no second settings."""
    taken = tmp_path / "prompts" / "reviews.md"
    taken.parent.mkdir()
    taken.write_text("mine")

    with pytest.raises(UsageError, match=r"prompts/reviews\.md is there already"):
        create_experiment("reviews", tmp_path)
    assert taken.read_text() == "mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [taken]
    assert len(create_experiment("other", tmp_path)) == 4
    assert len(create_experiment("third", tmp_path)) == 3


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("my-reviews", "my_reviews"),
        ("reviews.py", "reviews"),
        ("2nd try", "experiment_2nd_try"),
        ("class", "class_experiment"),
        ("task", "task_experiment"),
        ("../../etc/x", "etc_x"),
        ("", "experiment"),
        ("--", "experiment"),
    ],
)
def test_a_name_that_python_cannot_use_is_refused_with_the_nearest(tmp_path: Path, name: str, near: str) -> None:
    """The name becomes a function and three files; none leaves the folder."""
    with pytest.raises(UsageError) as caught:
        create_experiment(name, tmp_path)

    assert caught.value.details["fix"] == f"llmbatch new {near}"
    assert list(tmp_path.iterdir()) == []
    assert create_experiment(near, tmp_path)


def test_a_pyproject_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Whether it holds settings is not guessed."""
    (tmp_path / "pyproject.toml").write_text("[tool")

    with pytest.raises(ConfigError, match=r"pyproject\.toml cannot be read"):
        create_experiment("reviews", tmp_path)
