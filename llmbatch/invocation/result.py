"""What one invocation left behind, for notebooks, programs and tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from llmbatch.errors import UsageError
from llmbatch.money.bill import Bill

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

    `variants` has the parametrised values of each (task, variant) by name.
    `paid`, `cached` and `failed` count interactions and cases of this invocation, and `bill` is what it paid, so they
    differ between a recording and its replay while the rows do not. `message` says why a run ended early or what is
    missing.
    """

    exit_code: int
    path: Path
    tables: Mapping[str, pl.DataFrame]
    variants: Mapping[tuple[str, str], Mapping[str, object]] = field(default_factory=dict)
    paid: int = 0
    cached: int = 0
    failed: int = 0
    bill: Bill = field(default_factory=Bill)
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
        """Return a column of the summary for the one variant that has all the values given.

        `metric("accuracy", model="local/qwen", prompt="bare.md")`; `task=` and `variant=` (its id) select as well.
        Raises UsageError when no variant or more than one matches, naming them.
        """
        matching = [row for row in self.table("summary").iter_rows(named=True) if self._has(row, variant)]
        if len(matching) != 1 or matching[0].get(name) is None:
            raise UsageError(
                f"{len(matching)} variants match, and `{name}` is wanted of one that has it",
                variants="\n".join(f"{row['task']}[{row['variant']}]" for row in self.table("summary").to_dicts()),
                columns=", ".join(self.table("summary").columns),
                fix="name the values of one variant, and a column of the summary",
            )
        row = matching[0]
        return Metric(row[name], row.get(f"{name}_low"), row.get(f"{name}_high"), row.get(_SCORED.get(name, "n"), 0))

    def _has(self, row: Mapping[str, Any], wanted: Mapping[str, object]) -> bool:
        values = {
            **self.variants.get((row["task"], row["variant"]), {}),
            "task": row["task"],
            "variant": row["variant"],
        }
        return all(name in values and values[name] == value for name, value in wanted.items())


_SCORED = {"accuracy": "n_scored"}
"""Over how many cases a column of the summary is taken, where that is not all of them."""
