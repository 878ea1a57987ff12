"""The first calls go alone: what is wrong with all calls is found out by a handful, whatever may be in flight."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits
from tests.system.test_faults import CLIENT, ONE_MODEL, messages

pytestmark = pytest.mark.system

HANDFUL = 5
"""A first call that is slow on a busy machine lets another go."""


def events(project: Project, name: str) -> list[dict[str, Any]]:
    """Return the events of that name in the log of the newest run."""
    text = (project.rows_file().parent / "run.jsonl").read_text(encoding="utf-8")
    return [event for event in map(json.loads, text.splitlines()) if event["event"] == name]


@pytest.mark.parametrize("asked_by", ["ask", "client"])
def test_a_wrong_key_costs_a_handful_of_calls_whatever_may_be_in_flight(tmp_path: Path, asked_by: str) -> None:
    """64 at once, 200 samples, one call; the message names the variable, and no row is lost."""
    with FaultServer(require_key="the right one", latency_ms=20) as server:
        project = Project(tmp_path / "project", server.base_url, key="the wrong one")
        project.write_experiment(ONE_MODEL if asked_by == "ask" else CLIENT)
        project.write_samples(commits(200))
        finished = project.exp("--concurrency", "64")
        calls = server.truth()["calls"]

    assert finished.code == 6, finished.err
    assert 1 <= calls <= HANDFUL
    assert "LLMBATCH_TEST_KEY" in finished.err
    assert len(project.rows()) == 200


def test_a_request_that_every_sample_is_refused_for_stops_after_twenty(project: Project, server: FaultServer) -> None:
    """A parameter that the model does not know is no matter of the sample; the refusals are kept."""
    project.write_experiment(ONE_MODEL)
    project.write_samples(messages(*(f"[[400]] {number}" for number in range(300))))
    finished = project.exp("--concurrency", "64")
    calls = server.truth()["calls"]

    assert finished.code == 6, finished.err
    assert "the first 20 questions were all refused" in finished.err
    assert 20 <= calls <= 64
    assert project.rows()["llmbatch_status"].to_list().count("bad_request") == calls


def test_a_key_that_is_refused_in_mid_run_is_tried_once_more(project: Project, server: FaultServer) -> None:
    """A gateway that rotates keys refuses one call; all cases have an answer, and the log says what was seen."""
    project.write_experiment(ONE_MODEL)
    project.write_samples(messages(*(f"fine {number}" for number in range(20)), "[[401 x1]] once", "fine at last"))
    finished = project.exp("--concurrency", "4")

    assert finished.code == 0, finished.err
    assert server.truth()["calls"] == 23
    assert [event["state"] for event in events(project, "breaker")] == ["open", "half_open", "closed"]
    assert [event["ok"] for event in events(project, "first_answer")] == [True]


def test_a_key_that_is_withdrawn_in_mid_run_stops_it_after_one_more_call(project: Project, server: FaultServer) -> None:
    """What was answered is kept, and the same command goes on."""
    project.write_experiment(ONE_MODEL)
    project.write_samples(messages("fine", *(f"[[401]] {number}" for number in range(40))))
    finished = project.exp("--concurrency", "4")

    assert finished.code == 6, finished.err
    assert server.truth()["calls"] <= 1 + 4 + HANDFUL
    assert project.rows()["llmbatch_status"][0] == "ok"


def test_a_first_question_that_always_fails_holds_up_nobody(project: Project, server: FaultServer) -> None:
    """The others show that the service works, and are done long before its retries are used up."""
    project.write_experiment(ONE_MODEL)
    project.configure("max_retries = 2")
    project.write_samples(messages("[[500]] for ever", *(f"fine {number}" for number in range(20))))
    finished = project.exp("--concurrency", "8")

    assert finished.code == 1, finished.err
    assert project.rows()["llmbatch_status"].to_list() == ["server_error"] + ["ok"] * 20
    assert server.truth()["calls"] == 23


def test_json_that_is_called_something_else_is_an_answer_and_said_once(project: Project, server: FaultServer) -> None:
    """A proxy in between names the type as it likes."""
    project.write_experiment(ONE_MODEL)
    project.write_samples(messages(*(f"[[with content-type=text/plain]] {number}" for number in range(5))))
    finished = project.exp()

    assert finished.code == 0, finished.err
    assert finished.err.count("text/plain") == 1


def test_refusals_that_are_replayed_stop_no_run(project: Project, server: FaultServer) -> None:
    """Only a service that is asked can refuse all first questions: a replay gives the rows of the recording."""
    project.write_experiment(CLIENT)
    project.write_samples(messages("fine", *(f"[[400]] {number}" for number in range(25))))
    recorded = project.exp("--concurrency", "1")  # the good answer is the first, however slow the machine
    statuses = project.rows()["llmbatch_status"].to_list()
    replayed = project.exp("--last-failed")

    assert (1, 1) == (recorded.code, replayed.code), replayed.err
    assert statuses == ["ok", *project.rows()["llmbatch_status"]]
    assert [] == events(project, "attempt")
    assert 26 == server.truth()["calls"]
