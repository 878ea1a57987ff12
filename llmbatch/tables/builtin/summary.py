"""One row a variant: how many cases, what is missing, how many are right, what it took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmbatch.call.failure import FailureKind
from llmbatch.stats import Clusters
from llmbatch.tables.builtin.calls import usage
from llmbatch.tables.builtin.failures import FailureCounts
from llmbatch.tables.builtin.framing import TableSchema, frame_of
from llmbatch.tables.builtin.scoring import scored
from llmbatch.tables.cells import FLOAT, INT, STR

if TYPE_CHECKING:
    import polars as pl

ANSWERED = ("ok", *(kind.value for kind in FailureKind if kind.is_result))
"""The statuses of a case that the model answered, well or not."""

SUMMARY_SCHEMA: TableSchema = {
    "task": STR,
    "variant": STR,
    "n": INT,
    "samples": INT,
    "ok": INT,
    "answered": INT,
    "failed": INT,
    "failures": STR,
    "n_scored": INT,
    "n_correct": INT,
    "accuracy": FLOAT,
    "accuracy_low": FLOAT,
    "accuracy_high": FLOAT,
    "n_effective": FLOAT,
    "tokens_in": INT,
    "tokens_out": INT,
    "cost_usd": FLOAT,
}


def summary(rows: pl.DataFrame | pl.LazyFrame, prediction: str | None, *, repeats: int = 1) -> pl.DataFrame:
    """Return one row a (task, variant), in plan order; columns and dtypes as in SUMMARY_SCHEMA.

    `n` cases of `samples` samples are `ok` + `failed`; `answered` adds to `ok` the answers that do not parse, are
    refused or cut off; `failures` is text, "parse_error 3, timeout 1", most frequent first. `accuracy` is n_correct /
    n_scored, null where nothing was scored, with its Wilson 95 % interval over `n_effective` cases: with several
    `repeats` those of a sample are one cluster (`stats.Clusters`), else it is n_scored. Tokens are sums; `cost_usd`
    is null where a case that asked has no known price.
    """
    import polars as pl  # noqa: PLC0415 - loaded when a table is made

    frame = scored(rows, prediction)
    status = pl.col("llmbatch_status")
    grouped = (
        frame.group_by("llmbatch_task", "llmbatch_variant", maintain_order=True)
        .agg(
            n=pl.len(),
            ok=(status == "ok").sum(),
            answered=status.is_in(ANSWERED).sum(),
            n_scored=pl.col("scored").sum(),
            n_correct=pl.col("correct").sum(),
            **usage(),
        )
        .collect()
    )
    counts = FailureCounts(rows)
    clusters = _clusters(frame) if repeats > 1 else {}
    summaries = []
    for group in grouped.iter_rows(named=True):
        place = group["llmbatch_task"], group["llmbatch_variant"]
        samples, scores = clusters.get(place) or (group["n"], Clusters.single(group["n_correct"], group["n_scored"]))
        low, high = scores.interval() or (None, None)
        row = {
            "task": place[0],
            "variant": place[1],
            "samples": samples,
            "failed": counts.total(*place),
            "failures": counts.text(*place),
            "accuracy": scores.proportion,
            "accuracy_low": low,
            "accuracy_high": high,
            "n_effective": scores.effective,
        }
        summaries.append({**group, **row})
    return frame_of(summaries, SUMMARY_SCHEMA)


def _clusters(frame: pl.LazyFrame) -> dict[tuple[str, str], tuple[int, Clusters]]:
    """Return of each variant how many samples it has, and their scores as clusters."""
    import polars as pl  # noqa: PLC0415 - as above

    of_samples = frame.group_by("llmbatch_task", "llmbatch_variant", "llmbatch_sample").agg(
        successes=pl.col("correct").sum().cast(pl.Int64), trials=pl.col("scored").sum().cast(pl.Int64)
    )
    sums = of_samples.group_by("llmbatch_task", "llmbatch_variant").agg(pl.len(), **cluster_sums()).collect()
    return {(task, variant): (samples, Clusters(*each)) for task, variant, samples, *each in sums.iter_rows()}


def cluster_sums() -> dict[str, pl.Expr]:
    """Return the sums over a group of clusters, columns `successes` and `trials`, in the order of `stats.Clusters`."""
    import polars as pl  # noqa: PLC0415 - as above

    x, n = pl.col("successes"), pl.col("trials")
    return {
        "sum_successes": x.sum(),
        "sum_trials": n.sum(),
        "sum_xx": (x * x).sum(),
        "sum_xn": (x * n).sum(),
        "sum_nn": (n * n).sum(),
    }
