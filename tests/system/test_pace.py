"""The pace of real runs, as the server sees it: limits a minute, shared and stopped, and what a service bears."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from llmbatch.pacing.ledger import shared_folder
from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits
from tests.support.waiting import until

pytestmark = pytest.mark.system

RPM = 6000
MOST_IN_A_SECOND = 1.15 * RPM / 60
ONE_MODEL = """
from typing import Any
from llmbatch import Answer, Ask, task

@task(samples="data/commits.jsonl", truth="label", id="id")
async def classify(sample: dict[str, Any], ask: Ask) -> Answer[str]:
    return await ask("classify.md", sample, model="service/model-a")
"""
WITH_CLIENT = """
from typing import Any
from llmbatch import task

@task(samples="data/commits.jsonl", truth="label", id="id")
async def classify(sample: dict[str, Any], client: Any) -> str:
    messages = [{"role": "user", "content": sample["message"]}]
    said = await client.chat.completions.create(model="model-a", messages=messages)
    return said.choices[0].message.content
"""


def study(
    folder: Path, server: FaultServer, number: int, *, text: str = "change", experiment: str = ONE_MODEL
) -> Project:
    """Return a project that asks so many questions, and shares limits with those beside it."""
    project = Project(folder, server.base_url, key="a-key-that-several-runs-have")
    project.settings = 'model = "service/model-a"'
    project.configure(project.settings)
    project.write_experiment(experiment)
    project.write_samples(commits(number, text=text))
    project.environ["TMPDIR"] = str(folder.parent)
    return project


def events(project: Project, name: str) -> list[dict[str, Any]]:
    lines = (project.run_folders()[-1] / "run.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == name]


def test_three_runs_that_share_a_key_keep_to_its_limit_together(tmp_path: Path, server: FaultServer) -> None:
    """Each gets its part, and all together the server sees no more than one run might send."""
    studies = [study(tmp_path / name, server, 100, text=name) for name in "abc"]
    processes = [each.start("--rpm", str(RPM), "-q") for each in studies]
    said = [process.communicate(timeout=120)[1] for process in processes]
    truth = server.truth()

    assert [0] * 3 == [process.returncode for process in processes], said
    assert 300 == truth["answered"]
    assert 0.5 * RPM / 60 < truth["max_in_one_second"] <= MOST_IN_A_SECOND
    assert (tmp_path / shared_folder().name).is_dir()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes cannot be stopped here")
def test_a_run_that_was_stopped_makes_up_for_nothing(tmp_path: Path, server: FaultServer) -> None:
    """As when a laptop is closed: what fell due meanwhile is not sent at once."""
    project = study(tmp_path / "a", server, 220)
    with project.start("--rpm", str(RPM), "-q") as process:
        until(lambda: server.truth()["calls"] >= 80, process)
        os.kill(process.pid, signal.SIGSTOP)
        threading.Event().wait(1.5)  # what is measured is a process in which time goes by without it
        os.kill(process.pid, signal.SIGCONT)
        said = process.communicate(timeout=120)[1]
    truth = server.truth()

    assert 0 == process.returncode, said
    assert 220 == truth["answered"]
    assert truth["max_in_one_second"] <= MOST_IN_A_SECOND


def test_client_keeps_the_same_pace(tmp_path: Path, server: FaultServer) -> None:
    """The SDK's calls are booked on the same lines as those of `ask`."""
    project = study(tmp_path / "a", server, 90, experiment=WITH_CLIENT)
    finished = project.exp("--rpm", "3000", "-q")
    truth = server.truth()

    assert 0 == finished.code, finished.err
    assert 90 == truth["answered"]
    assert truth["max_in_one_second"] <= 1.15 * 50


def test_the_concurrency_of_an_endpoint_is_what_its_server_sees(tmp_path: Path, server: FaultServer) -> None:
    """A server of one's own with four slots gets four calls, whatever the run may have in flight."""
    project = study(tmp_path / "a", server, 30)
    project.write_samples([{**row, "message": f"[[delay=0.02]] {row['message']}"} for row in commits(30)])
    with (project.root / "llmbatch.toml").open("a", encoding="utf-8") as file:
        file.write("concurrency = 4\n")
    finished = project.exp("--concurrency", "64")

    assert 0 == finished.code, finished.err
    assert 4 == server.truth()["max_in_flight"]


