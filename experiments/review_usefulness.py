"""Is a code-review comment useful to the author of the change? After Bosu, Greiler & Bird (2015).

Besides the label, the answer has the probability that the model gave to each label. So one can see whether a model that
is surer is right more often, and whether its probabilities rank comments better than its labels do.

    llmbatch exp experiments/review_usefulness.py --offline
"""

from typing import Any, Literal

import polars as pl
from pydantic import BaseModel

from llmbatch import Answer, Ask, parametrize, table, task


class Review(BaseModel):
    usefulness: Literal["useful", "not_useful"]


@task(samples="data/review_comments.jsonl", truth="label", id="id")
@parametrize("model", ["local/qwen2.5-coder-1.5b", "local-small/qwen2.5-coder-0.5b"])
async def review_usefulness(sample: dict[str, Any], ask: Ask) -> Answer[Review]:
    fewer = {"top_logprobs": 5}  # two labels need no twenty, and the cassette is a quarter as large
    return await ask(Review, "review_usefulness.md", sample, probability_of="usefulness", extra_body=fewer)


@table(review_usefulness)
def calibration(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Of the answers that the model was about equally sure of: how sure on average, and how many are right."""
    tenth = ((pl.col("prob") * 10).floor() / 10).alias("prob_from")
    right = pl.col("usefulness") == pl.col("truth")
    groups = rows.filter(pl.col("prob").is_not_null()).group_by("llmbatch_variant", tenth)
    counted = groups.agg(n=pl.len(), mean_prob=pl.col("prob").mean(), n_right=right.sum())
    return counted.sort("llmbatch_variant", "prob_from")


@table(review_usefulness)
def ranking(rows: pl.LazyFrame) -> pl.LazyFrame:
    """How often a useful comment has a higher probability of `useful` than one that is not (the area under the ROC)."""
    useful = pl.col("prob_labels").str.json_path_match("$.useful").cast(pl.Float64)
    positive = pl.col("truth") == "useful"
    ranks = rows.with_columns(rank=useful.rank().over("llmbatch_variant"))
    return ranks.group_by("llmbatch_variant", maintain_order=True).agg(
        said_useful=(pl.col("usefulness") == "useful").sum(),
        area=(pl.col("rank").filter(positive).mean() - (positive.sum() + 1) / 2) / (~positive).sum(),
    )
