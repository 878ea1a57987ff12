"""A grid of models, prompts and temperatures; structured answers; a table."""

from typing import Any, Literal, assert_type

import polars as pl
from pydantic import BaseModel

from llmbatch import Answer, Ask, Model, param, parametrize, table, task

SAMPLES = [{"message": "fix a crash", "label": "corrective"}]


class Verdict(BaseModel):
    reasoning_steps: list[str]
    category: Literal["corrective", "adaptive", "perfective"]


@task(samples=SAMPLES, truth="label", exclude=[{"model": "openai/o4-mini", "temperature": 1.0}])
@parametrize("model", ["local/qwen", "openai/o4-mini"])
@parametrize("prompt", ["commit_classify.md", param("commit_classify_cot.md", id="cot")])
@parametrize("temperature", [0.0, 1.0])
async def commit_classify(sample: dict[str, Any], ask: Ask, prompt: str, temperature: float) -> Answer[Verdict]:
    return await ask(Verdict, prompt, sample, temperature=temperature)


@parametrize("prompt", ["bare.md"])
@task(samples=SAMPLES, marks=["cheap"])
async def joined(sample: dict[str, Any], ask: Ask, model: Model, prompt: str) -> dict[str, Any]:
    answer = await ask(Verdict, prompt, sample, probability_of="category")
    assert_type(answer, Answer[Verdict])
    assert_type(answer.prob("category")["corrective"], float)
    return answer.row(steps=len(answer.value.reasoning_steps) if answer.ok else None, service=model.base_url)


@table(commit_classify, joined)
def by_category(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.group_by("category").len()


@table(commit_classify)
def head(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.head()
