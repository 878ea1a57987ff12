"""What cases share: made once, recorded as a case of its own, torn down at the end."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

import llmbatch
from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits
from tests.system.test_faults import messages

pytestmark = pytest.mark.system

STUDY = """
from pathlib import Path
from typing import Any, Literal
from llmbatch import Answer, Ask, fixture, parametrize, task

LOG = Path(__file__).with_name("made.txt")

def log(line: str) -> None:
    with LOG.open("a") as file:
        file.write(line + "\\n")

@fixture()
def words():
    log("words")
    yield ["fix", "add"]
    log("words end")

@fixture()
async def guide(ask: Ask, words: list[str]):
    log("guide")
    answer = await ask("GUIDE Say what {words} mean.", {"words": words})
    yield answer.value
    log("guide end")

@fixture(scope="task")
def mine() -> str:
    log("mine")
    return "mine"

@task(samples="data/commits.jsonl", truth="label", id="id")
@parametrize("model", ["service/model-a", "service/model-b"])
async def classify(sample: dict[str, Any], ask: Ask, guide: str, mine: str) -> Answer[str]:
    return await ask("{guide} {message}", {**sample, "guide": guide})

@task(samples="data/commits.jsonl", truth="label", id="id")
def count(sample: dict[str, Any], words: list[str], mine: str) -> dict[str, int]:
    return {"words": len(words)}
"""


@pytest.fixture
def study(project: Project) -> Project:
    """Three samples, two tasks; the fixtures ask the configuration's model."""
    project.configure('model = "service/model-a"\nmax_retries = 0')
    project.write_experiment(STUDY)
    project.write_samples(commits(3))
    return project


def made(project: Project) -> list[str]:
    return (project.root / "experiments" / "made.txt").read_text(encoding="utf-8").split("\n")[:-1]


def test_a_fixture_is_made_once_recorded_and_torn_down(study: Project, server: FaultServer) -> None:
    """The rehearsal pays nothing, makes for good what needs no call, and a replay makes the same rows of it."""
    run = study.exp()

    assert (0, 7) == (run.code, server.truth()["calls"]), run.err
    assert "7 paid, 0 from the cassette" in run.err
    assert {"words": 1, "guide": 2, "mine": 2, "guide end": 1, "words end": 1} == Counter(made(study))
    assert ["guide end", "words end"] == made(study)[-2:]
    recorded = study.rows_file().read_bytes()
    assert pl.read_parquet(study.rows_file())["words"].drop_nulls().to_list() == [2, 2, 2]

    again = study.exp("--offline", "--concurrency", "1")

    assert "0 paid, 7 from the cassette" in again.err
    assert recorded == study.rows_file().read_bytes()
    assert ["guide end", "words end"] == made(study)[-2:]


def test_the_calls_of_a_fixture_are_kept_and_named(study: Project) -> None:
    """`prune` does not take them for what nobody asks, and a dry run tells of them."""
    before = study.exp("--dry-run")
    study.exp()
    pruned = study.command("cassette", "prune", "experiments/study.py", "--apply")
    after = study.exp("--dry-run")
    lines = [path.read_text(encoding="utf-8") for path in study.cassette.glob("segment-*.yaml")]

    assert "fixture:guide" in before.out + before.err
    assert pruned.code == 0, pruned.err
    assert '"case":"fixture:guide"' in "".join(lines)
    assert "nothing to pay" in after.out


@pytest.mark.parametrize("offline", [True, False])
def test_a_fixture_without_its_answer_is_the_failure_of_its_cases(study: Project, offline: bool) -> None:
    """Whatever it makes of that: no question is asked that has a failure in it. The next run asks it again."""
    text = STUDY.replace("yield answer.value", "yield answer.text or 'nothing'").replace("GUIDE", "[[500 x1]]")
    study.write_experiment(text)

    run = study.exp("--limit", "2", *(["--offline"] if offline else []))
    rows = study.rows().filter(pl.col("llmbatch_task") == "classify")
    again = study.exp("--limit", "2")

    status = "not_recorded" if offline else "server_error"
    assert (1, {status}) == (run.code, set(rows["llmbatch_status"]))
    assert all(text.startswith("fixture guide: ") for text in rows["llmbatch_error"])
    assert {"ok"} == set(study.rows()["llmbatch_status"]) or offline
    assert again.code == (1 if offline else 0)


