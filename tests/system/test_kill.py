"""Killed, interrupted, cut off: what was answered is never asked again, and the rows end up the same."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer
from tests.support.kills import CONCURRENCY, EVERY, digest, has_answered, kill_loop, undisturbed
from tests.support.project import Project, commits
from tests.support.waiting import until, until_said

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.name == "nt", reason="signals to other processes are POSIX"),
]


@pytest.fixture
def slow(tmp_path: Path) -> FaultServer:
    return FaultServer(latency_ms=30)


def test_a_killed_run_goes_on_and_asks_again_only_what_was_in_flight(tmp_path: Path) -> None:
    """An answer is on disk before it counts, so kill -9 costs at most the calls that were on their way.

    The long loop is `python tests/system/kill_loop.py --kills 100`.
    """
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    ledger = kill_loop(tmp_path, 4, seed)

    assert ledger.kills == 4


def test_a_half_written_last_line_is_cut_off_with_a_note_and_the_rest_is_served(
    project: Project, server: FaultServer
) -> None:
    """What a power cut leaves behind: a prefix of the file, of which every whole line counts."""
    project.write_samples(commits(10))
    project.exp()
    before = digest(project)
    segment = project.cassette / "segment-00001.yaml"
    segment.write_bytes(segment.read_bytes()[:-40])
    server.reset()

    offline = project.exp("--offline")
    finished = project.exp()

    assert (offline.code, finished.code) == (1, 0), finished.err
    assert "0 paid, 19 from the cassette, 1 failed" in offline.err
    assert "1 paid, 19 from the cassette" in finished.err
    assert "segment-00001.yaml" in finished.err
    assert server.truth()["calls"] == 1
    assert digest(project) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_drains_and_the_same_command_goes_on(
    slow: FaultServer, tmp_path: Path, number: signal.Signals
) -> None:
    """Exit code 2, a row for every case, and nothing that was answered is asked again."""
    with slow as server:
        project = Project(tmp_path / "project", server.base_url)
        project.write_samples(commits(40))
        with project.start(*EVERY) as process:
            until(partial(has_answered, server, 10), process)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        statuses = Counter(project.rows()["llmbatch_status"].to_list())
        paid = server.truth()
        finished = project.exp(*EVERY)
        truth = server.truth()

    assert process.returncode == 2, err
    assert "the same command goes on where it stopped" in err
    assert "Ctrl-C again" in err
    assert f"{statuses['not_run']} of 80 cases were not run" in err
    assert ", 0 failed" in err
    assert set(statuses) == {"ok", "not_run"}
    assert statuses["ok"] == paid["answered"] < 80
    assert sum(statuses.values()) == 80
    assert "summary" in out
    assert finished.code == 0
    assert {1} == set(truth["per_key"].values())
    assert digest(project) == undisturbed(tmp_path / "calm", 40)


@pytest.mark.parametrize("task", ["ask", "requests"])
def test_the_second_signal_ends_at_once_even_while_calls_hang(project: Project, server: FaultServer, task: str) -> None:
    """Neither a service that is silent nor a thread that waits for it keeps the terminal."""
    calls, hanging = (12, 2) if task == "ask" else (6, 1)
    if task == "requests":
        project.write_experiment(SYNC.replace("BASE_URL", server.base_url))
    project.write_samples([{"id": "slow", "message": "[[hang]]", "label": "adaptive"}, *commits(5)])
    with project.start("--concurrency", "4") as process:
        until(lambda: server.truth()["calls"] == calls and server.truth()["in_flight"] == hanging, process)
        process.send_signal(signal.SIGINT)
        until_said("Ctrl-C again", process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    statuses = dict(project.rows().select("id", "llmbatch_status").iter_rows())

    assert process.returncode == 2, err
    assert statuses["slow"] == "not_run"
    assert {*statuses.values()} <= {"ok", "not_run"}  # an answer may have come a moment before the second signal


SYNC = """
import requests
from llmbatch import parametrize, task

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
def say(sample):
    body = {"model": "model-a", "messages": [{"role": "user", "content": sample["message"]}]}
    reply = requests.post("BASE_URL/chat/completions", json=body)
    return {"said": reply.json()["choices"][0]["message"]["content"]}
"""


def test_an_interrupt_does_not_wait_out_a_back_off(project: Project, server: FaultServer) -> None:
    """A question that the service has not answered yet keeps its failure; it is asked again by the next run."""
    project.write_samples([{"id": "busy", "message": "[[429 retry-after=100 x1]]", "label": "adaptive"}])
    with project.start() as process:
        until(lambda: server.truth()["calls"] == 2, process)
        until_said("waiting 1", process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    interrupted = project.rows()["llmbatch_status"].to_list()
    finished = project.exp()

    assert process.returncode == 2, err
    assert interrupted == ["rate_limited"] * 2
    assert (finished.code, server.truth()["answered"]) == (0, 2)


def test_a_new_generation_is_resumed_after_a_kill_and_serves_once_it_is_complete(tmp_path: Path) -> None:
    """Mode `all` asks everything anew; until it is through, the answers of before hold."""
    with FaultServer() as first:
        project = Project(tmp_path / "project", first.base_url)
        project.write_samples(commits(20))
        project.exp()
        port = first.port
    before = digest(project)
    with FaultServer(latency_ms=30, seed="1", port=port) as second:
        with project.start("--record-mode", "all", *EVERY) as process:
            until(partial(has_answered, second, 15), process)
            process.kill()
        old = project.exp("--offline")
        between = digest(project)
        resumed = project.exp("--record-mode", "all", *EVERY)
        truth = second.truth()
        after = digest(project)
        once = project.exp("--record-mode", "once")
        served = digest(project)
        calls = second.truth()["calls"]

    assert (old.code, resumed.code, once.code) == (0, 0, 0), resumed.err
    assert before == between
    assert before != after
    assert after == served
    assert sum(truth["per_key"].values()) <= 40 + CONCURRENCY
    assert calls == truth["calls"]
    assert (project.cassette / "generation-1.complete").exists()
