"""Does the majority of five answers beat one? Self-consistency, after Wang et al. (2023), on small word problems.

Each problem is put five times at temperature 1; every repeat has an answer of its own in the cassette.

    llmbatch exp experiments/self_consistency.py --offline
"""

from typing import Any

from pydantic import BaseModel

from llmbatch import Answer, Ask, parametrize, task


class Solution(BaseModel):
    calculation: str
    result: int


@task(samples="data/problems.jsonl", truth="result", id="id", repeat=5)
@parametrize("model", ["local-small/qwen2.5-coder-0.5b"])
async def self_consistency(sample: dict[str, Any], ask: Ask) -> Answer[Solution]:
    return await ask(Solution, "self_consistency.md", sample, temperature=1.0, max_tokens=100)
