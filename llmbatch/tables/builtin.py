"""The tables every run has: summary, confusion, failures, calls and cost. Pure functions of rows; knows no task.

All keep plan order (first appearance) or sorted labels, and round floats to 6 digits. Money is summed in
whole picodollars, so that a sum does not depend on the number of threads. An answer that equal cases share
counts in each of them: a run's bill, where it counts once, is not a sum of rows.

Accuracy is over scored cases: status `ok`, with a truth and a prediction. What failed is not wrong, it is
missing, and is named beside in `failed`, `failures` and `n_scored`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from llmbatch.call.failure import FailureKind
from llmbatch.columns import TRUTH
from llmbatch.stats import wilson_interval
from llmbatch.tables.cells import FLOAT, INT, STR, Kind

if TYPE_CHECKING:
    import polars as pl

PRECISION = 6
NO_ANSWER = "(no answer)"
OUT_OF_LABEL = "(out of label)"
OTHER = "(other)"
LABELS_SHOWN = 40
TEXT_CHARACTERS = 500

SUMMARY_SCHEMA: Mapping[str, Kind] = {
    "task": STR,
    "variant": STR,
    "n": INT,
    "ok": INT,
    "answered": INT,
    "failed": INT,
    "failures": STR,
    "n_scored": INT,
    "n_correct": INT,
    "accuracy": FLOAT,
    "accuracy_low": FLOAT,
    "accuracy_high": FLOAT,
    "tokens_in": INT,
    "tokens_out": INT,
    "cost_usd": FLOAT,
}
FAILURES_SCHEMA: Mapping[str, Kind] = {"case": STR, "status": STR, "error_kind": STR, "error": STR, "text": STR}
CALLS_SCHEMA: Mapping[str, Kind] = {
    "model": STR,
    "cases": INT,
    "asks": INT,
    "tokens_in": INT,
    "tokens_out": INT,
    "tokens_cached": INT,
    "tokens_reasoning": INT,
    "cost_usd": FLOAT,
}
CONFUSION_SCHEMA: Mapping[str, Kind] = {"task": STR, "variant": STR, "truth": STR}


def prediction_column(
    rows: pl.DataFrame | pl.LazyFrame, *, truth_field: str | None, answers: Sequence[str]
) -> str | None:
    """Return the answer column that is compared with the truth, or None: then there is no accuracy.

    The first of these that is text, bool or integer among `answers`: the one named like the truth field (its
    name in the samples), `category`, `label`, `answer`; else the only text, bool or integer column of them.
    None without a column `truth`.
    """
    import polars as pl  # noqa: PLC0415 - loaded when a table is made

    schema = rows.collect_schema()
    if truth_field is None or TRUTH not in schema:
        return None
    labels = [
        name
        for name in answers
        if name in schema and (schema[name] in (pl.String, pl.Boolean) or schema[name].is_integer())
    ]
    for name in (truth_field, "category", "label", "answer"):
        if name in labels:
            return name
    return labels[0] if len(labels) == 1 else None


def summary(rows: pl.DataFrame | pl.LazyFrame, prediction: str | None) -> pl.DataFrame:
    """Return one row a (task, variant), in plan order; columns and dtypes as in SUMMARY_SCHEMA.

    `n` cases are `ok` + `failed`; `answered` adds to `ok` the answers that do not parse, are refused or cut
    off; `failures` is text, "parse_error 3, timeout 1", most frequent first. `accuracy` is n_correct /
    n_scored with its Wilson 95 % interval, null where nothing was scored; repeats of a sample count as cases.
    Tokens are sums; `cost_usd` is null where a case that asked has no known price.
    """
    import polars as pl  # noqa: PLC0415 - as above

    frame = _scored(rows, prediction)
    status = pl.col("llmbatch_status")
    answered = ["ok", *(kind.value for kind in FailureKind if kind.is_result)]
    grouped = (
        frame.group_by("llmbatch_task", "llmbatch_variant", maintain_order=True)
        .agg(
            n=pl.len(),
            ok=(status == "ok").sum(),
            answered=status.is_in(answered).sum(),
            n_scored=pl.col("scored").sum(),
            n_correct=pl.col("correct").sum(),
            **_usage(),
        )
        .collect()
    )
    # counted apart: lists of the statuses in each group would hold every case in memory
    failed = (
        frame.filter(status != "ok")
        .group_by("llmbatch_task", "llmbatch_variant", "llmbatch_status", maintain_order=True)
        .len()
        .collect()
    )
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for task, variant, kind, count in failed.iter_rows():
        counts.setdefault((task, variant), {})[kind] = count
    summaries = [
        _summary_row(group, counts.get((group["llmbatch_task"], group["llmbatch_variant"]), {}))
        for group in grouped.iter_rows(named=True)
    ]
    return _frame(summaries, SUMMARY_SCHEMA)


def _summary_row(group: dict[str, object], counts: Mapping[str, int]) -> dict[str, object]:
    n_scored, n_correct = group["n_scored"], group["n_correct"]
    assert isinstance(n_scored, int)
    assert isinstance(n_correct, int)
    by_count = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    low, high = wilson_interval(n_correct, n_scored) or (None, None)
    return {
        **group,
        "task": group["llmbatch_task"],
        "variant": group["llmbatch_variant"],
        "failed": sum(counts.values()),
        "failures": ", ".join(f"{status} {count}" for status, count in by_count),
        "accuracy": n_correct / n_scored if n_scored else None,
        "accuracy_low": low,
        "accuracy_high": high,
    }


def confusion(rows: pl.DataFrame | pl.LazyFrame, prediction: str | None) -> pl.DataFrame:
    """Return counts, one row a (task, variant, truth label); task, variant, truth, then a column (int) a label.

    Labels are the truths and predictions of all rows, sorted; then, where there are any, `(out of label)`: answers
    with a word outside their closed labels; then `(no answer)`: other cases that failed or predicted null. With more
    than 40 labels, predictions that are nobody's truth are one column `(other)`; with more than 40 truths, or without a
    prediction column, the frame has no rows. A label that is the name of such a column gets a space in front.
    """
    import polars as pl  # noqa: PLC0415 - as above

    if prediction is None:
        return _frame([], CONFUSION_SCHEMA)
    known = _scored(rows, prediction).filter(pl.col("truth_text").is_not_null())
    strayed = (pl.col("llmbatch_status") == FailureKind.OUT_OF_LABEL.value).alias("strayed")
    answer = pl.when(pl.col("scored")).then("prediction_text").alias("answer")
    counted = (
        known.group_by("llmbatch_task", "llmbatch_variant", "truth_text", answer, strayed, maintain_order=True)
        .len()
        .collect()
    )
    truths = set(counted["truth_text"])
    labels = sorted(truths | set(counted["answer"].drop_nulls()))
    if len(truths) > LABELS_SHOWN:
        return _frame([], CONFUSION_SCHEMA)
    pooled = len(labels) > LABELS_SHOWN
    if pooled:
        labels = [*sorted(truths), OTHER]
    reserved = (*CONFUSION_SCHEMA, OUT_OF_LABEL, NO_ANSWER)
    columns = {label: f" {label}" if label in reserved else label for label in labels}
    unscored = [OUT_OF_LABEL, NO_ANSWER] if counted["strayed"].any() else [NO_ANSWER]
    variants = dict.fromkeys(zip(counted["llmbatch_task"], counted["llmbatch_variant"], strict=True))
    table = {
        (*variant, truth): dict.fromkeys([*columns.values(), *unscored], 0)
        for variant in variants
        for truth in sorted(truths)
    }
    for task, variant, truth, label, is_strayed, count in counted.iter_rows():
        shown = columns.get(label, OTHER) if label is not None else OUT_OF_LABEL if is_strayed else NO_ANSWER
        table[task, variant, truth][shown] += count
    schema = {**CONFUSION_SCHEMA, **dict.fromkeys([*columns.values(), *unscored], INT)}
    return _frame([dict(zip(CONFUSION_SCHEMA, place, strict=True)) | counts for place, counts in table.items()], schema)


def failures(rows: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Return every case that is not ok, in plan order; columns as in FAILURES_SCHEMA, all text.

    `text` is what the model said, cut to 500 characters.
    """
    import polars as pl  # noqa: PLC0415 - as above

    return (
        rows.lazy()
        .filter(pl.col("llmbatch_status") != "ok")
        .select(
            *(pl.col(f"llmbatch_{name}").cast(pl.String).alias(name) for name in FAILURES_SCHEMA if name != "text"),
            pl.col("llmbatch_text").cast(pl.String).str.slice(0, TEXT_CHARACTERS).alias("text"),
        )
        .collect()
    )


