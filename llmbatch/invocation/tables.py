"""From the spool to files: the rows, the built-in tables, and the author's own. Computes no statistic itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmbatch.errors import LlmbatchError, TaskError
from llmbatch.experiment.words import TableDefinition
from llmbatch.invocation.built_in import built_in_tables
from llmbatch.invocation.interrupt import waits_end_at_ctrl_c
from llmbatch.invocation.options import Format
from llmbatch.plan import Plan
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
    tables = Tables(built_in_tables(rows, plan))
    for definition in _wanted(plan):
        _add(tables, definition, rows)
    for name, frame in tables.named.items():
        write_frame(frame, folder / "tables" / name, every)
    return tables


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
