"""What one invocation left behind, for notebooks, programs and tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from llmbatch.errors import UsageError

if TYPE_CHECKING:
    import polars as pl


class Metric(NamedTuple):
    """One number of the summary with its 95 % interval; `lower` and `upper` are None where there is none."""

    value: float
    lower: float | None
    upper: float | None
    n: int


@dataclass(frozen=True)
class Run:
    """One run: its exit code, its folder under `results/`, its rows and its tables.

    `paid`, `cached` and `failed` count interactions and cases of this invocation, so they differ between a
    recording and its replay while the rows do not. `message` says why a run ended early or what is missing.
    """

    exit_code: int
    path: Path
    tables: Mapping[str, pl.DataFrame]
    paid: int = 0
    cached: int = 0
    failed: int = 0
    message: str | None = None

    @cached_property
    def rows(self) -> pl.DataFrame:
        """One row a case, in plan order; read from the run's folder when first asked for."""
        import polars as pl  # noqa: PLC0415 - a run whose rows nobody looks at does not load them

        return pl.read_parquet(self.path / "rows.parquet")

    def iter_rows(self) -> Iterator[Mapping[str, Any]]:
        """Yield each row as a mapping, in plan order."""
        yield from self.rows.iter_rows(named=True)

    def table(self, name: str) -> pl.DataFrame:
        """Return a table by its name. Raises UsageError naming the tables there are."""
        if name not in self.tables:
            raise UsageError(
                f"the run has no table `{name}`", tables=", ".join(self.tables), fix="ask for one of those"
            )
        return self.tables[name]

    def metric(self, name: str, /, **variant: object) -> Metric:
        """Return a column of the summary for the one variant that matches the given values.

        `metric("accuracy", model="local/qwen", prompt="bare.md")`. Raises UsageError when no variant or more
        than one matches, naming them.
        """
        import polars as pl  # noqa: PLC0415 - a replay that asks for no metric does not pay for it

        matching = self.table("summary")
        for parameter, value in variant.items():
            column = parameter if parameter in matching.columns else f"llmbatch_{parameter}"
            if column not in matching.columns:
                raise UsageError(f"the summary has no column `{parameter}`", columns=", ".join(matching.columns))
            matching = matching.filter(pl.col(column) == value)
        if matching.height != 1 or name not in matching.columns:
            raise UsageError(
                f"{matching.height} variants match, and one is needed for `{name}`",
                variants=", ".join(map(str, self.table("summary")["variant"].to_list())),
                columns=", ".join(matching.columns),
                fix="name the values of one variant",
            )
        row = matching.row(0, named=True)
        return Metric(row[name], row.get(f"{name}_low"), row.get(f"{name}_high"), row["n"])