def test_a_refused_crowd_is_halved_and_told(tmp_path: Path, server: FaultServer) -> None:
    """In the run log step by step, and at the end in a sentence; every case has its answer."""
    project = study(tmp_path / "a", server, 60)
    refused = [{**row, "message": f"[[429 retry-after=0]] {row['message']}"} for row in commits(60, first=10)]
    project.write_samples([*commits(10), *refused])
    finished = project.exp("--concurrency", "32", "-q")
    changes = events(project, "limit")

    assert 0 == finished.code, finished.err
    assert "rate limit" == changes[0]["why"]
    assert changes[0]["limit"] <= changes[0]["was"] // 2
    assert all({"endpoint", "model", "limit", "was", "why"} <= set(change) for change in changes)
    assert any("attempts in flight went from 32 down to" in note["text"] for note in events(project, "note"))


def test_what_a_service_bears_is_found_without_being_told(tmp_path: Path) -> None:
    """Ten at once, where sixty-four may be in flight: few are refused, ten are in use, and nobody goes without."""
    with FaultServer(latency_ms=40, bears=10) as server:
        project = study(tmp_path / "a", server, 300)
        finished = project.exp("-q")
        truth = server.truth()
    limits = [change["limit"] for change in events(project, "limit")]

    assert 0 == finished.code, finished.err
    assert 300 == truth["answered"]
    assert truth["per_status"]["429"] < 100
    assert truth["max_in_flight"] > 10
    assert 4 <= median(limits[3:]) <= 14  # 32, 16, 8, and from there on about ten


def test_limits_that_the_service_states_are_kept(tmp_path: Path, server: FaultServer) -> None:
    """From its first reply on, without a word in the configuration."""
    project = study(tmp_path / "a", server, 40)
    stated = "[[with x-ratelimit-limit-requests=1200]]"
    project.write_samples([{**row, "message": f"{stated} {row['message']}"} for row in commits(40)])
    finished = project.exp("-q")

    assert 0 == finished.code, finished.err
    assert [(1200.0, None)] == [(event["rpm"], event["tpm"]) for event in events(project, "learned")]
    assert server.truth()["max_in_one_second"] <= 1.15 * 20 + 1  # the first call, which brought the news


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("rpm = 0", "endpoints.service.rpm is 0: nothing would ever be sent"),
        ("tpm = -5", "endpoints.service.tpm is -5: nothing would ever be sent"),
        ('models.m = { name = "m", concurrency = 0 }', "endpoints.service.models.m.concurrency is 0"),
        ('rpm = "many"', "endpoints.service.rpm is"),
        ("[endpoints.opnai]\nrpm = 5", "write [endpoints.openai], which is known"),
    ],
)
def test_a_limit_that_makes_no_sense_is_an_error_with_its_place(
    tmp_path: Path, server: FaultServer, lines: str, said: str
) -> None:
    """Before anything is sent."""
    project = study(tmp_path / "a", server, 2)
    with (project.root / "llmbatch.toml").open("a", encoding="utf-8") as file:
        file.write(lines + "\n")
    finished = project.exp()

    assert 4 == finished.code
    assert said in finished.err
    assert "llmbatch.toml:" in finished.err
    assert 0 == server.truth()["calls"]


def test_a_limit_of_tokens_below_one_request_is_said_and_stops_nothing(tmp_path: Path, server: FaultServer) -> None:
    """It is sent alone: to wait for a minute that has room for it would be to wait for ever."""
    project = study(tmp_path / "a", server, 1)
    finished = project.exp("--tpm", "100", "-q")

    assert 0 == finished.code, finished.err
    [note] = events(project, "note")
    assert "more than a minute's 100 (tpm)" in note["text"]
