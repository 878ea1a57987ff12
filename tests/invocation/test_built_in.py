"""Which columns the built-in tables of a task are about."""

from __future__ import annotations

from pathlib import Path

import llmbatch

TWO_TASKS = """
from typing import Any, Literal, TypedDict
from llmbatch import task

SAMPLES = [{"id": "a", "gold": "yes"}, {"id": "b", "gold": "no"}]

class Named(TypedDict):
    category: str

class Judged(TypedDict):
    reason: str
    verdict: Literal["yes", "no"]

@task(samples=SAMPLES, truth="gold", id="id", repeat=2)
def named(sample: dict[str, Any]) -> Named:
    return {"category": "yes"}

@task(samples=SAMPLES, truth="gold", id="id", repeat=3)
def judged(sample: dict[str, Any]) -> Judged:
    return {"reason": "it says " + sample["gold"], "verdict": sample["gold"]}
"""


async def test_a_task_is_judged_by_a_column_of_its_own(tmp_path: Path) -> None:
    """The rows of both have the columns of both; the label is the closed field, free text beside it or not."""
    (tmp_path / "study.py").write_text(TWO_TASKS, encoding="utf-8")

    run = await llmbatch.arun(tmp_path / "study.py", results=tmp_path / "results", cassette=tmp_path / "cassette")

    assert [("named", 4, 2, 2), ("judged", 6, 2, 6)] == run.table("summary").select(
        "task", "n", "samples", "n_correct"
    ).rows()
    assert [("named", "category", 2, 1.0), ("judged", "verdict", 3, 1.0)] == run.table("agreement").select(
        "task", "compared", "k", "tar_answer"
    ).rows()
    assert [0.5, 1.0] == run.table("majority")["accuracy"].to_list()
