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
import importlib.util
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, get_args

sys.path.insert(0, str(Path(__file__).parents[1]))

import llmbatch
from llmbatch.call.failure import Failure
from llmbatch.config import StructuredMode
from llmbatch.parse.completion import read_completion
from llmbatch.parse.shape import shape_of
from llmbatch.parse.structured import parse_answer
from llmbatch.parse.tool_answer import answered_by_tool

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

SHAPES = {"bare": Category, "reasoned": Reasoned, "report": Report}

CATEGORIES = """
- corrective: repairs a fault.
- adaptive: adds new functionality, or adapts to something that changed outside.
- perfective: makes what is there better without changing what it does.

Commit message:
{message}"""

@task(samples=SAMPLES, truth="label", id="id")
@parametrize("model", MODELS, ids=MODES)
async def bare(sample: dict[str, Any], ask: Ask) -> Answer[Category]:
    return await ask(Category, "Which category has this commit?" + CATEGORIES, sample, max_tokens=300)

@task(samples=SAMPLES, truth="label", id="id")
@parametrize("model", MODELS, ids=MODES)
async def reasoned(sample: dict[str, Any], ask: Ask) -> Answer[Reasoned]:
    prompt = "Reason in at most three short steps, then say which category this commit has." + CATEGORIES
    return await ask(Reasoned, prompt, sample, max_tokens=300)

@task(samples=SAMPLES, truth="label", id="id")
@parametrize("model", MODELS, ids=MODES)
async def report(sample: dict[str, Any], ask: Ask) -> Answer[Report]:
    prompt = (
        "Report on this commit: a summary of at most ten words, its category, how sure you are (0 to 1), "
        "whether it breaks anything, the ticket it names (or null), up to three tags, "
        "the area and how many files it may touch." + CATEGORIES
    )
    return await ask(Report, prompt, sample, max_tokens=300)
'''


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.keep or temporary)
        experiment = _write_project(folder, options.base_url, options.model, options.modes)
        run = llmbatch.run(
            experiment, limit=options.commits, concurrency=options.concurrency, record_mode="new_episodes"
        )
        unanswered = run.rows.filter(run.rows["llmbatch_finish_reason"].is_null())["llmbatch_status"].to_list()
        _print(_counted(folder / "cassettes" / "study", _shapes(experiment)), Counter(unanswered))


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


def _shapes(experiment: Path) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("study", experiment)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: shape_of(shape) for name, shape in module.SHAPES.items()}


def _counted(cassette: Path, shapes: dict[str, Any]) -> Counter[tuple[str, str, str]]:
    """Read every recorded answer again and count by (mode, shape, what came of it or how it was found)."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for interaction in llmbatch.Cassette(cassette):
        name, _, rest = (interaction.case or "").partition("[")
        mode, shape = rest.partition("]")[0], shapes[name]
        completion = read_completion(interaction.reply.body)
        assert not isinstance(completion, Failure), completion
        if mode == "tool":
            completion = answered_by_tool(completion, shape.name)
        parsed = parse_answer(shape, completion, mode)  # type: ignore[arg-type]  # it is one of MODES
        outcome = _outcome(parsed) if isinstance(parsed, Failure) else "ok"
        counts[mode, name, outcome] += 1
        if not isinstance(parsed, Failure):
            counts[mode, name, parsed.how] += 1
    return counts


def _outcome(failure: Failure) -> str:
    return str(failure.kind) if failure.kind in OUTCOMES else "other"


def _print(counts: Counter[tuple[str, str, str]], unanswered: Counter[str]) -> None:
    print(f"| mode | shape | answers | {' | '.join(OUTCOMES)} | {' | '.join(FOUND)} |")
    print("|---|---|" + "---|" * (1 + len(OUTCOMES) + len(FOUND)))
    for mode in (mode for mode in MODES if any(key[0] == mode for key in counts)):
        names = sorted({name for each, name, _ in counts if each == mode})
        for shape, chosen in [*((name, [name]) for name in names), ("all", names)]:
            cells = [sum(counts[mode, name, what] for name in chosen) for what in (*OUTCOMES, *FOUND)]
            print(f"| {mode} | {shape} | {sum(cells[: len(OUTCOMES)])} | {' | '.join(map(str, cells))} |")
    if unanswered:
        print(f"\nwithout an answer: {dict(unanswered)}")


if __name__ == "__main__":
    main()
