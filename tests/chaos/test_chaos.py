"""Scenarios in short, held to the ten invariants; `python -m tests.chaos.chaos_table` plays all of them at length."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.chaos.invariants import violations
from tests.chaos.scenarios import SCENARIOS, Played, Scenario, play
from tests.support.project import Finished

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.name == "nt", reason="signals to other processes are POSIX"),
]
SHORT = Scenario("short", chaos=0.4, ends=("kill", "interrupt"))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """A study that met faults in a third of its calls and ended before its time twice."""
    return play(tmp_path_factory.mktemp("chaos"), SHORT, samples=32, seed=1)


def test_a_study_that_is_killed_and_interrupted_ends_as_in_calm(played: Played) -> None:
    """All ten invariants, after faults of every kind."""
    assert [] == violations(played)
    assert len(played.truth["per_fault"]) > 5
    assert len(SCENARIOS) == len({scenario.name for scenario in SCENARIOS})


def test_the_checks_see_what_they_are_for(played: Played) -> None:
    """A checker that finds nothing in a broken run would be worth nothing."""
    rows = len(played.project.rows())
    truth = {**played.truth, "calls": 10 * rows, "answered": 10 * rows, "max_in_flight": 999}
    said = Finished(1, "canary-value-of-a-key-0123456789", "")
    broken = replace(
        played,
        samples=rows + 1,
        lost=["one"],
        truth=truth,
        finished=said,
        replayed=b"",
        calm=replace(played.calm, rows=""),
    )
    found = {each.split()[0] for each in violations(broken)}

    assert {"I1", "I2", "I4", "I5", "I6", "I7", "I8", "I9"} == found
