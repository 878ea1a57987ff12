"""How many answers of a model can be read, by structured mode: one table for a server that speaks chat completions.

    python benchmarks/parse_success.py http://127.0.0.1:8080/v1 MODEL                # 100 commits, 3 shapes, 4 modes
    python benchmarks/parse_success.py http://127.0.0.1:8080/v1 MODEL --commits 25 --modes json_schema tool

Asks the shipped commits for three shapes (a bare label, a label after reasons, a report with numbers, lists and a
nested object), each in every mode. What is asked is the same in all; how the shape is asked for differs. The cassette
lies in a folder for temporary files, or in `--keep FOLDER`, where the same command goes on after a stop and reads again
for nothing. The last columns say how the JSON of the good answers was found: the whole text, in a code fence, inside
prose, or repaired; `word` is a label without JSON.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).parents[1]))

import llmbatch
from llmbatch.config import StructuredMode

MODES: tuple[StructuredMode, ...] = get_args(StructuredMode)
COMMITS = Path(__file__).parents[1] / "experiments" / "data" / "commits.jsonl"
OUTCOMES = ("ok", "parse_error", "invalid_answer", "out_of_label", "truncated", "other")
FOUND = ("exact", "fenced", "embedded", "repaired", "word")

EXPERIMENT = '''
from typing import Any, Literal
from pydantic import BaseModel, Field
from llmbatch import Answer, Ask, parametrize, task

Category = Literal["corrective", "adaptive", "perfective"]

class Reasoned(BaseModel):
    reasoning_steps: list[str]
    category: Category

class Scope(BaseModel):
    area: Literal["code", "docs", "tests", "build"]
    files: int = Field(ge=0)

class Report(BaseModel):
    summary: str
    category: Category
    confidence: float = Field(ge=0, le=1)
    breaking: bool
    ticket: str | None
    tags: list[str]
    scope: Scope

CATEGORIES = """
- corrective: repairs a fault.
- adaptive: adds new functionality, or adapts to something that changed outside.
- perfective: makes what is there better without changing what it does.

Commit message:
{message}"""

@task(samples=SAMPLES, truth="label", id="id")
@parametrize("model", MODELS, ids=MODES)
async def bare(sample: dict[str, Any], ask: Ask) -> Answer[Category]:
    return await ask(Category, "Which category has this commit?" + CATEGORIES, sample, max_tokens=200)

@task(samples=SAMPLES, truth="label", id="id")
@parametrize("model", MODELS, ids=MODES)
async def reasoned(sample: dict[str, Any], ask: Ask) -> Answer[Reasoned]:
    prompt = "Reason in at most three short steps, then say which category this commit has." + CATEGORIES
    return await ask(Reasoned, prompt, sample, max_tokens=200)

@task(samples=SAMPLES, truth="label", id="id")
@parametrize("model", MODELS, ids=MODES)
async def report(sample: dict[str, Any], ask: Ask) -> Answer[Report]:
    prompt = (
        "Report on this commit: a summary of at most ten words, its category, how sure you are (0 to 1), "
        "whether it breaks anything, the ticket it names (or null), up to three tags, "
        "the area and how many files it may touch." + CATEGORIES
    )
    return await ask(Report, prompt, sample, max_tokens=200)
'''


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.keep or temporary)
        experiment = _write_project(folder, options.base_url, options.model, options.modes)
        run = llmbatch.run(
            experiment, limit=options.commits, concurrency=options.concurrency, record_mode="new_episodes"
        )
        counts: Counter[tuple[str, str, str]] = Counter()
        for row in run.iter_rows():
            status = row["llmbatch_status"] if row["llmbatch_status"] in OUTCOMES else "other"
            for what in filter(None, (status, row["llmbatch_reading"])):
                counts[row["llmbatch_mode"], row["llmbatch_task"], what] += 1
        _print(counts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("base_url")
    parser.add_argument("model")
    parser.add_argument("--commits", type=int, default=100)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--keep", metavar="FOLDER")
    return parser.parse_args()


def _write_project(folder: Path, base_url: str, model: str, modes: list[StructuredMode]) -> Path:
    """Write a project with one endpoint a mode, and return its experiment."""
    (folder / "experiments").mkdir(parents=True, exist_ok=True)
    endpoints = [f'[endpoints.{mode}]\nbase_url = "{base_url}"\nstructured = "{mode}"\n' for mode in MODES]
    (folder / "llmbatch.toml").write_text("\n".join(endpoints), encoding="utf-8")
    models = [f"{mode}/{model}" for mode in modes]
    values = f"SAMPLES, MODELS, MODES = {str(COMMITS)!r}, {models!r}, {list(modes)!r}\n"
    experiment = folder / "experiments" / "study.py"
    experiment.write_text(values + EXPERIMENT, encoding="utf-8")
    return experiment


def _print(counts: Counter[tuple[str, str, str]]) -> None:
    print(f"| mode | shape | answers | {' | '.join(OUTCOMES)} | {' | '.join(FOUND)} |")
    print("|---|---|" + "---|" * (1 + len(OUTCOMES) + len(FOUND)))
    for mode in (mode for mode in MODES if any(key[0] == mode for key in counts)):
        names = sorted({name for each, name, _ in counts if each == mode})
        for shape, chosen in [*((name, [name]) for name in names), ("all", names)]:
            cells = [sum(counts[mode, name, what] for name in chosen) for what in (*OUTCOMES, *FOUND)]
            print(f"| {mode} | {shape} | {sum(cells[: len(OUTCOMES)])} | {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
