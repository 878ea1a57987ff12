"""Which built-in tables a run has, and of which rows and columns each is made. Computes no statistic itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from llmbatch.columns import PREFIX, PROBABILITY_DTYPES, TRUTH
from llmbatch.experiment.columns import closed_columns
from llmbatch.plan import Plan, PlannedTask
from llmbatch.tables.builtin.agreement import agreement
from llmbatch.tables.builtin.calls import calls_and_cost
from llmbatch.tables.builtin.classes import confusion, per_class
from llmbatch.tables.builtin.failures import failures
from llmbatch.tables.builtin.majority import label_frequencies, majority, votes
from llmbatch.tables.builtin.repeats import repeats_of
from llmbatch.tables.builtin.scoring import label_column
from llmbatch.tables.builtin.summary import summary

if TYPE_CHECKING:
    import polars as pl


class _TaskRows(NamedTuple):
    """The rows of a task, its answer columns, which of them says the label, and whether it has a truth to meet."""

    task: PlannedTask
    rows: pl.LazyFrame
    answers: list[str]
    label: str | None

    @property
    def prediction(self) -> str | None:
        """The column that is compared with the truth; None without a truth."""
        return None if self.task.truth is None else self.label


def built_in_tables(rows: pl.LazyFrame, plan: Plan) -> dict[str, pl.DataFrame]:
    """Return the tables by name, in the order in which they are shown; those over repeats only where there are any."""
    tasks = [_rows_of(task, rows, plan) for task in plan.tasks]
    repeated = [
        repeats_of(each.rows, k=each.task.repeat, answers=each.answers, label=each.label, prediction=each.prediction)
        for each in tasks
        if each.task.repeat > 1
    ]
    over_repeats = {
        each.__name__: _joined([each(repeats) for repeats in repeated])
        for each in (agreement, majority, votes, label_frequencies)
        if repeated
    }
    return {
        "summary": _joined([summary(each.rows, each.prediction, repeats=each.task.repeat) for each in tasks]),
        **over_repeats,
        "per_class": _joined([per_class(each.rows, each.prediction) for each in tasks]),
        "confusion": _joined([confusion(each.rows, each.prediction) for each in tasks]),
        "failures": failures(rows),
        "calls_and_cost": calls_and_cost(rows),
    }


def _rows_of(task: PlannedTask, rows: pl.LazyFrame, plan: Plan) -> _TaskRows:
    import polars as pl  # noqa: PLC0415 - loaded when a table is made

    names = rows.collect_schema().names()
    others = {*task.samples.fields(), TRUTH} - {task.truth}  # an answer may have the name of the truth's field
    if PROBABILITY_DTYPES.keys() <= set(names):
        others |= PROBABILITY_DTYPES.keys()  # they are about the answer, and no part of it
    if task.columns is not None:  # the rows of all tasks have the columns of all
        others |= {name for each in plan.tasks for name in each.columns or ()} - task.columns.keys()
    answers = [name for name in names if name not in others and not name.startswith(PREFIX)]
    closed = closed_columns(task.columns or {})
    own = rows.filter(pl.col("llmbatch_task") == task.name)
    label = label_column(rows, truth_field=task.truth, answers=answers, closed=closed)
    return _TaskRows(task, own, answers, label)


def _joined(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the frames of all tasks one below the other; of empty ones the first, for its columns."""
    import polars as pl  # noqa: PLC0415 - as above

    filled = [frame for frame in frames if frame.height] or frames[:1]
    return pl.concat(filled, how="diagonal") if filled else pl.DataFrame()
