"""The cases of a run: which, in which order, and under which ids."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from llmbatch.collect.experiment import CollectedTask, Experiment
from llmbatch.collect.target import Selector
from llmbatch.errors import SampleError, TaskError, UsageError
from llmbatch.experiment.injection import inspect_task
from llmbatch.experiment.parameter import param, parametrize
from llmbatch.experiment.words import Task, task
from llmbatch.plan import build_plan
from llmbatch.samples import Selection

TWO = [{"id": "s1", "text": "a", "label": "x"}, {"id": "s2", "text": "b", "label": "y"}]


def experiment_of(*tasks: Task[..., Any], folder: Path = Path()) -> Experiment:
    collected = tuple(CollectedTask(each, inspect_task(each)) for each in tasks)
    return Experiment(folder / "x.py", "x", folder, collected, ())


def declared(name: str, function: Callable[..., Any], **options: Any) -> Task[..., Any]:
    function.__name__ = name
    return task(**{"samples": TWO, "id": "id", **options})(function)


def grid(**options: Any) -> Task[..., Any]:
    made = declared("grid", lambda sample, prompt: 1, **options)
    made = parametrize("prompt", ["bare.md", param("deep/cot.md", id="cot", marks=["slow"])])(made)
    return parametrize("model", ["local/qwen", "openai/gpt-4o"])(made)


def ids(*tasks: Task[..., Any], **options: Any) -> list[str]:
    return [case.id for case in build_plan(experiment_of(*tasks), **options)]


def variants(*tasks: Task[..., Any], **options: Any) -> list[str]:
    plan = build_plan(experiment_of(*tasks), **options)
    return [planned.title(variant) for planned in plan.tasks for variant in planned.variants]


def test_cases_come_by_task_then_variant_then_sample_then_repeat() -> None:
    """The order is fixed, the index counts it, and iterating again gives the same."""
    plan = build_plan(experiment_of(grid(), declared("plain", lambda sample: 1, repeat=2)))

    cases = list(plan)
    assert [case.id for case in cases[:4]] == [
        "grid[qwen-bare]::s1",
        "grid[qwen-bare]::s2",
        "grid[qwen-cot]::s1",
        "grid[qwen-cot]::s2",
    ]
    assert [case.id for case in cases[-4:]] == ["plain::s1", "plain::s1#r1", "plain::s2", "plain::s2#r1"]
    assert [case.index for case in cases] == list(range(12))
    assert [case.id for case in plan] == [case.id for case in cases]
    assert plan.count() == 12


def test_a_case_tells_the_runner_what_it_needs() -> None:
    """Function, arguments, values, truth and sample are at hand."""
    first = next(iter(build_plan(experiment_of(grid(truth="label")))))

    assert dict(first.variant.values) == {"model": "local/qwen", "prompt": "bare.md"}
    assert first.variant.model == "local/qwen"
    assert (first.task.name, first.task.truth, first.task.is_async) == ("grid", "label", False)
    assert first.task.arguments == ("sample", "prompt")
    assert first.task.function(sample={}, prompt="") == 1
    assert (first.sample.id, first.sample.truth) == ("s1", "x")


def test_samples_are_read_from_beside_the_experiment_as_the_annotated_class(tmp_path: Path) -> None:
    """Nothing is held: the file is read again for each variant."""

    class Commit(BaseModel):
        text: str

    def typed(sample: Any) -> int:
        return 1

    typed.__annotations__["sample"] = Commit
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TWO), encoding="utf-8")

    plan = build_plan(experiment_of(declared("typed", typed, samples="s.jsonl"), folder=tmp_path))

    assert [case.sample.value for case in plan] == [Commit(text="a"), Commit(text="b")]


def test_a_plan_holds_no_samples() -> None:
    """A run of a million samples starts at once: the first case needs one record, not all."""
    given: list[int] = []

    def many() -> Iterator[dict[str, int]]:
        for number in range(1_000_000):
            given.append(number)
            yield {"number": number}

    plan = build_plan(experiment_of(declared("big", lambda sample: 1, samples=many, id=None)))
    next(iter(plan))

    assert len(given) < 10


def test_selection_and_repeat_are_overridden_by_the_run() -> None:
    """`--limit` and `--repeat`."""
    chosen = ids(grid(repeat=3), selection=Selection(limit=1), repeat=1)

    assert chosen == [f"grid[{variant}]::s1" for variant in ("qwen-bare", "qwen-cot", "gpt-4o-bare", "gpt-4o-cot")]


def test_one_case_of_each_variant_is_there_for_the_rehearsal() -> None:
    """The first sample that can be used."""
    plan = build_plan(experiment_of(grid(samples=[{"id": 1}, {"id": 2, "label": "x"}], truth="label")))

    assert [case.id for case in plan.first_cases()] == [
        "grid[qwen-bare]::2",
        "grid[qwen-cot]::2",
        "grid[gpt-4o-bare]::2",
        "grid[gpt-4o-cot]::2",
    ]


def test_excluded_combinations_are_not_run() -> None:
    """A combination is excluded where all the values named are equal."""
    excluded = grid(exclude=[{"model": "openai/gpt-4o", "prompt": "deep/cot.md"}])

    assert variants(excluded) == ["grid[qwen-bare]", "grid[qwen-cot]", "grid[gpt-4o-bare]"]


@pytest.mark.parametrize(
    ("exclude", "said", "fix"),
    [
        ([{"promt": "bare.md"}], "names `promt`, which is not parametrised", "write `prompt`"),
        ([{"prompt": "cot"}], "takes no variant away", "correct the values, or take the exclude away"),
        ([{}], "takes no variant away", "correct the values, or take the exclude away"),
        ([{"prompt": "bare.md"}, {"prompt": "deep/cot.md"}], "leaves no variant", "exclude fewer combinations"),
    ],
)
def test_an_exclude_that_cannot_be_meant_is_an_error(exclude: Any, said: str, fix: str) -> None:
    """A typo would run, and pay for, what was to be left out."""
    with pytest.raises(TaskError, match=said) as caught:
        variants(grid(exclude=exclude))

    assert caught.value.details["fix"] == fix


def test_selectors_name_tasks_and_variants() -> None:
    """Several are joined by or; an unknown one names the nearest."""
    other = declared("other", lambda sample: 1)

    assert variants(grid(), other, selectors=[Selector("other"), Selector("grid", "qwen-cot")]) == [
        "grid[qwen-cot]",
        "other",
    ]
    with pytest.raises(UsageError) as caught:
        variants(grid(), other, selectors=[Selector("gird")])
    assert caught.value.details["fix"] == "write grid"
    with pytest.raises(UsageError) as caught:
        variants(grid(), other, selectors=[Selector("grid", "qwen-coot")])
    assert caught.value.details["fix"] == "write grid[qwen-cot]"


def test_keywords_match_within_task_and_variant() -> None:
    """`-k` as in pytest, in any case of letters; what matches nothing leaves an empty plan."""
    assert variants(grid(), keyword="QWEN and not cot") == ["grid[qwen-bare]"]
    assert variants(grid(), keyword="nothing") == []


def test_marks_are_those_of_the_task_and_of_its_values() -> None:
    """`-m`; a mark that nobody has is a typo, whose negation would select everything."""
    cheap = declared("cheap", lambda sample: 1, marks=["pilot"])

    assert variants(grid(), cheap, marks="slow or pilot") == ["grid[qwen-cot]", "grid[gpt-4o-cot]", "cheap"]
    assert variants(grid(), cheap, marks="not slow and not pilot") == ["grid[qwen-bare]", "grid[gpt-4o-bare]"]
    with pytest.raises(UsageError) as caught:
        variants(grid(), cheap, marks="not slwo")
    assert caught.value.details["fix"] == "write slow"


def test_models_select_where_models_are_parametrised_and_are_set_elsewhere() -> None:
    """`--model`, which may repeat."""
    plain = declared("plain", lambda sample: 1)

    assert variants(grid(), models=["openai/gpt-4o"]) == ["grid[gpt-4o-bare]", "grid[gpt-4o-cot]"]
    assert variants(plain, models=["a/one", "b/two"]) == ["plain[one]", "plain[two]"]
    assert variants(plain) == ["plain"]
    with pytest.raises(UsageError, match="openai/gpt-4") as caught:
        variants(grid(), models=["openai/gpt-4"])
    assert caught.value.details["fix"] == "write openai/gpt-4o"


def test_missing_samples_are_an_error_of_the_plan(tmp_path: Path) -> None:
    """Before anything is asked."""
    missing = declared("missing", lambda sample: 1, samples="none.jsonl")

    with pytest.raises(SampleError):
        build_plan(experiment_of(missing, folder=tmp_path))


class Labelled(BaseModel):
    text: str


class Reserved(BaseModel):
    llmbatch_note: str


class Truthful(BaseModel):
    truth: str


class Guess(BaseModel):
    label: str


def answering(shape: type[BaseModel], **options: Any) -> Task[..., Any]:
    def clash(sample: Any) -> Any:
        return shape

    clash.__annotations__["return"] = shape
    return declared("clash", clash, **options)


@pytest.mark.parametrize(
    ("clashing", "said"),
    [
        (answering(Labelled), "`text` is a field of the answer of clash and a field of the samples"),
        (answering(Reserved), "`llmbatch_note` is a field of the answer of clash"),
        (answering(Truthful, truth="label"), "`truth` is a field of the answer of clash and the truth's column"),
        (
            answering(Guess, samples=[{"llmbatch_x": 1}], id=None),
            "`llmbatch_x` is a field of the samples of clash",
        ),
        (
            answering(Guess, samples=[{"truth": 1, "gold": 2}], id=None, truth="gold"),
            "the samples of clash have a field `truth`, and its truth is `gold`",
        ),
        (
            parametrize("status", [1])(declared("clash", lambda sample, status: 1)),
            "parametrised by `status`, and llmbatch_status is every row's column",
        ),
    ],
)
def test_columns_of_one_name_are_found_before_anything_is_asked(clashing: Task[..., Any], said: str) -> None:
    """Rows keep the names of sample and answer fields, so no two may be the same."""
    with pytest.raises(TaskError, match=said):
        build_plan(experiment_of(clashing))


def test_an_answer_may_be_named_like_the_truth_field() -> None:
    """The truth's column is `truth`, so that `label` is free for what the model says."""
    assert len(ids(answering(Guess, truth="label"))) == 2
