"""Tokens and cost, summed exactly.

Money is summed in whole picodollars, so that a sum does not depend on the number of threads. An answer that equal
cases share counts in each of them: a run's bill, where it counts once, is not a sum of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmbatch.tables.builtin.framing import TableSchema, frame_of
from llmbatch.tables.cells import FLOAT, INT, STR

if TYPE_CHECKING:
    import polars as pl

CALLS_SCHEMA: TableSchema = {
    "model": STR,
    "cases": INT,
    "asks": INT,
    "tokens_in": INT,
    "tokens_out": INT,
    "tokens_cached": INT,
    "tokens_reasoning": INT,
    "cost_usd": FLOAT,
}


def calls_and_cost(rows: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Return one row a model, in plan order; columns and dtypes as in CALLS_SCHEMA.

    `asks` are the HTTP calls whose answers the rows hold, recorded or new; attempts that brought no answer
    are not among them. `cost_usd` is null where a case that asked has no known price.
    """
    import polars as pl  # noqa: PLC0415 - loaded when a table is made

    grouped = (
        rows.lazy()
        .group_by("llmbatch_model", maintain_order=True)
        .agg(cases=pl.len(), asks=pl.col("llmbatch_asks").sum(), **usage())
        .rename({"llmbatch_model": "model"})
        .collect()
    )
    return frame_of(grouped.to_dicts(), CALLS_SCHEMA)


def usage() -> dict[str, pl.Expr]:
    """Return the sums of tokens and cost over a group of rows."""
    import polars as pl  # noqa: PLC0415 - as above

    cost = pl.col("llmbatch_cost_usd")
    unpriced = (cost.is_null() & (pl.col("llmbatch_asks").fill_null(0) > 0)).any()
    picodollars = (cost * 1e12).round().cast(pl.Int64).sum()
    return {
        "tokens_in": pl.col("llmbatch_tokens_in").sum(),
        "tokens_out": pl.col("llmbatch_tokens_out").sum(),
        "tokens_cached": pl.col("llmbatch_tokens_cached").sum(),
        "tokens_reasoning": pl.col("llmbatch_tokens_reasoning").sum(),
        "cost_usd": pl.when(unpriced | cost.is_null().all()).then(None).otherwise(picodollars / 1e12),
    }
