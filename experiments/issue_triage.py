"""What is a new issue: known already, a bug, a wish or a question? A conversation with a search in between.

In the variant `search` the model is asked for words to search for, a local function looks the known issues up, and the
conversation goes on with what it found. In `alone` the model sees the issue only, and cannot know a duplicate.

    llmbatch exp experiments/issue_triage.py --offline
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel

from llmbatch import Answer, Ask, param, parametrize, table, task

KNOWN_FILE = Path(__file__).parent / "data" / "known_issues.jsonl"
KNOWN = [json.loads(line) for line in KNOWN_FILE.read_text(encoding="utf-8").splitlines()]


class Triage(BaseModel):
    category: Literal["duplicate", "bug", "feature", "question"]


def stems(text: str) -> set[str]:
    """Return the beginnings of the longer words of a text: `table` of "tables"."""
    return {word[:5] for word in re.findall(r"\w{4,}", text.lower())}


def search_known_issues(text: str) -> list[str]:
    """Return up to three known issues that have most words in common with the text."""
    common = {f"#{known['number']} {known['title']}": len(stems(text) & stems(known["title"])) for known in KNOWN}
    return sorted(filter(common.get, common), key=lambda title: -common[title])[:3]


@task(samples="data/issues.jsonl", truth="label", id="id")
@parametrize("model", ["local/qwen2.5-coder-1.5b"])
@parametrize("search", [param(False, id="alone"), param(True, id="search")])
async def issue_triage(sample: dict[str, Any], ask: Ask, search: bool) -> Answer[Triage] | Mapping[str, Any]:
    if not search:
        return await ask(Triage, "issue_triage.md", sample)
    words = await ask("issue_triage_words.md", sample, max_tokens=20)
    found = search_known_issues(words.text)
    triage = await ask(Triage, "issue_triage_found.md", {"found": "\n".join(found) or "none"}, after=words)
    return triage.row(words=words.text, found=found)


@table(issue_triage)
def duplicates(rows: pl.LazyFrame) -> pl.LazyFrame:
    """How many duplicates the search met, and how many duplicates and new issues were called duplicates."""
    known, said = pl.col("truth") == "duplicate", pl.col("category") == "duplicate"
    met = pl.col("found").list.join("\n").str.contains(pl.format("#{} ", "known"), literal=True)
    return rows.group_by("llmbatch_variant", maintain_order=True).agg(
        duplicates=known.sum(), met=met.sum(), recognised=(known & said).sum(), mistaken=(~known & said).sum()
    )
