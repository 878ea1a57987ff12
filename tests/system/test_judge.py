"""A task over the rows of another one: the judge is one more ask, and scoring again pays for the judge only."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import llmbatch
from llmbatch.asking.asker import Asker
from llmbatch.cassette.store import Store
from llmbatch.collect import collect
from llmbatch.config import load_config
from llmbatch.invocation.models import Models
from llmbatch.plan import build_plan
from llmbatch.prompt import Prompts
from llmbatch.runlog import NoLog
from llmbatch.runner.case import CaseRunner
from llmbatch.runner.counters import Counters
from tests.support.project import Project
from tests.support.scripted import ScriptedModel, said

pytestmark = pytest.mark.system

STUDY = """
from typing import Any, Literal
from pydantic import BaseModel
from llmbatch import Answer, Ask, parametrize, task

class First(BaseModel):
    category: Literal["good", "bad"]

class Score(BaseModel):
    score: int

@task(samples=[{"id": "a", "text": "one", "label": "good"}, {"id": "b", "text": "unreadable", "label": "bad"},
               {"id": "c", "text": "two", "label": "bad"}], id="id", truth="label", repeat=2)
@parametrize("model", ["service/m1", "service/m2"])
async def first(sample: dict[str, Any], ask: Ask) -> Answer[First]:
    return await ask(First, "Sort {text}", sample, temperature=1.0)

@task(samples=first, truth="truth")
@parametrize("model", ["service/judge"])
async def judge(sample: dict[str, Any], ask: Ask) -> Answer[Score]:
    return await ask(Score, "judge.md", sample)

class Judged(BaseModel):
    score: int
    llmbatch_model: str

@task(samples=judge)
def counted(sample: Judged) -> dict[str, Any]:
    return {"points": sample.score * 10, "by": sample.llmbatch_model}
"""


def spoken(path: str, body: dict[str, Any]) -> Any:
    text = body["messages"][-1]["content"]
    if body["model"] == "judge":
        return said(json.dumps({"score": len(text)}))
    return said("no idea" if "unreadable" in text else '{"category": "good"}', model=body["model"])


def of_model(model: ScriptedModel, name: str) -> int:
    return sum(body["model"] == name for body in model.bodies())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "project"


def study(home: Path, model: ScriptedModel) -> Project:
    project = Project(home, model.base_url)
    project.write_experiment(STUDY)
    project.write_prompt("How good is {category} for {text}, said by {llmbatch_model}?", "judge.md")
    return project


def run(home: Path, target: str = "", mode: Any = "new_episodes", **options: Any) -> llmbatch.Run:
    return llmbatch.run(f"{home}/experiments/study.py{target}", record_mode=mode, **options)


def test_scoring_again_pays_for_the_judge_only(home: Path) -> None:
    """By the service's own count; a row without an answer keeps its category, and nothing is asked about it."""
    with ScriptedModel(spoken) as model:
        project = study(home, model)
        recorded = run(home)
        first_asked, judged = of_model(model, "m1") + of_model(model, "m2"), of_model(model, "judge")
        project.write_prompt("Rate {category} for {text}.", "judge.md")
        edited = run(home)
        again = of_model(model, "m1") + of_model(model, "m2"), of_model(model, "judge")
    replayed, judge_alone = run(home, mode="none", concurrency=1), run(home, "::judge", mode="none")
    by_task = {name: rows for (name,), rows in recorded.rows.group_by("llmbatch_task", maintain_order=True)}
    judge = by_task["judge"]

    assert ["first", "judge", "counted"] == list(by_task)
    assert [12, 12, 12] == [rows.height for rows in by_task.values()]
    assert (12, 4) == (first_asked, judged)  # equal questions about equal answers are shared by the repeats of `first`
    assert (12, 4 + 2) == again  # the edited prompt does not name the model any more
    assert by_task["first"]["llmbatch_case"].to_list() == judge["llmbatch_sample"].to_list()
    assert ["ok", "ok", "parse_error", "parse_error", "ok", "ok"] * 2 == judge["llmbatch_status"].to_list()
    assert judge["llmbatch_error"][2].startswith("first[m1]::b: ")
    assert ["one", "one", "unreadable", "unreadable", "two", "two"] * 2 == judge["text"].to_list()
    assert ["good"] * 2 + ["bad"] * 4 == judge["truth"].to_list()[:6]
    assert [1, 1, 0, 0, 1, 1] == judge["llmbatch_asks"].to_list()[:6]
    assert judge["score"][0] * 10 == by_task["counted"]["points"][0]
    assert "service/judge" == by_task["counted"]["by"][0]
    assert (16, 2, 0) == (recorded.paid, edited.paid, replayed.paid)
    assert edited.rows.equals(replayed.rows)
    assert judge_alone.rows.equals(
        edited.rows.filter(edited.rows["llmbatch_task"] == "judge").select(judge_alone.rows.columns)
    )


def test_a_task_whose_source_is_not_run_itself_asks_that_first(home: Path) -> None:
    """The selection is the source's; each of its answers is asked for once, whoever wants it."""
    with ScriptedModel(spoken) as model:
        study(home, model)
        recorded = run(home, "::judge", limit=1, repeat=1)
        asked = of_model(model, "m1"), of_model(model, "m2"), of_model(model, "judge")
    replayed = run(home, limit=1, repeat=1, mode="none")

    assert ["judge"] * 2 == recorded.rows["llmbatch_task"].to_list()
    assert (1, 1, 2) == asked
    assert 4 == recorded.paid
    assert ["ok"] * 6 == replayed.rows["llmbatch_status"].to_list()


