"""A plan cut down to some of its cases."""

from __future__ import annotations

from pathlib import Path

from llmbatch.collect import collect
from llmbatch.plan import Plan, build_plan
from llmbatch.plan.narrow import narrowed

TEXT = """
from llmbatch import Ask, parametrize, task

@task(samples=[{"id": "a"}, {"id": "b"}, {"id": "c"}], id="id", repeat=2)
@parametrize("prompt", ["x", "y"])
async def first(sample, ask: Ask, prompt):
    return await ask("hello")

@task(samples=[{"id": "a"}], id="id")
async def second(sample, ask: Ask):
    return await ask("hello")
"""


def plan_of(folder: Path) -> Plan:
    (folder / "experiment.py").write_text(TEXT, encoding="utf-8")
    return build_plan(collect(folder / "experiment.py"))


def test_the_cases_that_are_left_keep_their_order_and_are_numbered_anew(tmp_path: Path) -> None:
    """Rows go into plan order by these numbers; an id that is gone is passed over."""
    plan = narrowed(plan_of(tmp_path), {"first[y]::c#r1", "first[y]::a", "first[y]::gone"})

    assert [(0, "first[y]::a"), (1, "first[y]::c#r1")] == [(case.index, case.id) for case in plan]
    assert 2 == plan.count() == len(list(plan))


def test_tasks_and_variants_without_a_case_are_left_out(tmp_path: Path) -> None:
    """They are neither rehearsed nor listed."""
    plan = narrowed(plan_of(tmp_path), {"first[y]::a", "first[y]::b"})

    [task] = plan.tasks
    assert [("first", "y", 2)] == [(task.name, variant.id, plan.count_of(task, variant)) for variant in task.variants]
    assert ["first[y]::a"] == [case.id for case in plan.first_cases()]


def test_nothing_wanted_is_a_plan_without_cases(tmp_path: Path) -> None:
    """As of a selection that nothing matches."""
    plan = narrowed(plan_of(tmp_path), set())

    assert (0, ()) == (plan.count(), plan.tasks)
