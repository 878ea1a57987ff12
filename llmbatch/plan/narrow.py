"""A plan cut down to some of its cases, by their ids. Pure; reads the samples once to see which are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from llmbatch.plan.cases import Case, Plan, PlannedTask
from llmbatch.plan.variant import Variant


@dataclass(slots=True, eq=False)
class NarrowedPlan(Plan):
    """A plan's cases with the ids `wanted`, in its order and numbered anew; variants without any are left out."""

    wanted: Collection[str] = frozenset()
    _counts: Counter[str] = field(default_factory=Counter, init=False, repr=False)

    def __iter__(self) -> Iterator[Case]:
        index = 0
        for case in Plan.__iter__(self):
            if case.id in self.wanted:
                case.index = index
                index += 1
                yield case

    def count(self) -> int:
        """Return the number of cases."""
        return self._counts.total()

    def count_of(self, task: PlannedTask, variant: Variant) -> int:
        """Return the number of cases of a variant."""
        return self._counts[task.title(variant)]


def narrowed(plan: Plan, wanted: Collection[str]) -> Plan:
    """Return the plan of those cases of a plan that have these ids; an id that it does not have is passed over."""
    found = NarrowedPlan(plan.experiment, plan.tasks, wanted=wanted)
    for case in found:
        found._counts[case.task.title(case.variant)] += 1  # noqa: SLF001
    chosen = (
        replace(task, variants=tuple(variant for variant in task.variants if found.count_of(task, variant)))
        for task in plan.tasks
    )
    found.tasks = tuple(task for task in chosen if task.variants)
    return found
