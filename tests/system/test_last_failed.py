"""`--last-failed`: only what was not ok in the last run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import llmbatch
from llmbatch.errors import UsageError
from llmbatch.invocation.last_run import cases_without_ok
from tests.support.fault_server import FaultServer
from tests.support.project import Project
from tests.system.test_faults import ONE_MODEL, messages

pytestmark = pytest.mark.system


@pytest.fixture
def study(project: Project) -> Project:
    """Three samples, of which the second is answered by the second run only, and the third never as asked."""
    project.write_experiment(ONE_MODEL)
    project.configure("max_retries = 0")
    project.write_samples(messages("fine", "[[500 x1]]", "[[garbage]]"))
    return project


def test_only_the_cases_that_were_not_ok_are_run_again(study: Project, server: FaultServer) -> None:
    """Each run goes on from the one before it, so that the list gets shorter; what is recorded is not asked again."""
    study.exp()
    listed = study.exp("--last-failed", "--collect-only")
    again = study.exp("--last-failed")
    rows = study.rows()
    last = study.exp("--last-failed")

    assert "classify[model-a]  2 cases" in listed.out
    assert {"s1": "ok", "s2": "invalid_answer"} == dict(zip(rows["id"], rows["llmbatch_status"], strict=True))
    assert "1 paid, 1 from the cassette" in again.err
    assert ["s2"] == study.rows()["id"].to_list()
    assert (0, 0) == (again.code, last.code)
    assert 4 == server.truth()["calls"]


async def test_a_last_run_in_which_all_was_fine_leaves_nothing_to_select(study: Project) -> None:
    """Exit code 5, and the message says that this is good news."""
    study.write_samples(messages("fine"))
    file = study.root / "experiments" / "study.py"
    await llmbatch.arun(file, record_mode="new_episodes")

    finished = await llmbatch.arun(file, last_failed=True)

    assert 5 == finished.exit_code
    assert "has a row that is ok" in (finished.message or "")


def test_without_a_last_run_the_error_says_where_it_was_looked_for(tmp_path: Path) -> None:
    """Nothing is guessed: an empty folder is no run in which all was fine."""
    with pytest.raises(UsageError, match=re.escape(str(tmp_path))) as raised:
        cases_without_ok(tmp_path)

    assert "run without --last-failed first" in raised.value.details["fix"]


def test_the_rows_of_a_folder_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """Rather than to go on from an older run without a word; numbers of one second are compared as numbers."""
    for name in ("2026-11-26T10-00-00Z", "2026-11-27T10-00-00Z-9", "2026-11-27T10-00-00Z-10", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.parquet").write_bytes(b"torn")

    with pytest.raises(UsageError, match="the rows of the last run cannot be read") as raised:
        cases_without_ok(tmp_path)

    assert str(tmp_path / "2026-11-27T10-00-00Z-10" / "rows.parquet") == raised.value.details["file"]
