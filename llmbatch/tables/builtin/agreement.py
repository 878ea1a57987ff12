"""How far the repeats of a sample agree: total agreement rates, flip rate, disagreement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmbatch.stats import Clusters
from llmbatch.tables.builtin.framing import TableSchema, frame_of
from llmbatch.tables.builtin.repeats import Repeats
from llmbatch.tables.builtin.summary import cluster_sums
from llmbatch.tables.cells import FLOAT, INT, STR

if TYPE_CHECKING:
    import polars as pl

_RATES = ("tar_raw", "tar_answer", "flip_rate", "disagreement")

AGREEMENT_SCHEMA: TableSchema = {
    "task": STR,
    "variant": STR,
    "compared": STR,
    "k": INT,
    "samples": INT,
    "partial": INT,
    "failed": INT,
    "failures": STR,
    "tar_raw": FLOAT,
    "tar_raw_low": FLOAT,
    "tar_raw_high": FLOAT,
    "tar_answer": FLOAT,
    "tar_answer_low": FLOAT,
    "tar_answer_high": FLOAT,
    "n_compared": INT,
    "flip_rate": FLOAT,
    "flip_rate_low": FLOAT,
    "flip_rate_high": FLOAT,
    "disagreement": FLOAT,
    "disagreement_low": FLOAT,
    "disagreement_high": FLOAT,
}


def agreement(repeats: Repeats) -> pl.DataFrame:
    """Return one row a (task, variant), in plan order; columns and dtypes as in AGREEMENT_SCHEMA.

    `tar_raw` is TARr@k, the share of `samples` whose k texts are the same, word for word, and `tar_answer` TARa@k, the
    share whose k parsed answers are the same, right or wrong (B. Atil et al. (2024), arXiv 2408.04667: total agreement
    rate). A repeat without a text, or without an answer, agrees with nothing; `failed` samples have such a repeat, and
    `failures` counts those repeats by status. `tar_raw` is null where a case is ok and has no text, as of a task that
    does not use `ask`; `tar_answer` where rows have no answer columns.

    `flip_rate` is the share of the `n_compared` samples with two answers or more whose answer changes at least once;
    `disagreement` the share of pairs of answers to one sample that differ. All intervals are Wilson's at 95 %, over
    samples; that of `disagreement` with the samples as clusters.
    """
    import polars as pl  # noqa: PLC0415 - loaded when a table is made

    k = repeats.k
    pairs = pl.col("ok") * (pl.col("ok") - 1) // 2
    is_compared = pl.col("ok") > 1
    found = (
        repeats.samples.lazy()
        .with_columns(trials=pairs, successes=pairs - pl.col("agreeing_pairs").fill_null(0))
        .group_by("llmbatch_task", "llmbatch_variant")
        .agg(
            samples=pl.len(),
            failed=(pl.col("ok") < k).sum(),
            is_silent=pl.col("is_silent").any(),
            same_texts=((pl.col("texts") == k) & (pl.col("different_texts") == 1)).sum(),
            same_answers=((pl.col("ok") == k) & (pl.col("different") == 1)).sum(),
            n_compared=is_compared.sum(),
            flipped=(is_compared & (pl.col("different") > 1)).sum(),
            **cluster_sums(),
        )
        .collect(engine="streaming")
    )
    by_place = {(row["llmbatch_task"], row["llmbatch_variant"]): row for row in found.iter_rows(named=True)}
    return frame_of([_row(repeats, place, by_place.get(place)) for place in repeats.partial], AGREEMENT_SCHEMA)


def _row(repeats: Repeats, place: tuple[str, str], found: dict[str, int] | None) -> dict[str, object]:
    rates: dict[str, Clusters | None] = dict.fromkeys(_RATES)
    if found is not None:
        samples = found["samples"]
        if not found["is_silent"]:
            rates["tar_raw"] = Clusters.single(found["same_texts"], samples)
        if repeats.compared is not None:
            rates["tar_answer"] = Clusters.single(found["same_answers"], samples)
            rates["flip_rate"] = Clusters.single(found["flipped"], found["n_compared"])
            rates["disagreement"] = Clusters(*(found[name] for name in cluster_sums()))
    return {
        "task": place[0],
        "variant": place[1],
        "compared": repeats.compared,
        "k": repeats.k,
        "samples": found["samples"] if found else 0,
        "partial": repeats.partial[place],
        "failed": found["failed"] if found else 0,
        "failures": repeats.failures.text(*place),
        "n_compared": found["n_compared"] if found else 0,
        **{column: value for name, rate in rates.items() for column, value in with_interval(name, rate).items()},
    }


def with_interval(name: str, rate: Clusters | None) -> dict[str, float | None]:
    """Return the columns of a rate: itself, its lower and its upper bound."""
    low, high = (rate.interval() if rate is not None else None) or (None, None)
    return {name: rate.proportion if rate is not None else None, f"{name}_low": low, f"{name}_high": high}
