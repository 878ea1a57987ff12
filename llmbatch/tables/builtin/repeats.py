"""One row a sample of what its repeats said: the votes, and what the tables over repeats are made of.

A failed repeat (a status other than `ok`) has no answer: it agrees with nothing, not even with another failure.
Samples of which not all repeats were asked, as after `--last-failed` or in a run that was ended, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmbatch.call.failure import FailureKind
from llmbatch.tables.builtin.failures import FailureCounts
from llmbatch.tables.builtin.scoring import scored
from llmbatch.tables.builtin.summary import ANSWERED

if TYPE_CHECKING:
    import polars as pl

WHOLE = "(all fields)"
"""What is compared where no column is the label's."""

KEYS = ("llmbatch_task", "llmbatch_variant", "llmbatch_sample")
_NOT_ASKED = [kind.value for kind in (FailureKind.SAMPLE_ERROR, FailureKind.NOT_RECORDED, FailureKind.NOT_RUN)]
"""Statuses of a repeat that was put to nobody, so that it says nothing of anybody's stability."""

WINDOW_ROWS = 8192
"""How many rows are looked at together, and a sample's more."""

Place = tuple[str, str]
"""A task and a variant."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """What `k` repeats of each sample of a task said.

    `compared` names the answer column that is compared, None where rows have no answer columns. `samples` has one row
    a complete sample and `labels` one row a different answer of it, both in plan order, the answers of a sample in
    order of the repeat that gave them first. `partial` counts the samples left out, of every variant in plan order.
    """

    k: int
    compared: str | None
    samples: pl.DataFrame
    labels: pl.DataFrame
    partial: dict[Place, int]
    failures: FailureCounts


def repeats_of(
    rows: pl.DataFrame | pl.LazyFrame,
    *,
    k: int,
    answers: Sequence[str],
    label: str | None,
    prediction: str | None,
) -> Repeats:
    """Return what the repeats of one task's samples said; rows are in plan order, those of a sample together.

    Answers are compared by the column of their `label`; without one by the only answer column there is, else by all of
    them together. Some thousands of rows are in memory at a time.
    """
    import polars as pl  # noqa: PLC0415 - loaded when a table is made

    schema = rows.collect_schema()
    present = [name for name in answers if name in schema]
    compared = label
    if compared is None and present:
        compared = present[0] if len(present) == 1 else WHOLE
    every = scored(rows, prediction).select(
        *KEYS,
        "llmbatch_status",
        "truth_text",
        "scored",
        "correct",
        text="llmbatch_text",
        said=_said(schema, compared, present, prediction),
    )
    parts = [_counted(window, k) for window in _windows(every)] or [_counted(every.limit(0).collect(), k)]
    samples, labels, failed, partial = (pl.concat(each) for each in zip(*parts, strict=True))
    left_out = partial.group_by(KEYS[:2], maintain_order=True).sum()
    return Repeats(
        k=k,
        compared=compared,
        samples=samples,
        labels=labels,
        partial={(task, variant): n for task, variant, n in left_out.iter_rows()},
        failures=FailureCounts(failed),
    )


def _windows(every: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Yield all rows of some samples at a time."""
    import polars as pl  # noqa: PLC0415 - as above

    rest: pl.DataFrame | None = None
    for batch in every.collect_batches(chunk_size=WINDOW_ROWS, maintain_order=True):
        window = batch if rest is None else pl.concat([rest, batch])
        last = pl.struct(KEYS)
        is_last = window.select(last.eq_missing(last.last())).to_series()
        rest = window.filter(is_last)
        yield window.filter(~is_last)
    if rest is not None:
        yield rest


def _counted(window: pl.DataFrame, k: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return of a window's samples: one row each, one a label, their failed cases, and whether they are partial."""
    import polars as pl  # noqa: PLC0415 - as above

    samples = _by_sample(window)
    is_partial = pl.col("repeats") != k
    partial = samples.select(*KEYS[:2], is_partial.cast(pl.Int64))
    if partial["repeats"].sum():
        samples = samples.filter(~is_partial)
        window = window.join(samples.select(KEYS), on=KEYS, how="semi", maintain_order="left")
    labels = _by_label(window)
    voted = samples.join(_votes(labels), on=KEYS, how="left", maintain_order="left")
    labels = labels.join(samples.select(*KEYS, "answered", "ok"), on=KEYS, how="left", maintain_order="left")
    failed = window.filter(pl.col("llmbatch_status") != "ok").select(*KEYS[:2], "llmbatch_status")
    return voted, labels, failed, partial


def _said(schema: pl.Schema, compared: str | None, present: Sequence[str], prediction: str | None) -> pl.Expr:
    """Return the parsed answer as text."""
    import polars as pl  # noqa: PLC0415 - as above

    if compared is None:
        return pl.lit(None, dtype=pl.String)
    if compared == prediction:
        return pl.col("prediction_text")  # two answers are the same where the same truth makes both right
    if compared == WHOLE or schema[compared].is_nested():
        return pl.struct(*(present if compared == WHOLE else [compared])).struct.json_encode()
    return pl.col(compared).cast(pl.String)


def _by_sample(every: pl.DataFrame) -> pl.DataFrame:
    """Count for each sample the repeats that were asked, that have an answer, a text, a score; and different texts."""
    import polars as pl  # noqa: PLC0415 - as above

    status, text = pl.col("llmbatch_status"), pl.col("text")
    counts = {
        "repeats": (~status.is_in(_NOT_ASKED)).sum(),
        "ok": (status == "ok").sum(),
        "answered": status.is_in(ANSWERED).sum(),
        "texts": text.count(),
        "different_texts": text.drop_nulls().n_unique(),
        "trials": pl.col("scored").sum(),
        "successes": pl.col("correct").sum(),
    }
    return every.group_by(*KEYS, maintain_order=True).agg(
        **{name: count.cast(pl.Int64) for name, count in counts.items()},
        truth=pl.col("truth_text").first(),
        is_silent=((status == "ok") & text.is_null()).any(),
    )


def _by_label(every: pl.DataFrame) -> pl.DataFrame:
    """Count the votes for each different answer of a sample; an answer that says null is one too."""
    import polars as pl  # noqa: PLC0415 - as above

    return (
        every.filter(pl.col("llmbatch_status") == "ok")
        .group_by(*KEYS, "said", maintain_order=True)
        .agg(votes=pl.len().cast(pl.Int64), is_scored=pl.col("scored").first(), is_correct=pl.col("correct").first())
    )


def _votes(labels: pl.DataFrame) -> pl.DataFrame:
    """Return the majority answer of each sample that has an answer: the first in repeat order of the most frequent."""
    import polars as pl  # noqa: PLC0415 - as above

    votes = pl.col("votes")
    is_top = votes == votes.max()
    return labels.group_by(KEYS).agg(
        *(pl.col(name).filter(is_top).first() for name in ("said", "is_scored", "is_correct")),
        votes=votes.max(),
        is_tied=is_top.sum() > 1,
        different=pl.len().cast(pl.Int64),
        agreeing_pairs=(votes * (votes - 1) // 2).sum(),
    )
