"""Making the plan of a run from an experiment and what the command line says. Reads samples, asks nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmbatch.collect.experiment import CollectedTask, Experiment, checked_task
from llmbatch.collect.target import Selector
from llmbatch.experiment.injection import Injection
from llmbatch.experiment.words import Task
from llmbatch.plan.cases import Plan, PlannedTask
from llmbatch.plan.choose import Chosen, by_keyword, by_marks, selected, with_models
from llmbatch.plan.columns import check_columns
from llmbatch.plan.rows_as_samples import RowsAsSamples
from llmbatch.plan.variant import variants_of
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
    sources = frozenset(source for task in checked if isinstance(source := task.declaration.samples, Task))
    planner = _Planner(experiment, checked, chosen, selection or Selection(), repeat, strict, sources)
    return Plan(experiment, tuple(planner.planned(task) for task, variants in chosen.items() if variants))


@dataclass(frozen=True, slots=True)
class _Planner:
    """Plans tasks, each once: one that gives others their samples is planned for them, whether it is run or not."""

    experiment: Experiment
    checked: Mapping[Task[..., Any], CollectedTask]
    chosen: Chosen
    selection: Selection
    repeat: int | None
    strict: bool
    sources: frozenset[Task[..., Any]]
    _planned: dict[Task[..., Any], PlannedTask] = field(default_factory=dict)

    def planned(self, task: Task[..., Any]) -> PlannedTask:
        known = self._planned.get(task)
        if known is None:
            known = self._planned[task] = self._plan(task)
        return known

    def _plan(self, task: Task[..., Any]) -> PlannedTask:
        declaration = task.declaration
        collected = self.checked.get(task)  # a program may hand over a task without the one it is about
        injection = (collected or checked_task(task)).injection
        source = self.planned(declaration.samples) if isinstance(declaration.samples, Task) else None
        if source is None:
            samples = _open(self.experiment, task, injection, strict=self.strict)
        else:
            samples = RowsAsSamples(source)
        check_columns(task, samples.fields(), injection.columns, task.parameter_names)
        return PlannedTask(
            task,
            injection,
            self.selection.apply(samples) if source is None else samples,
            # one that is not chosen gives all its rows, as it declares them: they are read for what is chosen
            self.chosen.get(task) or variants_of(task, declaration.parameters),
            declaration.repeat if self.repeat is None else self.repeat,
            source,
            task in self.sources,
        )


def _open(experiment: Experiment, task: Task[..., Any], injection: Injection, *, strict: bool) -> Samples:
    declaration = task.declaration
    samples: Any = declaration.samples
    return open_samples(
        samples,
        base_folders=experiment.base_folders,
        truth=declaration.truth,
        id_field=declaration.id,
        shape=injection.sample_shape,
        strict=strict,
    )
