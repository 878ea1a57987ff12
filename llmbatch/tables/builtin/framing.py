"""Rows of Python values made a frame of a declared schema. Knows no statistic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from llmbatch.tables.cells import BOOL, FLOAT, INT, STR, Kind

if TYPE_CHECKING:
    import polars as pl

PRECISION = 6
"""Digits after the point of every float of a built-in table."""

TableSchema = Mapping[str, Kind]


def dtypes_of(schema: TableSchema) -> dict[str, pl.DataType]:
    """Return the polars dtype of each column."""
    import polars as pl  # noqa: PLC0415 - loaded when a table is made

    dtypes: dict[Kind, pl.DataType] = {STR: pl.String(), INT: pl.Int64(), FLOAT: pl.Float64(), BOOL: pl.Boolean()}
    return {name: dtypes[kind] for name, kind in schema.items()}


def frame_of(rows: Sequence[Mapping[str, object]], schema: TableSchema) -> pl.DataFrame:
    """Return the rows as a frame with the columns of the schema; other members of a row are left out."""
    import polars as pl  # noqa: PLC0415 - as above

    frame = pl.DataFrame({name: [row[name] for row in rows] for name in schema}, schema=dtypes_of(schema))
    return frame.with_columns(pl.col(pl.Float64).round(PRECISION))
