"""What a run tells its log: every attempt that was no plain first success, every wait, and totals that add up."""

from __future__ import annotations

import errno
import json
import os
from typing import Any

import pytest

import llmbatch
from llmbatch.errors import DiskError
from tests.support.disk import Disk, Step
from tests.support.fault_server import FaultServer
from tests.support.project import PROGRAM, Project
from tests.support.waiting import until, until_said
from tests.system.test_faults import ONE_MODEL, messages

pytestmark = pytest.mark.system

CLIENT = """
from llmbatch import parametrize, task

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def classify(sample, client):
    asked = [{"role": "user", "content": sample["message"]}]
    reply = await client.chat.completions.create(model="model-a", messages=asked)
    return {"said": reply.choices[0].message.content}
"""


def events_of(project: Project) -> list[dict[str, Any]]:
    path = project.rows_file().parent / "run.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


@pytest.mark.parametrize("text", [ONE_MODEL, CLIENT], ids=["ask", "client"])
def test_failed_attempts_waits_and_totals_are_told(project: Project, server: FaultServer, text: str) -> None:
    """Two calls go wrong once each; the others leave nothing but their number and tokens in the totals."""
    project.write_experiment(text)
    project.write_samples(messages("fine", "[[500 x1]]", "[[429 retry-after=0]]", "fine too"))

    finished = project.exp()

    events = events_of(project)
    attempts = [event for event in events if event["event"] == "attempt"]
    waits = [event for event in events if event["event"] == "wait"]
    [totals] = [event for event in events if event["event"] == "calls"]
    assert 0 == finished.code, finished.err
    assert [
        ("server_error", 1, 500),
        ("server_error", 2, None),
        ("rate_limited", 1, 429),
        ("rate_limited", 2, None),
    ] == [
        (kind, each["number"], each["status"] if each["kind"] else None)
        for kind, case in (("server_error", "s1"), ("rate_limited", "s2"))
        for each in sorted((each for each in attempts if each["case"].endswith(case)), key=lambda each: each["number"])
    ]
    assert {"rate_limited", "server_error"} == {wait["kind"] for wait in waits}
    assert 4 == len(attempts)
    assert (6, 2) == (totals["calls"], totals["retried"])
    assert server.truth()["calls"] == totals["calls"]
    assert ("start", "end") == (events[0]["event"], events[-1]["event"])
    assert events[-1]["tokens_out"] == totals["tokens_out"] > 0


def test_a_replay_tells_no_calls(project: Project) -> None:
    """There were none."""
    project.write_experiment(ONE_MODEL)
    project.write_samples(messages("fine"))
    project.exp()
    project.exp("--offline")

    assert ["start", "end"] == [event["event"] for event in events_of(project)]


async def test_a_disk_that_does_not_take_the_last_answers_is_in_the_last_event(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told when the cassette is closed, which is after all else."""
    monkeypatch.delenv("CI", raising=False)
    project.write_experiment(ONE_MODEL)
    project.write_samples(messages("fine"))

    def no_sync(number: int, step: Step) -> int | None:
        return errno.EIO if step.operation.startswith("sync") and step.name.startswith("segment") else None

    project.cassette.mkdir(parents=True)
    with Disk(project.cassette, no_sync), pytest.raises(DiskError):
        await llmbatch.arun(project.root / "experiments" / "study.py")

    [folder] = project.run_folders()
    end = json.loads((folder / "run.jsonl").read_text(encoding="ascii").splitlines()[-1])
    assert ("end", 7) == (end["event"], end["exit_code"])
    assert "the disk did not take what was written" in end["message"]


@pytest.mark.skipif(os.name == "nt", reason="signals to other processes are POSIX")
def test_a_drain_has_an_end_and_what_was_given_up_is_said(project: Project, server: FaultServer) -> None:
    """A service that is silent cannot hold a run that is to stop; here the time for it is short."""
    import signal

    project.write_samples(messages("[[hang]]"))
    impatient = "import llmbatch.invocation.interrupt as i; i.DRAIN_SECONDS = 0.2; " + PROGRAM
    with project.start(program=(impatient,)) as process:
        until(lambda: server.truth()["in_flight"] == 2, process)
        process.send_signal(signal.SIGTERM)
        said = until_said("stopping", process)
        _, err = process.communicate(timeout=20)

    assert "Ctrl-C again stops at once" in said
    assert "still on their way when the run ended: classify[model-a]::s0, classify[model-b]::s0" in err
    assert 2 == process.returncode
    assert [] == [event for event in events_of(project) if event["event"] == "warning"]
