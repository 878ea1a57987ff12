"""Which column of a row is its label, and whether it is what the truth says. Knows no table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from llmbatch.columns import TRUTH

if TYPE_CHECKING:
    import polars as pl

USUAL_NAMES = ("category", "label", "answer")


def label_column(
    rows: pl.DataFrame | pl.LazyFrame,
    *,
    truth_field: str | None,
    answers: Sequence[str],
    closed: Collection[str] = frozenset(),
) -> str | None:
    """Return the answer column that says which label was given, or None.

    The first of these that is text, bool or integer among `answers`: the one named like the truth field (its
    name in the samples), `category`, `label`, `answer`; else the only one that is `closed`, holding one of a closed set
    of labels; else the only one there is.
    """
    import polars as pl  # noqa: PLC0415 - loaded when a table is made

    schema = rows.collect_schema()
    labels = [
        name
        for name in answers
        if name in schema and (schema[name] in (pl.String, pl.Boolean) or schema[name].is_integer())
    ]
    for name in (truth_field, *USUAL_NAMES):
        if name in labels:
            return name
    for candidates in ([name for name in labels if name in closed], labels):
        if len(candidates) == 1:
            return candidates[0]
    return None


def scored(rows: pl.DataFrame | pl.LazyFrame, prediction: str | None) -> pl.LazyFrame:
    """Add `truth_text`, `prediction_text`, and whether a case is `scored` and `correct`.

    Truth and prediction are compared as text, so that a truth "1" from CSV meets the answer 1; numbers of
    either kind by value; and text with a bool without regard to case ("True" and true).
    """
    import polars as pl  # noqa: PLC0415 - as above

    schema = rows.collect_schema()
    frame = rows.lazy()
    if prediction is None or TRUTH not in schema or prediction not in schema:
        null = pl.lit(None, dtype=pl.String)
        return frame.with_columns(
            truth_text=null, prediction_text=null, scored=pl.lit(value=False), correct=pl.lit(value=False)
        )
    both_numbers = schema[TRUTH].is_numeric() and schema[prediction].is_numeric()
    a_bool = pl.Boolean in (schema[TRUTH], schema[prediction])

    def text(name: str) -> pl.Expr:
        column = pl.col(name).cast(pl.Float64) if both_numbers and schema[TRUTH] != schema[prediction] else pl.col(name)
        column = column.cast(pl.String)
        return column.str.to_lowercase() if a_bool else column

    is_scored = (pl.col("llmbatch_status") == "ok") & pl.col(TRUTH).is_not_null() & pl.col(prediction).is_not_null()
    return frame.with_columns(truth_text=text(TRUTH), prediction_text=text(prediction), scored=is_scored).with_columns(
        correct=pl.col("scored") & (pl.col("truth_text") == pl.col("prediction_text"))
    )
