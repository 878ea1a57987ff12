"""A pilot's cases: the same samples in each variant, a larger draw holding the smaller one."""

from __future__ import annotations

from pathlib import Path

from llmbatch.collect import collect
from llmbatch.plan import Plan, build_plan
from llmbatch.plan.draw import drawn, some_cases

TEXT = """
from llmbatch import parametrize, task

@task(samples=[{"id": f"s{n}", "x": n} for n in range(40)], id="id", repeat=2)
@parametrize("model", ["a/m", "a/n"])
async def say(sample, ask): ...

@task(samples=[{"id": "only"}], id="id")
async def once(sample, ask): ...
"""


def plan_of(folder: Path) -> Plan:
    (folder / "study.py").write_text(TEXT, encoding="utf-8")
    return build_plan(collect(folder / "study.py"))


def test_each_variant_has_the_same_samples(tmp_path: Path) -> None:
    """First repeats only, and as many as there are where there are fewer."""
    plan = plan_of(tmp_path)
    cases = [case.id for case in drawn(plan, 5)]
    samples = [case.partition("::")[2] for case in cases]

    assert 10 + 1 == len(cases) == drawn(plan, 5).count()
    assert samples[:5] == samples[5:10]
    assert "once::only" == cases[10]
    assert not any("#r" in case for case in cases)


def test_a_larger_draw_holds_the_smaller_one(tmp_path: Path) -> None:
    """Another seed draws others."""
    plan = plan_of(tmp_path)
    small, large, other = ({case.id for case in drawn(plan, *draw)} for draw in ((4, 0), (9, 0), (4, 1)))

    assert small < large
    assert small != other


def test_repeats_are_drawn_where_they_are_wanted(tmp_path: Path) -> None:
    """A look at the first ones alone would not see what later ones cost; the same in each variant, in plan order."""
    cases = some_cases(plan_of(tmp_path), 30, repeats=True)
    names = [case.id.partition("::")[2] for case in cases]

    assert [30, 30, 1] == [sum(case.variant.id == each for case in cases) for each in ("m", "n", "")]
    assert names[:30] == names[30:60]
    assert 0 < sum(name.endswith("#r1") for name in names[:30]) < 30
    assert sorted(case.index for case in cases) == [case.index for case in cases]
