"""What goes wrong and what comes of it: rows, messages and exit codes, through the real command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmbatch.cassette.store import Store
from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits

pytestmark = pytest.mark.system

ONE_MODEL = """
from typing import Any, Literal
from pydantic import BaseModel
from llmbatch import Answer, Ask, parametrize, task

class Verdict(BaseModel):
    reasoning_steps: list[str]
    category: Literal["corrective", "adaptive", "perfective"]

@task(samples="data/commits.jsonl", truth="label", id="id")
@parametrize("model", ["service/model-a"])
async def classify(sample: dict[str, Any], ask: Ask) -> Answer[Verdict]:
    return await ask(Verdict, "classify.md", sample)
"""

RESULTS = {  # what the model said is what it is: paid for, kept, not asked again
    "fine": "ok",
    "[[fenced]]": "ok",
    "[[refusal]]": "refusal",
    "[[length]]": "truncated",
    "[[garbage]]": "invalid_answer",
    "[[prose]]": "parse_error",
    "[[null]]": "empty_content",
    "[[tools]]": "tool_calls",
}
PASSING = {  # answered after another try
    "[[500 x1]]": "ok",
    "[[503 x1]]": "ok",
    "[[429 retry-after=0]]": "ok",
    "[[429 retry-after=1]]": "ok",
    "[[html x1]]": "ok",
    "[[cut x1]]": "ok",
    "[[rst x1]]": "ok",
    "[[broken x1]]": "ok",
    "[[empty x1]]": "ok",
    "[[error x1]]": "ok",
}
REFUSALS = {"[[context]]": "context_length", "[[moderation]]": "content_filter", "[[400]]": "bad_request"}
LASTING = {
    "[[500]]": "server_error",
    "[[html]]": "not_api",
    "[[cut]]": "truncated_body",
    "[[broken]]": "invalid_json",
    "[[empty]]": "empty_choices",
    "[[error]]": "server_error",
}


def messages(*texts: str) -> list[dict[str, str]]:
    return [{"id": f"s{number}", "message": text, "label": "adaptive"} for number, text in enumerate(texts)]


@pytest.fixture
def study(project: Project) -> Project:
    """A project that asks one model and gives up after one retry."""
    project.write_experiment(ONE_MODEL)
    project.configure("max_retries = 1")
    return project


def test_whatever_a_model_says_is_a_result_and_is_asked_once(study: Project, server: FaultServer) -> None:
    """Exit code 0: an answer that cannot be used is an answer, and another attempt must not improve the numbers."""
    study.write_samples(messages(*RESULTS, *PASSING))
    finished = study.exp()
    first, rows = study.rows_file().read_bytes(), study.rows()
    calls = server.truth()["calls"]
    again = study.exp()
    offline = study.exp("--offline")
    with Store(study.cassette) as store:
        failed = {failure.call.key for failure in store.failures()}
    contents = {(folder / "rows.parquet").read_bytes() for folder in study.run_folders()}

    assert rows["llmbatch_status"].to_list() == [*RESULTS.values(), *PASSING.values()]
    assert (finished.code, again.code, offline.code) == (0, 0, 0), finished.err
    assert server.truth()["calls"] == calls == len(RESULTS) + 2 * len(PASSING)
    assert len(failed) == len(PASSING)
    assert "1 of 18 answers of classify[model-a] were cut off: let them be longer by max_tokens" in finished.err
    assert contents == {first}
    assert rows["llmbatch_text"][2:6].to_list()[0] == "I cannot help with that."
    assert rows["llmbatch_text"][5] == "I would rather talk about the weather."


def test_a_reply_that_is_no_answer_has_one_row_for_client_live_and_replayed(
    study: Project, server: FaultServer
) -> None:
    """The SDK would take a web page or a reply without choices for an answer, at which the task then fails."""
    study.write_experiment(CLIENT)
    faults = {fault: status for fault, status in LASTING.items() if fault != "[[500]]"}
    study.write_samples(messages("fine", *faults))
    finished = study.exp()
    first, rows = study.rows_file().read_bytes(), study.rows()
    offline = study.exp("--offline")

    assert rows["llmbatch_status"].to_list() == ["ok", *faults.values()]
    assert (finished.code, offline.code) == (1, 1), finished.err
    assert study.rows_file().read_bytes() == first


def test_a_lasting_failure_is_a_row_of_its_own_and_only_it_is_asked_again(study: Project, server: FaultServer) -> None:
    """Exit code 1 as long as a case has no answer; offline the same rows come from the failures file."""
    study.write_samples(messages("fine", *REFUSALS, *LASTING))
    finished = study.exp()
    first, rows = study.rows_file().read_bytes(), study.rows()
    offline = study.exp("--offline")
    replayed = study.rows_file().read_bytes()
    server.reset()
    again = study.exp()

    assert rows["llmbatch_status"].to_list() == ["ok", *REFUSALS.values(), *LASTING.values()]
    assert (finished.code, offline.code, again.code) == (1, 1, 1), finished.err
    assert replayed == first
    assert len(server.truth()["attempts"]) == len(LASTING)
    assert "0 paid, 4 from the cassette" in again.err


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("[[401]]", "check the key"),
        ("[[quota]]", "raise the quota"),
        ("[[404]]", "check the model's name"),
        ("[[429 retry-after=9000 x9]]", "9,000 s"),
    ],
)
@pytest.mark.parametrize("asked_by", ["ask", "client"])
def test_a_refusal_for_good_stops_the_run_and_sends_no_more(
    study: Project, server: FaultServer, fault: str, words: str, asked_by: str
) -> None:
    """Exit code 6, a message with the service's words and the fix, and rows not_run for what was not asked."""
    if asked_by == "client":
        study.write_experiment(CLIENT)
    study.write_samples(messages(*(f"{fault} {number}" for number in range(40))))
    finished = study.exp("--concurrency", "2", "--window", "20")
    statuses = study.rows()["llmbatch_status"].to_list()

    assert finished.code == 6, finished.err
    assert words in finished.err
    assert server.base_url in finished.err
    assert server.truth()["calls"] <= 4
    assert statuses.count("not_run") >= 36
    assert len(statuses) == 40


