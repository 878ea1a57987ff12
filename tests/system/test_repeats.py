"""Repeats: each really asked, none paid for twice, and what their tables say of a whole run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import llmbatch
from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits
from tests.system.test_faults import ONE_MODEL, messages

pytestmark = pytest.mark.system

OVER_REPEATS = ("agreement", "majority", "votes", "label_frequencies")
WARM = ONE_MODEL.replace('"classify.md", sample)', '"classify.md", sample, temperature=0.7)')


@pytest.fixture
def study(project: Project) -> Project:
    """Six samples at temperature 0, at which the server always says the same."""
    project.write_experiment(ONE_MODEL)
    project.write_samples(commits(6))
    return project


def table(project: Project, name: str) -> pl.DataFrame:
    return pl.read_parquet(project.run_folders()[-1] / "tables" / f"{name}.parquet")


def only_row(project: Project, name: str) -> Mapping[str, Any]:
    (row,) = table(project, name).to_dicts()
    return row


def test_each_repeat_is_asked_also_at_temperature_zero(study: Project, server: FaultServer) -> None:
    """Whether a model says the same again is what repeats are for, so no answer stands for another."""
    run = study.exp("--repeat", "3")

    assert "18 paid, 0 from the cassette" in run.err
    assert 18 == server.truth()["calls"]
    assert [0, 1, 2] * 6 == study.rows()["llmbatch_repeat"].to_list()
    found = only_row(study, "agreement")
    assert (3, 6, 1.0, 1.0, 0.0) == tuple(
        found[name] for name in ("k", "samples", "tar_raw", "tar_answer", "flip_rate")
    )


def test_more_repeats_pay_for_the_new_ones_alone(study: Project, server: FaultServer) -> None:
    """Fewer are part of more; a limit counts samples; and the task's own number gives way."""
    study.write_experiment(ONE_MODEL.replace("@task(", "@task(repeat=2, "))

    first = study.exp("--limit", "4")
    second = study.exp("--limit", "4", "--repeat", "5")
    fewer = study.exp("--limit", "4", "--repeat", "3", "--offline")
    once = study.exp("--repeat", "1", "--limit", "2")

    paid = ("8 paid, 0 from", "12 paid, 8 from", "0 paid, 12 from", "0 paid, 2 from")
    assert [True] * 4 == [words in run.err for words, run in zip(paid, (first, second, fewer, once), strict=True)]
    assert 20 == server.truth()["calls"]
    assert not (study.run_folders()[-1] / "tables" / "agreement.parquet").exists()


def test_answers_that_vary_replay_as_they_were_given(study: Project, server: FaultServer) -> None:
    """Each repeat its own, at any concurrency and number of polars' threads: the same bytes of every table."""
    study.write_experiment(WARM)
    study.exp("--repeat", "4", "--concurrency", "20")
    recorded = study.run_folders()[-1]
    study.environ["POLARS_MAX_THREADS"] = "1"
    again = study.exp("--repeat", "4", "--offline", "--concurrency", "1")
    replayed = study.run_folders()[-1]

    assert recorded != replayed
    assert 24 == server.truth()["calls"]
    for name in ("rows", *(f"tables/{each}" for each in ("summary", "per_class", *OVER_REPEATS))):
        file = f"{name}.parquet"
        assert (recorded / file).read_bytes() == (replayed / file).read_bytes(), name
    assert table(study, "votes").filter(pl.col("different") > 1).height
    assert "votes of classify, where repeats differ" in again.out
    assert "n counts the repeats of a sample" in again.out


def test_only_the_failed_repeats_are_run_again(study: Project, server: FaultServer) -> None:
    """And half a sample is left out of the rates, by number."""
    study.configure("max_retries = 0")
    study.write_samples(messages("fine", "[[500 x1]] now and then"))

    study.exp("--repeat", "3", "--concurrency", "1")
    failed = study.rows().filter(pl.col("llmbatch_status") != "ok")["llmbatch_case"].to_list()
    found = only_row(study, "agreement")
    again = study.exp("--repeat", "3", "--last-failed")

    assert 1 == len(failed)
    assert (1, "server_error 1", 0.5) == (found["failed"], found["failures"], found["tar_answer"])
    assert failed == study.rows()["llmbatch_case"].to_list()
    assert (0, 1) == tuple(only_row(study, "agreement")[name] for name in ("samples", "partial"))
    assert "1 sample left out" in again.out
    assert 7 == server.truth()["calls"]


async def test_a_program_asks_for_repeats_and_gets_their_tables(study: Project, tmp_path: Path) -> None:
    """As polars frames, with the interval over samples."""
    run = await llmbatch.arun(study.root / "experiments" / "study.py", record_mode="new_episodes", repeat=2)

    assert 12 == run.rows.height
    assert {*OVER_REPEATS, "per_class"} <= set(run.tables)
    assert 6 == run.table("votes").height
    assert (6, 12) == tuple(run.table("summary").select("samples", "n").row(0))
    assert 6.0 == run.table("summary")["n_effective"].item()
