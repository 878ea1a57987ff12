"""A prompt that changes by itself stops the run before it has paid for much, and says what changes."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

import llmbatch
from llmbatch.invocation import second_look
from llmbatch.invocation.second_process import look_again
from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits
from tests.support.waiting import until

pytestmark = pytest.mark.system

UNSTABLE = """
import random, time
from typing import Any
from llmbatch import Answer, Ask, parametrize, task

@task(samples="data/commits.jsonl", truth="label", id="id")
@parametrize("model", ["service/model-a"])
async def classify(sample: dict[str, Any], ask: Ask) -> Answer[str]:
    words = {"corrective", "adaptive", "perfective", "preventive", "cosmetic", "unclear", "both", "neither"}
    return await ask("Which one?\\n\\n{message}\\n\\nIt is " + str(EXTRA), sample)
"""


CELL = """
from llmbatch import Answer, Ask, task

@task(samples=[{"id": str(number)} for number in range(120)], id="id")
async def at_hand(sample: dict, ask: Ask) -> Answer[str]:
    return await ask("What about {id}?", sample, model="service/model-a")
"""

HANGS_THERE = """
import pathlib, sys
if sys.argv[0].endswith("second_process.py"):
    pathlib.Path("looking").touch()
    time.sleep(600)
"""


def unstable(extra: str) -> str:
    return UNSTABLE.replace("EXTRA", extra)


def log_of(project: Project) -> list[dict[str, Any]]:
    [folder] = project.run_folders()
    return [json.loads(line) for line in (folder / "run.jsonl").read_text(encoding="ascii").splitlines()]


def test_the_order_of_a_set_stops_the_run_and_is_named(project: Project, server: FaultServer) -> None:
    """Another hash seed gives it another order: nothing but another process can see that."""
    project.write_experiment(unstable("', '.join(words)"))
    project.write_samples(commits(2000, text="[[delay=0.02]] change"))

    finished = project.exp("--concurrency", "4")

    assert 4 == finished.code, finished.err
    assert "classify[model-a]::s0000 asks changes by itself" in finished.err
    assert "user message, line 5" in finished.err
    assert "--allow-unstable" in finished.err
    assert 1200 > server.truth()["calls"]
    [found] = [event for event in log_of(project) if event["event"] == "unstable"][:1]
    assert found["recorded"] != found["asked"]
    assert sorted(found["recorded"].removeprefix("It is ").split(", ")) == sorted(
        found["asked"].removeprefix("It is ").split(", ")
    )


@pytest.mark.parametrize("extra", ["time.time()", "random.random()"])
async def test_a_clock_and_chance_are_told_by_the_second_process(
    project: Project, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says is what the run acts on: the case, and the line of the prompt that differs."""
    monkeypatch.delenv("CI", raising=False)
    project.write_experiment(unstable(extra))
    project.write_samples(commits(3))
    file = project.root / "experiments" / "study.py"
    await llmbatch.arun(file)
    order = {
        "file": str(file),
        "variants": [["classify", "model-a"]],
        "cases": ["classify[model-a]::s0001"],
        "options": {"cassette": str(project.cassette)},
    }

    [missed] = (await look_again(order))["missed"]

    assert "classify[model-a]::s0001" == missed["case"]
    assert "line 5" in missed["part"]
    assert missed["recorded"].startswith("It is ")
    assert missed["asked"].startswith("It is ")


async def test_samples_that_change_by_themselves_are_told_too(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their cases are others in each run, and so are paid for by each."""
    monkeypatch.delenv("CI", raising=False)
    made = "lambda: [{'message': f'{time.time()} {number}'} for number in range(3)]"
    text = unstable("1").replace('samples="data/commits.jsonl", truth="label", id="id"', f"samples={made}")
    project.write_experiment(text)
    file = project.root / "experiments" / "study.py"
    order = {
        "file": str(file),
        "variants": [["classify", "model-a"]],
        "cases": ["classify[model-a]::0123456789abcdef"],
        "options": {"cassette": str(project.cassette)},
    }

    [missed] = (await look_again(order))["missed"]

    assert ("classify[model-a]::0123456789abcdef", "its sample") == (missed["case"], missed["part"])


def test_a_prompt_that_stays_is_let_through(project: Project, server: FaultServer) -> None:
    """The run asks all there is to ask, and says nothing of it; what a task prints does not disturb."""
    project.write_experiment(unstable("sorted(words)").replace("    words =", "    print('hello')\n    words ="))
    project.write_samples(commits(120))

    finished = project.exp("--concurrency", "4")

    assert (0, 120) == (finished.code, server.truth()["calls"]), finished.err
    assert "second process" not in finished.err
    assert [] == [event for event in log_of(project) if event["event"] in {"unstable", "note", "stopped"}]


async def test_who_means_it_goes_on(project: Project, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked at then."""
    monkeypatch.delenv("CI", raising=False)
    project.write_experiment(unstable("time.time()"))
    project.write_samples(commits(120))

    run = await llmbatch.arun(project.root / "experiments" / "study.py", allow_unstable=True)

    assert (0, 120) == (run.exit_code, server.truth()["calls"]), run.message


async def test_a_task_without_a_file_is_not_looked_at_and_that_is_said(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a notebook: there is nothing that a second process could run."""
    monkeypatch.delenv("CI", raising=False)
    service = f'[endpoints.service]\nbase_url = "{server.base_url}"\nstructured = "json_schema"\n'
    (tmp_path / "llmbatch.toml").write_text(service, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    cell: dict[str, Any] = {}
    exec(compile(CELL, "<cell>", "exec"), cell)

    run = await llmbatch.arun(cell["at_hand"], results=tmp_path / "results", cassette=tmp_path / "cassette")

    log = (run.path / "run.jsonl").read_text(encoding="ascii")
    assert 120 == run.paid, run.message
    assert 1 == log.count("the task has no file")


async def test_cases_are_held_back_while_the_second_process_takes_its_time(
    project: Project, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most so many are paid for meanwhile, with those that are on their way."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(second_look, "MOST_MEANWHILE", 10)
    project.write_experiment(unstable("time.time()"))
    project.write_samples(commits(400))

    run = await llmbatch.arun(project.root / "experiments" / "study.py", concurrency=4, window=4)

    assert 4 == run.exit_code, run.message
    assert 10 + 2 * 4 + second_look.CASES >= server.truth()["calls"]


@pytest.mark.skipif(os.name == "nt", reason="signals to other processes are POSIX")
def test_an_interrupt_ends_the_wait_for_the_second_process(project: Project, server: FaultServer) -> None:
    """The cases are done by then: they have their rows, as after any Ctrl-C."""
    project.write_experiment(unstable("'nothing'") + HANGS_THERE)
    project.write_samples(commits(120))
    with project.start() as process:
        until((project.root / "looking").exists, process)
        until(lambda: server.truth()["answered"] == 120, process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)

    assert 2 == process.returncode, err
    assert ["ok"] * 120 == project.rows()["llmbatch_status"].to_list()
