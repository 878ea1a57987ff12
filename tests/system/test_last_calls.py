"""A service that hangs on one of the last calls holds up no run; and a run may be told to wait for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits

pytestmark = pytest.mark.system

SAMPLES = 14
FIRST_BYTE_SECONDS = 2.0


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def study(tmp_path: Path, server: FaultServer) -> Project:
    """A project whose last question is met with silence when it is asked for the first time."""
    server.reset()
    project = Project(tmp_path, server.base_url)
    configured = tmp_path / "llmbatch.toml"
    configured.write_text(configured.read_text() + f"first_byte_timeout_seconds = {FIRST_BYTE_SECONDS}\n")
    samples = commits(SAMPLES)
    samples[-1]["message"] = "[[hang x1]] the last one"
    project.write_samples(samples)
    return project


def events(project: Project, name: str) -> list[dict[str, Any]]:
    lines = (project.run_folders()[-1] / "run.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == name]


def test_the_last_call_is_hedged_and_the_replay_gives_the_same_rows(study: Project, server: FaultServer) -> None:
    """Before its time is over; what was given up is recorded and serves nothing."""
    finished = study.exp("--model", "service/model-a")
    first = study.rows_file().read_bytes()
    hedges, attempts, totals = (events(study, name) for name in ("hedge", "attempt", "calls"))
    offline = study.exp("--model", "service/model-a", "--offline")

    assert (finished.code, offline.code) == (0, 0), finished.err
    assert server.truth()["calls"] == SAMPLES + 1
    assert [hedge["won"] for hedge in hedges] == [True]
    assert hedges[0]["after_seconds"] < FIRST_BYTE_SECONDS
    assert [(attempt["hedge"], attempt["kind"]) for attempt in attempts] == [(True, None)]
    assert [(total["calls"], total["hedged"]) for total in totals] == [(SAMPLES + 1, 1)]
    assert study.rows()["llmbatch_status"].to_list() == ["ok"] * SAMPLES
    assert first == study.rows_file().read_bytes()
    assert b"given up" in (study.cassette / "failures-00001.yaml").read_bytes()


def test_a_run_that_is_told_so_waits_for_its_last_call(study: Project, server: FaultServer) -> None:
    """The time-out ends the wait, and the question is asked again."""
    finished = study.exp("--model", "service/model-a", "--no-hedge")

    assert finished.code == 0, finished.err
    assert events(study, "hedge") == []
    assert server.truth()["calls"] == SAMPLES + 1
    assert study.rows()["llmbatch_status"].to_list() == ["ok"] * SAMPLES
