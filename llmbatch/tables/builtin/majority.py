"""Self-consistency: the answer that most repeats of a sample gave, how often each was given, how often it is right.

X. Wang et al. (2023), Self-Consistency Improves Chain of Thought Reasoning in Language Models, ICLR; arXiv 2203.11171.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmbatch.stats import Clusters, wilson_interval
from llmbatch.tables.builtin.agreement import with_interval
from llmbatch.tables.builtin.framing import PRECISION, TableSchema, frame_of
from llmbatch.tables.builtin.repeats import KEYS, Repeats
from llmbatch.tables.builtin.summary import cluster_sums
from llmbatch.tables.cells import BOOL, FLOAT, INT, STR

if TYPE_CHECKING:
    import polars as pl

MAJORITY_SCHEMA: TableSchema = {
    "task": STR,
    "variant": STR,
    "compared": STR,
    "k": INT,
    "samples": INT,
    "no_majority": INT,
    "tied": INT,
    "vote_share": FLOAT,
    "n_scored": INT,
    "n_correct": INT,
    "accuracy": FLOAT,
    "accuracy_low": FLOAT,
    "accuracy_high": FLOAT,
    "single_accuracy": FLOAT,
    "single_accuracy_low": FLOAT,
    "single_accuracy_high": FLOAT,
}
VOTES_SCHEMA: TableSchema = {
    "task": STR,
    "variant": STR,
    "sample": STR,
    "truth": STR,
    "majority": STR,
    "correct": BOOL,
    "votes": INT,
    "k": INT,
    "ok": INT,
    "vote_share": FLOAT,
    "tied": BOOL,
    "different": INT,
}
FREQUENCIES_SCHEMA: TableSchema = {
    "task": STR,
    "variant": STR,
    "sample": STR,
    "label": STR,
    "n": INT,
    "answered": INT,
    "prob": FLOAT,
    "prob_low": FLOAT,
    "prob_high": FLOAT,
    "prob_missing": FLOAT,
    "prob_source": STR,
}


def votes(repeats: Repeats) -> pl.DataFrame:
    """Return the majority answer of each sample, in plan order; columns and dtypes as in VOTES_SCHEMA.

    `majority` has the most `votes` of the k repeats; of equally frequent answers (`tied`) it is the one that comes
    first in the order of repeats. Null with 0 votes: no repeat has an answer. `vote_share` = votes / k, so a failed
    repeat votes for nothing. `different` counts the different answers. `correct` is null where nothing is compared.
    """
    import polars as pl  # noqa: PLC0415 - loaded when a table is made

    if repeats.compared is None:
        return frame_of([], VOTES_SCHEMA)
    n = pl.col("votes").fill_null(0)
    return repeats.samples.select(
        *_named(),
        truth="truth",
        majority="said",
        correct=pl.when("is_scored").then("is_correct"),
        votes=n,
        k=pl.lit(repeats.k, dtype=pl.Int64),
        ok="ok",
        vote_share=(n / repeats.k).round(PRECISION),
        tied=pl.col("is_tied").fill_null(value=False),
        different=pl.col("different").fill_null(0),
    )


def majority(repeats: Repeats) -> pl.DataFrame:
    """Return one row a (task, variant), in plan order; columns and dtypes as in MAJORITY_SCHEMA.

    `accuracy` is that of the majority answers over the `n_scored` samples with a truth and a majority;
    `single_accuracy` that of the answers of single repeats, and its interval takes a sample's repeats as one cluster.
    Both intervals are Wilson's at 95 %. `vote_share` is the mean over samples; `tied` samples have no answer that is
    more frequent than all others, samples of `no_majority` no answer at all.
    """
    import polars as pl  # noqa: PLC0415 - as above

    if repeats.compared is None:
        return frame_of([], MAJORITY_SCHEMA)
    found = (
        repeats.samples.lazy()
        .group_by("llmbatch_task", "llmbatch_variant", maintain_order=True)
        .agg(
            samples=pl.len(),
            no_majority=pl.col("votes").is_null().sum(),
            tied=pl.col("is_tied").sum(),
            votes=pl.col("votes").sum(),
            n_scored=pl.col("is_scored").sum(),
            n_correct=pl.col("is_correct").sum(),
            **cluster_sums(),
        )
        .collect(engine="streaming")
    )
    return frame_of([_row(repeats, row) for row in found.iter_rows(named=True)], MAJORITY_SCHEMA)


def _row(repeats: Repeats, found: dict[str, int]) -> dict[str, object]:
    return {
        **found,
        "task": found["llmbatch_task"],
        "variant": found["llmbatch_variant"],
        "compared": repeats.compared,
        "k": repeats.k,
        "vote_share": found["votes"] / (found["samples"] * repeats.k),
        **with_interval("accuracy", Clusters.single(found["n_correct"], found["n_scored"])),
        **with_interval("single_accuracy", Clusters(*(found[name] for name in cluster_sums()))),
    }


def label_frequencies(repeats: Repeats) -> pl.DataFrame:
    """Return how often each sample was given each label, in plan order; columns and dtypes as in FREQUENCIES_SCHEMA.

    `prob` = n / answered with its Wilson 95 % interval: what the model says with that probability, as far as repeats
    tell. `answered` are the repeats that the model answered, well or not; `prob_missing` is the share of these without
    a label (the answer does not parse, was refused or cut off). A repeat that the service failed says nothing of the
    model and is not counted. Labels that no repeat gave have no row. The columns are named as those of
    `probability_of`, with `prob_source` "repeats".
    """
    import polars as pl  # noqa: PLC0415 - as above

    if repeats.compared is None:
        return frame_of([], FREQUENCIES_SCHEMA)
    n, answered = pl.col("votes"), pl.col("answered")
    counts = repeats.labels.lazy()
    with_bounds = counts.join(_bounds(counts), on=("votes", "answered"), how="left", maintain_order="left")
    return with_bounds.select(
        *_named(),
        label="said",
        n=n,
        answered=answered,
        prob=(n / answered).round(PRECISION),
        prob_low="low",
        prob_high="high",
        prob_missing=((answered - pl.col("ok")) / answered).round(PRECISION),
        prob_source=pl.lit("repeats"),
    ).collect(engine="streaming")


def _bounds(counts: pl.LazyFrame) -> pl.LazyFrame:
    """Return the interval of every proportion that occurs, each worked out once."""
    import polars as pl  # noqa: PLC0415 - as above

    pairs = counts.select("votes", "answered").unique().collect(engine="streaming")
    intervals = [wilson_interval(n, answered) or (None, None) for n, answered in pairs.iter_rows()]
    bounds = pl.DataFrame(intervals, schema={"low": pl.Float64(), "high": pl.Float64()}, orient="row")
    return pairs.hstack(bounds.with_columns(pl.all().round(PRECISION))).lazy()


def _named() -> list[pl.Expr]:
    import polars as pl  # noqa: PLC0415 - as above

    return [pl.col(key).alias(key.removeprefix("llmbatch_")) for key in KEYS]