def test_what_a_fixture_raises_is_the_error_of_each_case_and_told_once(study: Project, server: FaultServer) -> None:
    """Cases of other tasks have their rows; what was made before it is torn down."""
    study.write_experiment(STUDY.replace('log("guide")', 'raise KeyError("no guide")'))

    run = study.exp()

    rows = study.rows()
    failed = rows.filter(pl.col("llmbatch_status") != "ok")
    log = [json.loads(line) for line in (study.run_folders()[-1] / "run.jsonl").read_text("utf-8").splitlines()]
    assert (1, 0, 6) == (run.code, server.truth()["calls"], failed.height)
    assert {("task_error", "fixture guide: KeyError: 'no guide'")} == set(
        failed.select("llmbatch_status", "llmbatch_error").rows()
    )
    assert ["fixture:guide"] == [each["case"] for each in log if each["event"] == "task_error"]
    assert "words end" == made(study)[-1]


def test_a_teardown_that_raises_costs_no_row(study: Project) -> None:
    """It is said, and the others are torn down all the same."""
    study.write_experiment(STUDY.replace('log("guide end")', 'raise OSError("busy")'))

    run = study.exp()

    assert 0 == run.code
    assert "the fixture guide raised when it was torn down: OSError: busy" in run.err
    assert "words end" == made(study)[-1]


def test_what_is_asked_at_the_teardown_is_asked_whoever_made_the_fixture(study: Project, server: FaultServer) -> None:
    """One that needs no call any more is made by the rehearsal, which may send nothing itself."""
    study.write_experiment(STUDY.replace('log("guide end")', 'log((await ask("END")).text)'))
    study.exp("--limit", "1")
    first = server.truth()["calls"]
    study.write_experiment(STUDY.replace('log("guide end")', 'log((await ask("OTHER END")).text)'))
    run = study.exp("--limit", "1")
    pruned = study.command("cassette", "prune", "experiments/study.py")

    assert (0, first + 1) == (run.code, server.truth()["calls"])
    assert made(study)[-2]  # what was answered
    assert "no longer         1 interaction," in pruned.out


def test_a_fixture_that_hands_out_its_ask_stops_the_run_before_it_pays(study: Project, server: FaultServer) -> None:
    """Cases would be answered in its name, as whichever draw their turn comes to."""
    helper = STUDY.replace("yield answer.value", "yield lambda text: ask(text)").replace('{"guide": guide}', "{}")
    helper = helper.replace('answer = await ask("GUIDE Say what {words} mean.", {"words": words})', "")
    study.write_experiment(helper.replace('"guide": guide', '"guide": (await guide("x")).text'))

    run = study.exp()

    assert (4, 0) == (run.code, server.truth()["calls"])
    assert "the `ask` of the fixture guide was used after it was made" in run.err


async def test_a_task_at_hand_takes_fixtures_of_its_module(project: Project, tmp_path: Path) -> None:
    """As in a notebook, where there is no experiment file."""
    project.write_samples(messages("fine"))
    namespace: dict[str, object] = {"__name__": "notebook"}
    text = "from llmbatch import fixture, task\n\n@fixture()\ndef size():\n    return 3\n\n"
    exec(text + "@task(samples=[{'id': 1}], id='id')\ndef say(sample, size):\n    return size\n", namespace)

    run = await llmbatch.arun(namespace["say"], cassette=tmp_path / "c", results=tmp_path / "r")  # type: ignore[arg-type]

    assert [3] == run.rows["answer"].to_list()