CLIENT = """
from llmbatch import parametrize, task

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def say(sample, client, model):
    reply = await client.chat.completions.create(
        model=model.name, messages=[{"role": "user", "content": sample["message"]}]
    )
    return {"said": reply.choices[0].message.content}
"""


@pytest.mark.parametrize("asked_by", ["ask", "client"])
def test_a_service_that_was_never_reached_stops_the_run_soon(
    project: Project, server: FaultServer, asked_by: str
) -> None:
    """A wrong URL or a server that is not up is no passing trouble: two retries, then exit code 6 and the fix."""
    project.write_experiment(ONE_MODEL if asked_by == "ask" else CLIENT)
    project.write_samples(commits(40))
    server.stop()
    finished = project.exp()

    assert finished.code == 6, finished.err
    assert f"service cannot be reached at {server.base_url}" in finished.err
    assert "start the server" in finished.err
    assert {"connect_error", "not_run"} >= set(project.rows()["llmbatch_status"])


RAISES = """
import sys, asyncio
from llmbatch import Ask, parametrize, task

@task(samples="data/commits.jsonl", truth="label", id="id")
@parametrize("how", ["value", "exit", "cancelled", "no_columns"])
@parametrize("model", ["service/model-a"])
async def fails(sample, ask: Ask, how: str):
    answer = await ask("classify.md", sample)
    if sample["id"] == "s0000":
        if how == "value":
            raise ValueError("the parser found nothing")
        if how == "exit":
            sys.exit(9)
        if how == "cancelled":
            raise asyncio.CancelledError
        return object()
    return {"answer": answer.value}

@task(samples="data/commits.jsonl", id="id")
@parametrize("how", ["exit", "stop"])
def fails_in_a_thread(sample, how: str):
    if how == "exit":
        sys.exit(9)
    return {"first": next(iter([]))}
"""


def test_a_task_that_raises_costs_its_own_row_only(project: Project, server: FaultServer) -> None:
    """Whatever it raises: the traceback is in the run log, the other rows are there, the exit code is 1."""
    project.write_experiment(RAISES)
    project.write_samples(commits(3))
    finished = project.exp()
    rows = project.rows()
    log = (project.rows_file().parent / "run.jsonl").read_text(encoding="utf-8")

    asked, threaded = rows["llmbatch_status"][:12].to_list(), rows["llmbatch_status"][12:].to_list()
    assert finished.code == 1, finished.err
    assert asked == ["task_error", "ok", "ok"] * 4
    assert threaded == ["task_error"] * 6
    assert rows["llmbatch_error"][0] == "ValueError: the parser found nothing"
    assert "Traceback" in log
    assert "study.py" in log


def test_a_bad_sample_line_is_a_row_with_its_place_and_strict_stops_before_any_call(
    study: Project, server: FaultServer
) -> None:
    """Line 2 of a file is not lost, and nobody has to look for it."""
    study.write_samples(commits(3))
    path = study.root / "experiments" / "data" / "commits.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([lines[0], '{"id": "s0001", "message": ', lines[2]]) + "\n", encoding="utf-8")
    strict = study.exp("--strict")
    before = server.truth()["calls"]
    finished = study.exp()
    rows = study.rows()

    assert (strict.code, finished.code) == (4, 1), strict.err
    assert before == 0
    assert "commits.jsonl:2" in strict.err
    assert rows["llmbatch_status"].to_list() == ["ok", "sample_error", "ok"]
    assert "commits.jsonl:2" in rows["llmbatch_error"][1]


