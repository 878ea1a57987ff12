"""Making the plan of a run from an experiment and what the command line says. Reads samples, asks nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmbatch.collect.experiment import CollectedTask, Experiment
from llmbatch.collect.target import Selector
from llmbatch.experiment.words import Task
from llmbatch.plan.cases import Plan, PlannedTask
from llmbatch.plan.choose import by_keyword, by_marks, selected, with_models
from llmbatch.plan.columns import check_columns
from llmbatch.plan.variant import Variant
from llmbatch.samples import Samples, Selection, open_samples


def build_plan(
    experiment: Experiment,
    *,
    selectors: Sequence[Selector] = (),
    keyword: str | None = None,
    marks: str | None = None,
    selection: Selection | None = None,
    repeat: int | None = None,
    models: Sequence[str] = (),
    strict: bool = False,
) -> Plan:
    """Return the cases that are wanted; a task without any is left out, and a plan without any is no error.

    `repeat` and `models` override what the tasks say. Raises UsageError for a selector, a mark or a model
    that does not exist, TaskError for an exclude or columns that cannot be, SampleError for samples that
    cannot be read.
    """
    checked = {collected.task: collected for collected in experiment.tasks}
    chosen = with_models(tuple(checked), models)
    chosen = selected(chosen, selectors)
    chosen = by_marks(by_keyword(chosen, keyword), marks)
    planned = [
        _planned(experiment, checked[task], variants, selection or Selection(), repeat, strict=strict)
        for task, variants in chosen.items()
        if variants
    ]
    return Plan(experiment, tuple(planned))


def _planned(
    experiment: Experiment,
    collected: CollectedTask,
    variants: tuple[Variant, ...],
    selection: Selection,
    repeat: int | None,
    *,
    strict: bool,
) -> PlannedTask:
    task = collected.task
    samples = _open(experiment, collected, strict=strict)
    check_columns(task, samples.fields(), collected.injection.columns, task.parameter_names)
    return PlannedTask(
        task,
        collected.injection,
        selection.apply(samples),
        variants,
        task.declaration.repeat if repeat is None else repeat,
    )


def _open(experiment: Experiment, collected: CollectedTask, *, strict: bool) -> Samples:
    declaration = collected.task.declaration
    source: Any = declaration.samples
    assert not isinstance(source, Task)  # refused where it is declared
    return open_samples(
        source,
        base_folders=experiment.base_folders,
        truth=declaration.truth,
        id_field=declaration.id,
        shape=collected.injection.sample_shape,
        strict=strict,
    )
