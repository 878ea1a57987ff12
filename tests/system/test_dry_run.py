"""A dry run says what would be called, why and at what cost; a pilot pays for a few cases to tell better."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits
from tests.system.test_budget import PRICED, add_settings, billed_usd

pytestmark = pytest.mark.system


@pytest.fixture
def project(tmp_path: Path, server: FaultServer) -> Project:
    project = Project(tmp_path, server.base_url, key="not-a-real-key-but-long-enough")
    add_settings(project, PRICED)
    project.write_samples(commits(60))
    return project


def range_of(text: str, words: str) -> tuple[float, float]:
    """Return the dollars of `$a to $b` behind some words."""
    match = re.search(words + r"\D*\$([\d.,]+) to \$([\d.,]+)", text)
    assert match, text
    low, high = (float(number.replace(",", "")) for number in match.groups())
    return low, high


def test_a_dry_run_sends_and_writes_nothing_and_needs_no_key(project: Project, server: FaultServer) -> None:
    """Of a model without a price the cost is not known, and that is said."""
    project.environ.clear()

    done = project.exp("--dry-run", "-q")

    assert 0 == done.code, done.err
    assert "120 of 120 cases have no answer" in done.out
    low, high = range_of(done.out, "120 calls would be made:")
    assert 0 < low < high
    assert "60 calls, $0: a machine of your own" in done.out
    assert "no answer to go by" in done.out
    assert 0 == server.truth()["calls"]
    assert not project.cassette.exists()
    assert not (project.root / "results").exists()


def test_a_pilot_tells_what_the_rest_costs(project: Project, server: FaultServer) -> None:
    """What the run then pays lies in the range; the pilot's answers are not paid for again."""
    pilot = project.exp("--pilot", "25", "-q")
    paid = billed_usd(server)
    assert 0 == pilot.code, pilot.err
    assert 50 == server.truth()["calls"]
    assert "as 25 recorded answers of this variant" in pilot.out
    low, high = range_of(pilot.out, r"classify\[model-a\] service/model-a *35 calls,")

    done = project.exp("-q", target="experiments/study.py::classify[model-a]")

    assert 0 == done.code, done.err
    assert 85 == server.truth()["calls"]
    assert low <= billed_usd(server) - paid <= high


def test_a_changed_prompt_is_named(project: Project, server: FaultServer) -> None:
    """With the nearest recorded request and the field that differs; a second variant helps where one has no answer."""
    assert 0 == project.exp("-q", target="experiments/study.py::classify[model-a]").code
    project.write_prompt("Why was it made?\n\n{message}\n")
    add_settings(project, PRICED.replace("model-a", "model-b"))

    done = project.exp("--dry-run", "-q")

    assert 0 == done.code, done.err
    assert "user message, line 1" in done.out
    assert "Why was it made?" in done.out
    assert "as 60 recorded answers of this variant" in done.out
    assert 60 == server.truth()["calls"]


def test_a_dry_run_of_what_is_recorded_says_so(project: Project) -> None:
    """Nothing to pay."""
    assert 0 == project.exp("-q", "--limit", "3").code

    done = project.exp("--dry-run", "-q", "--limit", "3")

    assert (0, "study: all 6 cases are answered, nothing to pay\n") == (done.code, done.out)


@pytest.mark.parametrize(
    "flags",
    [("--dry-run", "--pilot", "3"), ("--pilot", "0"), ("--dry-run", "--record-mode", "all")],
)
def test_flags_that_contradict_each_other_are_an_error(project: Project, flags: tuple[str, ...]) -> None:
    """With the next step, and nothing sent."""
    done = project.exp(*flags)

    assert 4 == done.code
    assert "fix" in done.err
