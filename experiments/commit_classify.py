"""Why was this commit made? Swanson's categories of maintenance, after Levin & Yehudai (2017).

Two small models are asked with two prompts: for the bare category, and for short reasoning steps first.
Everything was recorded, so it replays without a server, a key or a network:

    llmbatch exp experiments/commit_classify.py --offline
"""

from typing import Any, Literal

import polars as pl
from pydantic import BaseModel

from llmbatch import Answer, Ask, param, parametrize, table, task

Category = Literal["corrective", "adaptive", "perfective"]


class Label(BaseModel):
    category: Category


class Verdict(BaseModel):
    reasoning_steps: list[str]
    category: Category


@task(samples="data/commits.jsonl", truth="label", id="id")
@parametrize("model", ["local/qwen2.5-coder-1.5b", "local-small/qwen2.5-coder-0.5b"])
@parametrize(
    "prompt, shape",
    [
        param("commit_classify.md", Label, id="bare"),
        param("commit_classify_cot.md", Verdict, id="cot"),
    ],
)
async def commit_classify(
    sample: dict[str, Any], ask: Ask, prompt: str, shape: type[Label | Verdict]
) -> Answer[Label | Verdict]:
    return await ask(shape, prompt, sample)


@table(commit_classify)
def by_difficulty(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Accuracy over the plain and the hard commits, for each variant."""
    scored = rows.filter(pl.col("llmbatch_status") == "ok")
    right = (pl.col("category") == pl.col("truth")).mean()
    return scored.group_by("llmbatch_variant", "difficulty", maintain_order=True).agg(
        pl.len().alias("n"), right.alias("accuracy")
    )