def test_a_dry_run_and_last_failed_know_the_rows_of_a_task(home: Path) -> None:
    """A dry run counts what it can see; cases are selected by their ids, which are known before any row is."""
    with ScriptedModel(spoken) as model:
        project = study(home, model)
        run(home, "::first")
        dry = project.exp("--dry-run")
        run(home, "::judge")
        failed = project.exp("--last-failed")
        asked = len(model.asked)
        rows = project.rows()

    assert "4 calls would be made" in dry.out, dry.out + dry.err
    assert 12 + 4 == asked
    assert ["judge"] * 4 == rows["llmbatch_task"].to_list(), failed.err


def test_the_source_of_a_task_is_in_its_file(home: Path) -> None:
    """Another file has another cassette."""
    with ScriptedModel(spoken) as model:
        project = study(home, model)
        project.write_experiment("from other import first\n" + STUDY.replace("async def first", "async def own"))
        (home / "experiments" / "other.py").write_text(STUDY, encoding="utf-8")
        with pytest.raises(llmbatch.LlmbatchError, match="takes the rows of first, which is no task of this file"):
            run(home)


TOGETHER = """
from typing import Any
from llmbatch import Ask, task

@task(samples=[{"id": "a", "text": "one"}, {"id": "b", "text": "two"}], id="id")
async def rated(sample: dict[str, Any], ask: Ask) -> dict[str, Any]:
    first = await ask("Sort {text}", sample, model="service/m1")
    score = await ask(int, "How good is {answer}?", {"answer": first.text}, model="service/judge")
    return {"said": first.text, "score": score.value}
"""


def test_a_judge_in_the_same_task_is_one_more_ask(home: Path) -> None:
    """Edited, it alone is paid again; the row has the tokens of both."""

    def script(path: str, body: dict[str, Any]) -> Any:
        text = body["messages"][-1]["content"]
        return said('{"value":7}' if body["model"] == "judge" else f"good: {text}", model=body["model"])

    with ScriptedModel(script) as model:
        project = study(home, model)
        project.write_experiment(TOGETHER)
        recorded = run(home)
        project.write_experiment(TOGETHER.replace("How good", "How bad"))
        edited = run(home)
        asked = of_model(model, "m1"), of_model(model, "judge")

    assert (4, 2) == (recorded.paid, edited.paid)
    assert (2, 4) == asked
    assert [22, 22] == [row["llmbatch_tokens_in"] + row["llmbatch_asks"] for row in edited.iter_rows()]


async def test_a_rehearsal_hears_once_of_what_is_missing(home: Path) -> None:
    """What a judge's sample needs is told of where it is asked: a forecast would count it twice."""
    with ScriptedModel(spoken) as model:
        study(home, model)
    plan = build_plan(collect(home / "experiments" / "study.py"))
    models, heard = Models(load_config(home / "experiments", {})), list[str]()
    with Store(home / "cassettes" / "study") as store, ThreadPoolExecutor(1) as executor:
        asker = Asker(store, Prompts(plan.experiment.base_folders), models.resolve)
        asker.on_miss = lambda question, case: heard.append(case.case_id)
        runner = CaseRunner(asker, models.of_case, lambda model: None, executor, NoLog(), Counters())
        for case in plan.first_cases():
            await runner.rehearse(case)

    assert ["first[m1]::a", "first[m2]::a"] == heard


def test_a_wrong_prompt_of_a_judge_is_found_at_the_first_row(home: Path) -> None:
    """Before more first answers are paid for: no sample can tell the placeholders before there is a row."""
    with ScriptedModel(spoken) as model:
        project = study(home, model)
        project.write_prompt("How good is {category} for {txet}?", "judge.md")
        ran = run(home, concurrency=1)
        asked = of_model(model, "m1") + of_model(model, "m2"), of_model(model, "judge")

    assert (4, 0) == (int(ran.exit_code), asked[1])
    assert asked[0] < 12
    assert "{txet} has no field" in str(ran.message)


def test_a_judge_of_judgements_is_rehearsed_over_nothing_that_is_not_there(home: Path) -> None:
    """Its prompt would be told of empty fields, and the run end before the first answer it is about."""
    text = STUDY.replace("@task(samples=judge)\ndef counted", "@task(samples=judge)\nasync def counted")
    text = text.replace("(sample: Judged) ->", "(sample: dict[str, Any], ask: Ask) ->")
    text = text.replace('sample.score * 10, "by": sample.llmbatch_model', "10")
    with ScriptedModel(spoken) as model:
        project = study(home, model)
        project.write_prompt("How good is {category} for {text}?", "judge.md")
        project.configure('model = "service/judge"')
        project.write_experiment(text.replace('return {"points"', 'await ask("{score}", sample)\n    return {"points"'))
        offline = run(home, mode="none")
        ran = run(home)

    assert (1, 0) == (int(offline.exit_code), int(ran.exit_code))
    assert "ok" in ran.rows.filter(llmbatch_task="counted")["llmbatch_status"].to_list()
