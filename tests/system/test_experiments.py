"""Experiments of many kinds, run in this process against the model service: what comes out as rows and tables."""

from __future__ import annotations

import csv
import gzip
import json
from typing import Any

import polars as pl
import pytest

import llmbatch
from llmbatch.errors import TaskError
from llmbatch.invocation.options import RecordMode
from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits

pytestmark = pytest.mark.system

HEAD = """
from typing import Any, Literal
import polars as pl
from pydantic import BaseModel
from llmbatch import Answer, Ask, Model, param, parametrize, table, task

class Verdict(BaseModel):
    reasoning_steps: list[str]
    category: Literal["corrective", "adaptive", "perfective"]
"""


@pytest.fixture(autouse=True)
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """With CI set a run replays only, and these record."""
    monkeypatch.delenv("CI", raising=False)


async def run(project: Project, text: str, *, replay: bool = False) -> llmbatch.Run:
    project.write_experiment(HEAD + text)
    mode: RecordMode = "none" if replay else "new_episodes"
    return await llmbatch.arun(project.root / "experiments" / "study.py", record_mode=mode, concurrency=8)


CLASSIFY = """
@task(samples="data/commits.jsonl", truth="label", id="id")
@parametrize("model", ["service/model-a"])
async def classify(sample: dict[str, Any], ask: Ask) -> Answer[Verdict]:
    return await ask(Verdict, "classify.md", sample)
"""


async def test_a_row_has_the_sample_the_truth_the_answer_and_our_own_columns(project: Project) -> None:
    """In that order, with the truth under one name whatever the samples call it."""
    project.write_samples(commits(3))

    rows = (await run(project, CLASSIFY)).rows

    assert ["id", "message", "truth", "reasoning_steps", "category", "llmbatch_case"] == rows.columns[:6]
    assert ["corrective", "adaptive", "perfective"] == rows["truth"].to_list()
    assert pl.List(pl.String) == rows.schema["reasoning_steps"]
    assert "classify[model-a]::s0000" == rows["llmbatch_case"][0]
    assert {"temperature": 0.0, "top_p": 0.001, "max_tokens": 500} == json.loads(rows["llmbatch_parameters"][0])


@pytest.mark.parametrize("mode", ["json_object", "text"])
async def test_every_structured_mode_gives_the_same_shape(project: Project, server: FaultServer, mode: str) -> None:
    """Where a service does not honour a schema, the schema goes into the prompt and the text is searched."""
    config = project.root / "llmbatch.toml"
    config.write_text(config.read_text().replace("json_schema", mode), encoding="utf-8")
    project.write_samples(commits(6))

    finished = await run(project, CLASSIFY)

    assert ["ok"] * 6 == finished.rows["llmbatch_status"].to_list(), finished.rows["llmbatch_error"].to_list()
    assert {mode} == set(finished.rows["llmbatch_mode"])


async def test_answers_that_do_not_fit_keep_their_text_and_a_category(project: Project) -> None:
    """They were paid for; they are results, so the run is fine, and nothing asks them again."""
    faults = ["garbage", "prose", "refusal", "length", "null", "fenced"]
    project.write_samples([{"id": fault, "message": f"m [[{fault}]]", "label": "adaptive"} for fault in faults])

    recorded = await run(project, CLASSIFY)
    replayed = await run(project, CLASSIFY, replay=True)

    statuses = dict(zip(recorded.rows["id"], recorded.rows["llmbatch_status"], strict=True))
    assert {
        "refusal": "refusal",
        "length": "truncated",
        "null": "empty_content",
        "fenced": "ok",
    }.items() <= statuses.items()
    assert {"parse_error", "invalid_answer"} >= {statuses["garbage"], statuses["prose"]}
    assert recorded.rows.filter(pl.col("id") == "garbage")["llmbatch_text"][0]
    assert 0 == recorded.exit_code
    assert recorded.rows.equals(replayed.rows)


async def test_cost_is_known_where_prices_are(project: Project) -> None:
    """Tokens as the service counted them, prices from the configuration."""
    config = project.root / "llmbatch.toml"
    prices = "models.model-a = { usd_per_million_in = 1.0, usd_per_million_out = 2.0 }\n"
    config.write_text(config.read_text() + prices, encoding="utf-8")
    project.write_samples(commits(4))

    finished = await run(project, CLASSIFY)

    tokens = finished.rows.select(pl.col("llmbatch_tokens_in") + 2 * pl.col("llmbatch_tokens_out")).sum().item()
    summary = finished.table("summary").row(0, named=True)
    assert tokens / 1_000_000 == pytest.approx(summary["cost_usd"])
    assert summary["cost_usd"] > 0


async def test_what_a_task_returns_becomes_columns(project: Project) -> None:
    """An answer, a model, a mapping, a scalar, nothing; sync tasks as well."""
    project.write_samples(commits(2))
    finished = await run(
        project,
        """
@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def row(sample, ask: Ask) -> dict[str, Any]:
    answer = await ask(Verdict, "classify.md", sample)
    return answer.row(steps=len(answer.value.reasoning_steps))

@task(samples="data/commits.jsonl", id="id")
def length(sample) -> int:
    return len(sample["message"])

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def told(sample, model: Model) -> dict[str, Any]:
    return {"written": str(model), "wire": model.name, "url": model.base_url}

@task(samples="data/commits.jsonl", id="id")
async def nothing(sample) -> None:
    return None
""",
    )

    by_task = {name[0]: frame for name, frame in finished.rows.group_by("llmbatch_task")}
    assert by_task["row"]["steps"].null_count() == 0
    assert [15, 15] == by_task["length"]["answer"].to_list()
    assert ("service/model-a", "model-a") == by_task["told"].select("written", "wire").row(0)
    assert {"ok"} == set(by_task["nothing"]["llmbatch_status"])
    assert 0 == finished.exit_code


