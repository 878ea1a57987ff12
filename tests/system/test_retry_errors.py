"""`--retry-errors`: refusals that were recorded are asked again, once, through the real command line."""

from __future__ import annotations

import pytest

from llmbatch.errors import UsageError
from llmbatch.invocation.mode import choose_mode
from llmbatch.invocation.options import settings_of
from tests.support.fault_server import FaultServer
from tests.support.project import Project
from tests.support.waiting import until
from tests.system.test_faults import ONE_MODEL, messages

pytestmark = pytest.mark.system


@pytest.fixture
def study(project: Project) -> Project:
    """A project without retries."""
    project.write_experiment(ONE_MODEL)
    project.configure("max_retries = 0")
    return project


def statuses(study: Project) -> list[str]:
    return study.rows()["llmbatch_status"].to_list()


def test_refusals_are_asked_again_and_answers_are_not(study: Project, server: FaultServer) -> None:
    """What comes is replayed from then on; a second such run asks what is refused still."""
    study.write_samples(messages("fine", "[[400 x1]]", "[[context]]", "[[refusal]]", "[[400 x1]] [[500 x1]]"))
    study.exp()
    first, calls = statuses(study), server.truth()["calls"]
    plain = study.exp()
    dry = study.exp("--retry-errors", "--dry-run")
    again = study.exp("--retry-errors")
    second, rows = statuses(study), study.rows_file().read_bytes()
    replay = study.exp("--offline")

    assert ["ok", "bad_request", "context_length", "refusal", "bad_request"] == first
    assert "2 answered, 3 not" in dry.out
    assert ["ok", "ok", "context_length", "refusal", "bad_request"] == second
    assert (5, 1, 1) == (calls, plain.code, again.code)
    assert 5 + 3 == server.truth()["calls"]
    assert rows == study.rows_file().read_bytes(), replay.err
    study.exp("--retry-errors")
    assert ["ok", "ok", "context_length", "refusal", "ok"] == statuses(study)
    assert 8 + 2 == server.truth()["calls"]


def test_killed_half_way_what_was_answered_is_not_asked_again(study: Project, server: FaultServer) -> None:
    """Each answer counts from the moment it is recorded."""
    # the first is fine: a service that refuses all of its first calls would end the run
    study.write_samples(messages("fine", *(f"[[400 x1]] {number} [[delay=0.05]]" for number in range(40))))
    study.exp()
    assert ["ok", *["bad_request"] * 40] == statuses(study)
    with study.start("--retry-errors", "--concurrency", "4") as process:
        until(lambda: server.truth()["calls"] >= 41 + 15, process)
        process.kill()
        process.communicate(timeout=60)

    finished = study.exp("--retry-errors")

    assert ["ok"] * 41 == statuses(study), finished.err
    billed = server.truth()["per_key"].values()
    assert 41 == len(billed)
    assert 4 >= sum(billed) - len(billed)  # what was on its way


@pytest.mark.parametrize("mode", ["none", "all", "once"])
def test_a_mode_that_contradicts_it_is_named(mode: str) -> None:
    """Before anything is opened."""
    with pytest.raises(UsageError, match=f"the record mode is {mode}"):
        choose_mode(settings_of({"retry_errors": True, "record_mode": mode}), {})
