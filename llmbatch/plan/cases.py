"""Case and Plan: the cases of a run, made one by one in a fixed order. Holds no samples."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmbatch.collect.experiment import Experiment
from llmbatch.experiment.injection import Injection
from llmbatch.experiment.words import Task
from llmbatch.plan.variant import Variant
from llmbatch.samples import Sample, Samples


@dataclass(frozen=True, slots=True, eq=False)
class PlannedTask:
    """A task as this run takes it: its chosen variants, its selected samples, its number of repeats."""

    task: Task[..., Any]
    injection: Injection
    samples: Samples
    variants: tuple[Variant, ...]
    repeat: int
    source: PlannedTask | None = None
    """The task whose rows are the samples."""
    is_source: bool = False
    """Whether its rows are the samples of another task of the experiment."""
    name: str = field(init=False)
    truth: str | None = field(init=False)
    function: Callable[..., Any] = field(init=False)
    arguments: tuple[str, ...] = field(init=False)
    is_async: bool = field(init=False)
    withheld: frozenset[str] = field(init=False)
    is_linked: bool = field(init=False)

    def __post_init__(self) -> None:
        # copied once here, because the runner reads them for each case
        object.__setattr__(self, "name", self.task.name)
        object.__setattr__(self, "truth", self.task.truth)
        object.__setattr__(self, "function", self.task.declaration.function)
        object.__setattr__(self, "arguments", self.injection.arguments)
        object.__setattr__(self, "is_async", self.injection.is_async)
        object.__setattr__(self, "is_linked", self.is_source or self.source is not None)
        object.__setattr__(self, "withheld", frozenset() if self.truth is None else frozenset({self.truth}))

    @property
    def place(self) -> str:
        """Where the function is defined, as `file:line`."""
        return self.task.place

    @property
    def columns(self) -> Mapping[str, Any] | None:
        """The annotation of each declared answer column; None where the return annotation does not say."""
        return self.injection.columns

    def count(self) -> int:
        """Return the number of its cases. The first call reads the samples."""
        return len(self.variants) * self.samples.count() * self.repeat

    def title(self, variant: Variant) -> str:
        """Return `task[variant]`, or `task` for a task without variants."""
        return f"{self.name}[{variant.id}]" if variant.id else self.name


@dataclass(slots=True, eq=False)
class Case:
    """Task x variant x sample x repeat. `index` is its place in the plan, from 0; so is `repeat`.

    `id` is `task[variant]::sample`, with `#r1` behind it for repeat 1 and so on. Not changed once it is made; to
    freeze it would take thrice the time to make one.
    """

    index: int
    task: PlannedTask
    variant: Variant
    sample: Sample
    repeat: int
    id: str


def cases_of(task: PlannedTask, index: int = 0) -> Generator[Case, None, int]:
    """Yield the cases of one task, numbered from `index`; what is returned is the next number."""
    for variant in task.variants:
        title = task.title(variant)
        for sample in task.samples:
            name = f"{title}::{sample.id}"
            for repeat in range(task.repeat):
                text = f"{name}#r{repeat}" if repeat else name
                yield Case(index, task, variant, sample, repeat, text)
                index += 1
    return index


@dataclass(slots=True, eq=False)
class Plan:
    """The cases of a run: by task, then variant, then sample, then repeat, each in the order given.

    Iterating makes them anew each time, in bounded memory; samples are read once for each variant.
    """

    experiment: Experiment
    tasks: tuple[PlannedTask, ...]
    _count: int | None = field(default=None, init=False, repr=False)

    def __iter__(self) -> Iterator[Case]:
        index = 0
        for task in self.tasks:
            index = yield from cases_of(task, index)

    def with_sources(self) -> list[PlannedTask]:
        """Return the tasks, and those that only give others their samples, before these."""
        found: dict[PlannedTask, None] = {}
        for task in self.tasks:
            chain = [task]
            while chain[-1].source is not None:
                chain.append(chain[-1].source)
            found.update(dict.fromkeys(reversed(chain)))
        return list(found)

    def count(self) -> int:
        """Return the number of cases. The first call reads the samples of each task once."""
        if self._count is None:
            self._count = sum(task.count() for task in self.tasks)
        return self._count

    def count_of(self, task: PlannedTask, variant: Variant) -> int:
        """Return the number of cases of one variant; reads its samples."""
        return task.samples.count() * task.repeat

    @property
    def has_asking_fixtures(self) -> bool:
        """Whether some fixture of its tasks takes `ask`, `client` or `model`."""
        waiting = [fixture for task in self.with_sources() for fixture in task.injection.fixtures]
        while waiting:
            fixture = waiting.pop()
            if fixture.arguments:
                return True
            waiting += fixture.needs
        return False

    def first_cases(self) -> Iterator[Case]:
        """Yield one case for each variant, with its first sample that can be used: what a rehearsal runs.

        Their `index` is -1: they are not the plan's own.
        """
        for task in self.tasks:
            sample = task.samples.first()
            if sample is None:
                continue
            for variant in task.variants:
                yield Case(-1, task, variant, sample, 0, f"{task.title(variant)}::{sample.id}")
