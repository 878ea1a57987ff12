"""From the spool to files: the rows, the built-in tables, and the author's own. Computes no statistic itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmbatch.columns import PREFIX, TRUTH
from llmbatch.errors import LlmbatchError, TaskError
from llmbatch.experiment.words import TableDefinition
from llmbatch.invocation.interrupt import waits_end_at_ctrl_c
from llmbatch.invocation.options import Format
from llmbatch.plan import Plan, PlannedTask
from llmbatch.tables.builtin import calls_and_cost, confusion, failures, prediction_column, summary
from llmbatch.tables.spool import Spool
from llmbatch.tables.write import write_frame, write_rows

if TYPE_CHECKING:
    import polars as pl

ROWS = "rows"


@dataclass(slots=True)
class Tables:
    """The tables of a run by name, built-in ones first; `broken` has what the author's table functions raised."""

    named: dict[str, pl.DataFrame] = field(default_factory=dict)
    broken: list[tuple[LlmbatchError, BaseException]] = field(default_factory=list)


def write_tables(spool: Spool, folder: Path, plan: Plan, formats: Sequence[Format]) -> Tables:
    """Write `rows.parquet` and one file a table into the folder, in every format asked for.

    A table function that raises costs its own table only. Raises DiskError.
    """
    import polars as pl  # noqa: PLC0415 - loaded when a table is made

    waits_end_at_ctrl_c()
    every: tuple[Format, ...] = ("parquet", *(each for each in formats if each != "parquet"))
    write_rows(spool, folder / ROWS, every)
    rows = pl.scan_parquet(folder / f"{ROWS}.parquet")
    tables = Tables(_built_in(rows, plan))
    for definition in _wanted(plan):
        _add(tables, definition, rows)
    for name, frame in tables.named.items():
        write_frame(frame, folder / "tables" / name, every)
    return tables


def _built_in(rows: pl.LazyFrame, plan: Plan) -> dict[str, pl.DataFrame]:
    """Return the built-in tables; each task is scored by its own prediction column."""
    import polars as pl  # noqa: PLC0415 - as above

    def each_task(make: Callable[[pl.LazyFrame, str | None], pl.DataFrame]) -> pl.DataFrame:
        frames = [make(own, _prediction(own, task)) for task, own in _rows_by_task(rows, plan)]
        filled = [frame for frame in frames if frame.height] or frames[:1]
        return pl.concat(filled, how="diagonal") if filled else pl.DataFrame()

    return {
        "summary": each_task(summary),
        "confusion": each_task(confusion),
        "failures": failures(rows),
        "calls_and_cost": calls_and_cost(rows),
    }


def _rows_by_task(rows: pl.LazyFrame, plan: Plan) -> list[tuple[PlannedTask, pl.LazyFrame]]:
    import polars as pl  # noqa: PLC0415 - as above

    return [(task, rows.filter(pl.col("llmbatch_task") == task.name)) for task in plan.tasks]


def _prediction(rows: pl.LazyFrame, task: PlannedTask) -> str | None:
    fields = {*task.samples.fields(), TRUTH} - {task.truth}  # an answer may have the name of the truth's field
    answers = [name for name in rows.collect_schema() if name not in fields and not name.startswith(PREFIX)]
    return prediction_column(rows, truth_field=task.truth, answers=answers)


def _wanted(plan: Plan) -> list[TableDefinition]:
    """Return the author's tables of which some source is in the plan."""
    chosen = {task.name for task in plan.tasks}
    return [
        definition
        for definition in plan.experiment.tables
        if any(source.name in chosen for source in definition.sources)
    ]


def _add(tables: Tables, definition: TableDefinition, rows: pl.LazyFrame) -> None:
    import polars as pl  # noqa: PLC0415 - as above

    own = rows.filter(pl.col("llmbatch_task").is_in([source.name for source in definition.sources]))
    try:
        made: Any = definition.function(own if definition.wants_lazy else own.collect())
        frame = made.collect() if isinstance(made, pl.LazyFrame) else made
    except Exception as error:  # noqa: BLE001 - an author's table may raise anything, and the rows are safe
        tables.broken.append((_table_error(definition, f"raised {type(error).__name__}: {error}"), error))
        return
    if not isinstance(frame, pl.DataFrame):
        problem = _table_error(definition, f"returned a {type(frame).__name__}, not a polars frame")
        tables.broken.append((problem, problem))
        return
    tables.named[definition.name] = frame


def _table_error(definition: TableDefinition, what: str) -> TaskError:
    return TaskError(
        f"the table {definition.name} {what}",
        place=definition.place,
        fix="correct the function and run again: every answer is recorded, so nothing is called",
    )