def test_a_file_of_bad_lines_only_has_its_rows_and_the_first_is_named(study: Project, server: FaultServer) -> None:
    """A row a sample even then; nobody should have to open the table to see why."""
    path = study.root / "experiments" / "data" / "commits.jsonl"
    path.write_text('{"id": \n{"id": \n', encoding="utf-8")
    finished = study.exp()

    assert finished.code == 1, finished.err
    assert "the first is" in finished.err
    assert "commits.jsonl:1" in finished.err
    assert study.rows()["llmbatch_status"].to_list() == ["sample_error"] * 2
    assert server.truth()["calls"] == 0


@pytest.mark.parametrize(
    ("prompt", "call", "place", "words"),
    [
        ("Why?\n\n{mesage}", "ask('classify.md', sample)", "classify.md:3", "message"),
        ("Is it {label}?", "ask('classify.md', sample)", "classify.md:1", "truth"),
        ("{message}", "ask('classify.md', sample, temperatur=0)", "", "temperature"),
        ("{message}", "ask('clasify.md', sample)", "", "classify.md"),
    ],
)
def test_a_mistake_in_a_prompt_stops_before_the_first_call(
    project: Project, server: FaultServer, *, prompt: str, call: str, place: str, words: str
) -> None:
    """Every variant's first case is rehearsed with nothing to call."""
    project.write_experiment(
        f"""
from llmbatch import Ask, parametrize, task

@task(samples="data/commits.jsonl", truth="label", id="id")
@parametrize("model", ["service/model-a"])
async def classify(sample, ask: Ask):
    return await {call}
"""
    )
    project.write_prompt(prompt)
    project.write_samples(commits(3))
    finished = project.exp()

    assert finished.code == 4, finished.err
    assert place in finished.err
    assert words in finished.err
    assert server.truth()["calls"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--concurency", "3"], 4, "--concurency"),
        (["--record-mode", "sometimes"], 4, "new_episodes"),
        (["--offline", "--record-mode", "all"], 4, "contradict"),
        (["-k", "nonsense"], 5, ""),
        (["--offline"], 1, "4 cases have no recorded answer"),
    ],
)
def test_a_command_that_cannot_be_says_why_and_calls_nothing(
    project: Project, server: FaultServer, arguments: list[str], code: int, words: str
) -> None:
    """Usage is 4, nothing selected 5 as in pytest, an empty cassette offline 1."""
    project.write_samples(commits(2))
    finished = project.exp(*arguments)

    assert finished.code == code, finished.err
    assert words in finished.err
    assert server.truth()["calls"] == 0


def test_a_build_server_replays_unless_it_is_told_to_record(project: Project, server: FaultServer) -> None:
    """With CI set nobody pays by accident."""
    project.write_samples(commits(2))
    project.environ["CI"] = "true"
    finished = project.exp()
    calls = server.truth()["calls"]
    told = project.exp("--record-mode", "new_episodes")

    assert (finished.code, told.code) == (1, 0), finished.err
    assert calls == 0
    assert "CI is set" in finished.err


@pytest.mark.parametrize("folder", ["cassettes", "results"])
def test_a_folder_that_cannot_be_written_is_named_before_any_call(
    project: Project, server: FaultServer, folder: str
) -> None:
    """Exit code 7, as for a full disk."""
    project.write_samples(commits(2))
    (project.root / folder).write_text("a file where a folder belongs", encoding="utf-8")
    finished = project.exp()

    assert finished.code == 7, finished.err
    assert folder in finished.err
    assert server.truth()["calls"] == 0


def test_cases_with_equal_questions_share_one_call_and_one_failure(study: Project, server: FaultServer) -> None:
    """Twenty equal samples are one question; while it is on its way the others wait for it."""
    study.write_samples(
        [{"id": f"{word}{n}", "message": word, "label": "adaptive"} for word in ("same", "[[500]]") for n in range(20)]
    )
    finished = study.exp("--concurrency", "8")
    rows = study.rows()
    offline = study.exp("--offline")

    assert (finished.code, offline.code) == (1, 1), finished.err
    assert rows["llmbatch_status"].to_list() == ["ok"] * 20 + ["server_error"] * 20
    assert rows["llmbatch_text"][:20].n_unique() == 1
    assert server.truth()["calls"] == 1 + 2
    assert "1 paid, 19 from the cassette" in finished.err


MIXED = """
from llmbatch import Ask, parametrize, task

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def both(sample, ask: Ask, client, model):
    answer = await ask("One: {message}", sample)
    reply = await client.chat.completions.create(
        model=model.name, messages=[{"role": "user", "content": sample["message"]}]
    )
    return {"one": answer.value, "two": reply.choices[0].message.content}
"""


def test_concurrency_bounds_the_calls_of_ask_and_client_together(tmp_path: Path) -> None:
    """One gate for the whole run, whoever sends."""
    with FaultServer(latency_ms=20) as server:
        project = Project(tmp_path / "project", server.base_url)
        project.write_experiment(MIXED)
        project.write_samples(commits(30))
        finished = project.exp("--concurrency", "5")
        truth = server.truth()

    assert finished.code == 0, finished.err
    assert (truth["calls"], truth["max_in_flight"]) == (60, 5)
