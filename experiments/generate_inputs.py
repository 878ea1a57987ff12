"""Which inputs tell a right function from wrong ones? A model writes calls; mutants of the function judge them.

The answer is a code block. It runs against the function and against some mutants of it, each with one small fault, in a
child process without network, environment or time to waste. A call kills a mutant when it returns or raises something
else there; the mutation score is the share of mutants killed (DeMillo, Lipton & Sayward, 1978).

    llmbatch exp experiments/generate_inputs.py --offline
"""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from child_process import run_in_child
from llmbatch import Answer, Ask, parametrize, table, task

JUDGE = Path(__file__).with_name("mutation_child.py")


def code_block(text: str) -> str:
    """Return the first eight whole lines of the first fenced block, so that each model has the same number of calls."""
    found = re.search(r"```\w*\n((?:(?!```).*\n){1,8})", text)
    return found[1] if found else ""


def judge(sample: Mapping[str, Any], script: str) -> dict[str, Any]:
    """Run the calls against the function and each mutant, and count."""
    code, edits = sample["code"], sample["mutants"]
    versions = [code, *(code.replace(old, new) for old, new in edits)]
    report = run_in_child(JUDGE, {"name": sample["id"], "versions": versions, "script": script})
    if report is None:
        return {"outcome": "stopped", "calls": 0, "killed": 0, "of": len(edits)}
    outcome = "ran" if report["parsed"] else "not_python"
    return {"outcome": outcome, "calls": report["calls"], "killed": report["killed"], "of": len(edits)}


@task(samples="data/functions.jsonl", id="id")
@parametrize("model", ["local/qwen2.5-coder-1.5b", "local-small/qwen2.5-coder-0.5b"])
async def generate_inputs(sample: dict[str, Any], ask: Ask) -> Answer[str] | Mapping[str, Any]:
    answer = await ask("generate_inputs.md", sample, max_tokens=100)
    if answer.failure not in (None, "truncated"):
        return answer  # of one that was cut off, the lines that are there still count
    return answer.row(**await asyncio.to_thread(judge, sample, code_block(answer.text)))


@table(generate_inputs)
def mutation_score(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Mutants killed by each model; a block that does not parse or was stopped kills none."""
    return (
        rows.group_by("llmbatch_variant", maintain_order=True)
        .agg(
            functions=pl.len(),
            not_run=(pl.col("outcome") != "ran").fill_null(value=True).sum(),
            calls=pl.col("calls").sum(),
            killed=pl.col("killed").sum(),
            mutants=pl.col("mutants").str.json_decode(pl.List(pl.List(pl.String))).list.len().sum(),
            all_killed=(pl.col("killed") == pl.col("of")).sum(),
        )
        .with_columns(score=pl.col("killed") / pl.col("mutants"))
    )