def calls_and_cost(rows: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Return one row a model, in plan order; columns and dtypes as in CALLS_SCHEMA.

    `asks` are the HTTP calls whose answers the rows hold, recorded or new; attempts that brought no answer
    are not among them. `cost_usd` is null where a case that asked has no known price.
    """
    import polars as pl  # noqa: PLC0415 - as above

    grouped = (
        rows.lazy()
        .group_by("llmbatch_model", maintain_order=True)
        .agg(cases=pl.len(), asks=pl.col("llmbatch_asks").sum(), **_usage())
        .rename({"llmbatch_model": "model"})
        .collect()
    )
    return _frame(grouped.to_dicts(), CALLS_SCHEMA)


def _scored(rows: pl.DataFrame | pl.LazyFrame, prediction: str | None) -> pl.LazyFrame:
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

    scored = (pl.col("llmbatch_status") == "ok") & pl.col(TRUTH).is_not_null() & pl.col(prediction).is_not_null()
    return frame.with_columns(truth_text=text(TRUTH), prediction_text=text(prediction), scored=scored).with_columns(
        correct=pl.col("scored") & (pl.col("truth_text") == pl.col("prediction_text"))
    )


def _usage() -> dict[str, pl.Expr]:
    """Return the sums of tokens and cost."""
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


def _frame(rows: Sequence[Mapping[str, object]], schema: Mapping[str, Kind]) -> pl.DataFrame:
    import polars as pl  # noqa: PLC0415 - as above

    dtypes: dict[Kind, pl.DataType] = {STR: pl.String(), INT: pl.Int64(), FLOAT: pl.Float64()}
    frame = pl.DataFrame(
        {name: [row[name] for row in rows] for name in schema},
        schema={name: dtypes[kind] for name, kind in schema.items()},
    )
    return frame.with_columns(pl.col(pl.Float64).round(PRECISION))