async def test_a_conversation_goes_on_after_an_answer(project: Project, server: FaultServer) -> None:
    """`after=` carries the turns so far; each turn is an interaction of its own."""
    project.write_samples(commits(2))
    finished = await run(
        project,
        """
@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def talk(sample, ask: Ask) -> dict[str, Any]:
    first = await ask("Sum up: {message}", sample)
    second = await ask("Shorter.", after=first)
    return {"turns": [turn["role"] for turn in second.messages]}
""",
    )

    expected = ["system", "user", "assistant", "user", "assistant"]
    assert [expected, expected] == finished.rows["turns"].to_list()
    assert 4 == server.truth()["answered"]


async def test_a_reask_names_the_fault_and_is_recorded(project: Project, server: FaultServer) -> None:
    """Only where it is asked for: each further attempt is paid."""
    project.write_samples([{"id": "a", "message": "m [[garbage x1]]", "label": "adaptive"}])
    text = CLASSIFY.replace('"classify.md", sample)', '"classify.md", sample, reasks=2)')

    recorded = await run(project, text)
    replayed = await run(project, text, replay=True)

    assert 2 <= server.truth()["answered"] <= 3
    assert server.truth()["answered"] == recorded.rows["llmbatch_asks"][0]
    assert recorded.rows.equals(replayed.rows)


@pytest.mark.parametrize("form", ["jsonl.gz", "csv", "parquet"])
async def test_samples_come_from_every_format(project: Project, form: str) -> None:
    """The same rows from each; from CSV all values are text."""
    folder = project.root / "experiments" / "data"
    rows = commits(3)
    match form:
        case "jsonl.gz":
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / "commits.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
        case "csv":
            with (folder / "commits.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        case _:
            pl.DataFrame(rows).write_parquet(folder / "commits.parquet")

    finished = await run(project, CLASSIFY.replace("commits.jsonl", f"commits.{form}"))

    assert [row["id"] for row in rows] == finished.rows["llmbatch_sample"].to_list()
    assert {"ok"} == set(finished.rows["llmbatch_status"])


async def test_a_bad_line_is_a_failed_row_that_names_it(project: Project) -> None:
    """The rest of the file is run; nothing is dropped."""
    path = project.root / "experiments" / "data" / "commits.jsonl"
    project.write_samples(commits(2))
    path.write_text(path.read_text() + '{"id": "broken", \n', encoding="utf-8")

    finished = await run(project, CLASSIFY)

    assert ["ok", "ok", "sample_error"] == finished.rows["llmbatch_status"].to_list()
    assert "commits.jsonl:3" in finished.rows["llmbatch_error"][2]
    assert 1 == finished.exit_code


async def test_a_table_is_made_from_the_rows_and_a_broken_one_costs_itself_only(project: Project) -> None:
    """The rows and the other tables are there, and the message names the function and its line."""
    project.write_samples(commits(3))
    finished = await run(
        project,
        CLASSIFY
        + """
@table(classify)
def lazily(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select(pl.len())

@table(classify)
def broken(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select("no_such_column")
""",
    )

    assert 3 == finished.table("lazily").item()
    assert "broken" not in finished.tables
    assert 4 == finished.exit_code
    assert finished.message is not None
    assert "study.py:" in finished.message


async def test_a_column_of_unlike_types_is_json_text_and_is_named(project: Project) -> None:
    """Nothing is lost, and nobody is surprised by a column of text."""
    project.write_samples(commits(2))

    finished = await run(
        project,
        """
@task(samples="data/commits.jsonl", id="id")
def odd(sample) -> dict[str, Any]:
    return {"cell": 1 if sample["id"] == "s0000" else "one"}
""",
    )

    assert ["1", '"one"'] == finished.rows["cell"].to_list()
    assert "JSON text: cell" in (finished.path / "run.jsonl").read_text(encoding="utf-8")


async def test_a_clash_of_columns_stops_before_anything_is_asked(project: Project, server: FaultServer) -> None:
    """A returned field that is named like a sample's would hide it."""
    project.write_samples([{"id": "a", "message": "m", "category": "x", "label": "adaptive"}])

    with pytest.raises(TaskError, match="category"):
        await run(project, CLASSIFY)

    assert 0 == server.truth()["calls"]


async def test_a_task_of_a_notebook_runs_without_a_file_of_its_own(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run(task)` takes the task itself."""
    monkeypatch.chdir(project.root)
    namespace: dict[str, Any] = {}
    exec(compile(CELL, "<cell 3>", "exec"), namespace)
    say = namespace["say"]

    recorded = llmbatch.run(say, cassette=project.root / "c", results=project.root / "r")
    replayed = llmbatch.run(say, cassette=project.root / "c", results=project.root / "r", record_mode="none")

    assert (2, 0) == (recorded.paid, replayed.paid)
    assert recorded.rows.equals(replayed.rows)


CELL = """
import llmbatch

@llmbatch.task(samples=[{"text": "one"}, {"text": "two"}])
@llmbatch.parametrize("model", ["service/model-a"])
async def say(sample: dict[str, str], ask: llmbatch.Ask) -> llmbatch.Answer[str]:
    return await ask("Say {text}", sample)
"""
