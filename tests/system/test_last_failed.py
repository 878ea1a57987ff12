"""`--last-failed`: only what was not ok in the last run."""

from __future__ import annotations

import pytest

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


def test_a_last_run_in_which_all_was_fine_leaves_nothing_to_select(study: Project) -> None:
    """Exit code 5, and the message says that this is good news."""
    study.write_samples(messages("fine"))
    study.exp()

    finished = study.exp("--last-failed")

    assert 5 == finished.code
    assert "has a row that is ok" in finished.err


def test_without_a_last_run_the_error_says_where_it_was_looked_for(study: Project, server: FaultServer) -> None:
    """Nothing is guessed: an empty folder is no run in which all was fine."""
    finished = study.exp("--last-failed")

    assert 4 == finished.code
    assert "results/study" in finished.err.replace("\\", "/")
    assert "run without --last-failed first" in finished.err
    assert 0 == server.truth()["calls"]


def test_the_rows_of_a_folder_that_cannot_be_read_are_named(study: Project) -> None:
    """Rather than to go on from an older run without a word."""
    study.exp()
    study.rows_file().write_bytes(b"torn")

    finished = study.exp("--last-failed")

    assert 4 == finished.code
    assert "rows.parquet" in finished.err
