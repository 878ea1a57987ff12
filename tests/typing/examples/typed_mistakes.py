"""Mistakes that a type checker must see: each line below is an error, and strict mode reports one that is not."""

from typing import Any

from llmbatch import Answer, Ask, task


@task(samples="data/x.jsonl")
async def one(sample: dict[str, Any], ask: Ask) -> Answer[str]:
    answer = await ask("question.md", sample, temprature=1.0)  # type: ignore[call-overload]
    await ask(str, 3, sample)  # type: ignore[call-overload]
    typed = await ask(int, "question.md", sample)
    typed.value.upper()  # type: ignore[attr-defined]
    typed.text = "changed"  # type: ignore[misc]
    return answer  # type: ignore[no-any-return]


@task(sample="data/x.jsonl")  # type: ignore[call-arg]
async def two(sample: dict[str, Any]) -> int:
    return len(sample)


@task(samples="data/x.jsonl")  # type: ignore[type-var]
async def three(sample: dict[str, Any]) -> set[int]:
    return {len(sample)}


first = one({}, ask=None)  # type: ignore[arg-type]
